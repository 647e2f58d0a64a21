"""What deliveries tell of, read for many of them at once, as it stands when they are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from messaging.content import templates
from messaging.content.sealing import reveal
from messaging.content.templates import Origin
from messaging.models import Contact, ContactAlias, Message, MessageEvent, WebhookDelivery


@dataclass(frozen=True, kw_only=True, slots=True)
class Subjects:
    """Messages, events and contacts by their ids; what is there no more is left out."""

    messages: Mapping[UUID, Message]
    events: Mapping[UUID, MessageEvent]
    origins: Mapping[UUID, Origin]
    """Where messages were made from, by their contents."""
    contacts: Mapping[UUID, Contact]
    aliases: Mapping[UUID, UUID]

    def contact(self, key: UUID | None) -> Contact | None:
        """A contact, or the one that it was merged into."""
        return None if key is None else self.contacts.get(self.aliases.get(key, key))


def read(deliveries: Sequence[WebhookDelivery]) -> Subjects:
    """Everything that these deliveries tell of."""
    about = [each for each in deliveries if each.message_id is not None]
    known = {each.message_id for each in deliveries if each.message_id is not None}
    messages = list(Message.objects.filter(id__in=known, deleted_at__isnull=True))
    reveal(messages)
    events = MessageEvent.objects.filter(message_id__in=known, id__in={each.event_id for each in about})
    named = {each.contact_id for each in deliveries if each.contact_id is not None}
    merged = ContactAlias.objects.filter(pk__in=named).values_list("id", "contact_id") if named else ()
    aliases = dict(merged)
    kept = named | set(aliases.values())
    contacts = Contact.objects.filter(pk__in=kept).prefetch_related("consents") if kept else ()
    return Subjects(
        messages={row.id: row for row in messages},
        events={row.id: row for row in events} if about else {},
        origins=templates.origins(messages),
        contacts={row.id: row for row in contacts},
        aliases=aliases,
    )
