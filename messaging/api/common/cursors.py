"""Opaque, signed places in an ordered list, and the page that starts at one."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from django.conf import settings

from messaging.errors import Invalid

LIMIT = 50
LARGEST = 200
_VERSION = b"\x01"
_SIGNATURE = 16
_BYTES = 1 + 1 + 16
"""Version, direction, key."""


class Keyed(Protocol):
    """A row with a key that gives the list its order."""

    @property
    def id(self) -> UUID: ...


K = TypeVar("K", bound=Keyed)

Fetch = Callable[[UUID | None, bool, int], Sequence[K]]
"""Rows strictly beyond a key, ascending or not, at most so many."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place: the rows beyond `key`, or before it where `back`."""

    key: UUID
    back: bool = False


@dataclass(frozen=True, slots=True)
class Slice(Generic[K]):
    """One page of rows, and the places of its neighbours."""

    rows: Sequence[K]
    next: Cursor | None
    previous: Cursor | None


def write(cursor: Cursor, *, query: str) -> str:
    """The cursor as text that only stands for the list of `query`: its workspace, filters and order."""
    return wrap(_VERSION + (b"\x01" if cursor.back else b"\x00") + cursor.key.bytes, query=query)


def read(text: str, *, query: str) -> Cursor:
    """Give the place that a cursor stands for.

    Raises:
        Invalid: we did not write it, or for another list.
    """
    payload = unwrap(text, query=query)
    if payload is None or len(payload) != _BYTES or payload[:1] != _VERSION:
        raise Invalid.at("/cursor", "invalid_cursor", "The cursor is not one of this list with these filters.")
    return Cursor(key=UUID(bytes=payload[2:]), back=payload[1] == 1)


def wrap(payload: bytes, *, query: str) -> str:
    """The payload, signed for the list of `query`, as text that stands in a URL as it is."""
    return base64.urlsafe_b64encode(payload + _sign(payload, query)).decode().rstrip("=")


def unwrap(text: str, *, query: str) -> bytes | None:
    """The payload that was wrapped; None for what we did not write, or for another list."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    payload, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
    return payload if hmac.compare_digest(signature, _sign(payload, query)) else None


def _sign(payload: bytes, query: str) -> bytes:
    """The length keeps what ends the payload from passing for what begins the query."""
    key = hmac.digest(settings.SECRET_KEY.encode(), b"dispatch cursors", "sha256")
    return hmac.digest(key, len(payload).to_bytes(4, "big") + payload + query.encode(), "sha256")[:_SIGNATURE]


def turn(fetch: Fetch[K], *, cursor: Cursor | None, ascending: bool, limit: int) -> Slice[K]:
    """Give the page at a cursor, or the first. One row more than the page tells whether there is another."""
    back = cursor is not None and cursor.back
    found = list(fetch(cursor.key if cursor else None, ascending is not back, limit + 1))
    more, rows = len(found) > limit, found[:limit]
    if back:
        rows.reverse()
    has_next = more if not back else True
    has_previous = more if back else cursor is not None
    return Slice(
        rows=rows,
        next=Cursor(rows[-1].id) if rows and has_next else None,
        previous=Cursor(rows[0].id, back=True) if rows and has_previous else None,
    )
