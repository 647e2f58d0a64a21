"""One line of text, as names, ids and categories are."""

from __future__ import annotations

import re

from messaging.errors import Invalid

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def line(text: str, *, pointer: str, longest: int, shortest: int = 0) -> str:
    """Give the text without the spaces around it.

    Raises:
        Invalid: it holds line breaks or other control characters, or is too short or too long.
    """
    stripped = text.strip(" ")
    if _CONTROL.search(stripped):
        detail = "Line breaks and other control characters are not allowed here."
        raise Invalid.at(pointer, "control_character", detail)
    if len(stripped) < shortest:
        raise Invalid.at(pointer, "too_short", f"This has at least {shortest} character.")
    if len(stripped) > longest:
        raise Invalid.at(pointer, "too_long", f"This has at most {longest} characters.")
    return stripped
