"""How a contact's name divides into a first and a last one.

The whole name has the last word: where a divided name does not make it up any more, since the whole was changed by
itself, it counts no longer, and the whole is divided at its last space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

DIVIDED = ("first_name", "last_name")


class Named(Protocol):
    """Somebody with a name."""

    @property
    def name(self) -> str: ...
    @property
    def first_name(self) -> str: ...
    @property
    def last_name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Names:
    """A divided name; either part may be empty."""

    first: str
    last: str

    @property
    def whole(self) -> str:
        return " ".join(part for part in (self.first, self.last) if part)


def names_of(person: Named) -> Names:
    """How somebody's name divides."""
    said = Names(person.first_name, person.last_name)
    if said.whole == person.name:
        return said
    first, _, last = person.name.rpartition(" ")
    return Names(first, last) if first else Names(last, "")


def united(changes: Mapping[str, Any], person: Named) -> dict[str, Any]:
    """Changes of a contact in which the whole name follows the parts, where one of these is changed."""
    if not any(name in changes for name in DIVIDED):
        return dict(changes)
    before = names_of(person)
    after = Names(changes.get("first_name", before.first), changes.get("last_name", before.last))
    return {**changes, "first_name": after.first, "last_name": after.last, "name": after.whole}
