"""Signed tokens for people who have no account: the links in what they get, by which they opt out and choose.

A token says whose it is, what it is for and until when, and nothing in it can be changed or put into another: every
byte is under one signature. It needs no row, so it holds as long as its time and the secret.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from channels_app.types import Channel
from messaging.errors import Invalid

LIFETIME = timedelta(days=400)
"""How long a link holds: longer than a letter is kept on purpose, shorter than for ever."""

_VERSION = 1
_HEAD = struct.Struct(">BBq16s16s16s")
_SIGNATURE = 32
_NOBODY = bytes(16)
_LONGEST = 2048

CHAT_LIFETIME = timedelta(days=1)
"""How long a chat can be linked by the token that was shown: it is used at once, or never."""
_CHAT_VERSION = 2
_CHAT_HEAD = struct.Struct(">BI16s")
_CHAT_SIGNATURE = 24


class Purpose(IntEnum):
    """What a token may be used for; one for another purpose is refused."""

    UNSUBSCRIBE = 1
    PREFERENCES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """Whom a token speaks for, and what about: a contact, or the recipient of a message."""

    purpose: Purpose
    workspace_id: UUID
    contact_id: UUID | None = None
    message_id: UUID | None = None
    channel: Channel | None = None
    category: str = "*"


def write(link: Link, *, expires_at: datetime | None = None) -> str:
    """The token of a link; it holds for `LIFETIME` unless something else is said."""
    until = expires_at or timezone.now() + LIFETIME
    whose = (link.workspace_id.bytes, _raw(link.contact_id), _raw(link.message_id))
    head = _HEAD.pack(_VERSION, link.purpose, int(until.timestamp()), *whose)
    payload = head + f"{link.channel.value if link.channel else ''} {link.category}".encode()
    return _text(payload + _sign(payload, settings.SECRET_KEY))


def read(token: str, *, purpose: Purpose) -> Link:
    """Give what a token stands for.

    Raises:
        Invalid: we did not write it like this, or for something else, or its time is over.
    """
    payload = _verified(token)
    if payload is None:
        raise Invalid.at("/token", "invalid_token", "The token is not one of ours, or was changed.")
    version, kind, until, workspace, contact, message = _HEAD.unpack_from(payload)
    if version != _VERSION or kind != purpose:
        raise Invalid.at("/token", "invalid_token", "The token is for something else.")
    if until < timezone.now().timestamp():
        raise Invalid.at("/token", "token_expired", "The link is too old.")
    channel, _, category = payload[_HEAD.size :].decode().partition(" ")
    return Link(
        purpose=purpose,
        workspace_id=UUID(bytes=workspace),
        contact_id=_key(contact),
        message_id=_key(message),
        channel=Channel(channel) if channel else None,
        category=category,
    )


def unsubscribe_url(
    *,
    workspace_id: UUID,
    channel: Channel,
    contact_id: UUID | None = None,
    message_id: UUID | None = None,
    category: str = "*",
    expires_at: datetime | None = None,
) -> str:
    """The address by which a contact, or the recipient of a message, gets nothing more of a category by a channel.

    It takes the POST of RFC 8058, so that it may stand in List-Unsubscribe.
    """
    link = Link(
        purpose=Purpose.UNSUBSCRIBE,
        workspace_id=workspace_id,
        contact_id=contact_id,
        message_id=message_id,
        channel=channel,
        category=category,
    )
    return f"{settings.PUBLIC_BASE_URL}/api/unsubscribe?token={write(link, expires_at=expires_at)}"


def preferences_url(*, workspace_id: UUID, contact_id: UUID, expires_at: datetime | None = None) -> str:
    """The address at which a contact sees and changes what it wants to get."""
    link = Link(purpose=Purpose.PREFERENCES, workspace_id=workspace_id, contact_id=contact_id)
    return f"{settings.PUBLIC_BASE_URL}/api/preferences?token={write(link, expires_at=expires_at)}"


def write_chat(*, contact_id: UUID, linked: str, expires_at: datetime) -> str:
    """The token by which a person tells a bot which contact they are, in the 64 characters that a deep link may carry.

    It holds while the contact is linked as it was: once it was used it is worth nothing.
    """
    payload = _CHAT_HEAD.pack(_CHAT_VERSION, int(expires_at.timestamp()), contact_id.bytes)
    return _text(payload + _sign_chat(payload, linked, settings.SECRET_KEY))


def contact_of_chat(token: str) -> UUID | None:
    """The contact that such a token names, true or not; None where it is no such token."""
    raw = _chat(token)
    return UUID(bytes=_CHAT_HEAD.unpack_from(raw)[2]) if raw else None


def holds_chat(token: str, *, linked: str) -> bool:
    """Whether we wrote the token while the contact was linked so, and its time is not over."""
    raw = _chat(token)
    if raw is None:
        return False
    payload, signature = raw[:-_CHAT_SIGNATURE], raw[-_CHAT_SIGNATURE:]
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    known = [hmac.compare_digest(signature, _sign_chat(payload, linked, str(secret))) for secret in secrets]
    return any(known) and _CHAT_HEAD.unpack(payload)[1] >= timezone.now().timestamp()


def _chat(token: str) -> bytes | None:
    """The bytes of a token that is as long as it should be, in its one spelling."""
    raw = _bytes(token)
    if raw is None or len(raw) != _CHAT_HEAD.size + _CHAT_SIGNATURE or raw[0] != _CHAT_VERSION:
        return None
    return raw


def _sign_chat(payload: bytes, linked: str, secret: str) -> bytes:
    key = hmac.digest(secret.encode(), b"dispatch chats", "sha256")
    return hmac.digest(key, payload + linked.encode(), "sha256")[:_CHAT_SIGNATURE]


def _raw(key: UUID | None) -> bytes:
    return key.bytes if key else _NOBODY


def _key(raw: bytes) -> UUID | None:
    return None if raw == _NOBODY else UUID(bytes=raw)


def _verified(token: str) -> bytes | None:
    """What a token says, if one of our secrets signed it."""
    raw = _bytes(token)
    if raw is None:
        return None
    payload, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
    if len(payload) <= _HEAD.size:
        return None
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    known = [hmac.compare_digest(signature, _sign(payload, str(secret))) for secret in secrets]
    return payload if any(known) else None


def _bytes(token: str) -> bytes | None:
    """What a token spells, in its one spelling: the last character may have bits that stand for nothing."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(token) <= _LONGEST and _text(raw) == token else None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _sign(payload: bytes, secret: str) -> bytes:
    return hmac.digest(_key_of(secret), payload, "sha256")


@lru_cache(maxsize=8)
def _key_of(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"dispatch links", "sha256")
