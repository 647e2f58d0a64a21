"""What avatars write to each other, what they are notified of, and what comes in for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from channels_app.types import Channel
from messaging import models
from messaging.api.common.rendering import stamp
from messaging.api.oasis.envelope import Moment
from messaging.api.oasis.serializers import messages as managed
from messaging.api.oasis.serializers.messages import MessageRow, Sender
from messaging.api.oasis.vocabulary import (
    IS_READ,
    NOTIFICATION_BY_SEVERITY,
    NOTIFICATION_BY_TYPE,
    MessagingWord,
    NotificationWord,
    Own,
    messaging_type,
)
from messaging.dispatch import selectors
from messaging.dispatch.selectors import Rendered
from messaging.inbox import conversations
from messaging.people.recipients import as_key
from messaging.tenancy import members
from messaging.tenancy.access import Caller

NEW_MESSAGE: Final = "New Message"


class AvatarMessage(Struct, kw_only=True, frozen=True, rename="camel"):
    """What one avatar wrote to another. `createdDate` and `timestamp` are the same moment."""

    id: UUID
    from_avatar_id: UUID | None
    to_avatar_id: UUID | None
    content: str
    message_type: MessagingWord | None
    created_date: Moment
    timestamp: Moment
    is_read: bool
    read_at: Moment | None
    metadata: dict[str, Any]


class ListedMessage(MessageRow, kw_only=True, frozen=True, rename="camel"):
    """A message of any type, as managers and as avatars know it; `messageType` is null where none wrote to another."""

    from_avatar_id: UUID | None
    to_avatar_id: UUID | None
    message_type: MessagingWord | None
    created_date: Moment
    timestamp: Moment
    is_read: bool
    metadata: dict[str, Any]


class Notification(Struct, kw_only=True, frozen=True, rename="camel"):
    """A word that something arrived; it has the id of the message that it tells of."""

    id: UUID
    avatar_id: UUID
    title: str
    content: str
    type: NotificationWord
    created_at: Moment
    is_read: bool
    read_at: Moment | None
    metadata: dict[str, Any]


def senders(rows: Sequence[models.Message], caller: Caller) -> dict[UUID, Sender]:
    """Who sent these messages, by user; of the caller that is known already."""
    known = {caller.user_id: Sender(id=caller.avatar_id, name=caller.name)}
    found = members.faces({row.author_id for row in rows if row.author_id} - known.keys())
    return known | {key: Sender(id=face.avatar_id, name=face.name) for key, face in found.items()}


def listed(rows: Sequence[models.Message], caller: Caller) -> list[ListedMessage]:
    """Messages of any type, in the same order."""
    who, contents = senders(rows, caller), selectors.rendered_many(messages=rows)
    return [
        ListedMessage(**managed.row_fields(row, contents[row.id], who), **_between(row, _avatar(row, who)))
        for row in rows
    ]


def between(rows: Sequence[models.Message]) -> list[AvatarMessage]:
    """What avatars wrote to each other, in the same order."""
    avatars = conversations.avatars_of({row.author_id for row in rows if row.author_id})
    contents = selectors.rendered_many(messages=rows)
    return [
        AvatarMessage(
            id=row.id,
            content=_content(contents[row.id]),
            read_at=stamp(row.opened_at),
            **_between(row, avatars.get(row.author_id) if row.author_id else None),
        )
        for row in rows
    ]


def notifications(rows: Sequence[models.Message], *, avatar_id: UUID) -> list[Notification]:
    """What an avatar is told of arrivals. One was read when it was seen, whether its message was read or not."""
    contents = selectors.rendered_many(messages=rows)
    return [
        Notification(
            id=row.id,
            avatar_id=avatar_id,
            title=row.subject or NEW_MESSAGE,
            content=_content(contents[row.id]),
            type=_notification_type(row),
            created_at=stamp(row.created_at),
            is_read=row.seen_at is not None,
            read_at=stamp(row.seen_at),
            metadata=_metadata(row),
        )
        for row in rows
    ]


def _between(row: models.Message, author: UUID | None) -> dict[str, Any]:
    is_direct = row.channel == Channel.DIRECT
    created = stamp(row.created_at)
    return {
        "from_avatar_id": author,
        "to_avatar_id": as_key(row.recipient) if is_direct else None,
        "message_type": messaging_type(row.metadata) if is_direct else None,
        "created_date": created,
        "timestamp": created,
        "is_read": IS_READ[selectors.standing_of(row)],
        "metadata": _metadata(row),
    }


def _avatar(row: models.Message, who: Mapping[UUID, Sender]) -> UUID | None:
    sender = who.get(row.author_id) if row.author_id else None
    return sender.id if sender else None


def _metadata(row: models.Message) -> dict[str, Any]:
    return {name: value for name, value in row.metadata.items() if name != Own.MESSAGE_TYPE}


def _content(content: Rendered) -> str:
    return content.text or content.body


def _notification_type(row: models.Message) -> NotificationWord:
    if row.channel == Channel.DIRECT:
        return NOTIFICATION_BY_TYPE[messaging_type(row.metadata)]
    severity = row.metadata.get(Own.SEVERITY)
    return next((word for known, word in NOTIFICATION_BY_SEVERITY.items() if known == severity), "Info")
