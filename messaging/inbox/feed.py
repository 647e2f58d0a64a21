"""The in-app feed: what was sent to a person on-site or directly, seen, read and put away by that person only."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from channels_app.types import Channel
from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.errors import NotFound
from messaging.models import Contact, Message
from messaging.state import Cause, Status

CHANNELS = (Channel.ONSITE, Channel.DIRECT)
ARRIVED = (Status.SENT, Status.DELIVERED, Status.OPENED, Status.CLICKED, Status.UNSUBSCRIBED)
"""States in which a message stands in its recipient's feed."""
_COUNTED = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Whose feed it is: a person's avatar in one workspace."""

    workspace_id: UUID
    avatar_id: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How much waits for a reader, counted up to a thousand."""

    unseen: int
    unread: int


def items(
    *, reader: Reader, unread: bool = False, archived: bool = False, ascending: bool, beyond: UUID | None, limit: int
) -> list[Message]:
    """A stretch of the feed, without what was put away, or only that."""
    rows = _feed(reader).filter(archived_at__isnull=not archived)
    if unread:
        rows = rows.filter(opened_at__isnull=True)
    if beyond is not None:
        rows = rows.filter(id__gt=beyond) if ascending else rows.filter(id__lt=beyond)
    return list(rows.order_by("id" if ascending else "-id")[:limit])


def counts(*, reader: Reader) -> Counts:
    """How many items nobody has seen, and how many nobody has read; what was put away counts in neither."""
    waiting = _feed(reader).filter(archived_at__isnull=True, opened_at__isnull=True)
    return Counts(
        unseen=len(waiting.filter(seen_at__isnull=True).values_list("id")[:_COUNTED]),
        unread=len(waiting.values_list("id")[:_COUNTED]),
    )


def see(*, reader: Reader, message_id: UUID) -> Message:
    """Note that an item was on the reader's screen; once is for good.

    Raises:
        NotFound: it is not in the reader's feed.
    """
    _one(reader, message_id)
    Message.objects.filter(id=message_id, seen_at__isnull=True).update(seen_at=Now())
    return _one(reader, message_id)


def read(*, reader: Reader, message_id: UUID) -> Message:
    """Note that an item was read: the message is OPENED.

    Raises:
        NotFound: it is not in the reader's feed.
    """
    read_many(reader=reader, ids=[message_id])
    return _one(reader, message_id)


def read_many(*, reader: Reader, ids: list[UUID]) -> set[UUID]:
    """Note that items were read; ids that are not in the reader's feed, or were read before, are passed by."""
    unread = list(_feed(reader).filter(id__in=ids, opened_at__isnull=True).values_list("id", flat=True))
    moved = transitions.advance_many([Move(id=key, to=Status.OPENED) for key in unread], cause=Cause.API)
    Message.objects.filter(id__in=moved, seen_at__isnull=True).update(seen_at=Now())
    return moved


def archive(*, reader: Reader, message_id: UUID) -> Message:
    """Put an item away.

    Raises:
        NotFound: it is not in the reader's feed.
    """
    _one(reader, message_id)
    Message.objects.filter(id=message_id, archived_at__isnull=True).update(archived_at=Now())
    return _one(reader, message_id)


def addresses_of(*, workspace_id: UUID, avatar_id: UUID) -> list[str]:
    """Every recipient that means this avatar: its own id, and the ids of the contact that it belongs to."""
    known = Contact.objects.filter(workspace_id=workspace_id, avatar_id=avatar_id).values_list("id", "external_id")
    own = [str(key) for row in known for key in row if key]
    return [str(avatar_id), *own]


def _feed(reader: Reader) -> QuerySet[Message]:
    recipients = addresses_of(workspace_id=reader.workspace_id, avatar_id=reader.avatar_id)
    return Message.objects.filter(
        Q(channel__in=[channel.value for channel in CHANNELS]),
        workspace_id=reader.workspace_id,
        recipient__in=recipients,
        status__in=[status.value for status in ARRIVED],
    )


def _one(reader: Reader, message_id: UUID) -> Message:
    row = _feed(reader).filter(id=message_id).first()
    if row is None:
        raise NotFound("There is no such item in the feed.", code="message_not_found")
    return row
