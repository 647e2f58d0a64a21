"""Gathers everything that is kept about a contact, for the contact to have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from messaging.dispatch import selectors
from messaging.dispatch.selectors import Rendered
from messaging.models import Audience, Contact, ContactEvent, Message, MessageEvent, PushSubscription, Suppression
from messaging.people import contacts, events, push, recipients, suppressions

LARGEST = 5_000
"""Messages, and events, that one export holds: the newest."""
_TOGETHER = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A message with what it says and what happened to it."""

    message: Message
    said: Rendered
    events: Sequence[MessageEvent]


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A contact with everything that hangs on it."""

    contact: Contact
    merged: Sequence[UUID]
    """Ids of contacts that were merged into it."""
    suppressions: Sequence[Suppression]
    subscriptions: Sequence[PushSubscription]
    campaigns: Sequence[UUID]
    """Campaigns that have it in their audience."""
    events: Sequence[ContactEvent]
    letters: Sequence[Letter]
    complete: bool
    """Whether there was room for all events and messages."""


def gather(*, workspace_id: UUID, contact_id: UUID) -> Record:
    """Give all that is kept of a contact, under its own id and those of contacts merged into it.

    Raises:
        NotFound: the workspace has no such contact.
    """
    contact = contacts.get(workspace_id=workspace_id, contact_id=contact_id)
    ids = recipients.ids_of(workspace_id=workspace_id, name=str(contact.id))
    noted = events.latest(workspace_id=workspace_id, contact_id=contact.id, limit=LARGEST + 1)
    sent = list(Message.objects.filter(workspace_id=workspace_id, contact_id__in=ids).order_by("-id")[: LARGEST + 1])
    return Record(
        contact=contact,
        merged=[key for key in ids if key != contact.id],
        suppressions=list(suppressions.about(contact)),
        subscriptions=list(push.subscriptions_of(workspace_id=workspace_id).filter(contact=contact)),
        campaigns=list(Audience.objects.filter(contact=contact).order_by("id").values_list("campaign_id", flat=True)),
        events=noted[:LARGEST],
        letters=_letters(sent[:LARGEST]),
        complete=len(noted) <= LARGEST and len(sent) <= LARGEST,
    )


def _letters(messages: Sequence[Message]) -> list[Letter]:
    letters: list[Letter] = []
    for start in range(0, len(messages), _TOGETHER):
        several = messages[start : start + _TOGETHER]
        said = selectors.rendered_many(messages=several)
        happened: dict[UUID, list[MessageEvent]] = {message.id: [] for message in several}
        for event in MessageEvent.objects.filter(message_id__in=list(happened)).order_by("at", "id"):
            happened[event.message_id].append(event)
        letters += [Letter(message=message, said=said[message.id], events=happened[message.id]) for message in several]
    return letters
