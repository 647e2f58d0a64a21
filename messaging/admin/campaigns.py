"""Campaigns with their messages by status and their frozen audience, started and cancelled as callers do."""

# mypy: disallow-any-generics=False
# Django's admin classes take no parameters at run time.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractUser
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from messaging.admin.base import ReadOnlyAdmin, as_json, as_key, link, list_link
from messaging.campaigns import progress, runs
from messaging.errors import DispatchError
from messaging.models import Audience, Campaign
from messaging.state import Cause


@admin.register(Campaign)
class CampaignAdmin(ReadOnlyAdmin):
    list_display = ("id", "name", "status", "channel", "of_template", "workspace", "scheduled_at", "started_at")
    list_display_links = ("id",)
    list_filter = ("status", "channel", "test")
    list_select_related = ("workspace", "template")
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = "An id, or how the name begins."
    actions = ("start", "cancel")
    readonly_fields = (
        *("of_template", "counted", "reached", "chosen_by", "own_data", "wishes"),
        *("its_messages", "its_audience"),
    )
    fieldsets = (
        (None, {"fields": ("name", "description", "kind", "status", "error_code", "error_detail")}),
        ("Progress", {"fields": ("counted", "reached", "its_messages", "its_audience")}),
        (
            "Plan",
            {
                "fields": (
                    ("workspace", "author", "test"),
                    ("channel", "of_template", "category"),
                    ("chosen_by", "own_data"),
                    ("rate", "window", "wishes"),
                )
            },
        ),
        (
            "Times (UTC)",
            {
                "fields": (
                    ("created_at", "scheduled_at", "ends_at", "started_at"),
                    ("feed_at", "retry_before", "finished_at"),
                )
            },
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        key = as_key(term)
        return (queryset.filter(name__istartswith=term) if key is None else queryset.filter(pk=key)), False

    @admin.display(description="template")
    def of_template(self, campaign: Campaign) -> str:
        return campaign.template.key if campaign.template else "-"

    @admin.display(description="messages by status")
    def counted(self, campaign: Campaign) -> SafeString | str:
        made = progress.of(campaign)
        return as_json(made.counts) if made.counts else "-"

    @admin.display(description="audience")
    def reached(self, campaign: Campaign) -> SafeString | str:
        reach = progress.reach(campaign)
        told = {"contacts": reach.contacts, "waiting": progress.of(campaign).waiting, "unreached": reach.unreached}
        return as_json(told) if reach.contacts else "-"

    @admin.display(description="chosen by")
    def chosen_by(self, campaign: Campaign) -> SafeString:
        named = [str(key) for key in campaign.contact_ids]
        return as_json({"tags": campaign.tags, "filter": campaign.filter, "contacts": named})

    @admin.display(description="settings")
    def wishes(self, campaign: Campaign) -> SafeString | str:
        return as_json(campaign.settings) if campaign.settings else "-"

    @admin.display(description="data")
    def own_data(self, campaign: Campaign) -> SafeString | str:
        return as_json(campaign.data) if campaign.data else "-"

    @admin.display(description="messages")
    def its_messages(self, campaign: Campaign) -> SafeString:
        return list_link("message", f"campaign__id__exact={campaign.pk}", "its messages")

    @admin.display(description="contacts")
    def its_audience(self, campaign: Campaign) -> SafeString:
        return list_link("audience", f"campaign__id__exact={campaign.pk}", "its contacts")

    # What operators do

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the person may start and stop campaigns; the rows themselves nobody edits."""
        return request.user.has_perm("messaging.change_campaign")

    @admin.action(description="Start the selected campaigns", permissions=["operate"])
    def start(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset, "started", runs.start)

    @admin.action(description="Cancel the selected campaigns", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        def cancel(**named: Any) -> Campaign:
            return runs.cancel(**named, cause=Cause.OPERATOR)

        self._each(request, queryset, "cancelled", cancel)

    def _each(self, request: HttpRequest, queryset: QuerySet[Any], done: str, deed: Callable[..., Campaign]) -> None:
        """Do it to each campaign, keep who did it, and say of each that is refused why."""
        assert isinstance(request.user, AbstractUser)  # noqa: S101
        for row in queryset.order_by("pk"):
            try:
                deed(workspace_id=row.workspace_id, campaign_id=row.pk)
            except DispatchError as error:
                self.message_user(request, f"{row.name}: {error.detail}", messages.WARNING)
            else:
                LogEntry.objects.log_actions(request.user.pk, [row], CHANGE, done, single_object=True)
                self.message_user(request, f"{row.name}: {done}.", messages.SUCCESS)


@admin.register(Audience)
class AudienceAdmin(ReadOnlyAdmin):
    """Reached from the page of a campaign."""

    list_display = ("id", "of_contact", "channel", "error_code", "message")
    list_display_links = ("id",)
    list_filter = ("channel",)
    list_select_related = ("contact", "campaign")
    ordering = ("-id",)
    sortable_by = ()
    fields = readonly_fields = ("campaign", "of_contact", "channel", "message", "error_code")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="contact")
    def of_contact(self, row: Audience) -> SafeString:
        return link("contact", row.contact_id, row.contact)

    @admin.display(description="message")
    def message(self, row: Audience) -> SafeString | str:
        return link("message", row.message_id, row.message_id) if row.message_id else "-"
