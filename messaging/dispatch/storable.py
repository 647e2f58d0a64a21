"""What others say, made fit for the database: it keeps no NUL, and no half of a surrogate pair.

Replies of providers are not ours to refuse, and one of them must not keep a whole group of outcomes from being
written; so what cannot be kept is replaced by U+FFFD.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

LONGEST_NAME: Final = 500
"""Characters of what something is known by to others; an index takes no more than 2,700 bytes."""

_UNFIT = re.compile("[\x00\ud800-\udfff]")
_NUL = b"\\u0000"


def text(value: str) -> str:
    """The text with every character replaced that no column can hold."""
    return value if value.isprintable() else _UNFIT.sub("\ufffd", value)


def name(value: str) -> str:
    """What others know a message or a report by, short enough for an index; of a longer one its hash stands for it."""
    fit = text(value)
    return fit if len(fit) <= LONGEST_NAME else f"sha256:{hashlib.sha256(fit.encode()).hexdigest()}"


def json(value: object) -> str:
    """The value as JSON text that a jsonb column takes.

    Raises:
        TypeError: the value holds something that is no JSON.
    """
    try:
        encoded = msgspec.json.encode(value)
        if _NUL not in encoded:
            return encoded.decode()
    except UnicodeEncodeError:
        pass
    return msgspec.json.encode(_clean(value)).decode()


def _clean(value: object) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
