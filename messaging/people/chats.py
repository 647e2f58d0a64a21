"""Chats in which people tell a bot who they are, and whether they want to be written to there.

A word that is said to the bot is about the channel as a whole, so an opt-out covers transactional messages as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from channels_app.types import Channel
from messaging.models import Consent, ConsentStatus, Contact, Reason, Suppression
from messaging.models.keys import uuid7
from messaging.models.people import ALL
from messaging.people import contacts, preferences
from messaging.people.contacts import CHANNELS
from messaging.people.preferences import Preference
from messaging.people.refusals import TRANSACTIONAL

CATEGORIES: Final = (ALL, TRANSACTIONAL)
"""What a word about a whole channel is written down for."""

_COLUMNS: Final = {channel: name for name, channels in CHANNELS.items() for channel in channels}

# A workspace knows an address by its contacts, or by having written to it.
_KNOWING = """
SELECT w.id FROM messaging_workspace w
 WHERE EXISTS (SELECT FROM messaging_contact k
                WHERE k.workspace_id = w.id AND k.{column} = %(address)s AND NOT k.{column} = '')
    OR EXISTS (SELECT FROM messaging_message m
                WHERE m.workspace_id = w.id AND m.recipient = %(address)s AND m.channel = %(channel)s)
 ORDER BY w.id
"""


def link(*, workspace_id: UUID, contact_id: UUID, address: str) -> None:
    """Say that a Telegram chat is this contact's; whoever of the workspace had it has it no more.

    Raises:
        NotFound: the workspace has no such contact.
    """
    with transaction.atomic():
        wanted = contacts.held(workspace_id=workspace_id, contact_id=contact_id)
        others = contacts.contacts_of(workspace_id=workspace_id).filter(telegram_chat_id=address)
        others.exclude(pk=wanted.pk).update(telegram_chat_id="", updated_at=Now())
        contacts.contacts_of(workspace_id=workspace_id).filter(pk=wanted.pk).update(
            telegram_chat_id=address, updated_at=Now()
        )


def opt_out(*, channel: Channel, address: str, via: str) -> None:
    """Write to this address no more by this channel, in every workspace that knows it: nothing says that only one of
    them is meant."""
    workspaces = _knowing(channel, address)
    with transaction.atomic():
        for contact in _bearers(channel, address):
            _say(contact, channel, ConsentStatus.OPTED_OUT, CATEGORIES, via)
        rows = [
            Suppression(
                id=uuid7(),
                workspace_id=workspace,
                channel=channel.value,
                address=address,
                category=category,
                reason=Reason.OPTED_OUT,
            )
            for workspace in workspaces
            for category in CATEGORIES
        ]
        Suppression.objects.bulk_create(rows, ignore_conflicts=True)


def opt_in(*, channel: Channel, address: str, via: str) -> None:
    """Lift what the recipient said about the whole channel by itself. What a person of the workspace wrote down stays,
    and so do bounces, complaints, and what was said about single categories."""
    with transaction.atomic():
        for contact in _bearers(channel, address):
            own = Consent.objects.filter(
                contact=contact,
                channel=channel.value,
                category__in=CATEGORIES,
                status=ConsentStatus.OPTED_OUT,
                author=None,
            )
            _say(contact, channel, ConsentStatus.OPTED_IN, own.values_list("category", flat=True), via)
        said = Suppression.objects.filter(channel=channel.value, address=address, category__in=CATEGORIES)
        said.filter(workspace_id__in=_knowing(channel, address), reason=Reason.OPTED_OUT, author=None).filter(
            lifted_at=None
        ).update(lifted_at=Now())


def _bearers(channel: Channel, address: str) -> list[Contact]:
    """Every contact that this address is kept for, of whatever workspace."""
    return [
        contact
        for workspace in _knowing(channel, address)
        for contact in contacts.contacts_of(workspace_id=workspace)
        .filter(**{_COLUMNS[channel]: address})
        .order_by("id")
    ]


def _say(contact: Contact, channel: Channel, status: ConsentStatus, categories: Iterable[str], via: str) -> None:
    wishes = [Preference(channel=channel, status=status, category=category) for category in categories]
    preferences.say(workspace_id=contact.workspace_id, contact_id=contact.id, preferences=wishes, via=via)


def _knowing(channel: Channel, address: str) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_KNOWING.format(column=_COLUMNS[channel]), {"address": address, "channel": channel.value})
        return [row[0] for row in cursor.fetchall()]
