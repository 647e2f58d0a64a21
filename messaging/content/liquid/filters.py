"""The filters that a template may use, each behind a bound on what it is given and what it makes.

Most are python-liquid's own. `date`, `strip_html` and `uniq` are replaced: the originals read the server's clock and
time zone, guess at dates, and take quadratic time. Left out is what a message has no use for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from liquid import Environment, Markup
from liquid.filter import flatten, sequence_filter, string_filter, with_context

from messaging.content.liquid.limits import LIST_LIMIT, TEXT_LIMIT, Halt, exceeded, weigh

Filter = Callable[..., Any]

# fmt: off
NAMES = frozenset({
    "abs", "append", "at_least", "at_most", "base64_decode", "base64_encode", "base64_url_safe_decode",
    "base64_url_safe_encode", "capitalize", "ceil", "compact", "concat", "date", "default", "divided_by", "downcase",
    "escape", "escape_once", "find", "find_index", "first", "floor", "has", "join", "last", "lstrip", "map", "minus",
    "modulo", "newline_to_br", "plus", "prepend", "reject", "remove", "remove_first", "remove_last", "replace",
    "replace_first", "replace_last", "reverse", "round", "rstrip", "safe", "size", "slice", "sort", "sort_natural",
    "split", "squish", "strip", "strip_html", "strip_newlines", "sum", "times", "truncate", "truncatewords", "uniq",
    "upcase", "url_decode", "url_encode", "where",
})
# fmt: on
OPTIONS = {"default": frozenset({"allow_false"})}
"""The named arguments that filters take; no other is let through, since the engine passes its own by name."""

_FREE = frozenset({"default", "first", "last", "size"})
_STEP_WEIGHT = 50
_DATE_FORMAT = re.compile(r"(?:[^%]|%[-_0^#]?[A-Za-z%]){0,100}")
_HIDDEN = re.compile(r"<(script|style)\b", re.IGNORECASE)
_END_HIDDEN = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style")}

_MARK = json.JSONEncoder(sort_keys=True, default=repr).encode


class HasMoment(Protocol):
    """What `date` needs of a render."""

    moment: datetime


def table(environment: Environment) -> dict[str, Filter]:
    """The filters by name, bound to an environment that has python-liquid's own."""
    filters: dict[str, Filter] = {**environment.filters, "date": date, "strip_html": strip_html, "uniq": uniq}
    for name, function in filters.items():
        if getattr(function, "with_environment", False):
            filters[name] = partial(function, environment=environment)
    return {name: filters[name] for name in NAMES}


def charge(name: str, left: object, arguments: Sequence[object]) -> int:
    """Steps that a filter costs. Raises Halt for what it may not be given."""
    if name in _FREE:
        return 0
    given = (left, *arguments)
    if any(isinstance(value, list | tuple) and len(value) > LIST_LIMIT for value in given):
        raise exceeded(f"a list given to a filter has more than {LIST_LIMIT} items")
    weight = weigh(given, TEXT_LIMIT)
    if foresee := _FORESEEN.get(name):
        foresee(left, *arguments)
    return weight // _STEP_WEIGHT


def check_result(result: object) -> None:
    """Raise Halt for a result that is too large to go on with."""
    if isinstance(result, str):
        if len(result) > TEXT_LIMIT:
            raise exceeded("a filter makes a text that is too long")
    elif isinstance(result, list):
        if len(result) > LIST_LIMIT:
            raise exceeded(f"a filter makes a list of more than {LIST_LIMIT} items")
    else:
        weigh(result, TEXT_LIMIT)


def _foresee_join(left: object, separator: object = " ", *_: object) -> None:
    count = len(flatten(left)) if isinstance(left, list | tuple | range) else 1
    if count * len(str(separator)) > TEXT_LIMIT:
        raise exceeded("`join` makes a text that is too long")


def _foresee_replace(left: object, old: object = "", new: object = "", *_: object) -> None:
    text, sought = str(left), str(old)
    count = text.count(sought) if sought else len(text) + 1
    if count * len(str(new)) > TEXT_LIMIT:
        raise exceeded("`replace` makes a text that is too long")


_FORESEEN: Mapping[str, Callable[..., None]] = {"join": _foresee_join, "replace": _foresee_replace}


@with_context
def date(value: object, pattern: object = "%Y-%m-%d", *, context: HasMoment) -> object:
    """A moment written by a strftime pattern: ISO 8601, seconds since 1970 (UTC), or `now`, the time of sending.

    What is none of these is handed back as it came. Raises Halt for a pattern with widths or longer than 100.
    """
    moment = _moment(value, context.moment)
    if moment is None:
        return "" if value is None else value
    if not isinstance(pattern, str) or not _DATE_FORMAT.fullmatch(pattern):
        raise Halt("render_error", "The pattern given to `date` cannot be used.")
    written = moment.strftime(pattern)
    return Markup(written) if isinstance(pattern, Markup) else written


def _moment(value: object, now: datetime) -> datetime | None:
    if value in ("now", "today"):
        return now
    if isinstance(value, str) and len(value) <= 40:
        text = value.strip()
        if not (text.isascii() and text.isdigit()):
            return _from_iso(text)
        value = int(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_seconds(value)
    return None


def _from_iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _from_seconds(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@string_filter
def strip_html(value: str) -> str:
    """The text without its tags and comments, and without what script and style hold, in linear time."""
    kept: list[str] = []
    position = 0
    while (start := value.find("<", position)) >= 0:
        kept.append(value[position:start])
        following = value[start + 1 : start + 2]
        if following.isalpha() or following in ("/", "!", "?"):
            position = _after_tag(value, start)
        else:
            kept.append("<")
            position = start + 1
    kept.append(value[position:])
    text = "".join(kept)
    # What is left may join to a new tag, so text that was marked as safe stays so only without any bracket.
    return Markup(text) if isinstance(value, Markup) and "<" not in text else text


def _after_tag(value: str, start: int) -> int:
    """Where the text goes on after the tag at `start`; a tag that is not closed takes all the rest."""
    if hidden := _HIDDEN.match(value, start):
        end = _END_HIDDEN[hidden.group(1).lower()].search(value, hidden.end())
        return end.end() if end else len(value)
    closing = "-->" if value.startswith("<!--", start) else ">"
    found = value.find(closing, start)
    return found + len(closing) if found >= 0 else len(value)


@sequence_filter
def uniq(items: Sequence[Any], key: object = None) -> list[Any]:
    """The items without repeats, or without repeats of one of their properties; the first of each stays."""
    seen: set[str] = set()
    kept = []
    for item in items:
        value = item if key is None else item.get(str(key)) if isinstance(item, dict) else None
        mark = _MARK(value)
        if mark not in seen:
            seen.add(mark)
            kept.append(item)
    return kept
