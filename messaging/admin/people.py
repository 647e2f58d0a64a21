"""Contacts with what they agreed to and what they got, and the addresses that get nothing more."""

# mypy: disallow-any-generics=False
# Django's admin classes take no parameters at run time.

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractUser
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from channels_app import phones
from messaging.admin.base import ReadOnlyAdmin, as_json, as_key, link, list_link, precise
from messaging.models import (
    Consent,
    Contact,
    ContactAlias,
    ContactEvent,
    Message,
    PushSubscription,
    Suppression,
    Workspace,
)
from messaging.models.people import folded
from messaging.people import suppressions

_FOUND = 1_000
_SHOWN = 20


class ReadOnlyInline(admin.TabularInline):
    """Rows that belong to the one on the page, seen by whoever may see it."""

    extra = 0
    max_num = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("messaging.view_contact")


class ConsentInline(ReadOnlyInline):
    """What the contact said."""

    model = Consent
    fields = readonly_fields = ("channel", "category", "status", "through", "author", "updated_at")
    ordering = ("channel", "category")

    @admin.display(description="through message")
    def through(self, consent: Consent) -> SafeString | str:
        return link("message", consent.message_id, consent.message_id) if consent.message_id else "-"


class PushSubscriptionInline(ReadOnlyInline):
    """Where the contact takes push messages; keys are not shown."""

    model = PushSubscription
    fields = readonly_fields = ("id", "endpoint", "topic", "active", "created_at")
    ordering = ("id",)


class AliasInline(ReadOnlyInline):
    """Contacts that were merged into this one."""

    model = ContactAlias
    fields = readonly_fields = ("id", "created_at")
    ordering = ("id",)
    verbose_name_plural = "merged contacts"


@admin.register(Contact)
class ContactAdmin(ReadOnlyAdmin):
    inlines = (ConsentInline, PushSubscriptionInline, AliasInline)
    list_display = ("id", "name", "email", "phone", "external_id", "workspace", "created_at", "its_messages")
    list_display_links = ("id",)
    list_select_related = ("workspace",)
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = "An id, external id, e-mail address or phone number, whole; or how a name begins."
    fieldsets = (
        (None, {"fields": ("id", "in_workspace", "name", "external_id", "avatar_id")}),
        ("Addresses", {"fields": ("email", "its_phone", "telegram_chat_id")}),
        ("About", {"fields": ("locale", "time_zone", "tags", "told")}),
        ("Times", {"fields": ("created_at", "updated_at")}),
        ("Messages", {"fields": ("its_messages", "latest", "its_events")}),
    )
    readonly_fields = ("in_workspace", "its_phone", "told", "its_messages", "latest", "its_events")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Ask each index by itself: one OR over them would read the table."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found: set[UUID] = set()
        ways: list[dict[str, Any]] = [{"external_id": term}, {"phone": term}]
        ways += [{"folded_email": folded(term)}, {"folded_name__startswith": folded(term)}]
        key = as_key(term)
        if key is not None:
            ways += [{"pk": key}, {"avatar_id": key}, {"aliases__pk": key}]
        # Each index begins with the workspace.
        workspaces = list(Workspace.objects.values_list("id", flat=True))
        for way in ways:
            rows = Contact.objects.filter(workspace_id__in=workspaces, **way)
            found.update(rows.order_by().values_list("pk", flat=True)[:_FOUND])
        return queryset.filter(pk__in=found), False

    @admin.display(description="workspace")
    def in_workspace(self, contact: Contact) -> SafeString:
        return link("workspace", contact.workspace_id, contact.workspace)

    @admin.display(description="phone")
    def its_phone(self, contact: Contact) -> str:
        if not contact.phone:
            return "-"
        doubt = phones.doubt(contact.phone)
        return phones.written(contact.phone) + (f" (may reach nobody: {doubt})" if doubt else "")

    @admin.display(description="attributes")
    def told(self, contact: Contact) -> SafeString | str:
        return as_json(contact.attributes) if contact.attributes else "-"

    @admin.display(description="messages")
    def its_messages(self, contact: Contact) -> SafeString:
        return list_link("message", f"contact__id__exact={contact.pk}", "show")

    @admin.display(description="events")
    def its_events(self, contact: Contact) -> SafeString:
        return list_link("contactevent", f"q={contact.pk}", "show")

    @admin.display(description="latest messages")
    def latest(self, contact: Contact) -> SafeString | str:
        ids = [contact.pk, *contact.aliases.values_list("pk", flat=True)]
        rows: list[Message] = []
        for key in ids:
            rows += Message.objects.filter(contact_id=key).order_by("-id").defer("data", "metadata")[:_SHOWN]
        newest = sorted(rows, key=lambda row: row.pk, reverse=True)[:_SHOWN]
        lines = ((link("message", row.pk, row.pk), row.channel, row.status, row.subject) for row in newest)
        return format_html_join("", "{} {} {} {}<br>", lines) or "-"


