"""One render: where names are looked up, and the meter that every step, loop, filter and write passes.

python-liquid bounds nested loops and the text written, not what is done in sum: loops side by side, a `when` that
names its match a thousand times, ten thousand filters in a row, ranges read past their beginning. So everything is
counted here. Values are plain JSON; a path is followed through mappings and lists only, never into attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from io import StringIO
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Any, Final, TextIO

from liquid import BoundTemplate, RenderContext, Token
from liquid.undefined import UNDEFINED, Undefined
from liquid.utils import ReadOnlyChainMap

from messaging.content.liquid import filters
from messaging.content.liquid.limits import (
    CPU_SECONDS,
    LOCALS_COUNT,
    LOCALS_LIMIT,
    LOOP_LIMIT,
    OUTPUT_LIMIT,
    STEP_LIMIT,
    exceeded,
    weigh,
)

if TYPE_CHECKING:
    from liquid.builtin.tags.for_tag import ForLoop

ABSENT: Final = object()
_LOOK_EVERY = 0.02


class Absent(Undefined):
    """What a path without a value gives: false and equal to nil in a test, and noted by name where it is used."""

    __slots__ = ("noted",)

    def __init__(self, name: str, noted: Callable[[str], None]) -> None:
        super().__init__(name)
        self.noted = noted

    def __bool__(self) -> bool:
        return False

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Absent)

    def __str__(self) -> str:
        self.noted(self.name)
        return ""

    def __int__(self) -> int:
        self.noted(self.name)
        return 0

    def __len__(self) -> int:
        self.noted(self.name)
        return 0

    def __iter__(self) -> Iterator[Any]:
        self.noted(self.name)
        return iter(())


def step_into(value: object, segment: object) -> object:
    """One step of a path: a key of a mapping, an index of a list, or size, first, last; else ABSENT."""
    if isinstance(value, Mapping) and isinstance(segment, str) and segment in value:
        return value[segment]
    if isinstance(value, list | tuple | range) and isinstance(segment, int) and not isinstance(segment, bool):
        return value[segment] if -len(value) <= segment < len(value) else ABSENT
    if segment == "size" and isinstance(value, dict | list | tuple | range | str):
        return len(value)
    if segment in ("first", "last") and isinstance(value, list | tuple | range) and value:
        return value[0 if segment == "first" else -1]
    if segment == "first" and isinstance(value, dict) and value:
        return next(iter(value.items()))
    return ABSENT


def find(data: Mapping[str, Any], path: tuple[str | int, ...]) -> object:
    """The value at a path, or ABSENT; null is no value."""
    value: object = data.get(str(path[0]), ABSENT)
    for segment in path[1:]:
        if value is ABSENT:
            break
        value = step_into(value, segment)
    return ABSENT if value is None else value


def path_name(path: tuple[object, ...] | list[object]) -> str:
    """A path as an author writes it: `order.lines[0].name`, with the values of computed keys."""
    written = ""
    for segment in path:
        if isinstance(segment, str):
            written += f".{segment}" if written else segment
        elif isinstance(segment, Absent):
            written += f"[{segment.name}]"
        else:
            written += f"[{segment}]" if isinstance(segment, int) else "[]"
    return written


class MeteredContext(RenderContext):
    """The state of one render. Raises Halt at the first bound that is passed."""

    __slots__ = ("cpu_start", "held", "iterations", "look_at", "moment", "noted", "steps", "weights", "written")

    def __init__(
        self,
        template: BoundTemplate,
        data: Mapping[str, object],
        *,
        moment: datetime,
        noted: Callable[[str], None],
    ) -> None:
        self.steps = 0
        self.iterations = 0
        self.written = 0
        self.held = 0
        self.weights: dict[str, int] = {}
        self.cpu_start = -1.0
        self.look_at = monotonic() + _LOOK_EVERY
        self.moment = moment
        self.noted = noted
        super().__init__(template, globals=data)
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)

    def spend(self, steps: int) -> None:
        """Count steps against their bound, and look at the processor's clock now and then."""
        self.steps += steps
        if self.steps > STEP_LIMIT:
            raise exceeded("too many steps")
        now = monotonic()
        if now > self.look_at:
            used = thread_time()
            if self.cpu_start < 0:
                self.cpu_start = used
            elif used - self.cpu_start > CPU_SECONDS:
                raise exceeded("too much processor time")
            self.look_at = now + _LOOK_EVERY

    @property
    def disabled_tags(self) -> list[str]:
        """Never any. Every node reads this before it renders, which makes it the place to count nodes."""
        self.spend(1)
        return []

    @disabled_tags.setter
    def disabled_tags(self, value: list[str]) -> None:
        pass

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        """The value at a path, or Absent."""
        root = path[0]
        try:
            value: object = self.scope[root] if isinstance(root, str) else ABSENT
        except KeyError:
            value = ABSENT
        for segment in path[1:]:
            value = value if value is ABSENT or isinstance(value, Absent) else step_into(value, segment)
        if value is ABSENT or (value is None and (len(path) > 1 or self._is_given(root))):
            return Absent(path_name(path), self.noted) if default is UNDEFINED else default
        return value

    def _is_given(self, root: object) -> bool:
        """Whether a name stands for the data, and not for what the template makes of it: nil, or an item of a list."""
        return isinstance(root, str) and self.globals.get(root, ABSENT) is None and root not in self.locals

    def assign(self, key: str, val: Any) -> None:
        """Keep a value under a name, within what a render may hold."""
        weight = weigh(val, LOCALS_LIMIT)
        self.held += weight - self.weights.get(key, 0)
        self.weights[key] = weight
        if self.held > LOCALS_LIMIT or len(self.weights) > LOCALS_COUNT:
            raise exceeded("assign and capture hold too much")
        self.spend(weight // 50)
        self.locals[key] = val

    def loop(self, namespace: Mapping[str, object], forloop: ForLoop) -> AbstractContextManager[RenderContext]:  # type: ignore[override]  # a table row is no tag of ours
        """Enter a loop, all of whose rounds are counted beforehand."""
        self.iterations += forloop.length
        if self.iterations > LOOP_LIMIT:
            raise exceeded(f"more than {LOOP_LIMIT} rounds of loops")
        return super().loop(namespace, forloop)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """The named filter behind its bounds."""
        return partial(self._apply, name, super().filter(name, token))

    def _apply(
        self, name: str, function: filters.Filter, left: object, /, *arguments: object, **options: object
    ) -> Any:
        if name != "default" and self._is_absent(left, arguments):
            return left
        self.spend(1 + filters.charge(name, left, arguments))
        result = function(left, *arguments, **options)
        filters.check_result(result)
        return result

    def _is_absent(self, left: object, arguments: tuple[object, ...]) -> bool:
        """Whether a filter has nothing to work on. The absent value is passed on, so that a later `default` sees it."""
        if isinstance(left, Absent):
            return True
        absent = [argument for argument in arguments if isinstance(argument, Absent)]
        for argument in absent:
            self.noted(argument.name)
        return bool(absent)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """A place to write that counts against the one bound on all that is written."""
        return _Buffer(self)


class _Buffer(StringIO):
    def __init__(self, context: MeteredContext) -> None:
        super().__init__()
        self.context = context

    def write(self, text: str, /) -> int:
        self.context.written += len(text)
        if self.context.written > OUTPUT_LIMIT:
            raise exceeded(f"more than {OUTPUT_LIMIT} characters are written")
        return super().write(text)
