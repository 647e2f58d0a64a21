"""Ids as this surface writes them: what kind of thing it is, then the key in 32 hexadecimal digits."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, overload
from uuid import UUID

from messaging.errors import Invalid, NotFound

LONGEST = 100
"""Characters of an id that comes in; whatever is longer is none of ours."""

_KEY = "[0-9a-fA-F]{32}"
_PLAIN = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


class Kind(StrEnum):
    """What an id is of, as its first letters tell."""

    MESSAGE = "msg"
    CONTACT = "ct"
    TEMPLATE = "tpl"
    CAMPAIGN = "cmp"
    WORKSPACE = "ws"
    EVENT = "evt"
    SUBSCRIPTION = "ps"
    API_KEY = "ak"
    MEMBER = "mem"
    WEBHOOK = "wh"

    @overload
    def show(self, key: UUID) -> str: ...
    @overload
    def show(self, key: UUID | None) -> str | None: ...
    def show(self, key: UUID | None) -> str | None:
        """The id of a row with this key."""
        return None if key is None else f"{self.value}_{key.hex}"

    def read(self, text: str) -> UUID | None:
        """The key behind an id, in this surface's form or as a plain UUID; None where it is no id of this kind."""
        try:
            return UUID(text.removeprefix(f"{self.value}_")) if len(text) <= LONGEST else None
        except ValueError:
            return None

    def key(self, text: str) -> UUID:
        """The key behind an id.

        Raises:
            NotFound: it is no id of this kind, so there is nothing that has it.
        """
        key = self.read(text)
        if key is None:
            raise NotFound(f"There is no such {_NAMES[self]}.", code=f"{self.name.lower()}_not_found")
        return key

    def asked(self, text: str, pointer: str) -> UUID:
        """The key behind an id by which a list is narrowed.

        Raises:
            Invalid: it is no id of this kind.
        """
        key = self.read(text)
        if key is None:
            detail = f"An id here reads {self.value}_ and 32 hexadecimal digits."
            raise Invalid.at(pointer, "invalid_value", detail)
        return key


_NAMES: dict[Kind, str] = {
    Kind.MESSAGE: "message",
    Kind.CONTACT: "contact",
    Kind.TEMPLATE: "template",
    Kind.CAMPAIGN: "campaign",
    Kind.WORKSPACE: "workspace",
    Kind.EVENT: "event",
    Kind.SUBSCRIPTION: "push subscription",
    Kind.API_KEY: "API key",
    Kind.MEMBER: "member",
    Kind.WEBHOOK: "webhook",
}


class IdConverter:
    """An id in a path, in this surface's form or as a plain UUID."""

    kind: ClassVar[Kind]
    regex = ""

    def to_python(self, value: str) -> UUID:
        return self.kind.key(value)

    def to_url(self, value: UUID) -> str:
        return self.kind.show(value)


def converter(of: Kind) -> type[IdConverter]:
    """The part of a path that holds an id of this kind."""
    spelled = f"(?:{of.value}_)?{_KEY}|{_PLAIN}"
    return type(f"{of.name.title()}Converter", (IdConverter,), {"kind": of, "regex": spelled})
