"""What messages share and what moves them: batches, contents, claims, receipts, fallbacks. All of it is read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Func, IntegerField, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from messaging.admin.base import ReadOnlyAdmin, as_json, as_key, link, list_link, precise, preformatted
from messaging.admin.story import ENCRYPTED, files_of, media_of
from messaging.models import Batch, Claim, Content, FallbackStep, RawCallback, ReceiptRecord

_SHOWN = 100
"""Messages of a claim that its page links to."""
_SHOWN_BODY = 65_536
"""Characters of a callback that its page shows."""


class KeyedAdmin(ReadOnlyAdmin):
    """Lists whose search knows whole ids only."""

    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = "An id: whole, not in part."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        key = as_key(search_term)
        return (queryset.none() if key is None else queryset.filter(pk=key)), False


@admin.register(Batch)
class BatchAdmin(KeyedAdmin):
    list_display = ("id", "workspace", "accepted", "rejected", "created_at", "its_messages")
    list_select_related = ("workspace",)
    fields = ("id", "workspace", "accepted", "rejected", "created_at", "its_messages")
    readonly_fields = ("its_messages",)

    @admin.display(description="messages")
    def its_messages(self, batch: Batch) -> SafeString:
        return list_link("message", f"batch__id__exact={batch.pk}", "show")


@admin.register(Content)
class ContentAdmin(KeyedAdmin):
    list_display = ("id", "workspace", "its_subject", "sender", "created_at")
    list_select_related = ("workspace",)
    fields = (
        *("id", "workspace", "sender", "reply_to", "cc", "bcc", "its_subject", "source", "plain"),
        *("files", "its_media", "extra"),
    )
    readonly_fields = ("its_subject", "source", "plain", "files", "its_media", "extra")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("body", "text")

    @admin.display(description="subject")
    def its_subject(self, content: Content) -> str:
        return content.subject if content.sealed is None else ENCRYPTED

    @admin.display(description="body")
    def source(self, content: Content) -> SafeString | str:
        return preformatted(content.body) if content.sealed is None else ENCRYPTED

    @admin.display(description="text")
    def plain(self, content: Content) -> SafeString | str:
        return preformatted(content.text) if content.sealed is None else ENCRYPTED

    @admin.display(description="attachments")
    def files(self, content: Content) -> SafeString | str:
        return files_of(content)

    @admin.display(description="media")
    def its_media(self, content: Content) -> SafeString | str:
        return media_of(content)

    @admin.display(description="headers")
    def extra(self, content: Content) -> SafeString | str:
        if content.sealed is not None:
            return ENCRYPTED
        return as_json(content.headers) if content.headers else "-"


@admin.register(Claim)
class ClaimAdmin(KeyedAdmin):
    list_display = ("id", "worker", "lane", "messages", "handed_over", "until", "lives")
    list_filter = ("channel", "priority")
    fields = ("id", "worker", "lane", "messages", "handed_over", "until", "lives", "holds")
    readonly_fields = ("lane", "messages", "until", "lives", "holds")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        number = Func("ids", function="cardinality", output_field=IntegerField())
        claims: QuerySet[Any] = super().get_queryset(request).annotate(number=number)
        return claims

    @admin.display(description="lane")
    def lane(self, claim: Claim) -> str:
        return f"{claim.channel}.{claim.get_priority_display()}"

    @admin.display(description="messages")
    def messages(self, claim: Any) -> int:
        return int(claim.number)

    @admin.display(description="lease ends (UTC)")
    def until(self, claim: Claim) -> str:
        return precise(claim.expires_at)

    @admin.display(description="lease lives", boolean=True)
    def lives(self, claim: Claim) -> bool:
        return claim.expires_at > timezone.now()

    @admin.display(description="first of its messages")
    def holds(self, claim: Claim) -> SafeString:
        return format_html_join("", "{}<br>", ((link("message", key, key),) for key in claim.ids[:_SHOWN]))


@admin.register(ReceiptRecord)
class ReceiptRecordAdmin(KeyedAdmin):
    list_display = ("id", "state", "kind", "provider", "provider_message_id", "of_message", "received_at", "due_at")
    list_filter = ("state",)
    fields = (
        *("id", "state", "kind", "code", "provider", "provider_message_id", "key", "of_message"),
        *("received_at", "due_at", "told"),
    )
    readonly_fields = ("of_message", "told")

    @admin.display(description="message")
    def of_message(self, record: ReceiptRecord) -> SafeString | str:
        return link("message", record.message_id, record.message_id) if record.message_id else "-"

    @admin.display(description="detail")
    def told(self, record: ReceiptRecord) -> SafeString | str:
        return as_json(record.detail) if record.detail else "-"


@admin.register(RawCallback)
class RawCallbackAdmin(KeyedAdmin):
    list_display = ("id", "provider", "received_at", "content_type")
    fields = ("id", "provider", "received_at", "url", "content_type", "said")
    readonly_fields = ("said",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("body")

    @admin.display(description="body")
    def said(self, callback: RawCallback) -> SafeString:
        return preformatted(bytes(callback.body).decode("utf-8", "replace")[:_SHOWN_BODY])


@admin.register(FallbackStep)
class FallbackStepAdmin(KeyedAdmin):
    list_display = ("id", "workspace", "state", "channel", "position", "of_origin", "led_to", "due_at")
    list_filter = ("state", "channel")
    list_select_related = ("workspace",)
    fields = (
        *("id", "workspace", "state", "position", "channel", "recipient", "contact_id", "template", "after_seconds"),
        *("of_origin", "of_watched", "led_to", "due_at", "error_code", "error_detail", "created_at"),
    )
    readonly_fields = ("of_origin", "of_watched", "led_to")

    @admin.display(description="sent first")
    def of_origin(self, step: FallbackStep) -> SafeString:
        return link("message", step.origin_id, step.origin_id)

    @admin.display(description="watches")
    def of_watched(self, step: FallbackStep) -> SafeString | str:
        return link("message", step.watched_id, step.watched_id) if step.watched_id else "-"

    @admin.display(description="led to")
    def led_to(self, step: FallbackStep) -> SafeString | str:
        return link("message", step.next_id, step.next_id) if step.next_id else "-"
