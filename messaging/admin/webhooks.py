"""Endpoints that are told of events, and what was sent to them: operators look, enable again and send once more."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from messaging.admin.base import as_json, link, list_link, precise
from messaging.admin.traffic import KeyedAdmin
from messaging.models import WebhookDelivery, WebhookEndpoint
from messaging.webhooks import deliveries, endpoints


class _WebhookAdmin(KeyedAdmin):
    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Whether the person may set things going again; the rows themselves nobody edits."""
        return request.user.has_perm("messaging.change_webhookendpoint")

    def told(self, request: HttpRequest, rows: list[Any], number: int, said: str) -> None:
        """Keep who did it, and say how many it was done to."""
        for row in rows:
            self.log_change(request, row, said)
        self.message_user(request, f"{number} {said}.", messages.SUCCESS if number else messages.WARNING)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(_WebhookAdmin):
    list_display = ("id", "workspace", "address", "active", "why", "failing_since", "failures", "what_was_sent")
    list_select_related = ("workspace",)
    list_filter = ("active",)
    fields = (
        *("id", "workspace", "address", "description", "types", "format", "test", "active", "why", "disabled_at"),
        *("failures", "failing_since", "previous_until", "created_at", "updated_at", "what_was_sent"),
    )
    readonly_fields = ("address", "why", "what_was_sent")
    actions = ("enable",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).defer("secret", "previous_secret")
        return rows

    @admin.action(description="Enable the selected endpoints again", permissions=["steer"])
    def enable(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        rows = list(queryset.filter(active=False))
        number = endpoints.enable([row.pk for row in rows])
        self.told(request, rows, number, "enabled again")

    @admin.display(description="URL")
    def address(self, row: WebhookEndpoint) -> str:
        """Without its query, which may hold a secret."""
        return row.url.partition("?")[0]

    @admin.display(description="disabled because")
    def why(self, row: WebhookEndpoint) -> str:
        return row.get_disabled_because_display() or "-"

    @admin.display(description="deliveries")
    def what_was_sent(self, row: WebhookEndpoint) -> SafeString:
        return list_link("webhookdelivery", f"endpoint__id__exact={row.pk}", "show")


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(_WebhookAdmin):
    list_display = ("id", "of_endpoint", "type", "state", "attempts", "last_status", "next_attempt_at", "made_at")
    list_filter = ("state",)
    fields = (
        *("id", "of_endpoint", "event_id", "type", "of_message", "of_contact", "state", "attempts", "next_attempt_at"),
        *("last_status", "last_detail", "its_tries", "made_at", "finished_at"),
    )
    readonly_fields = ("of_endpoint", "of_message", "of_contact", "its_tries", "made_at")
    actions = ("resend",)

    @admin.action(description="Send the selected deliveries once more", permissions=["steer"])
    def resend(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        rows = list(queryset.exclude(state=WebhookDelivery.State.PENDING))
        number = deliveries.again([row.pk for row in rows])
        self.told(request, rows, number, "to be sent once more")

    @admin.display(description="endpoint")
    def of_endpoint(self, row: WebhookDelivery) -> SafeString:
        return link("webhookendpoint", row.endpoint_id, row.endpoint_id)

    @admin.display(description="message")
    def of_message(self, row: WebhookDelivery) -> SafeString | str:
        return link("message", row.message_id, row.message_id) if row.message_id else "-"

    @admin.display(description="contact")
    def of_contact(self, row: WebhookDelivery) -> SafeString | str:
        return link("contact", row.contact_id, row.contact_id) if row.contact_id else "-"

    @admin.display(description="made (UTC)")
    def made_at(self, row: WebhookDelivery) -> str:
        return precise(row.created_at)

    @admin.display(description="tries")
    def its_tries(self, row: WebhookDelivery) -> SafeString | str:
        return as_json(row.tries) if row.tries else "-"
