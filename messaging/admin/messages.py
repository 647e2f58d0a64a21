"""Messages: where each stands and why, and the two things an operator may do to them."""

# mypy: disallow-any-generics=False
# Django's admin classes take no parameters at run time.

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractUser
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from analytics import selectors as depths
from channels_app import addresses
from channels_app.errors import InvalidAddress
from channels_app.types import Channel
from messaging.admin.base import ReadOnlyAdmin, as_json, as_key, link, precise
from messaging.admin.flower import flower_url
from messaging.admin.story import ENCRYPTED, EventInline, files_of, media_of, rendered_part, times_of
from messaging.dispatch import control
from messaging.dispatch.explain import explain
from messaging.models import Claim, Content, Message, Workspace, sent_to
from messaging.models.keys import lowest_key
from messaging.state import CANCELLABLE, RETRYABLE, Cause, Priority

LARGEST_ACTION = 10_000
"""Messages that one action moves at the most."""
_CHUNK = 1_000
_FOUND = 1_000

Control = Callable[..., set[UUID]]


class DeletedFilter(admin.SimpleListFilter):
    """Whether a workspace took the message out of its lists."""

    title = "deleted"
    parameter_name = "deleted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in {"yes", "no"}:
            return queryset
        return queryset.filter(deleted_at__isnull=self.value() == "no")


