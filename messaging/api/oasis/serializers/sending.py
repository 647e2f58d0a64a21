"""What comes in to be sent, created or changed, and what it is in the domain's words."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from channels_app.types import Attachment, Channel
from messaging.api.common import bodies
from messaging.api.oasis.vocabulary import (
    CHANNEL_IN,
    PriorityWord,
    SeverityWord,
    TypeWord,
)
from messaging.content.screen import one_line
from messaging.errors import Invalid

ATTACHMENTS: Final = 100

Address = Annotated[str, Meta(min_length=1, max_length=2048)]
Id = Annotated[str, Meta(min_length=1, max_length=255, description="A contact's id, external id or avatar's id.")]
Name = Annotated[str, Meta(max_length=500)]
Subject = Annotated[str, Meta(max_length=65_536)]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
Json = dict[str, Any]


class RecipientIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """Who is written to: an address of the channel, or an id. With both, the address is where it goes to and the id
    says whose it is."""

    id: Id | None = None
    email: Address | None = None
    phone: Address | None = None
    device_token: Annotated[Address, Meta(description="A push subscription's endpoint or id.")] | None = None
    name: Name | None = None


class MetadataIn(Struct, kw_only=True, frozen=True, rename="camel"):
    """How it is sent. Whatever else stands here is kept with the message and given back."""

    template: Annotated[Word, Meta(description="A template's key.")] | None = None
    variables: Json | None = None
    priority: PriorityWord | None = None
    encryption: bool | None = None
    severity: SeverityWord | None = None


class ScheduleIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """When it is sent; `timezone` is what a `sendAt` without an offset means."""

    send_at: datetime
    timezone: Annotated[Word, Meta(description="An IANA name.")] = "UTC"

    def moment(self) -> datetime | None:
        """The moment in UTC.

        Raises:
            Invalid: there is no such zone, or the moment is out of range.
        """
        try:
            zone = ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise Invalid.at("/schedule/timezone", "invalid_value", "There is no such time zone.") from None
        at = self.send_at if self.send_at.tzinfo else self.send_at.replace(tzinfo=zone)
        return bodies.utc(at, "/schedule/sendAt")


class AttachmentIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A file; `content` is base64, `type` a media type."""

    filename: Annotated[str, Meta(min_length=1, max_length=255)]
    content: str
    type: Annotated[str, Meta(min_length=1, max_length=255)]


_NAMES: Final[Mapping[str, str]] = {
    "to": "recipient",
    "contact_id": "recipient.id",
    "name": "recipient.name",
    "text": "content",
    "body": "htmlContent",
    "template": "metadata.template",
    "data": "metadata.variables",
    "encrypted": "metadata.encryption",
    "scheduled_at": "schedule.sendAt",
    "channel": "type",
}


class Sendable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """What can be sent in the end. `names` are the request's words for the domain's fields."""

    names: ClassVar[Mapping[str, str]] = _NAMES
    needed: ClassVar[tuple[str, ...]] = ("content",)
    """Fields that only a template can stand for."""

    recipient: RecipientIn
    metadata: MetadataIn | None = None

    @property
    def channel(self) -> Channel:
        raise NotImplementedError

    @property
    def parts(self) -> dict[str, Any]:
        """What it says, as a draft has it."""
        raise NotImplementedError

    @property
    def missing(self) -> list[str]:
        """The fields that are needed and not there."""
        return [name for name in self.needed if not getattr(self, name)]

    @property
    def own_data(self) -> Json:
        return {}

    @property
    def severity(self) -> str | None:
        return self.metadata.severity if self.metadata else None


class Written(Sendable, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """What may have HTML and files."""

    subject: Subject | None = None
    content: str | None = None
    html_content: str | None = None
    attachments: Annotated[list[AttachmentIn], Meta(max_length=ATTACHMENTS)] | None = None

    @property
    def parts(self) -> dict[str, Any]:
        if self.html_content and self.channel is not Channel.EMAIL:
            raise Invalid.at("/htmlContent", "not_carried", "Only an Email has HTML.")
        return {
            "subject": self.subject or "",
            "text": self.content or "",
            "body": self.html_content or "",
            "attachments": tuple(_attachments(self.attachments or ())),
        }

    @property
    def missing(self) -> list[str]:
        # HTML says as much as a text does.
        return [name for name in super().missing if not (name == "content" and self.html_content)]


class EmailIn(Written, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """An e-mail to send."""

    needed: ClassVar[tuple[str, ...]] = ("subject", "content")

    @property
    def channel(self) -> Channel:
        return Channel.EMAIL


class SmsIn(Sendable, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """A text message to send."""

    content: str | None = None

    @property
    def channel(self) -> Channel:
        return Channel.SMS

    @property
    def parts(self) -> dict[str, Any]:
        return {"text": self.content or ""}


class PushIn(Sendable, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """A push notification to send; `data` goes to the device with it."""

    names: ClassVar[Mapping[str, str]] = {
        **{name: word for name, word in _NAMES.items() if name not in {"body", "data"}},
        "subject": "title",
        "text": "body",
    }
    needed: ClassVar[tuple[str, ...]] = ("title", "body")

    title: Subject | None = None
    body: str | None = None
    data: Json | None = None

    @property
    def channel(self) -> Channel:
        return Channel.PUSH

    @property
    def parts(self) -> dict[str, Any]:
        return {"subject": self.title or "", "text": self.body or ""}

    @property
    def own_data(self) -> Json:
        return self.data or {}


class InAppIn(Sendable, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """An in-app message to send; `type` says how serious it is."""

    names: ClassVar[Mapping[str, str]] = {**_NAMES, "subject": "title"}
    needed: ClassVar[tuple[str, ...]] = ("title", "content")

    title: Subject | None = None
    content: str | None = None
    type: SeverityWord = "info"

    @property
    def channel(self) -> Channel:
        return Channel.ONSITE

    @property
    def parts(self) -> dict[str, Any]:
        return {"subject": self.title or "", "text": self.content or ""}

    @property
    def severity(self) -> str | None:
        return self.type


class MessageIn(Written, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """A message of any type, to be sent soon or at a time."""

    type: TypeWord
    schedule: ScheduleIn | None = None

    @property
    def channel(self) -> Channel:
        return CHANNEL_IN[self.type]

    @property
    def parts(self) -> dict[str, Any]:
        return {**super().parts, "scheduled_at": self.schedule.moment() if self.schedule else None}


class RevisionIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """What changes of a message that was not sent yet; what is left out stays."""

    names: ClassVar[Mapping[str, str]] = _NAMES

    subject: Subject | None = None
    content: str | None = None
    html_content: str | None = None
    metadata: MetadataIn | None = None
    schedule: ScheduleIn | None = None


class CancelIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """Why a message is cancelled."""

    reason: Annotated[str, Meta(max_length=1000)] | None = None


def _attachments(given: Sequence[AttachmentIn]) -> Iterator[Attachment]:
    for index, file in enumerate(given):
        for name in ("filename", "type"):
            one_line(getattr(file, name), pointer=f"/attachments/{index}/{name}")
        try:
            content = base64.b64decode(file.content, validate=True)
        except (binascii.Error, ValueError):
            pointer = f"/attachments/{index}/content"
            raise Invalid.at(pointer, "invalid_base64", "The content is not base64.") from None
        yield Attachment(filename=file.filename, content=content, content_type=file.type)
