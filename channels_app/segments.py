"""How many parts a text message is sent in: by seven bits a character (3GPP TS 23.038), or by UTF-16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
"""Characters that need an escape before them, and so take two places."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segments:
    """The parts of a text: `encoding` is GSM-7 or UCS-2, `units` are septets or UTF-16 code units."""

    encoding: str
    units: int
    count: int


def measure(text: str) -> Segments:
    """Count the parts that a text takes; an empty one takes none.

    Several parts carry a header each, so they hold less than one alone, and no character is torn between two.
    """
    if all(character in _BASIC or character in _EXTENDED for character in text):
        return _packed("GSM-7", [1 + (character in _EXTENDED) for character in text], alone=160, joined=153)
    return _packed("UCS-2", [1 + (ord(character) > 0xFFFF) for character in text], alone=70, joined=67)


def _packed(encoding: str, sizes: list[int], *, alone: int, joined: int) -> Segments:
    units = sum(sizes)
    if units <= alone:
        return Segments(encoding=encoding, units=units, count=1 if units else 0)
    count, free = 1, joined
    for size in sizes:
        if size > free:
            count, free = count + 1, joined
        free -= size
    return Segments(encoding=encoding, units=units, count=count)
