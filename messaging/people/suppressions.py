"""Addresses that get nothing more: put on the list by people and by what providers report, taken off by people only."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Lower, Now
from django.db.models.lookups import Exact

from channels_app.adapters.sandbox import spelled_scenario
from channels_app.addresses import normalise
from channels_app.errors import InvalidAddress
from channels_app.registry import SANDBOX
from channels_app.types import Channel, ReceiptKind
from messaging.errors import Invalid, NotFound
from messaging.models import Contact, Reason, Suppression
from messaging.models.keys import uuid7
from messaging.models.people import ALL, suppressed_as
from messaging.people import changes, recipients
from messaging.people.consent import checked_category
from messaging.people.contacts import CHANNELS
from messaging.people.refusals import TRANSACTIONAL


def suppressions_of(*, workspace_id: UUID) -> QuerySet[Suppression]:
    """A workspace's suppressions, those that were lifted included."""
    return Suppression.objects.filter(workspace_id=workspace_id).select_related("author", "lifted_by")


def matching(
    *, workspace_id: UUID, channel: Channel | None, address: str | None, reason: Reason | None, active: bool
) -> QuerySet[Suppression]:
    """A workspace's suppressions that are in force, or were lifted, narrowed by what is given."""
    rows = suppressions_of(workspace_id=workspace_id).filter(lifted_at__isnull=active)
    if channel is not None:
        rows = rows.filter(channel=channel.value)
    if address is not None:
        spellings = _spellings(address, [channel] if channel else list(Channel))
        folded = reduce(or_, (Q(Exact(Lower("address"), Lower(Value(each)))) for each in spellings))
        rows = rows.filter(folded, Q(channel=Channel.EMAIL.value) | Q(address__in=spellings))
    return rows if reason is None else rows.filter(reason=reason)


def _spellings(address: str, channels: Sequence[Channel]) -> set[str]:
    found = {address}
    for channel in channels:
        with suppress(InvalidAddress):
            found.add(normalise(channel, address))
    return found


def get(*, workspace_id: UUID, suppression_id: UUID) -> Suppression:
    """Give one suppression, in force or lifted.

    Raises:
        NotFound: the workspace has none of that id.
    """
    found = suppressions_of(workspace_id=workspace_id).filter(pk=suppression_id).first()
    if found is None:
        raise NotFound("There is no such suppression.", code="suppression_not_found")
    return found


def create(
    *,
    workspace_id: UUID,
    author_id: UUID,
    channel: Channel,
    address: str | None,
    contact: str | None,
    category: str,
    reason: Reason,
) -> tuple[Suppression, bool]:
    """Put an address on the list, or a contact's address by that channel. One that stands there already is given as
    it is; the second value tells whether it is new.

    Raises:
        Invalid: the address or category is malformed, the contact is unknown or has no address by the channel.
    """
    contact_id, spelling = _place(workspace_id, channel, address, contact)
    row = Suppression(
        id=uuid7(),
        workspace_id=workspace_id,
        channel=channel.value,
        address=spelling,
        category=checked_category(category),
        reason=reason,
        contact_id=contact_id,
        author_id=author_id,
    )
    with transaction.atomic():
        Suppression.objects.bulk_create([row], ignore_conflicts=True)
        same = suppressions_of(workspace_id=workspace_id).filter(
            _at(spelling, channel), category=row.category, reason=reason, lifted_at=None
        )
        found = same.get()
    return found, found.id == row.id


def _place(workspace_id: UUID, channel: Channel, address: str | None, contact: str | None) -> tuple[UUID | None, str]:
    if contact is None:
        try:
            return None, normalise(channel, address or "")
        except InvalidAddress as error:
            raise Invalid.at("/address", error.code, str(error)) from error
    person = recipients.find(workspace_id=workspace_id, names=[contact]).get(contact)
    if person is None:
        raise Invalid.at("/contact_id", "contact_not_found", "There is no such contact.")
    spelling = person.address(channel)
    if not spelling:
        raise Invalid.at("/contact_id", "contact_unreachable", f"The contact has no address for {channel}.")
    return person.id, spelling


