"""Ids as they come in: any spelling in which the platform shows the key of a row."""

from __future__ import annotations

import re
from uuid import UUID

from messaging.errors import NotFound

_ID = re.compile(
    r"(?:[a-z]{2,4}_)?([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})", re.IGNORECASE
)


def as_key(text: str) -> UUID | None:
    """The key that an id spells, with dashes or without, after a prefix such as `msg_`; None where it is none."""
    found = _ID.fullmatch(text)
    return UUID(found[1]) if found else None


def message_key(text: str) -> UUID:
    """The key of a message in a path.

    Raises:
        NotFound: no message has such an id.
    """
    return _known(as_key(text), "message")


def template_key(text: str) -> UUID:
    """The key of a template in a path.

    Raises:
        NotFound: no template has such an id.
    """
    return _known(as_key(text), "template")


def _known(key: UUID | None, what: str) -> UUID:
    if key is None:
        raise NotFound(f"There is no such {what}.", code=f"{what}_not_found")
    return key