@admin.register(ContactEvent)
class ContactEventAdmin(ReadOnlyAdmin):
    """What contacts did, and each time that one gave or took back consent by a link; nobody changes the record."""

    list_display = ("id", "type", "of_contact", "workspace", "happened_at")
    list_display_links = ("id",)
    list_select_related = ("workspace", "contact")
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("=type",)
    search_help_text = "A type, whole, or the id of an event or of a contact."
    fields = readonly_fields = (
        *("id", "workspace", "of_contact", "type", "told", "happened_at"),
        *("session_id", "page_url", "referrer", "utm_source", "utm_medium", "utm_campaign"),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        key = as_key(term)
        if key is not None:
            return queryset.filter(Q(pk=key) | Q(contact_id=key)), False
        # The index begins with the workspace.
        workspaces = list(Workspace.objects.values_list("id", flat=True))
        return queryset.filter(workspace_id__in=workspaces, type=term), False

    @admin.display(description="contact")
    def of_contact(self, row: ContactEvent) -> SafeString | str:
        return link("contact", row.contact_id, row.contact) if row.contact else "-"

    @admin.display(description="metadata")
    def told(self, row: ContactEvent) -> SafeString | str:
        return as_json(row.metadata) if row.metadata else "-"

    @admin.display(description="at")
    def happened_at(self, row: ContactEvent) -> str:
        return precise(row.at)


@admin.register(Suppression)
class SuppressionAdmin(ReadOnlyAdmin):
    """Addresses come on the list by the API and by what providers report; here a person takes them off it."""

    list_display = ("id", "channel", "address", "category", "reason", "workspace", "created_at", "lifted_at")
    list_filter = ("channel", "reason", ("lifted_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace",)
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("=address",)
    fields = (
        *("id", "workspace", "channel", "address", "category", "reason", "of_message", "of_contact", "author"),
        *("created_at", "lifted_at", "lifted_by"),
    )
    readonly_fields = ("of_message", "of_contact")
    actions = ("lift",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        workspaces = list(Workspace.objects.values_list("id", flat=True))
        return queryset.filter(workspace_id__in=workspaces, address=term), False

    def has_lift_permission(self, request: HttpRequest) -> bool:
        """Whether the person may lift suppressions; the rows themselves nobody edits."""
        return request.user.has_perm("messaging.change_suppression")

    @admin.action(description="Lift the selected suppressions", permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        assert isinstance(request.user, AbstractUser)  # noqa: S101 - the site is for people who signed in
        lifting = list(queryset.filter(lifted_at=None))
        number = suppressions.lift(workspace_id=None, ids=[row.pk for row in lifting], user_id=request.user.pk)
        for row in lifting:
            self.log_change(request, row, "lifted")
        text = "1 suppression lifted." if number == 1 else f"{number} suppressions lifted."
        self.message_user(request, text, messages.SUCCESS if number else messages.WARNING)

    @admin.display(description="message")
    def of_message(self, row: Suppression) -> SafeString | str:
        return link("message", row.message_id, row.message_id) if row.message_id else "-"

    @admin.display(description="contact")
    def of_contact(self, row: Suppression) -> SafeString | str:
        return link("contact", row.contact_id, row.contact_id) if row.contact_id else "-"
