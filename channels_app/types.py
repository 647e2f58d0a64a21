"""The words that channels and their callers share: plain values, no behaviour of a vendor."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec


class Channel(StrEnum):
    """A way to reach a recipient."""

    EMAIL = "email"
    SMS = "sms"
    WHATSAPP = "whatsapp"
    PUSH = "push"
    TELEGRAM = "telegram"
    ONSITE = "onsite"
    WEBHOOK = "webhook"
    DIRECT = "direct"


class OnUnknown(StrEnum):
    """What to do when nobody can tell whether the provider took a message."""

    REPEAT = "repeat"
    """Send it again: a second copy is harmless, or carries the same marker."""
    HOLD = "hold"
    """Wait for a receipt until a deadline, then fail."""
    ASK = "ask"
    """Ask the provider what became of it, and go by what it says; hold while it cannot tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What an adapter can carry at once."""

    batch: int
    """Messages claimed together: about two seconds of work."""
    group: int
    """Messages handed over under one mark: what is in doubt after a crash, twice at most."""
    concurrency: int = 1
    """Calls to the provider that are under way at one time within a session."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file that travels with a message; `content_id` makes it an inline image."""

    filename: str
    content: bytes = field(repr=False)
    content_type: str
    content_id: str | None = None


class MediaKind(StrEnum):
    """How a messenger shows a media file."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """A file that the provider fetches from an address and shows with the message."""

    url: str
    type: MediaKind | None = None
    """As the caller named it; `kind` tells where nothing was said."""
    caption: str = field(default="", repr=False)
    filename: str = ""

    def given(self) -> dict[str, str]:
        """What is said of the file, without what is not."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def kind(self) -> MediaKind:
        """The type that was given, else what the ending of the name says, else a document."""
        if self.type is not None:
            return self.type
        guessed, _ = mimetypes.guess_type(self.filename or urlsplit(self.url).path)
        major = (guessed or "").partition("/")[0]
        return MediaKind(major) if major in _SHOWN else MediaKind.DOCUMENT


_SHOWN = frozenset(MediaKind) - {MediaKind.DOCUMENT}


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedContent:
    """What every message of a batch has in common. Its `key` is stable, so a session may keep what it built."""

    key: UUID
    sender: str | None = None
    reply_to: str | None = None
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    media: Media | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """Where a browser or an app takes push messages: the push service's URL, and the keys to encrypt with."""

    id: UUID
    endpoint: str
    p256dh: str
    auth: str = field(repr=False)


class OutboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One rendered message on its way to one recipient. It shows no more of itself than who it is: see `__repr__`."""

    id: UUID
    workspace_id: UUID
    channel: Channel
    address: str
    name: str = ""
    subject: str = ""
    html: str = ""
    """The HTML body, or empty."""
    text: str = ""
    """The plain-text body, or empty."""
    shared: SharedContent
    data: Mapping[str, Any] = {}
    """The message's own data, for channels that carry values beside the text."""
    metadata: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    """Headers of this recipient alone, such as an e-mail's List-Unsubscribe; they win over the shared ones."""
    credentials: Mapping[str, str] = {}
    """Secrets that belong to this recipient, such as the keys that sign a webhook; never logged, never kept."""
    document: str | None = None
    """What a webhook carries, to the letter; by default the message itself."""
    known_as: UUID | None = None
    """The id that the recipient is given, where it is not the message's own."""
    devices: tuple[Device, ...] = ()
    """Where a push message goes."""
    priority: str = "normal"
    """Its lane: urgent, normal or bulk."""
    expires_at: datetime | None = None
    """When it is of no use any more."""
    attempt: int = 1
    """Tries at the provider, this one included; starts at 1."""
    throttles: int = 0
    """Times that a provider asked to wait with this message; being throttled costs no attempt."""

    def __repr__(self) -> str:
        return f"OutboundMessage(id={self.id}, channel={self.channel})"


class ReceiptKind(StrEnum):
    """What a provider says happened after it took a message."""

    SENT = "sent"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    FAILED = "failed"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """A provider's delivery report, normalised.

    One of `message_id` and `provider_message_id` is set. `key` tells reports apart: the same key twice is
    the same report.
    """

    kind: ReceiptKind
    key: str
    message_id: UUID | None = None
    provider_message_id: str | None = None
    code: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    after: float = 0.0
    """Seconds from now at which the report is due; only a simulated provider sets it."""


class SignalKind(StrEnum):
    """What a recipient tells a provider about itself, rather than a provider about a message."""

    LINKED = "linked"
    """It gives the token that it was shown: this address is theirs."""
    OPTED_IN = "opted_in"
    OPTED_OUT = "opted_out"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """A recipient's word that concerns no message in particular. `key` tells signals apart, as a receipt's does."""

    kind: SignalKind
    key: str
    address: str
    """Where the channel reaches the recipient, in the channel's one spelling."""
    token: str = field(default="", repr=False)
    """What LINKED gives."""
    name: str = ""
    """What the recipient calls itself there."""
    channel: Channel | None = None
    """What it was said on, where the provider has several channels; else the adapter's own."""


# Outcomes name the consequence of one attempt. `code` is lower case, `detail` is for a person.


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The provider took the message."""

    provider_message_id: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    receipts: tuple[Receipt, ...] = ()
    """Reports that are known already: what a simulated provider will send, or the answer itself told."""
    gone: tuple[UUID, ...] = ()
    """Devices that take no messages any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transient:
    """It failed for now; trying again may help. Costs the attempt."""

    code: str
    detail: str = ""
    retry_after: float | None = None
    """Seconds that the provider asks for, if it does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Throttled:
    """The provider asks to wait, or the message was never begun. Costs no attempt."""

    wait: float
    """Seconds."""
    code: str = "throttled"
    detail: str = ""
    alone: bool = False
    """Whether it is this recipient's messages alone that are to wait."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Permanent:
    """It will never work."""

    code: str
    detail: str = ""
    receipts: tuple[Receipt, ...] = ()
    """What the refusal tells of the recipient: one who opted out gets nothing more."""
    gone: tuple[UUID, ...] = ()
    """Devices that take no messages any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotConfigured:
    """The channel has no working provider: credentials missing or refused. Ends the message."""

    code: str = "provider_not_configured"
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ambiguous:
    """Nobody can tell whether the provider took it."""

    code: str = "outcome_unknown"
    detail: str = ""
    receipts: tuple[Receipt, ...] = ()


Outcome = Accepted | Transient | Throttled | Permanent | NotConfigured | Ambiguous


@dataclass(frozen=True, kw_only=True, slots=True)
class Callback:
    """A request that a provider made to us."""

    method: str
    url: str
    """The public URL that the provider called."""
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Give a header's value, however its name is spelled; empty where there is none."""
        return next((value for known, value in self.headers.items() if known.lower() == name.lower()), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What a cheap probe of a provider found."""

    ok: bool
    detail: str = ""
