"""What contacts agreed to, by channel and category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from channels_app.types import Channel
from messaging.models import Consent, ConsentStatus, Contact
from messaging.models.people import ALL
from messaging.people import changes, contacts
from messaging.people.lines import line
from messaging.people.refusals import TRANSACTIONAL

CATEGORY_LENGTH = 100

Said = Mapping[str, ConsentStatus]
"""What a contact said about one channel, by category."""


def put(
    *,
    workspace_id: UUID,
    contact_id: UUID,
    channel: Channel,
    category: str,
    status: ConsentStatus,
    author_id: UUID | None,
    message_id: UUID | None = None,
) -> Contact:
    """Write down what a contact says about a category on a channel, in place of what it said before.

    The author is who wrote it down, none where it was the contact; the message is the one through which it was said.

    Raises:
        NotFound: the workspace has no such contact.
        Invalid: the category is malformed.
    """
    word = checked_category(category)
    with transaction.atomic():
        contact = contacts.held(workspace_id=workspace_id, contact_id=contact_id)
        if status is ConsentStatus.OPTED_OUT and not _is_out(contact, channel, word):
            changes.opted_out((workspace_id, contact.id, channel, word))
        Consent.objects.bulk_create(
            [
                Consent(
                    workspace_id=workspace_id,
                    contact=contact,
                    channel=channel.value,
                    category=word,
                    status=status,
                    author_id=author_id,
                    message_id=message_id,
                    updated_at=Now(),
                )
            ],
            update_conflicts=True,
            unique_fields=["contact", "channel", "category"],
            update_fields=["status", "message_id", "author", "updated_at"],
        )
    return contacts.get(workspace_id=workspace_id, contact_id=contact.id)


def _is_out(contact: Contact, channel: Channel, category: str) -> bool:
    said = contact.consents.filter(channel=channel.value, category=category, status=ConsentStatus.OPTED_OUT)
    return said.exists()


def checked_category(category: str) -> str:
    """Give the category, `*` for all of them.

    Raises:
        Invalid: it is empty, too long, or more than one line.
    """
    return line(category, pointer="/category", longest=CATEGORY_LENGTH, shortest=1)


def by_channel(consents: Iterable[Consent]) -> dict[str, dict[str, str]]:
    """What a contact said, by channel and category."""
    found: dict[str, dict[str, str]] = {}
    for each in sorted(consents, key=lambda one: (one.channel, one.category)):
        found.setdefault(each.channel, {})[each.category] = str(each.status)
    return found


def allows(said: Said, category: str) -> bool:
    """Whether a contact who said this may be written to: the exact category counts before `*`, silence allows."""
    if category in said:
        return said[category] is ConsentStatus.OPTED_IN
    return category == TRANSACTIONAL or said.get(ALL) is not ConsentStatus.OPTED_OUT


def stricter(first: Said, second: Said) -> dict[str, ConsentStatus]:
    """What holds when two contacts turn out to be one: nothing that either refused is allowed."""
    joint: dict[str, ConsentStatus] = {}
    for category in {*first, *second}:
        if category == ALL:
            agreed = ConsentStatus.OPTED_OUT not in {first.get(ALL), second.get(ALL)}
        else:
            agreed = allows(first, category) and allows(second, category)
        joint[category] = ConsentStatus.OPTED_IN if agreed else ConsentStatus.OPTED_OUT
    return joint
