"""What avatars write to each other, and what they are notified of. A key acts as the avatar of whoever made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from channels_app.types import Channel
from messaging.api.common import bodies, sending
from messaging.api.common.rendering import JSON, answer
from messaging.api.oasis import reach, talk
from messaging.api.oasis.envelope import BY_CODE, SEND_FAILED, Failure, Result, Results, failed
from messaging.api.oasis.operations import IDEMPOTENCY_KEY, READ, WRITE, AvatarView, operation
from messaging.api.oasis.queries import LARGEST, Query
from messaging.api.oasis.serializers import avatars as out
from messaging.api.oasis.vocabulary import MESSAGING_OUT, MessagingWord, Own
from messaging.dispatch.draft import Draft, Recipient
from messaging.dispatch.intake import Acceptance
from messaging.dispatch.sending import Sent
from messaging.errors import Invalid, NotFound
from messaging.inbox import conversations, feed
from messaging.inbox.feed import Reader
from messaging.state import Status
from messaging.tenancy.access import mode_seen

AVATARS: Final = "avatars"
_IDS: Final = {"type": "array", "items": {"type": "string", "format": "uuid"}}
_NOTICES: Final = 20


def _page(limit: int) -> tuple[OpenApiParameter, ...]:
    bounds = {"type": "integer", "minimum": 1, "maximum": LARGEST, "default": limit}
    return (
        OpenApiParameter("limit", bounds),
        OpenApiParameter("offset", {"type": "integer", "minimum": 0, "default": 0}),
    )


class ReaderView(AvatarView):
    """A path of the caller's own messages."""

    @property
    def reader(self) -> Reader:
        caller = self.caller
        return Reader(workspace_id=caller.workspace_id, avatar_id=caller.avatar_id, test=mode_seen(caller))

    def marked_ids(self, request: Request) -> list[UUID]:
        talk.check_kind(request._request)
        return reach.keys_of(talk.ids_of(bodies.read_any(request._request)))


class SendToAvatar(AvatarView):
    scopes = {"POST": WRITE}
    commands = True

    @operation(
        "send_message_to_avatar",
        takes={"oneOf": [{"type": "string"}, {"type": "object", "required": ["content"]}]},
        taken_as=(JSON, "text/plain"),
        answers={200: Result[bool]},
        parameters=(
            IDEMPOTENCY_KEY,
            OpenApiParameter("messageType", str, description=f"{', '.join(MESSAGING_OUT.values())}, or 0 to 3."),
        ),
        tag=AVATARS,
    )
    def post(self, request: Request, avatar_id: str) -> HttpResponse:
        """Send a message to an avatar. The body is the text itself, or a JSON string."""
        to, content_type = reach.guid_of(avatar_id, "toAvatarId"), talk.check_kind(request._request)
        query = Query(request._request.GET)
        word = query.text("messageType")
        query.check()
        kind = talk.kind_of(word) if word else None
        body = bodies.read_any(request._request)
        said = talk.talk_of(body, content_type=content_type)
        return sending.send(
            request,
            self.caller,
            body,
            accept=lambda awaited: self._accept(to, said.content, kind or said.kind or "Direct", awaited=awaited),
            show=self._told,
            whole=True,
        )

    def _accept(self, to: UUID, content: str, kind: MessagingWord, *, awaited: bool) -> Acceptance:
        words = talk.literal(content)
        recipient = Recipient(avatar_id=to, data=words.data, metadata={Own.MESSAGE_TYPE.value: kind})
        try:
            draft = Draft(channel=Channel.DIRECT, text=words.text)
            return sending.accept_one(self.caller, draft, recipient, awaited=awaited)
        except Invalid as error:
            if any(each.pointer == "/avatar_id" for each in error.errors):
                raise NotFound(f"There is no avatar {to} in the workspace.", code="avatar_not_found") from error
            raise

    def _told(self, sent: Sent) -> tuple[int, Result[bool] | Failure]:
        row = sent.message
        if row.status == Status.FAILED:
            meaning = BY_CODE.get(row.error_code, SEND_FAILED)
            shown = failed(self.request, meaning, row.error_detail, result=False, message_id=str(row.id))
            return meaning.status.value, shown
        return 200, Result(result=True, message="Message sent successfully")


class Conversation(ReaderView):
    scopes = {"GET": READ}

    @operation("get_conversation", answers={200: Results[out.AvatarMessage]}, parameters=_page(50), tag=AVATARS)
    def get(self, request: Request, avatar_id: str) -> HttpResponse:
        """List what the caller and another avatar wrote to each other, the oldest first."""
        other, query = reach.guid_of(avatar_id, "otherAvatarId"), Query(request._request.GET)
        limit, offset = query.page()
        query.check()
        rows = conversations.messages(
            workspace_id=self.caller.workspace_id,
            avatar_id=self.caller.avatar_id,
            other_id=other,
            ascending=True,
            beyond=None,
            limit=limit,
            offset=offset,
            test=mode_seen(self.caller),
        )
        return answer(_results(out.between(rows)))


class MarkMessagesRead(ReaderView):
    scopes = {"POST": READ}
    commands = True

    @operation("mark_messages_read", takes=_IDS, answers={200: Result[bool]}, tag=AVATARS)
    def post(self, request: Request) -> HttpResponse:
        """Note that the caller read messages; ids that are not among those sent to the caller are passed by."""
        feed.read_many(reader=self.reader, ids=self.marked_ids(request))
        return answer(Result(result=True, message="Messages marked as read"))


class Notifications(ReaderView):
    scopes = {"GET": READ}

    @operation("list_notifications", answers={200: Results[out.Notification]}, parameters=_page(_NOTICES), tag=AVATARS)
    def get(self, request: Request) -> HttpResponse:
        """List what the caller is notified of, the newest first."""
        query = Query(request._request.GET)
        limit, offset = query.page(limit=_NOTICES)
        query.check()
        rows = feed.items(reader=self.reader, ascending=False, beyond=None, limit=limit, offset=offset)
        return answer(_results(out.notifications(rows, avatar_id=self.caller.avatar_id)))


class MarkNotificationsRead(ReaderView):
    scopes = {"POST": READ}
    commands = True

    @operation("mark_notifications_read", takes=_IDS, answers={200: Result[bool]}, tag=AVATARS)
    def post(self, request: Request) -> HttpResponse:
        """Note that the caller saw notifications; their messages stay unread."""
        feed.see_many(reader=self.reader, ids=self.marked_ids(request))
        return answer(Result(result=True, message="Notifications marked as read"))


def _results(rows: Sequence[Any]) -> Results[Any]:
    return Results(result=list(rows), results_count=len(rows))
