"""Text that no store, header or page can carry, found at the edge: one look at a request, for every surface.

A NUL ends a COPY, a lone surrogate cannot be encoded, NaN is no JSON, and very deep values exhaust recursion further
on. `screen` looks at a parsed JSON value, `one_line` at a text that will stand in a header, a log or a file name.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

DEPTH = 32
"""Lists and objects inside each other, the outermost included."""
LARGEST = 2**64 - 1
SMALLEST = -(2**63)
"""Whole numbers that JSON readers agree on at all: 64 bits, with or without a sign."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNCLEAN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SEGMENT_LENGTH = 100


class Unclean(ValueError):
    """A value that cannot be taken in.

    `code` is one of `nul_character`, `lone_surrogate`, `not_finite`, `out_of_range`, `too_deep`, `control_character`;
    `pointer` is a JSON pointer (RFC 6901) to the place, safe to print; `detail` is a sentence without the value.
    """

    def __init__(self, code: str, detail: str, *, pointer: str) -> None:
        super().__init__(f"{pointer or 'value'}: {detail}")
        self.code = code
        self.detail = detail
        self.pointer = pointer


def screen(value: object, *, pointer: str = "") -> None:
    """Raise Unclean for the first thing in a JSON value, keys included, that cannot be taken in.

    `pointer` is where the value itself stands in the request. Clean values take one quick pass; the place is looked
    for only when there is something to find.
    """
    if not _is_clean(value):
        _search(value, pointer)


def one_line(text: str, *, pointer: str = "") -> None:
    """Raise Unclean for a text with line breaks or other control characters, or what `screen` refuses."""
    if text.isprintable():
        return
    if _CONTROL.search(text):
        detail = "Line breaks and other control characters are not allowed here."
        raise Unclean("control_character", detail, pointer=pointer)
    _check_text(text, pointer)


def _is_clean(value: object) -> bool:
    """Level by level, without recursion: gather all text and numbers, then look at each sort at once."""
    texts: list[str] = []
    numbers: list[Any] = []
    level: list[Any] = [value]
    for _ in range(DEPTH):
        below: list[Any] = []
        for each in level:
            kind = type(each)
            if kind is str:
                texts.append(each)
            elif kind is dict:
                texts.extend(each)
                below.extend(each.values())
            elif kind is list:
                below.extend(each)
            elif each is not None and kind is not bool:
                numbers.append(each)
        level = below
        if not level:
            break
    # What stands below the deepest level that is allowed may only be text and numbers: the search tells them apart.
    return not level and _are_clean_texts(texts) and all(map(_is_clean_number, numbers))


def _are_clean_texts(texts: list[str]) -> bool:
    try:
        together = "\n".join(texts)
    except TypeError:
        return False
    return "\0" not in together and (together.isascii() or not _SURROGATE.search(together))


def _is_clean_number(number: object) -> bool:
    if type(number) is int:
        return SMALLEST <= number <= LARGEST
    return type(number) is float and number - number == 0


def _search(value: object, pointer: str) -> None:
    """Find the first unclean place in the order of the document."""
    waiting: list[tuple[object, str, int]] = [(value, pointer, 0)]
    while waiting:
        each, place, depth = waiting.pop()
        if isinstance(each, str):
            _check_text(each, place)
        elif isinstance(each, int | float):
            _check_number(each, place)
        elif isinstance(each, dict | list | tuple):
            if depth == DEPTH:
                _refuse("too_deep", f"Values may be nested {DEPTH} levels deep.", place)
            waiting.extend(reversed([(below, at, depth + 1) for below, at in _children(each, place)]))


def _children(value: dict[Any, Any] | list[Any] | tuple[Any, ...], place: str) -> list[tuple[object, str]]:
    if not isinstance(value, dict):
        return [(below, f"{place}/{index}") for index, below in enumerate(value)]
    children: list[tuple[object, str]] = []
    for key, below in value.items():
        at = f"{place}/{_segment(str(key))}"
        # The key goes first under its own place, so that it is judged before what stands under it.
        children += [(str(key), at), (below, at)]
    return children


def _segment(key: str) -> str:
    shown = _UNCLEAN.sub("\ufffd", key).replace("~", "~0").replace("/", "~1")
    return shown if len(shown) <= _SEGMENT_LENGTH else f"{shown[:_SEGMENT_LENGTH]}…"


def _check_text(text: str, place: str) -> None:
    if "\0" in text:
        _refuse("nul_character", "A NUL character (U+0000) is not allowed.", place)
    if not text.isascii() and _SURROGATE.search(text):
        _refuse("lone_surrogate", "Half of a surrogate pair stands alone here.", place)


def _check_number(number: float, place: str) -> None:
    if isinstance(number, int):
        if not SMALLEST <= number <= LARGEST:
            _refuse("out_of_range", "A whole number must fit into 64 bits.", place)
    elif number - number != 0:
        _refuse("not_finite", "NaN and infinities are not JSON numbers.", place)


def _refuse(code: str, detail: str, place: str) -> NoReturn:
    raise Unclean(code, detail, pointer=place)
