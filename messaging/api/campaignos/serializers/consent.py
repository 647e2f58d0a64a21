"""What people without an account say by a link: in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from channels_app.types import Channel
from messaging import models
from messaging.api.campaignos.serializers.contacts import CONSENT_OUT, ConsentWord, contact_fields
from messaging.api.campaignos.vocabulary import CHANNEL_IN, ChannelWord
from messaging.api.common.queries import Query
from messaging.models import ConsentStatus
from messaging.models.people import ALL
from messaging.people.preferences import Preference

Token = Annotated[str, Meta(min_length=1, max_length=2048, description="A signed token, from a link.")]
Category = Annotated[str, Meta(min_length=1, max_length=100)]

CHOSEN_IN: dict[Literal["OPTED_IN", "OPTED_OUT"], ConsentStatus] = {
    "OPTED_IN": ConsentStatus.OPTED_IN,
    "OPTED_OUT": ConsentStatus.OPTED_OUT,
}
CHOOSABLE: tuple[ChannelWord, ...] = ("EMAIL", "PUSH", "TELEGRAM", "ONSITE")
"""Channels that reach a person, who can say what is wanted there."""


class TokenQuery(Query, kw_only=True, frozen=True):
    """Whose choice it is."""

    token: Token | UnsetType = UNSET


class UnsubscribeQuery(TokenQuery, kw_only=True, frozen=True):
    """Whose choice it is, and about what, which must be what the token says."""

    channel: ChannelWord | UnsetType = UNSET


class UnsubscribeIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The same in a body, where it is not in the address."""

    token: Token | None = None
    channel: ChannelWord | None = None


class Unsubscribed(Struct, kw_only=True, frozen=True):
    """Whether the recipient gets nothing more of it."""

    success: bool
    message: str


class PreferenceIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What a contact wants of a channel, or of one category there."""

    channel: Literal["EMAIL", "PUSH", "TELEGRAM", "ONSITE"]
    status: Literal["OPTED_IN", "OPTED_OUT"]
    category: Category = ALL

    def wish(self) -> Preference:
        """The same in the domain's words."""
        return Preference(channel=CHANNEL_IN[self.channel], status=CHOSEN_IN[self.status], category=self.category)


class PreferencesIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What a contact wants; channels that are left out stay as they are."""

    preferences: Annotated[list[PreferenceIn], Meta(min_length=1, max_length=100)]
    token: Token | None = None


class PreferenceRow(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What a contact said about a channel, PENDING where nothing, and about single categories there."""

    channel: ChannelWord
    status: ConsentWord
    categories: dict[str, ConsentWord] | UnsetType = UNSET


class PreferenceContact(Struct, rename="camel", kw_only=True, frozen=True):
    """Whose preferences they are."""

    id: str
    email: str | None
    first_name: str | None
    last_name: str | None


class Preferences(Struct, kw_only=True, frozen=True):
    """What a contact said about the channels that reach people."""

    contact: PreferenceContact
    preferences: list[PreferenceRow]


def preferences(contact: models.Contact) -> Preferences:
    """What a contact said, as it is shown to the contact."""
    known = contact_fields(contact)
    said: dict[str, dict[str, ConsentWord]] = {}
    for each in contact.consents.all():
        said.setdefault(each.channel, {})[each.category] = CONSENT_OUT[ConsentStatus(each.status)]
    return Preferences(
        contact=PreferenceContact(**{name: known[name] for name in PreferenceContact.__struct_fields__}),
        preferences=[_row(word, said.get(CHANNEL_IN[word], {})) for word in CHOOSABLE],
    )


def _row(word: ChannelWord, said: Mapping[str, ConsentWord]) -> PreferenceRow:
    own = {category: status for category, status in sorted(said.items()) if category != ALL}
    return PreferenceRow(channel=word, status=said.get(ALL, "PENDING"), categories=own or UNSET)


def choices(told: Preferences) -> list[dict[str, object]]:
    """The same for a page: everything that can be chosen, by channel and category, in words."""
    return [
        {
            "channel": row.channel,
            "category": category,
            "what": what(CHANNEL_IN[row.channel], category),
            "out": status == "OPTED_OUT",
        }
        for row in told.preferences
        for category, status in {ALL: row.status, **(row.categories or {})}.items()
    ]


def what(channel: Channel, category: str) -> str:
    """What a recipient opts out of, in words."""
    of = "" if category == ALL else f" of the category {category}"
    return f"{channel.value} messages{of}"
