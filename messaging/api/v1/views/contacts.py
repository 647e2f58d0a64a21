"""Contacts, what they agreed to, and their push subscriptions."""

from __future__ import annotations

from uuid import UUID

import django_filters
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from messaging import models
from messaging.api.common import cursors
from messaging.api.common.rendering import answer, empty
from messaging.api.v1.envelope import Page, page
from messaging.api.v1.filters import AddressFilter, Listing, PageFilters
from messaging.api.v1.operations import View, operation
from messaging.api.v1.parameters import PAGE
from messaging.api.v1.serializers import people as out
from messaging.api.v1.views.suppressions import newest
from messaging.dispatch import signals
from messaging.errors import Invalid, NotFound
from messaging.people import consent, contacts, merging, push, recipients, search

READ, WRITE = "contacts:read", "contacts:write"

CONTACTS = (
    OpenApiParameter(
        "q",
        str,
        description="An id, external id, phone number or e-mail address, or how a name or an address begins. What is "
        "named exactly comes first, then names, then addresses, each in the order of the alphabet.",
    ),
    OpenApiParameter("tag", str, description="Contacts that have this tag."),
    OpenApiParameter("external_id", str),
    *PAGE,
)
SUBSCRIPTIONS = (
    OpenApiParameter("contact", str, description="A contact's id, else its external id, else its avatar's id."),
    *PAGE,
)


class ContactFilters(PageFilters):
    """The filters of the list of contacts."""

    q = AddressFilter(max_length=2048)
    tag = django_filters.CharFilter(max_length=100)
    external_id = django_filters.CharFilter(max_length=255)


class SubscriptionFilters(PageFilters):
    """The filters of the list of push subscriptions."""

    contact = django_filters.CharFilter(max_length=255)


class ContactList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_contacts", answers={200: Page[out.Contact]}, parameters=CONTACTS, tag="contacts")
    def get(self, request: Request) -> HttpResponse:
        """List contacts, the newest first, or search them."""
        workspace_id = self.caller.workspace_id
        listing = Listing(request._request, ContactFilters, workspace_id=workspace_id)
        named = {name: listing.values[name] or None for name in ("q", "tag", "external_id")}
        where = search.ContactFilter(**named)

        def fetch(beyond: UUID | None, ascending: bool, limit: int) -> list[models.Contact]:
            return search.contacts(
                workspace_id=workspace_id, where=where, ascending=ascending, beyond=beyond, limit=limit
            )

        found = cursors.turn(fetch, cursor=listing.cursor, ascending=False, limit=listing.limit)
        return answer(page(request._request, found, out.contact, query=listing.query))

    @operation("create_contact", takes=out.ContactIn, answers={201: out.Contact}, tag="contacts")
    def post(self, request: Request) -> HttpResponse:
        """Keep a new contact."""
        fields = self.parsed(out.ContactIn).fields()
        return answer(out.contact(contacts.create(workspace_id=self.caller.workspace_id, fields=fields)), 201)


