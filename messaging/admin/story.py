"""The parts of a message's page that tell its story: what it says, when it moved, what happened."""

# mypy: disallow-any-generics=False
# Django's admin classes take no parameters at run time.

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from messaging.admin.base import as_json, precise, preformatted
from messaging.dispatch import selectors
from messaging.models import Content, Message, MessageEvent
from messaging.state import Status

_STAMPS = tuple(status.stamp for status in Status if status.stamp)
_FACTS = ("complained_at", "retried_at", "revised_at", "deleted_at")
_TIMES = ("created_at", "scheduled_at", "expires_at", *_FACTS, *_STAMPS)


class EventInline(admin.TabularInline):
    """What happened to a message, in order."""

    model = MessageEvent
    fields = readonly_fields = ("when", "type", "status", "cause", "attempt", "provider", "told")
    ordering = ("at", "id")
    extra = 0
    max_num = 0
    can_delete = False
    verbose_name_plural = "timeline"

    @admin.display(description="at (UTC)")
    def when(self, event: MessageEvent) -> str:
        return precise(event.at)

    @admin.display(description="detail")
    def told(self, event: MessageEvent) -> SafeString | str:
        return as_json(event.detail) if event.detail else ""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("messaging.view_message")


ENCRYPTED = "encrypted"
"""Stands for what is sealed. Operators work across workspaces; a workspace's own people read it by the API."""


def rendered_part(message: Message, part: str) -> SafeString | str:
    """The body or the text, with the message's own data filled in."""
    if message.sealed is not None:
        return ENCRYPTED
    try:
        rendered = selectors.rendered(message=message)
    except Content.DoesNotExist:
        return "its content is not kept any more"
    text: str = getattr(rendered, part)
    return preformatted(text) if text else "-"


def files_of(content: Content) -> SafeString | str:
    """The names and sizes of a content's files, without reading them."""
    files = content.attachments.defer("data")
    sealed = content.sealed is not None
    rows = ((ENCRYPTED if sealed else file.filename, file.content_type, file.size) for file in files)
    listed = format_html_join("", "<li>{} ({}, {} bytes)</li>", rows)
    return format_html("<ul>{}</ul>", listed) if listed else "-"


def media_of(content: Content) -> SafeString | str:
    """The media file of a content, as it was given."""
    if content.sealed is not None:
        return ENCRYPTED
    return as_json(content.media) if content.media else "-"


def times_of(message: Message) -> SafeString:
    """Every time that is set, the earliest first."""
    moments = {**{name: getattr(message, name) for name in _TIMES}, "next_attempt_at": selectors.due_at(message)}
    known = [(moment, name) for name, moment in moments.items() if moment is not None]
    rows = ((precise(moment), name.removesuffix("_at")) for moment, name in sorted(known))
    return format_html("<table>{}</table>", format_html_join("", "<tr><td>{}</td><td>{}</td></tr>", rows))
