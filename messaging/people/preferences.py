"""What a contact says by itself about the channels that it is written to by, with each change kept on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from channels_app.types import Channel
from messaging.models import ConsentStatus, Contact
from messaging.models.people import ALL
from messaging.people import consent, contacts, events


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """What a contact says about one category on one channel; `*` is every one without a word of its own."""

    channel: Channel
    status: ConsentStatus
    category: str = ALL


def say(
    *,
    workspace_id: UUID,
    contact_id: UUID,
    preferences: Sequence[Preference],
    via: str,
    message_id: UUID | None = None,
) -> Contact:
    """Write down what a contact says, all of it or nothing; what was said before stays on record.

    Raises:
        NotFound: the workspace has no such contact.
        Invalid: a category is malformed.
    """
    with transaction.atomic():
        contact = contacts.held(workspace_id=workspace_id, contact_id=contact_id)
        known = {(each.channel, each.category): each for each in contact.consents.all()}
        for each in preferences:
            category = consent.checked_category(each.category)
            before = known.get((each.channel.value, category))
            if before is not None and before.status == each.status:
                continue
            consent.put(
                workspace_id=workspace_id,
                contact_id=contact.id,
                channel=each.channel,
                category=category,
                status=each.status,
                author_id=None,
                message_id=message_id,
            )
            events.note_consent(
                workspace_id=workspace_id,
                contact_id=contact.id,
                channel=each.channel,
                category=category,
                status=each.status,
                via=via,
                before=before,
                message_id=message_id,
            )
    return contacts.get(workspace_id=workspace_id, contact_id=contact.id)
