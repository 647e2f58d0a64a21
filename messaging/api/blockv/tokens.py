"""The token that goes on where a page ended: opaque, signed, and bound to one list of one workspace.

It carries the filters and the order that it was made for, so it goes on by itself. Filters that stand beside it must be
the same, since in another list there is no such place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
from django.http import HttpRequest
from msgspec import UNSET, Struct, UnsetType

from messaging.api.blockv.queries import ListQuery
from messaging.api.common import cursors, queries
from messaging.dispatch.selectors import Place
from messaging.errors import FieldError, Invalid

_VERSION = 1
_EATEN = "when_created[]"

Q = TypeVar("Q", bound=ListQuery)
R = TypeVar("R")


class _Token(Struct, array_like=True, frozen=True):
    """What a token carries."""

    version: int
    narrowing: dict[str, str]
    """The filters and the order, those that were said."""
    value: str | None
    key: UUID


@dataclass(frozen=True, slots=True)
class Listing(Generic[Q]):
    """What a list was asked for, the place where it goes on, and the text that its tokens are bound to."""

    query: Q
    place: Place | None
    bound: str

    def page(self, found: Sequence[tuple[R, Place]]) -> tuple[list[R], str | UnsetType]:
        """The rows of the page, and the token for the next one: one row more than the page tells that there is one."""
        limit = self.query.limit
        rows = [row for row, _ in found[:limit]]
        if len(found) <= limit:
            return rows, UNSET
        last = found[limit - 1][1]
        token = _Token(version=_VERSION, narrowing=_narrowing(self.query), value=last.value, key=last.id)
        return rows, cursors.wrap(msgspec.msgpack.encode(token), query=self.bound)


def listing(request: HttpRequest, into: type[Q], *, workspace_id: UUID) -> Listing[Q]:
    """Read what a list was asked for.

    Raises:
        Invalid: a parameter cannot be used, or the token is none of this list with these filters.
    """
    bound = f"{request.path.rstrip('/')} {workspace_id}"
    if any(request.GET.getlist(_EATEN)):
        detail = "A shell takes $gt for a variable: put the URL into single quotes."
        raise Invalid(detail, errors=[FieldError(f"/{_EATEN}", "unknown_parameter", detail)])
    given = queries.filled(request.GET)
    query = queries.read(given, into)
    if not query.next:
        return Listing(query, None, bound)
    token = _opened(query.next, bound)
    said = {name: value for name, value in given.items() if name not in {"next", "limit"}}
    if not said:
        query = queries.read({**token.narrowing, "limit": str(query.limit)}, into)
    if _narrowing(query) != token.narrowing:
        raise _refused()
    return Listing(query, Place(value=token.value, id=token.key), bound)


def _opened(text: str, bound: str) -> _Token:
    payload = cursors.unwrap(text, query=bound)
    try:
        token = msgspec.msgpack.decode(payload or b"", type=_Token)
    except msgspec.DecodeError:
        raise _refused() from None
    if token.version != _VERSION:
        raise _refused()
    return token


def _narrowing(query: ListQuery) -> dict[str, str]:
    """Everything that was said but for the place and the size of the page; each order has one word."""
    said, plain = (msgspec.to_builtins(each) for each in (query, type(query)()))
    said["order"] = "asc" if query.ascending else "desc"
    return {name: value for name, value in said.items() if name not in {"next", "limit"} and value != plain.get(name)}


def _refused() -> Invalid:
    return Invalid.at("/next", "invalid_token", "The token is not one of this list with these filters and this order.")
