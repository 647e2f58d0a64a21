"""Contacts: kept, changed, taken in, made one of two, and given to themselves."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from messaging import models
from messaging.api.campaignos.envelope import Page, Success, View, field_name, operation
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers import contacts as out
from messaging.api.campaignos.serializers import export
from messaging.api.campaignos.serializers.consent import CHOOSABLE
from messaging.api.campaignos.tables import page_of
from messaging.api.campaignos.vocabulary import CHANNEL_IN, CHANNELS
from messaging.api.common import bodies
from messaging.api.common.rendering import answer
from messaging.content import links
from messaging.dispatch import selectors
from messaging.dispatch.selectors import MessageFilter
from messaging.errors import DispatchError, Invalid
from messaging.people import contacts, events, imports, merging, search
from messaging.privacy.export import gather
from messaging.tenancy.access import Caller, demand, mode_seen

READ, WRITE = "contacts:read", "contacts:write"
READ_MESSAGES = "messages:read"
LATEST = 50
"""Events and messages that a profile has."""


class ContactList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_contacts", tag="contacts", answers={200: Page[out.ContactRow]}, query=out.ContactQuery)
    def get(self, request: Request) -> HttpResponse:
        """List contacts, or search them."""
        query = self.query(out.ContactQuery)
        rows = search.table(
            workspace_id=self.caller.workspace_id,
            where=query.where(),
            sort=out.SORT_IN[query.sort_by],
            ascending=query.sort_order == "asc",
        )
        return answer(page_of(rows, out.contact_row, query=query, read=list))

    @operation("create_contact", tag="contacts", takes=out.ContactIn, answers={201: out.ContactRow})
    def post(self, request: Request) -> HttpResponse:
        """Keep a new contact."""
        fields = self.parsed(out.ContactIn).fields()
        return answer(out.contact_row(contacts.create(workspace_id=self.caller.workspace_id, fields=fields)), 201)


class ContactDetail(View):
    scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @operation("get_contact", tag="contacts", answers={200: out.ContactProfile})
    def get(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Give a contact with what hangs on it; the id of one that was merged gives the contact that was kept.

        Messages are shown to callers with the scope `messages:read`, links to those with `contacts:write`.
        """
        return answer(profile(self.caller, contact_id))

    @operation("change_contact", tag="contacts", takes=out.ContactChanges, answers={200: out.ContactRow})
    def patch(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Change some fields of a contact."""
        fields = self.parsed(out.ContactChanges).fields()
        row = contacts.update(workspace_id=self.caller.workspace_id, contact_id=contact_id, fields=fields)
        return answer(out.contact_row(row))

    @operation("delete_contact", tag="contacts", answers={200: Success})
    def delete(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Forget a contact and what it did; its messages stay, and so does what its addresses opted out of."""
        contacts.delete(workspace_id=self.caller.workspace_id, contact_id=contact_id)
        return answer(Success())


class ContactImports(View):
    scopes = {"POST": WRITE}

    @operation("import_contacts", tag="contacts", takes=out.ContactImport, answers={200: out.ImportResult})
    def post(self, request: Request) -> HttpResponse:
        """Take in contacts, each by itself. One that is known, by its external id or else its e-mail address, is
        changed and keeps its other tags and attributes."""
        rows = [_read(each) for each in self.parsed(out.ContactImport).contacts]
        done = imports.take_in(workspace_id=self.caller.workspace_id, rows=rows)
        return answer(out.imported(done, name=field_name))


class ContactMerge(View):
    scopes = {"POST": WRITE}

    @operation("merge_contacts", tag="contacts", takes=out.ContactMerge, answers={200: out.ContactRow})
    def post(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Merge another contact into this one, and give the one that is left."""
        other = Kind.CONTACT.key(self.parsed(out.ContactMerge).contact_id)
        return answer(
            out.contact_row(merging.merge(workspace_id=self.caller.workspace_id, keep=contact_id, other=other))
        )


class ContactExport(View):
    scopes = {"GET": WRITE}

    @operation("export_contact", tag="contacts", answers={200: export.ContactExport})
    def get(self, request: Request, contact_id: UUID) -> HttpResponse:
        """Give all that is kept about a contact, what its messages say included: the newest 5,000 of each."""
        demand(self.caller, READ_MESSAGES)
        return answer(export.contact_export(gather(workspace_id=self.caller.workspace_id, contact_id=contact_id)))


def profile(caller: Caller, contact_id: UUID) -> out.ContactProfile:
    """A contact with what hangs on it, as far as this caller may see it.

    Raises:
        NotFound: the workspace has no such contact.
    """
    contact = contacts.get(workspace_id=caller.workspace_id, contact_id=contact_id)
    sent: list[models.Message] = []
    if READ_MESSAGES in caller.scopes:
        where = MessageFilter(contact=str(contact.id), channels=CHANNELS, test=mode_seen(caller))
        sent = selectors.messages(workspace_id=caller.workspace_id, where=where, limit=LATEST)
    return out.profile(
        contact,
        events=events.latest(workspace_id=caller.workspace_id, contact_id=contact.id, limit=LATEST),
        messages=sent,
        links=_links(contact) if WRITE in caller.scopes else None,
    )


def _links(contact: models.Contact) -> out.ContactLinks:
    own, home = contact.id, contact.workspace_id
    return out.ContactLinks(
        preferences=links.preferences_url(workspace_id=home, contact_id=own),
        unsubscribe={
            word: links.unsubscribe_url(workspace_id=home, contact_id=own, channel=CHANNEL_IN[word])
            for word in CHOOSABLE
        },
    )


def _read(given: dict[str, Any]) -> dict[str, Any] | DispatchError:
    """One row of an import, or what is wrong with it."""
    try:
        return bodies.convert(given, out.ContactIn).fields()
    except Invalid as error:
        return error
