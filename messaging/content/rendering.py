"""Templates: Liquid sources compiled once, kept, and rendered for each recipient.

The language is Liquid without anything that reaches outside of the template: values are the recipient's data, plain
JSON, and no attribute, file or other template can be named. Tags: if, unless, case, for (break, continue), assign,
capture, cycle, increment, decrement, echo, comment, `#` and raw. In HTML every value is escaped unless the author
says `| safe`. Bounds are in `messaging.content.liquid.limits`; a source with markers has at most `SHORT_LENGTH`
characters, or `LONG_LENGTH` in the fields `body` and `text`, and one without markers is not a template at all and
passes as it is.

A variable is missing when the render would use it and there is no value at its path; null is none. It is not missing
when it has a `default` among its filters or is only tested, and not when the branch that uses it is not taken.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from liquid.exceptions import LiquidError, ResourceLimitError

from messaging.content.liquid.context import ABSENT, MeteredContext, find, path_name
from messaging.content.liquid.limits import CONTEXT_LIMIT, Halt, exceeded
from messaging.content.liquid.plain import fill
from messaging.content.liquid.source import TemplateRefused, literal
from messaging.content.liquid.tree import Need, Segments, Tree, grow

__all__ = [
    "LONG_LENGTH",
    "SHORT_LENGTH",
    "SUBJECT_LENGTH",
    "Compiled",
    "Preview",
    "RenderFailed",
    "TemplateRefused",
    "compile",
    "context_of",
    "is_template",
    "literal",
    "render_subject",
    "subject_line",
]

SHORT_LENGTH = 65_536
LONG_LENGTH = 524_288
LONG_FIELDS = frozenset({"body", "text"})
SUBJECT_LENGTH = 998
"""Characters of a rendered subject: the longest line of RFC 5322."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_KEPT_TEMPLATES = 512
_KEPT_WEIGHT = 50_000_000
_MARKER_WEIGHT = 2_000
_PLAIN = frozenset({str, int, float, bool, type(None)})


class RenderFailed(ValueError):
    """A render that could not be finished; nothing of it may be sent.

    `code` is one of `missing_variable`, `limit_exceeded`, `unusable_data`, `render_error`. `detail` is one line and
    names variables and places, never values, so that it may be stored and logged beside encrypted content.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What a render gives when missing variables are left blank, and the names of those that it wanted."""

    text: str
    missing: tuple[str, ...]


class Compiled:
    """A source ready to render, safe to share between threads."""

    __slots__ = ("_tree", "html", "source", "variables")

    def __init__(self, source: str, tree: Tree | None, *, html: bool) -> None:
        self.source = source
        self.html = html
        self._tree = tree
        self.variables: tuple[str, ...] = tuple(sorted(path_name(path) for path in tree.reads)) if tree else ()
        """Every path that is read from outside of the template, needed or not: `("name", "order.total")`."""

    @property
    def static(self) -> bool:
        """Whether there is nothing to fill in: every render is the source itself."""
        return self._tree is None

    def render(self, context: Mapping[str, Any], *, now: datetime | None = None) -> str:
        """The text for one recipient. `now` is what the template's `now` means, by default the present moment in UTC.

        Raises RenderFailed.
        """
        if self._tree is None:
            return self.source
        return _render(self._tree, context, now=now, noted=_fail_missing)

    def preview(self, context: Mapping[str, Any], *, now: datetime | None = None) -> Preview:
        """The text with blanks for what is missing. Raises RenderFailed for anything else that goes wrong."""
        if self._tree is None:
            return Preview(text=self.source, missing=())
        missing: set[str] = set()
        text = _render(self._tree, context, now=now, noted=missing.add)
        return Preview(text=text, missing=tuple(sorted(missing)))

    @property
    def needs(self) -> frozenset[Segments] | None:
        """The paths without which a render may fail; None where only a render tells."""
        if self._tree is None:
            return frozenset()
        return None if self._tree.follows else frozenset(path for path, need in self._tree.reads.items() if need)

    def missing(self, context: Mapping[str, Any]) -> list[str]:
        """The paths, sorted, for which `render` would fail on this context; empty if it would not.

        Looks the paths up, which is quick. Where that cannot tell, it costs a render: for a variable in a branch or
        loop that has no value, for properties of the items of a loop, for computed keys. One that fails on its way for
        another reason tells what was missing until then.
        """
        if self._tree is None:
            return []
        absent = {path: need for path, need in self._tree.reads.items() if need and find(context, path) is ABSENT}
        missing = {path_name(path) for path, need in absent.items() if need is Need.ALWAYS}
        if self._tree.follows or len(missing) < len(absent):
            with suppress(RenderFailed):
                _render(self._tree, context, now=None, noted=missing.add)
        return sorted(missing)


def is_template(source: str) -> bool:
    """Whether anything may have to be filled in; what has no marker says itself."""
    return "{{" in source or "{%" in source


