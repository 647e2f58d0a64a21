"""Messages: listed, sent and shown."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from messaging import models
from messaging.api.campaignos import sending
from messaging.api.campaignos.envelope import Page, View, operation, paged
from messaging.api.campaignos.serializers import messages as out
from messaging.api.campaignos.vocabulary import CHANNELS
from messaging.api.common import bodies
from messaging.api.common.operations import IDEMPOTENCY_KEY, PREFER
from messaging.api.common.rendering import answer
from messaging.api.common.sending import send
from messaging.dispatch import selectors
from messaging.errors import DispatchError, NotFound
from messaging.people import contacts
from messaging.tenancy.access import Caller, mode_seen

READ, WRITE = "messages:read", "messages:write"


class MessageList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_messages", tag="messages", answers={200: Page[out.MessageRow]}, query=out.MessageQuery)
    def get(self, request: Request) -> HttpResponse:
        """List the workspace's messages, the newest first."""
        query = self.query(out.MessageQuery)
        workspace_id, where = self.caller.workspace_id, replace(query.where(), test=mode_seen(self.caller))
        rows = selectors.messages(workspace_id=workspace_id, where=where, offset=query.offset, limit=query.limit)
        total = selectors.total(workspace_id=workspace_id, where=where)
        return answer(paged(rows, out.row, query=query, total=total.number, estimated=total.estimated))

    @operation(
        "send_message",
        tag="messages",
        takes=out.SendIn,
        answers={200: out.Dispatched, 422: out.Undispatched},
        parameters=(IDEMPOTENCY_KEY, PREFER),
    )
    def post(self, request: Request) -> HttpResponse:
        """Send a message to a contact, and tell whether it went out: for a short while the answer waits for that."""
        caller, body = self.caller, bodies.read(request._request)
        wanted = bodies.parse(body, out.SendIn)
        return send(
            request,
            caller,
            body,
            accept=lambda awaited: sending.accept(caller, wanted, awaited=awaited),
            show=sending.show,
            whole=True,
        )

    def refuse(self, error: DispatchError) -> HttpResponse:
        undone = sending.refusal(error) if self.request.method == "POST" else None
        return answer(undone, 422) if undone else super().refuse(error)


class MessageDetail(View):
    scopes = {"GET": READ}

    @operation("get_message", tag="messages", answers={200: out.MessageDetail})
    def get(self, request: Request, message_id: UUID) -> HttpResponse:
        """Give a message with what it says, whom it is for, what it was made from and what happened to it."""
        return answer(shown(self.caller, message_id))


def shown(caller: Caller, message_id: UUID) -> out.MessageDetail:
    """A message as it is shown by itself.

    Raises:
        NotFound: the workspace has none of that id, or its channel is not one of this surface.
    """
    row = selectors.message(workspace_id=caller.workspace_id, message_id=message_id)
    if row.channel not in CHANNELS:
        raise NotFound("There is no such message.", code="message_not_found")
    said = selectors.rendered(message=row)
    return out.detail(
        row,
        body=said.body or said.text,
        contact=_contact(row),
        template=models.Template.objects.filter(id=row.template_id).first() if row.template_id else None,
        campaign=models.Campaign.objects.filter(id=row.campaign_id).first() if row.campaign_id else None,
        events=selectors.events(workspace_id=caller.workspace_id, message_id=message_id),
    )


def _contact(row: models.Message) -> models.Contact | None:
    """Whom a message is for, as known now; None where nobody is, or is not any more."""
    if row.contact_id is None:
        return None
    try:
        return contacts.get(workspace_id=row.workspace_id, contact_id=row.contact_id)
    except NotFound:
        return None