def opt_out(*, workspace_id: UUID, channel: Channel, address: str, category: str, message_id: UUID | None) -> None:
    """Put the address of somebody who opted out and is no contact on the list; once is enough."""
    row = Suppression(
        id=uuid7(),
        workspace_id=workspace_id,
        channel=channel.value,
        address=address,
        category=checked_category(category),
        reason=Reason.OPTED_OUT,
        message_id=message_id,
    )
    Suppression.objects.bulk_create([row], ignore_conflicts=True)


def about(contact: Contact) -> QuerySet[Suppression]:
    """What keeps a contact, or one of its addresses, from messages, or kept it once."""
    places = Q(contact=contact)
    for name, channels in CHANNELS.items():
        if address := getattr(contact, name):
            places |= reduce(or_, (_at(address, channel) for channel in channels))
    return suppressions_of(workspace_id=contact.workspace_id).filter(places).order_by("id")


def _at(address: str, channel: Channel) -> Q:
    """Suppressions that keep an address from messages by a channel."""
    spelled = Value(address) if channel is not Channel.EMAIL else Lower(Value(address))
    return Q(Exact(suppressed_as(), spelled), channel=channel.value)


def lift(*, workspace_id: UUID | None, ids: Sequence[UUID], user_id: UUID) -> int:
    """Take addresses off the list at a person's wish, and keep who it was. Gives how many were in force.

    Without a workspace, for operators of the whole platform.
    """
    rows = Suppression.objects.filter(pk__in=ids, lifted_at=None)
    if workspace_id is not None:
        rows = rows.filter(workspace_id=workspace_id)
    return rows.update(lifted_at=Now(), lifted_by_id=user_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A provider's word on a message that bears on whether its recipient is written to again."""

    message_id: UUID
    provider: str
    kind: ReceiptKind
    code: str = ""


_REASONS: Final = {
    ReceiptKind.BOUNCED: Reason.BOUNCED,
    ReceiptKind.COMPLAINED: Reason.COMPLAINED,
    ReceiptKind.UNSUBSCRIBED: Reason.OPTED_OUT,
}
BLOCKED: Final = "blocked"
"""The code of an opt-out from the sender, whatever he has to say."""
_WHOLE: Final = (ALL, TRANSACTIONAL)
BEARING: Final = frozenset(_REASONS)
"""The reports that suppress."""

_ABOUT = """
SELECT m.id, m.workspace_id, m.channel, m.recipient, m.category, k.id
  FROM messaging_message m
  LEFT JOIN messaging_contactalias a ON a.id = m.contact_id
  LEFT JOIN messaging_contact k ON k.id = COALESCE(a.contact_id, m.contact_id)
 WHERE m.id = ANY(%s) AND m.id BETWEEN %s AND %s
"""
_SUPPRESS = """
INSERT INTO messaging_suppression (id, workspace_id, channel, address, category, reason, message_id, contact_id)
SELECT given.id, workspace_id, channel, address, category, reason, message_id, k.id
  FROM unnest(%(ids)s::uuid[], %(workspaces)s::uuid[], %(channels)s::text[], %(addresses)s::text[],
              %(categories)s::text[], %(reasons)s::text[], %(messages)s::uuid[], %(contacts)s::uuid[])
       AS given(id, workspace_id, channel, address, category, reason, message_id, contact)
  LEFT JOIN LATERAL (SELECT id FROM messaging_contact WHERE id = contact FOR KEY SHARE) k ON true
    ON CONFLICT DO NOTHING
"""
# Those who had not opted out before: the look at the table is one from before the insert.
_OPT_OUT = """
WITH outs AS (
INSERT INTO messaging_consent (id, workspace_id, contact_id, channel, category, status, message_id)
SELECT given.id, given.workspace_id, k.id, channel, category, 'opted_out', message_id
  FROM unnest(%(ids)s::uuid[], %(workspaces)s::uuid[], %(channels)s::text[],
              %(categories)s::text[], %(messages)s::uuid[], %(contacts)s::uuid[])
       AS given(id, workspace_id, channel, category, message_id, contact)
 CROSS JOIN LATERAL (SELECT id FROM messaging_contact WHERE id = contact FOR KEY SHARE) k
    ON CONFLICT (contact_id, channel, category) DO UPDATE
   SET status = 'opted_out', message_id = EXCLUDED.message_id, author_id = NULL, updated_at = now()
 RETURNING workspace_id, contact_id, channel, category
)
SELECT o.workspace_id, o.contact_id, o.channel, o.category FROM outs o
 WHERE NOT EXISTS (SELECT 1 FROM messaging_consent c WHERE c.contact_id = o.contact_id AND c.channel = o.channel
                      AND c.category = o.category AND c.status = 'opted_out')
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _About:
    """A message that was reported on, and what follows."""

    message_id: UUID
    workspace_id: UUID
    channel: str
    address: str
    category: str
    contact_id: UUID | None
    reason: Reason
    provider: str


def record(reports: Sequence[Report]) -> None:
    """Suppress what providers report: a hard bounce or a complaint keeps the address from everything, an opt-out keeps
    the contact, or the address of somebody unknown, from the message's category, and from every one where the sender
    was blocked. Runs in the caller's transaction.

    What the sandbox plays suppresses contacts only, and never an address that asks for the outcome by its spelling.
    """
    bearing = [each for each in reports if each.kind in BEARING and not each.code.startswith("soft")]
    if not bearing:
        return
    ids = sorted({each.message_id for each in bearing})
    with connection.cursor() as cursor:
        cursor.execute(_ABOUT, [ids, ids[0], ids[-1]])
        known = {row[0]: row for row in cursor.fetchall()}
    found = [
        _about(known[each.message_id], _REASONS[each.kind], each.provider, category)
        for each in bearing
        if each.message_id in known
        for category in (_WHOLE if each.code == BLOCKED else (known[each.message_id][4],))
    ]
    real = [each for each in found if each.provider != SANDBOX or _may_play(each)]
    _opt_out([each for each in real if each.reason is Reason.OPTED_OUT and each.contact_id is not None])
    _suppress([each for each in real if each.reason is not Reason.OPTED_OUT or each.contact_id is None])


def _about(row: Sequence[Any], reason: Reason, provider: str, category: str) -> _About:
    message_id, workspace_id, channel, address, _, contact_id = row
    return _About(
        message_id=message_id,
        workspace_id=workspace_id,
        channel=channel,
        address=address,
        category=category,
        contact_id=contact_id,
        reason=reason,
        provider=provider,
    )


def _may_play(about: _About) -> bool:
    return about.contact_id is not None and spelled_scenario(Channel(about.channel), about.address) is None


def _opt_out(rows: Sequence[_About]) -> None:
    # In one order, each once: an upsert meets no row twice, and two of them never wait for each other.
    latest = {(each.contact_id, each.channel, each.category): each for each in rows}
    several = [latest[key] for key in sorted(latest, key=str)]
    if several:
        with connection.cursor() as cursor:
            cursor.execute(
                _OPT_OUT,
                {
                    "ids": [uuid7() for _ in several],
                    "workspaces": [each.workspace_id for each in several],
                    "channels": [each.channel for each in several],
                    "categories": [each.category for each in several],
                    "messages": [each.message_id for each in several],
                    "contacts": [each.contact_id for each in several],
                },
            )
            fresh = cursor.fetchall()
        changes.opted_out(*((workspace, contact, Channel(word), said) for workspace, contact, word, said in fresh))


def _suppress(rows: Sequence[_About]) -> None:
    several = sorted(rows, key=lambda each: (each.workspace_id, each.channel, each.address, each.message_id))
    if several:
        with connection.cursor() as cursor:
            cursor.execute(
                _SUPPRESS,
                {
                    "ids": [uuid7() for _ in several],
                    "workspaces": [each.workspace_id for each in several],
                    "channels": [each.channel for each in several],
                    "addresses": [each.address for each in several],
                    "categories": [each.category if each.reason is Reason.OPTED_OUT else ALL for each in several],
                    "reasons": [each.reason.value for each in several],
                    "messages": [each.message_id for each in several],
                    "contacts": [each.contact_id for each in several],
                },
            )