class CreatedFilter(admin.SimpleListFilter):
    """When a message was accepted: its key tells, so that the filter is a range of keys."""

    title = "created"
    parameter_name = "created"
    _SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(30)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("hour", "last hour"), ("day", "last day"), ("week", "last 7 days"), ("month", "last 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = self._SPANS.get(self.value() or "")
        return queryset if span is None else queryset.filter(pk__gte=lowest_key(timezone.now() - span))


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    change_form_template = "messaging/message.html"
    inlines = (EventInline,)
    list_display = (
        "created",
        "status",
        "channel",
        "priority",
        "recipient",
        "its_subject",
        "workspace",
        "of_batch",
        "attempts",
        "error_code",
    )
    list_display_links = ("created",)
    list_filter = ("status", "channel", "priority", "test", CreatedFilter, DeletedFilter)
    list_select_related = ("workspace",)
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = "An id of a message or batch, a recipient, or a provider's id: whole, not in part."
    actions = ("retry", "cancel")
    readonly_fields = (
        "its_name",
        "its_subject",
        "why",
        "next",
        "held_by",
        "in_workspace",
        "of_batch",
        "lane",
        "rendered_body",
        "rendered_text",
        "attachments",
        "its_media",
        "own_data",
        "own_metadata",
        "times",
    )
    fieldsets = (
        (None, {"fields": ("status", "why", "next", "error_code", "error_detail", "held_by")}),
        (
            "Dispatch",
            {
                "fields": (
                    ("channel", "lane", "test"),
                    ("recipient", "its_name"),
                    ("in_workspace", "of_batch", "author"),
                    ("attempts", "max_attempts", "throttles"),
                    ("provider", "provider_message_id", "on_unknown"),
                    ("category", "action_type", "language"),
                )
            },
        ),
        ("Content", {"fields": ("its_subject", "rendered_body", "rendered_text", "attachments", "its_media")}),
        ("Data", {"fields": ("own_data", "own_metadata"), "classes": ("collapse",)}),
        ("Times (UTC)", {"fields": ("times",)}),
    )

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("data", "metadata")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look up whole values by their indexes, each on its own: one OR over them would read the table."""
        term = search_term.strip()
        if not term:
            return queryset, False
        key = as_key(term)
        if key is not None:
            by_batch = queryset.filter(batch_id=key).order_by("-id").values_list("pk", flat=True)[:_FOUND]
            found = {key, *by_batch}
        else:
            found = set(_found_by_text(queryset, term))
        return queryset.filter(pk__in=found), False

    @admin.display(description="subject")
    def its_subject(self, message: Message) -> str:
        return message.subject if message.sealed is None else ENCRYPTED

    @admin.display(description="name")
    def its_name(self, message: Message) -> str:
        return message.name if message.sealed is None else ENCRYPTED

    @admin.display(description="lane")
    def lane(self, message: Message) -> str:
        return f"{message.channel}.{message.get_priority_display()}"

    @admin.display(description="batch")
    def of_batch(self, message: Message) -> SafeString | str:
        return link("batch", message.batch_id, f"…{message.batch_id.hex[-12:]}") if message.batch_id else "-"

    @admin.display(description="created (UTC)")
    def created(self, message: Message) -> str:
        return precise(message.created_at)

    # The page of one message

    @admin.display(description="workspace")
    def in_workspace(self, message: Message) -> SafeString | str:
        workspace = Workspace.objects.filter(pk=message.workspace_id).first()
        return link("workspace", message.workspace_id, workspace or message.workspace_id)

    @admin.display(description="why it stands here")
    def why(self, message: Message) -> str:
        return str(explain(message)["why"])

    @admin.display(description="what happens next")
    def next(self, message: Message) -> str:
        told = explain(message)
        return " ".join(filter(None, (told["next"], told["hint"])))

    @admin.display(description="held by")
    def held_by(self, message: Message) -> SafeString | str:
        claim = Claim.objects.filter(pk=message.claim_id).first() if message.claim_id else None
        return (
            "nobody" if claim is None else link("claim", claim.pk, f"{claim.worker} until {precise(claim.expires_at)}")
        )

    @admin.display(description="body")
    def rendered_body(self, message: Message) -> SafeString | str:
        return rendered_part(message, "body")

    @admin.display(description="text")
    def rendered_text(self, message: Message) -> SafeString | str:
        return rendered_part(message, "text")

    @admin.display(description="attachments")
    def attachments(self, message: Message) -> SafeString | str:
        content = Content.objects.filter(pk=message.content_id).first()
        return files_of(content) if content else "-"

    @admin.display(description="media")
    def its_media(self, message: Message) -> SafeString | str:
        content = Content.objects.filter(pk=message.content_id).first()
        return media_of(content) if content else "-"

    @admin.display(description="data")
    def own_data(self, message: Message) -> SafeString | str:
        if message.sealed is not None:
            return ENCRYPTED
        return as_json(message.data) if message.data else "-"

    @admin.display(description="metadata")
    def own_metadata(self, message: Message) -> SafeString | str:
        return as_json(message.metadata) if message.metadata else "-"

    @admin.display(description="times")
    def times(self, message: Message) -> SafeString:
        return times_of(message)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        message = kwargs.get("obj")
        status = message.status if isinstance(message, Message) and self.has_operate_permission(request) else None
        context["can_retry"] = status in RETRYABLE
        context["can_cancel"] = status in CANCELLABLE
        return super().render_change_form(request, context, *args, **kwargs)

    # What operators do

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the person may move messages; the rows themselves nobody edits."""
        return request.user.has_perm("messaging.change_message")

    @admin.action(description="Retry the selected messages", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._move(request, queryset, control.retry_many, "queued again", "neither FAILED nor BOUNCED")

    @admin.action(description="Cancel the selected messages", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._move(request, queryset, control.cancel_many, "cancelled", "neither SCHEDULED nor QUEUED")

    def _move(
        self, request: HttpRequest, queryset: QuerySet[Any], move: Control, done: str, refused: str
    ) -> HttpResponse | None:
        ids: list[UUID] = list(queryset.order_by("pk").values_list("pk", flat=True)[: LARGEST_ACTION + 1])
        if len(ids) > LARGEST_ACTION:
            text = f"More than {LARGEST_ACTION:,} messages are selected: narrow the list. Nothing was moved."
            self.message_user(request, text, messages.ERROR)
            return None
        moved: set[UUID] = set()
        for start in range(0, len(ids), _CHUNK):
            moved |= move(workspace_id=None, ids=ids[start : start + _CHUNK], cause=Cause.OPERATOR)
        _note(request, sorted(moved), done)
        if moved:
            self.message_user(request, f"{_count(len(moved))} {done}.", messages.SUCCESS)
        if len(moved) < len(ids):
            text = f"{_count(len(ids) - len(moved))} refused: {refused}."
            self.message_user(request, text, messages.WARNING)
        if "from_page" in request.POST and len(ids) == 1:
            return HttpResponseRedirect(reverse("admin:messaging_message_change", args=[ids[0]]))
        return None

    # Lanes, for the index page

    def get_urls(self) -> list[URLPattern]:
        lanes = path("lanes/", self.admin_site.admin_view(self.lanes), name="messaging_message_lanes")
        return [lanes, *super().get_urls()]

    def lanes(self, request: HttpRequest) -> HttpResponse:
        """The depth of every lane, as a part of a page: a row for each channel, a column for each priority."""
        channels: dict[str, list[depths.LaneDepth]] = {}
        for depth in depths.lanes():
            channels.setdefault(depth.lane.channel.value, []).append(depth)
        context = {
            "channels": channels,
            "priorities": [priority.word for priority in Priority],
            "flower_url": flower_url(),
            "now": timezone.now(),
        }
        return TemplateResponse(request, "messaging/lanes.html", context)


def _found_by_text(queryset: QuerySet[Any], term: str) -> list[UUID]:
    spellings = {term}
    for channel in Channel:
        try:
            spellings.add(addresses.normalise(channel, term))
        except InvalidAddress:
            continue
    # The index on recipients begins with the workspace.
    workspaces = list(Workspace.objects.values_list("pk", flat=True))
    by_recipient = queryset.filter(sent_to(spellings), workspace_id__in=workspaces)
    by_provider = queryset.filter(provider_message_id=term).exclude(provider_message_id="")
    return [
        *by_recipient.order_by("-id").values_list("pk", flat=True)[:_FOUND],
        *by_provider.order_by("-id").values_list("pk", flat=True)[:_FOUND],
    ]


def _note(request: HttpRequest, ids: Sequence[UUID], done: str) -> None:
    """Keep who did it: the event tells that it was an operator, the admin's log which one."""
    assert isinstance(request.user, AbstractUser)  # noqa: S101
    rows = list(Message.objects.filter(pk__in=ids).only("id", "channel"))
    if rows:
        LogEntry.objects.log_actions(request.user.pk, rows, CHANGE, done)


def _count(number: int) -> str:
    return "1 message" if number == 1 else f"{number:,} messages"