def compile(source: str, *, html: bool, field: str) -> Compiled:
    """Compile a source; `html` escapes the values, `field` is its name in errors and sets its longest length.

    Raises TemplateRefused. The same source is parsed once, as long as it stays among the last few hundred.
    """
    if not is_template(source):
        return Compiled(source, None, html=html)
    longest = LONG_LENGTH if field.rpartition("/")[2] in LONG_FIELDS else SHORT_LENGTH
    if len(source) > longest:
        detail = f"A template here has at most {longest} characters; this one has {len(source)}."
        raise TemplateRefused("source_too_long", detail, line=1, column=1, field=field)
    kept = _cache.get(source, html=html)
    if kept is None:
        tree = grow(source, html=html, field=field)
        kept = Compiled(source, tree, html=html)
        _cache.put(kept, weight=len(source) + tree.markers * _MARKER_WEIGHT)
    return kept


def context_of(data: Mapping[str, Any], name: str | None, to: str | None) -> dict[str, Any]:
    """What a recipient's templates see: the data, and below it `name` and `to` unless they are empty."""
    context: dict[str, Any] = {}
    if name:
        context["name"] = name
    if to:
        context["to"] = to
    context.update(data)
    return context


def render_subject(compiled: Compiled, context: Mapping[str, Any], *, now: datetime | None = None) -> str:
    """A subject for one recipient: one line without control characters. Raises RenderFailed."""
    return subject_line(compiled.render(context, now=now))


def subject_line(text: str) -> str:
    """A text as a subject: one line without control characters.

    Raises RenderFailed where it is longer than mail can carry.
    """
    line = _CONTROL.sub(" ", text).strip()
    if len(line) > SUBJECT_LENGTH:
        raise RenderFailed("limit_exceeded", f"A subject has at most {SUBJECT_LENGTH} characters.")
    return line


def _render(tree: Tree, data: Mapping[str, Any], *, now: datetime | None, noted: Callable[[str], None]) -> str:
    try:
        _check_plain(data)
        text = fill(tree.pieces, data, html=tree.html) if tree.pieces is not None else None
        if text is None:
            context = MeteredContext(tree.template, data, moment=now or datetime.now(UTC), noted=noted)
            buffer = context.get_buffer()
            for node in tree.template.nodes:
                node.render(context, buffer)
            text = buffer.getvalue()
        if not text.isascii():
            text.encode()
    except Halt as halt:
        raise RenderFailed(halt.code, halt.detail) from None
    except ResourceLimitError:
        raise RenderFailed("limit_exceeded", "The template goes past a limit of loops or depth.") from None
    except LiquidError as error:
        raise RenderFailed("render_error", _place(error)) from None
    # Filters fail in as many ways as Python's text, number and date functions do, and in each the message is unusable.
    except Exception as error:
        raise RenderFailed(
            "render_error", f"The template cannot be used with this data ({type(error).__name__})."
        ) from None
    if "\0" in text:
        raise RenderFailed("render_error", "The template makes a NUL character.")
    return text


def _place(error: LiquidError) -> str:
    """Where the engine gave up, in our words: its own quote the data."""
    place = error.context()
    where = f" at line {place[0]}, column {place[1] + 1}" if place else ""
    return f"The template cannot be used with this data{where} ({type(error).__name__})."


def _fail_missing(name: str) -> None:
    raise Halt("missing_variable", f"The variable `{name[:200]}` has no value.")


def _check_plain(data: Mapping[str, Any]) -> None:
    """Raise Halt for anything that is not JSON, whose methods the engine might call, and for too much of it."""
    weight = 0
    waiting: list[Any] = list(data.values())
    while waiting:
        value = waiting.pop()
        kind = type(value)
        weight += 1
        if kind is str:
            weight += len(value)
        elif kind is dict:
            waiting.extend(value.values())
        elif kind is list:
            waiting.extend(value)
        elif kind not in _PLAIN:
            raise Halt("unusable_data", f"The data holds a value that is not JSON ({kind.__name__}).")
        if weight > CONTEXT_LIMIT:
            raise exceeded("too much data for one render")


class _Cache:
    """The templates used last, bounded in number and in weight, about one unit a byte."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[bool, str], tuple[Compiled, int]] = OrderedDict()
        self._weight = 0

    def get(self, source: str, *, html: bool) -> Compiled | None:
        key = (html, source)
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, compiled: Compiled, *, weight: int) -> None:
        key = (compiled.html, compiled.source)
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = (compiled, weight)
            self._weight += weight
            while len(self._kept) > _KEPT_TEMPLATES or (self._weight > _KEPT_WEIGHT and len(self._kept) > 1):
                _, (_, dropped) = self._kept.popitem(last=False)
                self._weight -= dropped


_cache = _Cache()
