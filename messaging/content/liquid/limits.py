"""The bounds of a template and of one render. They are fixed: the same source and data end the same way everywhere."""

from __future__ import annotations

from typing import Any

MARKER_COUNT = 5_000
"""Markers (`{{ }}` and `{% %}`) in one source."""
MARKER_LENGTH = 2_000
"""Characters inside one marker."""
BRACKET_COUNT = 20
"""`[` in one marker."""
BLOCK_DEPTH = 20
"""Blocks (if, unless, case, for, capture) inside each other."""

STEP_LIMIT = 200_000
"""Steps of one render. A node or a filter is one step, and a filter one more for each 50 characters it is given."""
LOOP_LIMIT = 10_000
"""Rounds of all loops of one render together."""
RANGE_LIMIT = 1_000
"""Items of a range, `(1..1000)`."""
LIST_LIMIT = 5_000
"""Items of a list that a filter is given or makes."""
TEXT_LIMIT = 262_144
"""Characters that a filter is given or makes."""
NUMBER_LIMIT = 10**18
"""Magnitude of a whole number that a filter is given or makes."""
LOCALS_LIMIT = 1_000_000
"""Characters held by assign and capture at one time."""
LOCALS_COUNT = 500
"""Names made by assign and capture."""
OUTPUT_LIMIT = 1_048_576
"""Characters written in one render, captures included."""
CONTEXT_LIMIT = 1_000_000
"""Weight (see `weigh`) of the data of one render."""
CPU_SECONDS = 1.0
"""Processor time of one render: the last resort, well above what the other bounds allow."""


class Halt(Exception):
    """A render ends here. Not a ValueError, since the engine swallows those; `detail` names no value of the data."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def exceeded(what: str) -> Halt:
    """The halt of a render that goes past one of the bounds above."""
    return Halt("limit_exceeded", f"The template goes past a limit: {what}.")


def weigh(value: object, ceiling: int) -> int:
    """Characters and values in `value`, counted through lists and mappings; stops counting past the ceiling.

    Raises Halt past the ceiling, and for a number or a range beyond its bound.
    """
    total = 0
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        total += 1
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, list | tuple):
            total += len(item)
            waiting.extend(item)
        elif isinstance(item, dict):
            total += sum(map(len, item))
            waiting.extend(item.values())
        else:
            total += _weigh_number(item)
        if total > ceiling:
            raise exceeded("too much text or too many values at once")
    return total


def _weigh_number(item: object) -> int:
    if isinstance(item, int) and not -NUMBER_LIMIT <= item <= NUMBER_LIMIT:
        raise exceeded("a number is too large")
    if isinstance(item, range):
        if item[RANGE_LIMIT:]:
            raise exceeded(f"a range has more than {RANGE_LIMIT} items")
        return len(item)
    return 0
