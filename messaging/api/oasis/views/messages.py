"""Messages as they are managed: listed, read, created, changed, deleted, followed, tried again and cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from msgspec import UNSET
from rest_framework.request import Request

from messaging.api.common import bodies, sending
from messaging.api.common.rendering import answer
from messaging.api.oasis import lists, outcomes, reach
from messaging.api.oasis.envelope import Done, Listing, done
from messaging.api.oasis.operations import IDEMPOTENCY_KEY, MANAGEMENT, READ, WRITE, AvatarView, View, operation
from messaging.api.oasis.queries import LARGEST, Query
from messaging.api.oasis.serializers import avatars, deliveries
from messaging.api.oasis.serializers import messages as out
from messaging.api.oasis.serializers.sending import CancelIn, MessageIn, RevisionIn
from messaging.api.oasis.vocabulary import OFFERED, SORT_IN, STATUS_IN, TYPES
from messaging.api.oasis.wishes import Asked, revision_of
from messaging.dispatch import control, selectors
from messaging.dispatch.revision import revise
from messaging.dispatch.selectors import MessageFilter, Sort
from messaging.errors import DispatchError
from messaging.state import Cause
from messaging.tenancy.access import mode_seen

REASON: Final = "Cancelled by the user"

_MINE: Final = {"me": True}
_ORDERS: Final = {"asc": True, "desc": False}
_PAGE: Final = (
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": LARGEST, "default": 50}),
    OpenApiParameter("offset", {"type": "integer", "minimum": 0, "default": 0}),
)
_LIST: Final = (
    *_PAGE,
    OpenApiParameter("status", str, enum=list(STATUS_IN)),
    OpenApiParameter("type", str, enum=list(TYPES)),
    OpenApiParameter("recipient", str, description="An id, an address or a device, in either case."),
    OpenApiParameter("startDate", str, description="The first moment that is wanted, in ISO 8601."),
    OpenApiParameter("endDate", str, description="The first moment that is not; a bare date is wanted whole."),
    OpenApiParameter("sortBy", str, enum=list(SORT_IN)),
    OpenApiParameter("sortOrder", str, enum=list(_ORDERS)),
    OpenApiParameter("mailbox", str, enum=list(_MINE), description="Only what the caller sent or was sent."),
)


class MessageList(AvatarView):
    """The path that both documents have."""

    scopes = {"GET": READ, "POST": WRITE}
    names = MessageIn.names

    def refused(self, error: DispatchError) -> bool | None:
        return None if self.request.method == "POST" else super().refused(error)

    @operation("list_messages", answers={200: Listing[avatars.ListedMessage]}, parameters=_LIST, tag=MANAGEMENT)
    def get(self, request: Request) -> HttpResponse:
        """List messages, the newest first: those of the workspace for who manages them, else the caller's own."""
        query = Query(request._request.GET)
        limit, offset = query.page()
        where, mine = _filter(query), query.word("mailbox", _MINE, False)
        sort = query.word("sortBy", SORT_IN, Sort.CREATED)
        ascending = query.word("sortOrder", _ORDERS, False)
        query.check()
        party = reach.party_of(self.caller) if mine or not reach.manages(self.caller) else None
        where = replace(where, party=party, test=mode_seen(self.caller))
        workspace_id = self.caller.workspace_id
        rows = lists.messages(
            workspace_id=workspace_id, where=where, sort=sort, ascending=ascending, offset=offset, limit=limit
        )
        total = selectors.total(workspace_id=workspace_id, where=where)
        return answer(_listing(avatars.listed(rows, self.caller), total, limit=limit, offset=offset))

    @operation(
        "create_message",
        takes=MessageIn,
        answers={201: Done[out.Message], 200: Done[out.Message]},
        parameters=(IDEMPOTENCY_KEY,),
        tag=MANAGEMENT,
    )
    def post(self, request: Request) -> HttpResponse:
        """Accept a message to be sent soon, or at a time."""
        caller, body = self.caller, bodies.read(request._request)
        draft, recipient = outcomes.asked_of(caller, Asked(body, MessageIn))
        return sending.once(
            request,
            caller,
            body,
            lambda: done(outcomes.made(caller, sending.accept_one(caller, draft, recipient)), "Message created"),
            status=outcomes.created_status(),
            encrypted=draft.encrypted,
        )


