"""What comes in to /messaging, and what goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from analytics import health
from analytics.health import Health
from channels_app.addresses import normalise_many
from channels_app.errors import InvalidAddress
from channels_app.types import Channel, Media, MediaKind
from messaging import models
from messaging.api.common import queries
from messaging.api.common.rendering import stamp
from messaging.api.fluxkit.vocabulary import (
    CHANNEL_IN,
    CHANNEL_OUT,
    HEALTH_OUT,
    PROVIDER_OUT,
    STATUS_IN,
    STATUS_OUT,
    ChannelWord,
    HealthWord,
    ProviderWord,
    StatusWord,
)
from messaging.content.rendering import literal
from messaging.dispatch.intake import Draft, Recipient
from messaging.dispatch.selectors import MessageFilter, Total, standing_of
from messaging.errors import FieldError, Invalid

RECIPIENTS = 50
"""Addresses in each of `to`, `cc` and `bcc`."""
LIMIT = 20
LARGEST = 200
FARTHEST = 10_000_000

Address = Annotated[str, Meta(min_length=1, max_length=500)]
Addresses = Address | Annotated[list[Address], Meta(min_length=1, max_length=RECIPIENTS)]
Copies = Address | Annotated[list[Address], Meta(max_length=RECIPIENTS)]
Subject = Annotated[str, Meta(min_length=1, max_length=65_536)]
Body = Annotated[str, Meta(min_length=1)]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is to be sent to whom, in the domain's words; `to` is as the caller wrote it."""

    draft: Draft
    recipients: list[Recipient]
    to: str | list[str]


class Letter(Struct, forbid_unknown_fields=True, rename="camel", kw_only=True, frozen=True):
    """What both ways to send an e-mail have in common. Each recipient gets a message; copies go with the first."""

    to: Addresses
    cc: Copies | None = None
    bcc: Copies | None = None
    reply_to: Address | None = None

    def common(self) -> dict[str, Any]:
        """The fields of the draft that they share."""
        return {
            "channel": Channel.EMAIL,
            "cc": tuple(_listed(self.cc or ())),
            "bcc": tuple(_listed(self.bcc or ())),
            "reply_to": self.reply_to or "",
        }


class Email(Letter, forbid_unknown_fields=True, rename="camel", kw_only=True, frozen=True):
    """An e-mail: `body` is HTML, `text` what is shown where HTML is not."""

    subject: Subject
    body: Body
    text: str | None = None

    def wish(self) -> Wish:
        """What is to be sent.

        Raises:
            Invalid: a recipient is no e-mail address.
        """
        subject, body, text = (literal(each or "") for each in (self.subject, self.body, self.text))
        draft = Draft(**self.common(), subject=subject, body=body, text=text)
        return Wish(draft=draft, recipients=_mailboxes(self.to), to=self.to)


class TemplateEmail(Letter, forbid_unknown_fields=True, rename="camel", kw_only=True, frozen=True):
    """An e-mail by a template, which sees `data`; `subject` stands for the template's own."""

    template: Annotated[str, Meta(min_length=1, max_length=100)]
    data: dict[str, Any] | None = None
    subject: Subject | None = None

    def wish(self) -> Wish:
        """What is to be sent.

        Raises:
            Invalid: a recipient is no e-mail address.
        """
        draft = Draft(**self.common(), template=self.template, subject=self.subject or "")
        return Wish(draft=draft, recipients=_mailboxes(self.to, self.data), to=self.to)


