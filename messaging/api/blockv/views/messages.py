"""Messages: sent, listed, shown, cancelled and tried again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from messaging import models
from messaging.api.blockv import ids, lists, tokens
from messaging.api.blockv.envelope import View, operation
from messaging.api.blockv.queries import MessageQuery
from messaging.api.blockv.sending import planned, shown
from messaging.api.blockv.serializers import messages as out
from messaging.api.blockv.vocabulary import CHANNELS
from messaging.api.common import bodies, queries, sending
from messaging.api.common.operations import IDEMPOTENCY_KEY, PREFER
from messaging.api.common.rendering import answer
from messaging.dispatch import control, selectors
from messaging.errors import NotFound, TransitionRefused
from messaging.state import Cause
from messaging.tenancy.access import demand_mode, mode_seen

READ, WRITE = "messages:read", "messages:write"


class MessageList(View):
    scopes = {"GET": READ}

    @operation("list_messages", answers={200: out.Messages}, parameters=queries.parameters(MessageQuery))
    def get(self, request: Request) -> HttpResponse:
        """List messages."""
        workspace_id, test = self.caller.workspace_id, mode_seen(self.caller)
        listing = tokens.listing(request._request, MessageQuery, workspace_id=workspace_id)
        rows, token = listing.page(lists.messages(workspace_id, listing, test=test))
        return answer(out.Messages(messages=[out.message(row) for row in rows], next=token))


class MessageSend(View):
    scopes = {"POST": WRITE}

    @operation(
        "send_message",
        takes=out.Send,
        answers={200: out.Outcome},
        parameters=(IDEMPOTENCY_KEY, PREFER),
    )
    def post(self, request: Request) -> HttpResponse:
        """Send a message; with `sync` the answer waits for its outcome, for a short time."""
        caller, body = self.caller, bodies.read(request._request)
        send = out.read_send(body)

        return sending.send(
            request,
            caller,
            body,
            accept=lambda awaited: sending.accept_one(caller, *planned(caller, send), awaited=awaited),
            show=lambda sent: shown(sent, sync=send.sync),
            wait=send.sync,
            whole=True,
        )


class MessageDetail(View):
    scopes = {"GET": READ}

    @operation("get_message", answers={200: out.Message})
    def get(self, request: Request, message_id: str) -> HttpResponse:
        """Give one message."""
        return answer(out.message(found(self.caller.workspace_id, message_id)))


class MessageCancel(View):
    scopes = {"POST": WRITE}

    @operation("cancel_message", answers={200: out.Message})
    def post(self, request: Request, message_id: str) -> HttpResponse:
        """Cancel a message that waits to be sent, or to be tried again."""
        row = found(self.caller.workspace_id, message_id)
        demand_mode(self.caller, test=row.test)
        with _changing(row, "cancelled"):
            control.cancel(workspace_id=row.workspace_id, message_id=row.id, cause=Cause.API)
        return answer(out.message(found(self.caller.workspace_id, message_id)))


class MessageRetry(View):
    scopes = {"POST": WRITE}

    @operation("retry_message", answers={200: out.Message})
    def post(self, request: Request, message_id: str) -> HttpResponse:
        """Try a message that failed once more, with a fresh budget of attempts."""
        row = found(self.caller.workspace_id, message_id)
        demand_mode(self.caller, test=row.test)
        with _changing(row, "tried again"):
            control.retry(workspace_id=row.workspace_id, message_id=row.id, cause=Cause.API)
        return answer(out.message(found(self.caller.workspace_id, message_id)))


def found(workspace_id: UUID, message_id: str) -> models.Message:
    """One of the messages that this surface shows.

    Raises:
        NotFound: there is none of that id.
    """
    row = selectors.message(workspace_id=workspace_id, message_id=ids.message_key(message_id))
    if row.channel not in CHANNELS:
        raise NotFound("There is no such message.", code="message_not_found")
    return row


@contextmanager
def _changing(row: models.Message, deed: str) -> Iterator[None]:
    """Tell a refused change in this surface's words.

    Raises:
        NotFound: the message has gone meanwhile.
        TransitionRefused: it does not stand where that can be done.
    """
    try:
        yield
    except TransitionRefused as error:
        word = out.status_of(found(row.workspace_id, str(row.id)))
        raise TransitionRefused(f"A message that is {word} cannot be {deed}.") from error
