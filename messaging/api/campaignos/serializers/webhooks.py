"""Webhooks of a workspace, in and out, and what other systems post to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from messaging import models
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers.contacts import Address, Name
from messaging.api.campaignos.serializers.events import EventType
from messaging.api.campaignos.serializers.messages import Moment
from messaging.api.common.rendering import stamp
from messaging.webhooks.endpoints import DESCRIPTION_LENGTH

EventWord = Literal[
    "message.queued",
    "message.sent",
    "message.delivered",
    "message.opened",
    "message.clicked",
    "message.bounced",
    "message.failed",
    "message.unsubscribed",
    "contact.created",
    "contact.updated",
    "contact.opted_out",
]
EVENTS: tuple[EventWord, ...] = EventWord.__args__  # type: ignore[attr-defined]
EVENT_IN: dict[str, tuple[str, ...]] = {
    **{word: (word,) for word in EVENTS},
    "message.failed": ("message.failed", "message.cancelled"),
}
"""What each word is to the domain; what was cancelled has failed here."""

Url = Annotated[str, Meta(min_length=1, max_length=2048)]
Description = Annotated[str, Meta(max_length=DESCRIPTION_LENGTH)]
Events = Annotated[list[EventWord], Meta(max_length=len(EVENTS), description="What to be told of; none is all.")]


class WebhookIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A URL to tell of what happens."""

    url: Url
    events: Events = []
    description: Description | None = None


class WebhookChanges(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What shall be otherwise; what is left out stays."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET

    def fields(self) -> dict[str, Any]:
        """The same in the domain's words."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        if "events" in given:
            given["types"] = types(given.pop("events"))
        return given


class Webhook(Struct, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """A URL that is told of what happens. `secret` is shown when it is made, and never again."""

    id: str
    url: str
    events: list[EventWord]
    description: str | None
    active: bool
    created_at: Moment
    updated_at: Moment
    secret: str | UnsetType = UNSET


class InboundIn(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Something that somebody did elsewhere. A person with an e-mail address or a phone number is found or made."""

    type: EventType
    email: Address | None = None
    phone: Address | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    metadata: dict[str, Any] | None = None

    def person(self) -> dict[str, Any]:
        """What is said of the person."""
        return {name: getattr(self, name) for name in ("email", "phone", "first_name", "last_name")}


class Taken(Struct, rename="camel", kw_only=True, frozen=True):
    """What was noted, and of whom."""

    success: bool
    event_id: str
    contact_id: str | None


def types(events: list[EventWord]) -> list[str]:
    """Words of this surface as the domain's types; none are all of this surface, and never all of the domain."""
    return [each for word in events or EVENTS for each in EVENT_IN[word]]


def webhook(row: models.WebhookEndpoint, secret: str | None = None) -> Webhook:
    """A webhook as it is shown, with its secret where that was just made."""
    return Webhook(
        id=Kind.WEBHOOK.show(row.id),
        url=row.url,
        events=[word for word in EVENTS if word in row.types],
        description=row.description or None,
        active=row.active,
        created_at=stamp(row.created_at),
        updated_at=stamp(row.updated_at),
        secret=secret or UNSET,
    )


def taken(event: models.ContactEvent) -> Taken:
    """The answer to what another system posted."""
    return Taken(success=True, event_id=Kind.EVENT.show(event.id), contact_id=Kind.CONTACT.show(event.contact_id))