class Sms(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A text message to a phone number in E.164 form."""

    to: Address
    body: Annotated[str, Meta(min_length=1, max_length=1_600)]
    from_: Address | None = msgspec.field(default=None, name="from")

    def wish(self) -> Wish:
        """What is to be sent."""
        draft = Draft(channel=Channel.SMS, text=literal(self.body), sender=self.from_ or "")
        return Wish(draft=draft, recipients=[Recipient(to=self.to)], to=self.to)


class MediaIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A file that the provider fetches and shows with the message; without `type` the name's ending tells."""

    url: Annotated[str, Meta(min_length=1, max_length=2_048, description="http or https, without credentials.")]
    type: MediaKind | None = None
    caption: Annotated[str, Meta(max_length=1_024)] | None = None
    filename: Annotated[str, Meta(min_length=1, max_length=255)] | None = None

    def media(self) -> Media:
        """The file in the domain's words."""
        return Media(url=self.url, type=self.type, caption=self.caption or "", filename=self.filename or "")


class WhatsApp(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A WhatsApp message to a phone number in E.164 form."""

    to: Address
    body: Annotated[str, Meta(min_length=1, max_length=4_096)]
    media: MediaIn | None = None

    def wish(self) -> Wish:
        """What is to be sent."""
        media = self.media.media() if self.media else None
        draft = Draft(channel=Channel.WHATSAPP, text=literal(self.body), media=media)
        return Wish(draft=draft, recipients=[Recipient(to=self.to)], to=self.to)


class LogsQuery(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Which logs are wanted."""

    channel: Annotated[ChannelWord | Literal["all"], Meta(description="Filter by channel.")] = "all"
    to: Annotated[str, Meta(max_length=2_048, description="Filter by recipient.")] | None = None
    status: Annotated[StatusWord, Meta(description="Filter by status.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=LARGEST, description="Results per page.")] = LIMIT
    offset: Annotated[int, Meta(ge=0, le=FARTHEST, description="Pagination offset.")] = 0

    def where(self) -> MessageFilter:
        """The filter in the domain's words."""
        return MessageFilter(
            channels=frozenset(CHANNEL_IN.values() if self.channel == "all" else [CHANNEL_IN[self.channel]]),
            who=queries.address(self.to) if self.to else None,
            standings=STATUS_IN[self.status] if self.status else frozenset(),
        )


def _listed(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _mailboxes(to: str | list[str], data: Mapping[str, Any] | None = None) -> list[Recipient]:
    """One recipient for each different address, each told by its place where it is none.

    Raises:
        Invalid: something is no e-mail address.
    """
    found = normalise_many(Channel.EMAIL, _listed(to))
    errors = [
        FieldError("/to" if isinstance(to, str) else f"/to/{place}", address.code, str(address))
        for place, address in enumerate(found)
        if isinstance(address, InvalidAddress)
    ]
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
    return [Recipient(to=address, data=data) for address in dict.fromkeys(map(str, found))]


class Result(Struct, rename="camel", kw_only=True, frozen=True):
    """What became of a send; of several messages, of the first."""

    message_id: str
    status: StatusWord
    channel: ChannelWord
    to: str | list[str]
    message_ids: list[str] | UnsetType = UNSET
    """Where there are several recipients: the ids of their messages, in order."""


class TemplateResult(Result, rename="camel", kw_only=True, frozen=True):
    """What became of a send by a template."""

    template: str


class Log(Struct, rename="camel", kw_only=True, frozen=True):
    """A message as the logs show it."""

    id: str = msgspec.field(name="_id")
    channel: ChannelWord
    to: str
    subject: str | None
    status: StatusWord
    message_id: str
    created_at: Moment


class Logs(Struct, rename="camel", kw_only=True, frozen=True):
    """A page of logs, the newest first."""

    logs: list[Log]
    total: int
    limit: int
    offset: int
    total_is_estimate: bool | UnsetType = UNSET
    """True where there are more than are counted one by one."""


class Provider(Struct, kw_only=True, frozen=True):
    """A channel's preferred provider."""

    provider: str | None
    status: ProviderWord


class Providers(Struct, kw_only=True, frozen=True):
    """The providers of all channels."""

    email: Provider
    sms: Provider
    whatsapp: Provider


class HealthOut(Struct, kw_only=True, frozen=True):
    """How the platform was when it was last looked at."""

    status: HealthWord
    providers: Providers


def message_id(row: models.Message) -> str:
    """The provider's id for a message once there is one, else ours."""
    return row.provider_message_id or str(row.id)


def log(row: models.Message) -> Log:
    """A message as the logs show it."""
    channel = CHANNEL_OUT[Channel(row.channel)]
    assert channel is not None  # noqa: S101 - the logs ask for no other channels
    return Log(
        id=str(row.id),
        channel=channel,
        to=row.recipient,
        subject=row.subject or None,
        status=STATUS_OUT[standing_of(row)],
        message_id=message_id(row),
        created_at=stamp(row.created_at),
    )


def logs(rows: Sequence[models.Message], total: Total, query: LogsQuery) -> Logs:
    """A page of logs."""
    return Logs(
        logs=[log(row) for row in rows],
        total=total.number,
        limit=query.limit,
        offset=query.offset,
        total_is_estimate=total.estimated or UNSET,
    )


def health_out(found: Health) -> HealthOut:
    """The platform's health, as anybody may see it."""
    return HealthOut(
        status=HEALTH_OUT[found.condition],
        providers=Providers(**{word: _provider(found, channel) for word, channel in CHANNEL_IN.items()}),
    )


def _provider(found: Health, channel: Channel) -> Provider:
    state = next((each for each in found.channels if each.channel is channel), None)
    if state is None:
        return Provider(provider=None, status="unknown")
    name = state.providers[0].name if state.providers else None
    return Provider(provider=name or None, status=PROVIDER_OUT[health.condition_of(state)])
