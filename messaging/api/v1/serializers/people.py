"""Contacts, what they agreed to, suppressions and push subscriptions, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from channels_app.types import Channel
from messaging import models
from messaging.api.common.rendering import stamp
from messaging.dispatch.signals import Invitation
from messaging.models import ConsentStatus
from messaging.people.consent import by_channel

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
ExternalId = Annotated[str, Meta(min_length=1, max_length=255)]
Name = Annotated[str, Meta(max_length=500)]
Address = Annotated[str, Meta(max_length=2048)]
Locale = Annotated[str, Meta(max_length=35)]
TimeZone = Annotated[str, Meta(max_length=64)]
Tags = Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(max_length=100)]
Attributes = dict[str, Any]
Category = Annotated[str, Meta(min_length=1, max_length=100, description="A category, or * for all of them.")]
ContactName = Annotated[
    str,
    Meta(min_length=1, max_length=255, description="A contact's id, else its external id, else its avatar's id."),
]
ConsentWord = Literal["opted_in", "opted_out"]
ReasonWord = Literal["bounced", "complained", "opted_out", "manual"]


class ContactIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A contact as it shall be: what is left out is empty."""

    external_id: ExternalId | None = None
    name: Name | None = None
    email: Address | None = None
    phone: Address | None = None
    telegram_chat_id: Address | None = None
    avatar_id: UUID | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None
    attributes: Attributes | None = None
    tags: Tags | None = None

    def fields(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


class ContactChanges(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Changes to a contact: what is left out stays, null empties a field."""

    external_id: ExternalId | UnsetType | None = UNSET
    name: Name | UnsetType | None = UNSET
    email: Address | UnsetType | None = UNSET
    phone: Address | UnsetType | None = UNSET
    telegram_chat_id: Address | UnsetType | None = UNSET
    avatar_id: UUID | UnsetType | None = UNSET
    locale: Locale | UnsetType | None = UNSET
    time_zone: TimeZone | UnsetType | None = UNSET
    attributes: Attributes | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET

    def fields(self) -> dict[str, Any]:
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}


class Contact(Struct, kw_only=True, frozen=True):
    """A person that the workspace knows; `consent` has what it said, by channel and category."""

    id: UUID
    external_id: str | None
    name: str | None
    email: str | None
    phone: str | None
    telegram_chat_id: str | None
    avatar_id: UUID | None
    locale: str | None
    time_zone: str | None
    attributes: dict[str, Any]
    tags: list[str]
    consent: dict[str, dict[str, ConsentWord]]
    created_at: Moment
    updated_at: Moment


class ConsentIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What a contact says about a category on a channel."""

    channel: Channel
    category: Category = "*"
    status: ConsentWord


class MergeIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The other contact: `into` keeps the other one, `from` keeps this one."""

    into: UUID | None = None
    from_: UUID | None = msgspec.field(default=None, name="from")


class TelegramLink(Struct, kw_only=True, frozen=True):
    """How a contact tells the bot who it is: by the link, or by `/start` and the token. It holds once, until it
    expires."""

    url: str | None
    token: str
    expires_at: Moment


class SuppressionIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """An address, or that of a contact, that shall get nothing more on a channel."""

    channel: Channel
    address: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    contact_id: ContactName | None = None
    category: Category = "*"
    reason: ReasonWord = "manual"


class Suppression(Struct, kw_only=True, frozen=True):
    """An address that gets nothing, and where that comes from; people are given by their avatars' ids."""

    id: UUID
    channel: Channel
    address: str
    category: str
    reason: ReasonWord
    message_id: UUID | None
    contact_id: UUID | None
    created_at: Moment
    created_by: UUID | None
    lifted_at: Moment | None
    lifted_by: UUID | None


class SubscriptionKeys(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The keys of a browser's subscription, in base64url."""

    p256dh: Annotated[str, Meta(min_length=1, max_length=200)]
    auth: Annotated[str, Meta(min_length=1, max_length=100)]


class SubscriptionIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A browser's push subscription and whose it is."""

    contact_id: ContactName
    endpoint: Annotated[str, Meta(min_length=1, max_length=2048)]
    keys: SubscriptionKeys
    topic: Annotated[str, Meta(max_length=100)] | None = None


class Subscription(Struct, kw_only=True, frozen=True):
    """A push subscription without its keys."""

    id: UUID
    contact_id: UUID
    endpoint: str
    topic: str | None
    active: bool
    created_at: Moment


def contact(row: models.Contact) -> Contact:
    """A contact as it is shown."""
    return Contact(
        id=row.id,
        external_id=row.external_id,
        name=row.name or None,
        email=row.email or None,
        phone=row.phone or None,
        telegram_chat_id=row.telegram_chat_id or None,
        avatar_id=row.avatar_id,
        locale=row.locale or None,
        time_zone=row.time_zone or None,
        attributes=row.attributes,
        tags=row.tags,
        consent=msgspec.convert(by_channel(row.consents.all()), dict[str, dict[str, ConsentWord]]),
        created_at=stamp(row.created_at),
        updated_at=stamp(row.updated_at),
    )


def suppression(row: models.Suppression) -> Suppression:
    """A suppression as it is shown."""
    return Suppression(
        id=row.id,
        channel=Channel(row.channel),
        address=row.address,
        category=row.category,
        reason=msgspec.convert(str(row.reason), ReasonWord),
        message_id=row.message_id,
        contact_id=row.contact_id,
        created_at=stamp(row.created_at),
        created_by=row.author.avatar_id if row.author else None,
        lifted_at=stamp(row.lifted_at),
        lifted_by=row.lifted_by.avatar_id if row.lifted_by else None,
    )


def subscription(row: models.PushSubscription) -> Subscription:
    """A push subscription as it is shown."""
    return Subscription(
        id=row.id,
        contact_id=row.contact_id,
        endpoint=row.endpoint,
        topic=row.topic or None,
        active=row.active,
        created_at=stamp(row.created_at),
    )


CONSENT_IN: dict[ConsentWord, ConsentStatus] = {
    "opted_in": ConsentStatus.OPTED_IN,
    "opted_out": ConsentStatus.OPTED_OUT,
}
REASON_IN: dict[ReasonWord, models.Reason] = {
    "bounced": models.Reason.BOUNCED,
    "complained": models.Reason.COMPLAINED,
    "opted_out": models.Reason.OPTED_OUT,
    "manual": models.Reason.MANUAL,
}


def telegram_link(invitation: Invitation) -> TelegramLink:
    """An invitation to the bot as it is shown."""
    return TelegramLink(url=invitation.url or None, token=invitation.token, expires_at=stamp(invitation.expires_at))
