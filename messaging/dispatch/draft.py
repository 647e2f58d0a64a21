"""What is asked to be sent, and what can be said against it before anybody is written to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from msgspec import Struct

from channels_app import addresses
from channels_app.adapters import mime
from channels_app.carriage import CARRIES, MOST_ATTACHMENTS
from channels_app.errors import InvalidAddress, InvalidMessage
from channels_app.types import Attachment, Channel, Media, SharedContent
from messaging.content import languages, screen
from messaging.content.parts import Parts
from messaging.dispatch import providers
from messaging.errors import FieldError
from messaging.models.keys import uuid7
from messaging.state import Priority

_LONGEST_WORD = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Fallback:
    """A channel to turn to when the message before does not arrive."""

    channel: Channel
    to: str = ""
    """The address there; the contact's own where it is left out."""
    after_seconds: int | None = None
    """How long the message before may take to arrive; without it only its failure counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What all messages of one accept share. Times carry a time zone.

    `template` is a template's key, or the id of one in one language; subject, body and text stand for its parts where
    they are given. `action_type` and `language` are the template's where they are left out.
    """

    channel: Channel
    template: str = ""
    template_at: datetime | None = None
    """The moment whose version of the template counts; the newest one does where it is left out."""
    subject: str = ""
    body: str = field(default="", repr=False)
    text: str = field(default="", repr=False)
    sender: str = ""
    reply_to: str = ""
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    media: Media | None = None
    priority: Priority = Priority.NORMAL
    category: str = "transactional"
    action_type: str = ""
    language: str = ""
    on_unknown: str = ""
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    campaign_id: UUID | None = None
    encrypted: bool = False
    """What it says is encrypted at rest; where the workspace encrypts everything it is anyway."""
    fallback: tuple[Fallback, ...] = ()
    """What is tried, in order, when the message does not arrive."""

    @property
    def parts(self) -> Parts:
        return Parts(subject=self.subject, body=self.body, text=self.text)


class Recipient(Struct, frozen=True, kw_only=True):
    """One message's own part: an address, or a contact by any of its ids, or by its avatar's. With an address and a
    contact, the address is where it goes, and the contact whose it is."""

    to: str = ""
    contact_id: str = ""
    avatar_id: UUID | None = None
    name: str = ""
    data: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = {}


def problems(draft: Draft, *, test: bool) -> Iterator[FieldError]:
    """Everything that is wrong with what the messages share, but for their parts."""
    yield from _field_errors(draft)
    yield from _media_errors(draft)
    yield from _time_errors(draft)
    if providers.adapter(draft.channel.value, test=test) is None:
        yield FieldError("/channel", "provider_not_configured", f"the channel {draft.channel} has no provider")
    if draft.channel is Channel.EMAIL:
        try:
            mime.check(_shared(draft), default_from=settings.DEFAULT_FROM_EMAIL)
        except InvalidMessage as error:
            yield FieldError(_pointer(error.field), error.code, str(error).removeprefix(f"{error.field}: "))


def _pointer(field_name: str) -> str:
    """A message's field, as channels name it (`attachments[0].filename`), as a JSON pointer."""
    name = "from" if field_name == "sender" else field_name
    return "/" + name.replace("[", "/").replace("]", "").replace(".", "/")


def _field_errors(draft: Draft) -> Iterator[FieldError]:
    given = {
        "from": draft.sender,
        "reply_to": draft.reply_to,
        "cc": draft.cc,
        "bcc": draft.bcc,
        "headers": draft.headers,
        "attachments": draft.attachments,
        "media": draft.media,
    }
    for name, value in given.items():
        if value and name not in CARRIES[draft.channel]:
            yield FieldError(f"/{name}", "not_carried", f"the channel {draft.channel} does not carry {name}")
    most = MOST_ATTACHMENTS.get(draft.channel)
    if most is not None and len(draft.attachments) > most:
        yield FieldError("/attachments", "too_many", f"the channel {draft.channel} carries {most} attachment a message")
    for name, word, least in (
        ("category", draft.category, 1),
        ("action_type", draft.action_type, 0),
        ("language", draft.language, 0),
    ):
        try:
            screen.one_line(word)
        except screen.Unclean as error:
            yield FieldError(f"/{name}", error.code, error.detail)
        if not least <= len(word) <= _LONGEST_WORD:
            yield FieldError(f"/{name}", "length", f"{name} has 1 to {_LONGEST_WORD} characters")
    if draft.template and draft.language and languages.canonical(draft.language) is None:
        yield FieldError("/language", "invalid_language", "a language is a tag such as en, pt-BR or zh-Hant")


def _media_errors(draft: Draft) -> Iterator[FieldError]:
    if draft.media is None:
        return
    try:
        addresses.check_url(draft.media.url)
    except InvalidAddress as error:
        yield FieldError("/media/url", "invalid_url", str(error))
    try:
        screen.one_line(draft.media.filename)
    except screen.Unclean as error:
        yield FieldError("/media/filename", error.code, error.detail)


def _time_errors(draft: Draft) -> Iterator[FieldError]:
    now = timezone.now()
    if draft.scheduled_at is not None and draft.scheduled_at <= now:
        yield FieldError("/scheduled_at", "in_the_past", "the time of sending lies in the past")
    if draft.expires_at is not None and draft.expires_at <= (draft.scheduled_at or now):
        yield FieldError("/expires_at", "in_the_past", "expires_at does not lie after the time of sending")


def _shared(draft: Draft) -> SharedContent:
    return SharedContent(
        key=uuid7(),
        sender=draft.sender or None,
        reply_to=draft.reply_to or None,
        cc=draft.cc,
        bcc=draft.bcc,
        headers=draft.headers,
        attachments=draft.attachments,
    )