class ContactDetail(View):
    scopes = {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE}

    @operation("get_contact", answers={200: out.Contact}, tag="contacts")
    def get(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Give one contact; the id of one that was merged gives the contact that was kept."""
        return answer(out.contact(contacts.get(workspace_id=self.caller.workspace_id, contact_id=contact_id)))

    @operation("replace_contact", takes=out.ContactIn, answers={200: out.Contact}, tag="contacts")
    def put(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Replace what is known of a contact; its consents stay."""
        return self._changed(contact_id, self.parsed(out.ContactIn))

    @operation("change_contact", takes=out.ContactChanges, answers={200: out.Contact}, tag="contacts")
    def patch(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Change some fields of a contact; attributes and tags are replaced as a whole."""
        return self._changed(contact_id, self.parsed(out.ContactChanges))

    @operation("delete_contact", answers={204: None}, tag="contacts")
    def delete(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Forget a contact; its messages stay, and so does what its addresses opted out of."""
        contacts.delete(workspace_id=self.caller.workspace_id, contact_id=contact_id)
        return empty()

    def _changed(self, contact_id: UUID, wanted: out.ContactIn | out.ContactChanges) -> HttpResponse:
        row = contacts.update(workspace_id=self.caller.workspace_id, contact_id=contact_id, fields=wanted.fields())
        return answer(out.contact(row))


class ContactConsent(View):
    scopes = {"PUT": WRITE}

    @operation("put_consent", takes=out.ConsentIn, answers={200: out.Contact}, tag="contacts")
    def put(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Write down what a contact says about a category on a channel."""
        wanted = self.parsed(out.ConsentIn)
        row = consent.put(
            workspace_id=self.caller.workspace_id,
            contact_id=contact_id,
            channel=wanted.channel,
            category=wanted.category,
            status=out.CONSENT_IN[wanted.status],
            author_id=self.caller.user_id,
        )
        return answer(out.contact(row))


class ContactTelegramLink(View):
    # Whoever has the link can make the contact's messages come to a chat of their own.
    scopes = {"GET": WRITE}

    @operation("get_telegram_link", answers={200: out.TelegramLink}, tag="contacts")
    def get(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Give a link by which the contact tells the bot of Telegram who it is."""
        found = signals.invite(workspace_id=self.caller.workspace_id, contact_id=contact_id)
        response = answer(out.telegram_link(found))
        response["Cache-Control"] = "no-store"
        return response


class ContactMerge(View):
    scopes = {"POST": WRITE}

    @operation("merge_contact", takes=out.MergeIn, answers={200: out.Contact}, tag="contacts")
    def post(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Make one contact of two, and give the one that is kept."""
        workspace_id, wanted = self.caller.workspace_id, self.parsed(out.MergeIn)
        this = contacts.get(workspace_id=workspace_id, contact_id=contact_id)
        other = wanted.into or wanted.from_
        if other is None or (wanted.into and wanted.from_):
            raise Invalid.at("/into", "required", "A merge names the other contact by into or by from.")
        try:
            contacts.get(workspace_id=workspace_id, contact_id=other)
        except NotFound as error:
            raise Invalid.at("/into" if wanted.into else "/from", error.code, error.detail) from error
        keep, gone = (other, this.id) if wanted.into else (this.id, other)
        return answer(out.contact(merging.merge(workspace_id=workspace_id, keep=keep, other=gone)))


class SubscriptionList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation(
        "list_push_subscriptions", answers={200: Page[out.Subscription]}, parameters=SUBSCRIPTIONS, tag="contacts"
    )
    def get(self, request: Request) -> HttpResponse:
        """List push subscriptions, the newest first."""
        workspace_id = self.caller.workspace_id
        listing = Listing(request._request, SubscriptionFilters, workspace_id=workspace_id)
        rows = push.subscriptions_of(workspace_id=workspace_id)
        if name := listing.values["contact"]:
            rows = rows.filter(contact_id__in=recipients.ids_of(workspace_id=workspace_id, name=name))
        return newest(request._request, listing, rows, out.subscription)

    @operation(
        "register_push_subscription",
        takes=out.SubscriptionIn,
        answers={201: out.Subscription, 200: out.Subscription},
        tag="contacts",
    )
    def post(self, request: Request) -> HttpResponse:
        """Register a browser for a contact; an endpoint that is known is taken over (200)."""
        wanted = self.parsed(out.SubscriptionIn)
        row, new = push.register(
            workspace_id=self.caller.workspace_id,
            contact=wanted.contact_id,
            endpoint=wanted.endpoint,
            p256dh=wanted.keys.p256dh,
            auth=wanted.keys.auth,
            topic=wanted.topic or "",
        )
        return answer(out.subscription(row), 201 if new else 200)


class SubscriptionDetail(View):
    scopes = {"GET": READ, "DELETE": WRITE}

    @operation("get_push_subscription", answers={200: out.Subscription}, tag="contacts")
    def get(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Give one push subscription."""
        return answer(
            out.subscription(push.get(workspace_id=self.caller.workspace_id, subscription_id=subscription_id))
        )

    @operation("remove_push_subscription", answers={204: None}, tag="contacts")
    def delete(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Forget a push subscription."""
        push.remove(workspace_id=self.caller.workspace_id, subscription_id=subscription_id)
        return empty()
