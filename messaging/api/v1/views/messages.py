"""Messages and batches."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from messaging import models
from messaging.api.common import bodies, cursors
from messaging.api.common.rendering import answer
from messaging.api.common.sending import once
from messaging.api.v1 import sending
from messaging.api.v1.envelope import Page, listed, page
from messaging.api.v1.filters import Listing, MessageFilters, message_filter
from messaging.api.v1.operations import IDEMPOTENCY_KEY, View, operation
from messaging.api.v1.parameters import MESSAGES
from messaging.api.v1.serializers import messages as out
from messaging.api.v1.serializers.sending import Send, SendBatch, read_batch
from messaging.content import templates
from messaging.dispatch import control, intake, selectors, steps
from messaging.dispatch.explain import explain
from messaging.state import Cause
from messaging.tenancy.access import demand_mode

READ, WRITE = "messages:read", "messages:write"


class MessageList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("send", takes=Send, answers={202: out.FullMessage, 200: out.DryRun}, parameters=(IDEMPOTENCY_KEY,))
    def post(self, request: Request) -> HttpResponse:
        """Accept a message."""
        caller, body = self.caller, bodies.read(request._request)
        send = bodies.parse(body, Send)
        draft, recipient = send.draft(), send.recipient()
        if send.dry_run:
            found = intake.explain(workspace_id=caller.workspace_id, test=caller.test, draft=draft, recipient=recipient)
            return answer(out.dry_run(found))
        return once(request, caller, body, lambda: sending.send(caller, send, draft), encrypted=draft.encrypted)

    @operation("list_messages", answers={200: Page[out.Message]}, parameters=MESSAGES)
    def get(self, request: Request) -> HttpResponse:
        """List messages, the newest first."""
        workspace_id = self.caller.workspace_id
        listing = Listing(request._request, MessageFilters, workspace_id=workspace_id)
        where = message_filter(self.caller, listing.values)

        def fetch(beyond: UUID | None, ascending: bool, limit: int) -> list[models.Message]:
            return selectors.messages(
                workspace_id=workspace_id, where=where, ascending=ascending, beyond=beyond, limit=limit
            )

        found = cursors.turn(fetch, cursor=listing.cursor, ascending=listing.ascending, limit=listing.limit)
        origins = templates.origins(found.rows)
        return answer(
            page(
                request._request, found, lambda row: out.message(row, origins.get(row.content_id)), query=listing.query
            )
        )


class BatchList(View):
    scopes = {"POST": WRITE}

    @operation("send_batch", takes=SendBatch, answers={202: out.BatchAccepted}, parameters=(IDEMPOTENCY_KEY,))
    def post(self, request: Request) -> HttpResponse:
        """Accept up to 10,000 messages that share their content."""
        caller, body = self.caller, bodies.read(request._request)
        batch = read_batch(body)
        draft = batch.shared.draft()
        return once(request, caller, body, lambda: sending.send_batch(caller, batch, draft), encrypted=draft.encrypted)


class BatchDetail(View):
    scopes = {"GET": READ}

    @operation("get_batch", answers={200: out.Batch})
    def get(self, request: Request, batch_id: UUID) -> HttpResponse:
        """Tell how far a batch has come."""
        return answer(out.batch(selectors.batch(workspace_id=self.caller.workspace_id, batch_id=batch_id)))


class MessageDetail(View):
    scopes = {"GET": READ}

    @operation("get_message", answers={200: out.FullMessage})
    def get(self, request: Request, message_id: UUID) -> HttpResponse:
        """Give one message with its content."""
        return shown(self.caller.workspace_id, message_id)


class MessageEvents(View):
    scopes = {"GET": READ}

    @operation("list_events", answers={200: Page[out.Event]})
    def get(self, request: Request, message_id: UUID) -> HttpResponse:
        """Give everything that happened to a message, in order."""
        found = selectors.events(workspace_id=self.caller.workspace_id, message_id=message_id)
        return answer(listed([out.event(each) for each in found]))


class MessageExplanation(View):
    scopes = {"GET": READ}

    @operation("explain_message", answers={200: out.Account})
    def get(self, request: Request, message_id: UUID) -> HttpResponse:
        """Tell why a message stands where it stands."""
        workspace_id = self.caller.workspace_id
        row = selectors.message(workspace_id=workspace_id, message_id=message_id)
        found = selectors.events(workspace_id=workspace_id, message_id=message_id)
        return answer(out.account(explain(row), found))


class MessageCancel(View):
    scopes = {"POST": WRITE}

    @operation("cancel_message", answers={200: out.FullMessage})
    def post(self, request: Request, message_id: UUID) -> HttpResponse:
        """Cancel a message that waits to be sent, or to be tried again."""
        row = selectors.message(workspace_id=self.caller.workspace_id, message_id=message_id)
        demand_mode(self.caller, test=row.test)
        control.cancel(workspace_id=row.workspace_id, message_id=row.id, cause=Cause.API)
        return shown(self.caller.workspace_id, message_id)


class MessageRetry(View):
    scopes = {"POST": WRITE}

    @operation("retry_message", answers={200: out.FullMessage})
    def post(self, request: Request, message_id: UUID) -> HttpResponse:
        """Try a message that failed or bounced once more, with a fresh budget of attempts."""
        row = selectors.message(workspace_id=self.caller.workspace_id, message_id=message_id)
        demand_mode(self.caller, test=row.test)
        control.retry(workspace_id=row.workspace_id, message_id=row.id, cause=Cause.API)
        return shown(self.caller.workspace_id, message_id)


def shown(workspace_id: UUID, message_id: UUID) -> HttpResponse:
    """One message as it is shown by itself."""
    row = selectors.message(workspace_id=workspace_id, message_id=message_id)
    origin = templates.origins([row]).get(row.content_id)
    return answer(out.full_message(row, selectors.rendered(message=row), origin, steps.chain(message_id)))
