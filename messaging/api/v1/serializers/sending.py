"""What comes in to be sent: one message, or a batch."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from channels_app.types import Attachment, Channel, Media, MediaKind
from messaging.api.common import bodies
from messaging.api.v1.vocabulary import PRIORITY_IN, PriorityWord, UnknownWord
from messaging.content.screen import Unclean, one_line, screen
from messaging.dispatch.intake import Draft, Fallback, Recipient, Rejected
from messaging.dispatch.steps import LONGEST, MOST
from messaging.errors import FieldError, Invalid

RECIPIENTS = 10_000
CC = 100
HEADERS = 100
ATTACHMENTS = 100

Moment = Annotated[datetime, Meta(tz=True)]
Address = Annotated[str, Meta(min_length=1, max_length=2048)]
Name = Annotated[str, Meta(max_length=500)]
Subject = Annotated[str, Meta(max_length=65_536)]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
ContactName = Annotated[
    str,
    Meta(min_length=1, max_length=255, description="A contact's id, else its external id, else its avatar's id."),
]
TemplateName = Annotated[
    str,
    Meta(min_length=1, max_length=100, description="A template's key, or the id of one in one language."),
]
Json = dict[str, Any]


class AttachmentIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A file: `content` is base64, `content_id` makes it an inline image."""

    filename: Annotated[str, Meta(min_length=1, max_length=255)]
    content: str
    content_type: Annotated[str, Meta(min_length=1, max_length=255)]
    content_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class MediaIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A file that the provider fetches and shows with the message; without `type` the name's ending tells."""

    url: Annotated[str, Meta(min_length=1, max_length=2048, description="http or https, without credentials.")]
    type: MediaKind | None = None
    caption: Annotated[str, Meta(max_length=1024)] | None = None
    filename: Annotated[str, Meta(min_length=1, max_length=255)] | None = None

    def media(self) -> Media:
        """The file in the domain's words."""
        return Media(url=self.url, type=self.type, caption=self.caption or "", filename=self.filename or "")


class FallbackIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A channel to turn to when the message before fails or comes back, or with `after_seconds` when it has not arrived
    by then. Without `to` it goes to the contact's own address."""

    channel: Channel
    to: Address | None = None
    after_seconds: Annotated[int, Meta(ge=1, le=LONGEST)] | None = None

    def fallback(self) -> Fallback:
        """The step in the domain's words."""
        return Fallback(channel=self.channel, to=self.to or "", after_seconds=self.after_seconds)


