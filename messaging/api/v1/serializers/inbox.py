"""A person's feed and conversations, as they are shown to that person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from messaging import models
from messaging.api.common.rendering import stamp
from messaging.dispatch import selectors
from messaging.inbox import conversations
from messaging.inbox.feed import Counts

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Item(Struct, kw_only=True, frozen=True):
    """A message in somebody's feed; `from_avatar_id` is whoever wrote it."""

    id: UUID
    channel: str
    status: str
    from_avatar_id: UUID | None
    to: str
    subject: str | None
    body: str | None
    text: str | None
    action_type: str
    category: str
    metadata: dict[str, Any]
    created_at: Moment
    seen_at: Moment | None
    read_at: Moment | None
    archived_at: Moment | None


class Unread(Struct, kw_only=True, frozen=True):
    """How much waits, counted up to a thousand."""

    unseen: int
    unread: int


def items(rows: Sequence[models.Message]) -> list[Item]:
    """Messages as items, in the same order."""
    avatars = conversations.avatars_of({row.author_id for row in rows if row.author_id})
    contents = selectors.rendered_many(messages=rows)
    return [
        Item(
            id=row.id,
            channel=row.channel,
            status=row.status,
            from_avatar_id=avatars.get(row.author_id) if row.author_id else None,
            to=row.recipient,
            subject=row.subject or None,
            body=contents[row.id].body or None,
            text=contents[row.id].text or None,
            action_type=row.action_type,
            category=row.category,
            metadata=row.metadata,
            created_at=stamp(row.created_at) or "",
            seen_at=stamp(row.seen_at),
            read_at=stamp(row.opened_at),
            archived_at=stamp(row.archived_at),
        )
        for row in rows
    ]


def unread(counts: Counts) -> Unread:
    """The counts as they are shown."""
    return Unread(unseen=counts.unseen, unread=counts.unread)
