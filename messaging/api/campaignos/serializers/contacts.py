"""Contacts, in and out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from channels_app.types import Channel
from messaging import models
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers.messages import ContactRef, Id, MessageRow, Moment, row
from messaging.api.campaignos.vocabulary import CHANNEL_OUT, CHANNELS, ChannelWord
from messaging.api.common.queries import PageQuery, address
from messaging.api.common.rendering import stamp
from messaging.errors import Invalid
from messaging.models import ConsentStatus
from messaging.people.imports import LARGEST, Imported
from messaging.people.names import names_of
from messaging.people.search import ContactFilter, Sort

ConsentWord = Literal["OPTED_IN", "OPTED_OUT", "PENDING"]
SortWord = Literal["createdAt", "updatedAt", "name", "firstName", "email"]
IdentityWord = Literal["EMAIL", "PHONE", "TELEGRAM", "EXTERNAL", "AVATAR"]

Name = Annotated[str, Meta(max_length=500)]
Address = Annotated[str, Meta(max_length=2048)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=255)]
Tags = Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(max_length=100)]

CONSENT_OUT: dict[ConsentStatus, ConsentWord] = {
    ConsentStatus.OPTED_IN: "OPTED_IN",
    ConsentStatus.OPTED_OUT: "OPTED_OUT",
}
SORT_IN: dict[SortWord, Sort] = {
    "createdAt": Sort.CREATED,
    "updatedAt": Sort.UPDATED,
    "name": Sort.NAME,
    "firstName": Sort.NAME,
    "email": Sort.EMAIL,
}
IDENTITIES: dict[IdentityWord, str] = {
    "EMAIL": "email",
    "PHONE": "phone",
    "TELEGRAM": "telegram_chat_id",
    "EXTERNAL": "external_id",
    "AVATAR": "avatar_id",
}
_TAG = "tag_"


class ContactQuery(PageQuery, rename="camel", kw_only=True, frozen=True):
    """Which contacts are wanted, and in which order."""

    search: (
        Annotated[
            str,
            Meta(
                max_length=2048,
                description="An id, external id, phone number or e-mail address, or how a name or an address begins.",
            ),
        ]
        | UnsetType
    ) = UNSET
    tag_id: Annotated[str, Meta(max_length=600, description="Contacts that have this tag.")] | UnsetType = UNSET
    sort_by: SortWord = "createdAt"
    sort_order: Literal["asc", "desc"] = "desc"

    def where(self) -> ContactFilter:
        """The same in the domain's words.

        Raises:
            Invalid: the tag's id is none.
        """
        tag = tag_name(self.tag_id) if self.tag_id is not UNSET else None
        if self.search is UNSET:
            return ContactFilter(tag=tag)
        key = Kind.CONTACT.read(self.search)
        return ContactFilter(q=str(key) if key else address(self.search), tag=tag)


class ContactIn(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A contact as it shall be; it has one address or external id at least. Tags are names, and made where new."""

    email: Address | None = None
    phone: Address | None = None
    telegram_chat_id: Address | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    external_id: ExternalId | None = None
    attributes: dict[str, Any] | None = None
    tags: Tags | None = None

    def fields(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


class ContactChanges(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Changes to a contact: what is left out stays, null empties a field, attributes and tags are replaced whole."""

    email: Address | UnsetType | None = UNSET
    phone: Address | UnsetType | None = UNSET
    telegram_chat_id: Address | UnsetType | None = UNSET
    first_name: Name | UnsetType | None = UNSET
    last_name: Name | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    attributes: dict[str, Any] | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET

    def fields(self) -> dict[str, Any]:
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}


class ContactMerge(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The other contact, which is merged into the one that the path names."""

    contact_id: Id


class ContactImport(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Contacts to take in; each is checked by itself."""

    contacts: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=LARGEST)]


class Tag(Struct, kw_only=True, frozen=True):
    """A tag; its id is made from its name, so that the same name has the same id everywhere."""

    id: str
    name: str


class ContactRow(Struct, rename="camel", kw_only=True, frozen=True):
    """A contact as the list shows it."""

    id: str
    email: str | None
    phone: str | None
    first_name: str | None
    last_name: str | None
    external_id: str | None
    telegram_chat_id: str | None
    attributes: dict[str, Any]
    tags: list[Tag]
    created_at: Moment
    updated_at: Moment


class Identity(Struct, kw_only=True, frozen=True):
    """One way to know a contact again."""

    type: IdentityWord
    value: str


class ConsentRow(Struct, rename="camel", kw_only=True, frozen=True):
    """What a contact said about one category on one channel; `*` is every category without a word of its own."""

    channel: ChannelWord
    category: str
    status: ConsentWord
    updated_at: Moment


class ContactSubscription(Struct, rename="camel", kw_only=True, frozen=True):
    """A browser or device of a contact that takes push messages."""

    id: str
    topic: str | None
    active: bool
    created_at: Moment


class ContactEvent(Struct, rename="camel", kw_only=True, frozen=True):
    """Something that a contact did, or that was noted of it."""

    id: str
    type: str
    metadata: dict[str, Any]
    timestamp: Moment
    session_id: str | None
    page_url: str | None
    referrer: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None


class ContactLinks(Struct, kw_only=True, frozen=True):
    """What a contact can be given to choose by; whoever has such a link can choose for the contact."""

    preferences: str
    unsubscribe: dict[ChannelWord, str]


class ContactProfile(ContactRow, rename="camel", kw_only=True, frozen=True):
    """A contact with what hangs on it: the last 50 events and messages. Links are for callers who may write."""

    identities: list[Identity]
    consents: list[ConsentRow]
    push_subscriptions: list[ContactSubscription]
    events: list[ContactEvent]
    messages: list[MessageRow]
    links: ContactLinks | None


class RefusedRow(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Why a row of an import was not kept; rows are counted from 0."""

    row: int
    message: str
    reason: str
    fields: dict[str, list[str]] | UnsetType = UNSET


class ImportResult(Struct, kw_only=True, frozen=True):
    """What became of the rows of an import."""

    created: int
    updated: int
    failed: int
    errors: list[RefusedRow]


def contact_row(contact: models.Contact) -> ContactRow:
    """A contact as the list shows it."""
    return ContactRow(**contact_fields(contact))


def contact_fields(contact: models.Contact) -> dict[str, Any]:
    names = names_of(contact)
    return {
        "id": Kind.CONTACT.show(contact.id),
        "email": contact.email or None,
        "phone": contact.phone or None,
        "first_name": names.first or None,
        "last_name": names.last or None,
        "external_id": contact.external_id,
        "telegram_chat_id": contact.telegram_chat_id or None,
        "attributes": contact.attributes,
        "tags": [Tag(id=tag_id(name), name=name) for name in contact.tags],
        "created_at": stamp(contact.created_at),
        "updated_at": stamp(contact.updated_at),
    }


def profile(
    contact: models.Contact,
    *,
    events: Sequence[models.ContactEvent],
    messages: Sequence[models.Message],
    links: ContactLinks | None,
) -> ContactProfile:
    """A contact with what hangs on it."""
    return ContactProfile(
        **contact_fields(contact),
        identities=identities(contact),
        consents=consents(contact),
        push_subscriptions=[subscription(each) for each in contact.push_subscriptions.all()],
        events=[contact_event(each) for each in events],
        messages=[row(each) for each in messages],
        links=links,
    )


def reference(contact: models.Contact) -> ContactRef:
    """A contact as other things name it."""
    known = contact_fields(contact)
    return ContactRef(**{name: known[name] for name in ContactRef.__struct_fields__})


def identities(contact: models.Contact) -> list[Identity]:
    """Every way in which a contact is known."""
    known = ((word, getattr(contact, name)) for word, name in IDENTITIES.items())
    return [Identity(type=word, value=str(value)) for word, value in known if value]


def consents(contact: models.Contact) -> list[ConsentRow]:
    """What a contact said, on the channels of this surface."""
    said = sorted(contact.consents.all(), key=lambda each: (each.channel, each.category))
    return [
        ConsentRow(
            channel=channel_word(each.channel),
            category=each.category,
            status=CONSENT_OUT[ConsentStatus(each.status)],
            updated_at=stamp(each.updated_at),
        )
        for each in said
        if each.channel in CHANNELS
    ]


def subscription(each: models.PushSubscription) -> ContactSubscription:
    """A push subscription as its contact's page shows it."""
    return ContactSubscription(
        id=Kind.SUBSCRIPTION.show(each.id),
        topic=each.topic or None,
        active=each.active,
        created_at=stamp(each.created_at),
    )


def contact_event(event: models.ContactEvent) -> ContactEvent:
    """An event as its contact's page shows it."""
    return ContactEvent(**event_fields(event))


def event_fields(event: models.ContactEvent) -> dict[str, Any]:
    return {
        "id": Kind.EVENT.show(event.id),
        "type": event.type,
        "metadata": event.metadata,
        "timestamp": stamp(event.at),
        "session_id": event.session_id or None,
        "page_url": event.page_url or None,
        "referrer": event.referrer or None,
        "utm_source": event.utm_source or None,
        "utm_medium": event.utm_medium or None,
        "utm_campaign": event.utm_campaign or None,
    }


def imported(done: Imported, *, name: Callable[[str], str]) -> ImportResult:
    """The result of an import; `name` says how this surface calls a field."""
    errors = []
    for each in done.refused:
        fields: dict[str, list[str]] = {}
        for place in each.error.errors:
            fields.setdefault(name(place.pointer), []).append(place.detail)
        reason = each.error.errors[0].code if each.error.errors else each.error.code
        errors.append(RefusedRow(row=each.row, message=each.error.detail, reason=reason, fields=fields or UNSET))
    return ImportResult(created=done.created, updated=done.updated, failed=len(errors), errors=errors)


def channel_word(value: str) -> ChannelWord:
    """A channel of this surface by its word."""
    word = CHANNEL_OUT[Channel(value)]
    assert word is not None  # noqa: S101 - rows of other channels are left out before
    return word


def tag_id(name: str) -> str:
    """The id of the tag of this name."""
    return _TAG + base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def tag_name(key: str) -> str:
    """The name behind a tag's id.

    Raises:
        Invalid: it is no id of a tag.
    """
    text = key.removeprefix(_TAG)
    try:
        name = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        name = ""
    if not name or tag_id(name) != key or "\0" in name:
        raise Invalid.at("/tagId", "invalid_value", "An id of a tag is one that a contact's tags show.")
    return name
