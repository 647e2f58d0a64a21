"""The in-app feed: what was sent to a person on-site or directly, seen, read and put away by that person only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from channels_app.types import Channel
from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.errors import NotFound
from messaging.models import Contact, ContactAlias, Message, sent_to
from messaging.people.recipients import as_key
from messaging.state import Cause, Status

CHANNELS = (Channel.ONSITE, Channel.DIRECT)
ARRIVED = (Status.SENT, Status.DELIVERED, Status.OPENED, Status.CLICKED, Status.UNSUBSCRIBED)
"""States in which a message stands in its recipient's feed."""
COUNTED = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Whose feed it is: a person's avatar in one workspace. What goes to the sandbox has a feed of its own."""

    workspace_id: UUID
    avatar_id: UUID
    test: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How much waits for a reader, counted up to a thousand."""

    unseen: int
    unread: int


def items(
    *,
    reader: Reader,
    unread: bool = False,
    archived: bool = False,
    ascending: bool,
    beyond: UUID | None,
    limit: int,
    offset: int = 0,
) -> list[Message]:
    """A stretch of the feed, without what was put away, or only that."""
    branches = []
    for address in addresses_of(workspace_id=reader.workspace_id, avatar_id=reader.avatar_id):
        rows = _sent_to(reader, [address]).filter(archived_at__isnull=not archived)
        branches.append(rows.filter(opened_at__isnull=True) if unread else rows)
    return stretch(branches, ascending=ascending, beyond=beyond, limit=limit, offset=offset)


def stretch(
    branches: Iterable[QuerySet[Message]], *, ascending: bool, beyond: UUID | None, limit: int, offset: int = 0
) -> list[Message]:
    """Rows of several queries in one order. An index gives the order below one address only, so each is asked alone."""
    order = "id" if ascending else "-id"
    ids: set[UUID] = set()
    for branch in branches:
        rows = branch
        if beyond is not None:
            rows = rows.filter(id__gt=beyond) if ascending else rows.filter(id__lt=beyond)
        ids.update(rows.order_by(order).values_list("id", flat=True)[: offset + limit])
    wanted = sorted(ids, reverse=not ascending)[offset : offset + limit]
    found = Message.objects.in_bulk(wanted)
    return [found[key] for key in wanted if key in found]


def counts(*, reader: Reader) -> Counts:
    """How many items nobody has seen, and how many nobody has read; what was put away counts in neither."""
    waiting = _feed(reader).filter(archived_at__isnull=True, opened_at__isnull=True)
    return Counts(
        unseen=len(waiting.filter(seen_at__isnull=True).values_list("id")[:COUNTED]),
        unread=len(waiting.values_list("id")[:COUNTED]),
    )


def see(*, reader: Reader, message_id: UUID) -> Message:
    """Note that an item was on the reader's screen; once is for good.

    Raises:
        NotFound: it is not in the reader's feed.
    """
    see_many(reader=reader, ids=[message_id])
    return _one(reader, message_id)


def see_many(*, reader: Reader, ids: Sequence[UUID]) -> None:
    """Note that items were on the reader's screen; ids that are not in the reader's feed are passed by."""
    _feed(reader).filter(id__in=ids, seen_at__isnull=True).update(seen_at=Now())


def read(*, reader: Reader, message_id: UUID) -> Message:
    """Note that an item was read: the message is OPENED.

    Raises:
        NotFound: it is not in the reader's feed.
    """
    read_many(reader=reader, ids=[message_id])
    return _one(reader, message_id)


def read_many(*, reader: Reader, ids: Sequence[UUID]) -> set[UUID]:
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
    _feed(reader).filter(id=message_id, archived_at__isnull=True).update(archived_at=Now())
    return _one(reader, message_id)


def addresses_of(*, workspace_id: UUID, avatar_id: UUID) -> list[str]:
    """Every recipient that means this avatar: its own id, and the ids of the contact that it belongs to.

    An external id that is spelled as an id is left out: it could be that of somebody else.
    """
    own = [str(avatar_id)]
    contact = Contact.objects.filter(workspace_id=workspace_id, avatar_id=avatar_id).only("id", "external_id").first()
    if contact is None:
        return own
    merged = ContactAlias.objects.filter(contact_id=contact.id).values_list("id", flat=True)
    own += [str(key) for key in (contact.id, *merged)]
    if contact.external_id and as_key(contact.external_id) is None:
        own.append(contact.external_id)
    return own


def _feed(reader: Reader) -> QuerySet[Message]:
    return _sent_to(reader, addresses_of(workspace_id=reader.workspace_id, avatar_id=reader.avatar_id))


def _sent_to(reader: Reader, addresses: Sequence[str]) -> QuerySet[Message]:
    return Message.objects.filter(
        sent_to(addresses),
        workspace_id=reader.workspace_id,
        channel__in=[channel.value for channel in CHANNELS],
        status__in=[status.value for status in ARRIVED],
        test=reader.test,
    )


def _one(reader: Reader, message_id: UUID) -> Message:
    row = _feed(reader).filter(id=message_id).first()
    if row is None:
        raise NotFound("There is no such item in the feed.", code="message_not_found")
    return row