class Shared(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What all messages of one request have in common. Subject, body and text replace those of the template."""

    channel: Channel
    template: TemplateName | None = None
    from_: Address | None = msgspec.field(default=None, name="from")
    subject: Subject | None = None
    body: str | None = None
    text: str | None = None
    attachments: Annotated[list[AttachmentIn], Meta(max_length=ATTACHMENTS)] | None = None
    media: MediaIn | None = None
    cc: Annotated[list[Address], Meta(max_length=CC)] | None = None
    bcc: Annotated[list[Address], Meta(max_length=CC)] | None = None
    reply_to: Address | None = None
    headers: Annotated[dict[str, str], Meta(max_length=HEADERS)] | None = None
    priority: PriorityWord | None = None
    category: Word | None = None
    action_type: Word | None = None
    language: Word | None = None
    scheduled_at: Moment | None = None
    expires_at: Moment | None = None
    fallback: Annotated[list[FallbackIn], Meta(max_length=MOST)] | None = None
    on_unknown: UnknownWord | None = None
    encrypted: bool = False

    def draft(self) -> Draft:
        """The request in the domain's words.

        Raises:
            Invalid: an attachment is not base64, or a time is out of range.
        """
        return Draft(
            channel=self.channel,
            template=self.template or "",
            subject=self.subject or "",
            body=self.body or "",
            text=self.text or "",
            sender=self.from_ or "",
            reply_to=self.reply_to or "",
            cc=tuple(self.cc or ()),
            bcc=tuple(self.bcc or ()),
            headers=self.headers or {},
            attachments=tuple(_attachments(self.attachments or ())),
            media=self.media.media() if self.media else None,
            priority=PRIORITY_IN[self.priority or "normal"],
            category=self.category or "transactional",
            action_type=self.action_type or "",
            language=self.language or "",
            on_unknown=self.on_unknown or "",
            encrypted=self.encrypted,
            scheduled_at=bodies.utc(self.scheduled_at, "/scheduled_at"),
            expires_at=bodies.utc(self.expires_at, "/expires_at"),
            fallback=tuple(each.fallback() for each in self.fallback or ()),
        )


class Send(Shared, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One message to an address, or to a contact. With `dry_run` nothing is stored or sent, and the answer says what
    would happen."""

    to: Address | None = None
    contact_id: ContactName | None = None
    avatar_id: UUID | None = None
    name: Name | None = None
    data: Json | None = None
    metadata: Json | None = None
    dry_run: bool = False

    def recipient(self) -> Recipient:
        """The recipient in the domain's words.

        Raises:
            Invalid: none is named, or more than one.
        """
        named = [name for name in ("to", "contact_id", "avatar_id") if getattr(self, name) is not None]
        if len(named) != 1:
            raise _not_one(named[-1] if named else "to", "to, contact_id and avatar_id")
        return Recipient(
            to=self.to or "",
            contact_id=self.contact_id or "",
            avatar_id=self.avatar_id,
            name=self.name or "",
            data=self.data,
            metadata=self.metadata or {},
        )


class RecipientIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One recipient of a batch, an address or a contact, with what its message has for itself."""

    to: Address | None = None
    contact_id: ContactName | None = None
    name: Name | None = None
    data: Json | None = None
    metadata: Json | None = None

    def recipient(self) -> Recipient:
        """The recipient in the domain's words.

        Raises:
            Invalid: none is named, or two.
        """
        if (self.to is None) is (self.contact_id is None):
            raise _not_one("contact_id" if self.contact_id else "to", "to and contact_id")
        return Recipient(
            to=self.to or "",
            contact_id=self.contact_id or "",
            name=self.name or "",
            data=self.data,
            metadata=self.metadata or {},
        )


class SendBatch(Shared, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Many messages that share their content."""

    recipients: Annotated[list[RecipientIn], Meta(min_length=1, max_length=RECIPIENTS)]


class _Loose(Shared, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A batch whose recipients are looked at one by one."""

    recipients: list[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadBatch:
    """A batch as it was read: recipients that are well-formed, where each stood, and the places that are not."""

    shared: Shared
    recipients: list[Recipient]
    indexes: Sequence[int]
    malformed: list[Rejected] = field(default_factory=list)


def read_batch(body: bytes) -> ReadBatch:
    """Read a batch in one go; only where that fails, recipient by recipient, so that one bad item costs no other.

    Raises:
        Invalid: the shared part is refused, or there are no recipients, or too many.
    """
    if b"\\u0000" not in body:
        try:
            batch = _typed.decode(body)
            screen([value for each in batch.recipients for value in (each.data, each.metadata) if value])
            recipients = [each.recipient() for each in batch.recipients]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Unclean, Invalid):
            # Told in detail below.
            pass
        else:
            bodies.demand_unique(body)
            return ReadBatch(shared=batch, recipients=recipients, indexes=range(len(recipients)))
    return _read_loosely(body)


_typed = msgspec.json.Decoder(SendBatch)


def _read_loosely(body: bytes) -> ReadBatch:
    value = bodies.decode_unscreened(body)
    items = value.get("recipients") if isinstance(value, dict) else None
    if isinstance(items, list):
        _check_number(items)
        screen({name: each for name, each in value.items() if name != "recipients"})
    else:
        screen(value)
    shared = bodies.convert(value, _Loose)
    recipients, indexes, malformed = [], [], []
    for index, item in enumerate(shared.recipients):
        try:
            screen(item)
            recipients.append(msgspec.convert(item, RecipientIn).recipient())
            indexes.append(index)
        except Unclean as error:
            malformed.append(Rejected(index=index, code=error.code, detail=error.detail, pointer=error.pointer))
        except Invalid as error:
            place = error.errors[0]
            malformed.append(Rejected(index=index, code=place.code, detail=place.detail, pointer=place.pointer))
        except msgspec.ValidationError as error:
            place = bodies.field_error(error)
            malformed.append(Rejected(index=index, code=place.code, detail=place.detail, pointer=place.pointer))
    return ReadBatch(shared=shared, recipients=recipients, indexes=indexes, malformed=malformed)


def _not_one(name: str, names: str) -> Invalid:
    code = "required" if name == "to" else "ambiguous_recipient"
    return Invalid.at(f"/{name}", code, f"A recipient is named by one of {names}.")


def _check_number(items: list[Any]) -> None:
    if not items:
        raise Invalid.at("/recipients", "required", "A batch has at least one recipient.")
    if len(items) > RECIPIENTS:
        raise Invalid.at("/recipients", "too_many_recipients", f"A batch has at most {RECIPIENTS} recipients.")


def _attachments(given: Sequence[AttachmentIn]) -> Iterator[Attachment]:
    for index, file in enumerate(given):
        for name in ("filename", "content_type", "content_id"):
            one_line(getattr(file, name) or "", pointer=f"/attachments/{index}/{name}")
        try:
            content = base64.b64decode(file.content, validate=True)
        except (binascii.Error, ValueError) as error:
            place = FieldError(f"/attachments/{index}/content", "invalid_base64", "The content is not base64.")
            raise Invalid(place.detail, errors=[place]) from error
        yield Attachment(
            filename=file.filename, content=content, content_type=file.content_type, content_id=file.content_id
        )
