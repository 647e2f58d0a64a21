"""What contacts did, in and out."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from messaging import models
from messaging.api.campaignos.ids import LONGEST, Kind
from messaging.api.campaignos.serializers.contacts import ContactEvent, event_fields, reference
from messaging.api.campaignos.serializers.messages import ContactRef, Id
from messaging.api.common.cursors import LARGEST, LIMIT
from messaging.api.common.queries import Query
from messaging.people.events import TEXT_LENGTH, TYPE_LENGTH, Happening

Text = Annotated[str, Meta(max_length=TEXT_LENGTH)]
EventType = Annotated[str, Meta(min_length=1, max_length=TYPE_LENGTH)]


class EventQuery(Query, rename="camel", kw_only=True, frozen=True):
    """Which events are wanted."""

    contact_id: Annotated[str, Meta(max_length=LONGEST, description="Events of this contact.")] | UnsetType = UNSET
    type: Annotated[str, Meta(max_length=TYPE_LENGTH, description="Events of this type.")] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=LARGEST, description="The newest so many.")] = LIMIT


class EventIn(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Something that a contact, or a visitor whom nobody knows, did."""

    type: EventType
    contact_id: Id | None = None
    metadata: dict[str, Any] | None = None
    session_id: Text | None = None
    page_url: Text | None = None
    referrer: Text | None = None
    utm_source: Text | None = None
    utm_medium: Text | None = None
    utm_campaign: Text | None = None

    def happening(self) -> Happening:
        """The same in the domain's words.

        Raises:
            NotFound: the contact's id is none.
        """
        return Happening(
            type=self.type,
            contact_id=Kind.CONTACT.key(self.contact_id) if self.contact_id else None,
            metadata=self.metadata or {},
            session_id=self.session_id or "",
            page_url=self.page_url or "",
            referrer=self.referrer or "",
            utm_source=self.utm_source or "",
            utm_medium=self.utm_medium or "",
            utm_campaign=self.utm_campaign or "",
        )


class TrackedEvent(ContactEvent, rename="camel", kw_only=True, frozen=True):
    """An event with the contact who did it, where that is known."""

    contact: ContactRef | None


def event(row: models.ContactEvent) -> TrackedEvent:
    """An event as the list shows it."""
    return TrackedEvent(**event_fields(row), contact=reference(row.contact) if row.contact else None)