class MessageDetail(View):
    scopes = {"GET": READ, "PUT": WRITE, "DELETE": WRITE}
    names = RevisionIn.names

    @operation("get_message", answers={200: Done[out.Message]}, tag=MANAGEMENT)
    def get(self, request: Request, message_id: str) -> HttpResponse:
        """Give one message."""
        return answer(done(outcomes.show(reach.find(self.caller, message_id), self.caller)))

    @operation("update_message", takes=RevisionIn, answers={200: Done[out.Message]}, tag=MANAGEMENT)
    def put(self, request: Request, message_id: str) -> HttpResponse:
        """Change a message that nobody has begun to send."""
        row = reach.find_own(self.caller, message_id)
        asked = Asked(bodies.read(request._request), RevisionIn)
        revision = revision_of(asked, row, encrypted=selectors.rendered(message=row).encrypted)
        with reach.changing(self.caller, row, "changed"):
            revise(workspace_id=row.workspace_id, message_id=row.id, revision=revision, cause=Cause.API)
        return answer(done(outcomes.shown(self.caller, row.id), "Message updated"))

    @operation("delete_message", answers={200: Done[deliveries.Deleted]}, tag=MANAGEMENT)
    def delete(self, request: Request, message_id: str) -> HttpResponse:
        """Take a message out of the lists; one that waits is cancelled, one that was sent is not recalled."""
        row = reach.find_own(self.caller, message_id)
        with reach.changing(self.caller, row, "deleted"):
            control.delete(workspace_id=row.workspace_id, message_id=row.id, cause=Cause.API)
        return answer(done(deliveries.Deleted(id=row.id), "Message deleted"))


class MessageStatus(View):
    scopes = {"GET": READ}

    @operation("get_message_status", answers={200: Done[deliveries.MessageStatus]}, tag=MANAGEMENT)
    def get(self, request: Request, message_id: str) -> HttpResponse:
        """Tell where a message stands."""
        return answer(done(deliveries.status(reach.find(self.caller, message_id))))


class MessageTracking(View):
    scopes = {"GET": READ}

    @operation("get_message_tracking", answers={200: Done[deliveries.MessageTracking]}, tag=MANAGEMENT)
    def get(self, request: Request, message_id: str) -> HttpResponse:
        """Tell everything that happened to a message."""
        row = reach.find(self.caller, message_id)
        events = selectors.events(workspace_id=row.workspace_id, message_id=row.id)
        return answer(done(deliveries.tracked(row, events)))


class MessageRetry(View):
    scopes = {"POST": WRITE}

    @operation("retry_message", answers={200: Done[deliveries.Retried]}, tag=MANAGEMENT)
    def post(self, request: Request, message_id: str) -> HttpResponse:
        """Try a message that failed once more, with a fresh budget of attempts."""
        row = reach.find_own(self.caller, message_id)
        with reach.changing(self.caller, row, "retried"):
            control.retry(workspace_id=row.workspace_id, message_id=row.id, cause=Cause.API)
            row = selectors.message(workspace_id=row.workspace_id, message_id=row.id)
        return answer(done(deliveries.retried(row), "Message retry initiated"))


class MessageCancel(View):
    scopes = {"POST": WRITE}

    @operation("cancel_message", takes=CancelIn, answers={200: Done[deliveries.Cancelled]}, tag=MANAGEMENT)
    def post(self, request: Request, message_id: str) -> HttpResponse:
        """Cancel a message that waits."""
        row = reach.find_own(self.caller, message_id)
        body = bodies.read_any(request._request)
        reason = (bodies.parse(body, CancelIn).reason if body.strip() else None) or REASON
        with reach.changing(self.caller, row, "cancelled"):
            control.cancel(workspace_id=row.workspace_id, message_id=row.id, cause=Cause.API, reason=reason)
            row = selectors.message(workspace_id=row.workspace_id, message_id=row.id)
        return answer(done(deliveries.cancelled(row, reason), "Message cancelled"))


def _filter(query: Query) -> MessageFilter:
    return MessageFilter(
        standings=query.word("status", STATUS_IN, frozenset()),
        channels=query.word("type", TYPES, OFFERED),
        who=query.address("recipient"),
        created_after=query.moment("startDate"),
        created_before=query.moment("endDate", end=True),
    )


def _listing(rows: Sequence[avatars.ListedMessage], total: selectors.Total, *, limit: int, offset: int) -> Listing[Any]:
    return Listing(
        result=list(rows),
        results_count=len(rows),
        total_count=total.number,
        total_is_estimate=True if total.estimated else UNSET,
        limit=limit,
        offset=offset,
    )
