"""The parsed tree: what the parser made of a source, checked once more, with the variables that it reads.

A variable is read in one of three ways. ALWAYS: every render uses it, so without a value every render fails. MAYBE:
whether it is used depends on the data, since it stands in a branch or a loop. NEVER: its absence is provided for: it
has a `default` among its filters, is only tested (if, unless, case), or is used inside an `if` that tests it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from liquid import BoundTemplate, Environment, Mode, Node, RenderContext, Token, TokenStream
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.arguments import KeywordArgument
from liquid.builtin.expressions.logical import BooleanExpression, LogicalAndExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode, ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.parser import get_parser

from messaging.content.liquid import filters
from messaging.content.liquid.limits import BLOCK_DEPTH, LOOP_LIMIT, RANGE_LIMIT, exceeded
from messaging.content.liquid.plain import Pieces, pieces_of
from messaging.content.liquid.source import BLOCK_TAGS, PLAIN_TAGS, refuse, scan

Segments = tuple[str | int, ...]


class Need(IntEnum):
    """How a template reads a variable; see above."""

    NEVER = 0
    MAYBE = 1
    ALWAYS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A template ready to render.

    `reads` maps each path from outside the template to how much it is needed. `follows` says that there is more to
    need than those paths show: properties of the items of a loop, a computed key, a name assigned in a branch. `pieces`
    is there for a template that does nothing but put values into a text.
    """

    template: BoundTemplate
    html: bool
    pieces: Pieces | None
    reads: dict[Segments, Need]
    follows: bool
    markers: int


class BoundedRange(RangeLiteral):
    """A range whose length is checked where it is made, since loops, tests and filters all walk it freely."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> range:
        """The range. Raises Halt past its bound."""
        made = super().evaluate(context)
        if made[RANGE_LIMIT:]:
            raise exceeded(f"a range has more than {RANGE_LIMIT} items")
        return made


class Liquid(Environment):
    """python-liquid with our tags and filters only; it has no loader, so that no template reaches another or a file."""

    block_nesting_limit = BLOCK_DEPTH + 1
    context_depth_limit = BLOCK_DEPTH + 10
    loop_iteration_limit = LOOP_LIMIT

    def __init__(self, *, html: bool) -> None:
        super().__init__(tolerance=Mode.STRICT, strict_filters=True, autoescape=html)

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Keep of the tags and filters what is on our lists."""
        super().setup_tags_and_filters(extra=False)
        kept = {*BLOCK_TAGS, *PLAIN_TAGS, "content", "output", "illegal"}
        self.tags = {name: tag for name, tag in self.tags.items() if name in kept}
        self.filters = filters.table(self)


ENVIRONMENTS = {html: Liquid(html=html) for html in (False, True)}


def grow(source: str, *, html: bool, field: str) -> Tree:
    """Parse a source. Raises TemplateRefused."""
    environment = ENVIRONMENTS[html]
    tokens = scan(source, field=field)
    stream = TokenStream(iter(tokens))
    try:
        nodes = get_parser(environment).parse(stream)
        reader = _Reader()
        reader.read_all(nodes, Need.ALWAYS, frozenset())
    except _Misuse as misuse:
        refuse(misuse.code, misuse.detail, source=source, at=misuse.token.start_index, field=field)
    except LiquidError as error:
        at = error.token.start_index if error.token else -1
        refuse("syntax_error", _sentence(error), source=source, at=at if at >= 0 else _near(stream), field=field)
    # The parser runs out of stack, and may stumble in other ways, over text that is no Liquid at all.
    except Exception:
        detail = "This cannot be understood, or says too much at once."
        refuse("syntax_error", detail, source=source, at=_near(stream), field=field)
    template = BoundTemplate(environment, nodes)
    return Tree(
        template=template,
        html=html,
        pieces=pieces_of(nodes),
        reads=reader.reads,
        follows=reader.follows,
        markers=len(tokens),
    )


def _near(stream: TokenStream) -> int:
    """Where the parser stood when it gave up."""
    return stream.tokens[min(stream.pos, len(stream.tokens) - 1)].start_index


def _sentence(error: LiquidError) -> str:
    said = " ".join(str(error.message or "this cannot be understood").split())[:200]
    return f"{said[:1].upper()}{said[1:]}."


class _Misuse(Exception):
    def __init__(self, code: str, detail: str, token: Token) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.token = token


class _Reader:
    """Walks the tree once: bounds its ranges, refuses unknown filters and stray breaks, collects what is read."""

    def __init__(self) -> None:
        self.reads: dict[Segments, Need] = {}
        self.follows = False
        self.local: set[str] = set()
        self.loop_names: list[str] = []
        self.loops = 0

    def read_all(self, nodes: Iterable[Node], need: Need, given: frozenset[Segments]) -> None:
        for node in nodes:
            self.read(node, need, given)

    def read(self, node: Node, need: Need, given: frozenset[Segments]) -> None:
        """Read one node. `given` are paths that an enclosing `if` has found to be true."""
        if isinstance(node, IfNode | UnlessNode):
            self._read_branches(node, given)
        elif isinstance(node, ForNode):
            self._read_loop(node, need, given)
        elif isinstance(node, BreakNode | ContinueNode) and not self.loops:
            raise _Misuse("misplaced_tag", f"`{node.token.value}` stands outside of any loop.", node.token)
        else:
            self._read_plain(node, need, given)

    def _read_plain(self, node: Node, need: Need, given: frozenset[Segments]) -> None:
        tests = isinstance(node, CaseNode | MultiExpressionBlockNode)
        needs_value = isinstance(node, OutputNode)
        for expression in node.expressions():
            self._expression(expression, Need.NEVER if tests else need if needs_value else Need.MAYBE, given)
        names = {str(name) for name in node.template_scope()}
        self.follows |= bool(names) and need is not Need.ALWAYS
        self.local |= names
        self.read_all(self._children(node), Need.MAYBE if tests else need, given)

    def _read_branches(self, node: IfNode | UnlessNode, given: frozenset[Segments]) -> None:
        self._expression(node.condition, Need.NEVER, given)
        found = _implied(node.condition) if isinstance(node, IfNode) else frozenset()
        self.read(node.consequence, Need.MAYBE, given | found)
        for branch in node.alternatives:
            self._expression(branch.expression, Need.NEVER, given)
            self.read(branch.block, Need.MAYBE, given | _implied(branch.expression))
        if node.default:
            self.read(node.default, Need.MAYBE, given)

    def _read_loop(self, node: ForNode, need: Need, given: frozenset[Segments]) -> None:
        self._expression(node.expression, need, given)
        self.loop_names += [node.expression.identifier, "forloop"]
        self.loops += 1
        self.read(node.block, Need.MAYBE, given)
        self.loops -= 1
        del self.loop_names[-2:]
        if node.default:
            self.read(node.default, Need.MAYBE, given)

    def _children(self, node: Node) -> Iterable[Node]:
        # The argument serves tags that load other templates, of which there are none.
        return node.children(_NO_CONTEXT, include_partials=False)

    def _expression(self, expression: Expression, need: Need, given: frozenset[Segments]) -> None:
        if isinstance(expression, RangeLiteral):
            expression.__class__ = BoundedRange
            # Its ends are used even where the range is only tested.
            need = max(need, Need.MAYBE)
        if isinstance(expression, Path):
            self._path(expression, need, given)
            return
        if isinstance(expression, FilteredExpression):
            self._filtered(expression, need, given)
            return
        for child in expression.children():
            self._expression(child, need, given)

    def _filtered(self, expression: FilteredExpression, need: Need, given: frozenset[Segments]) -> None:
        applied = expression.filters or []
        for each in applied:
            if each.name not in filters.NAMES:
                raise _Misuse("unknown_filter", f"There is no filter `{each.name[:40]}`.", each.token)
            allowed = filters.OPTIONS.get(each.name, frozenset())
            for argument in each.args:
                if isinstance(argument, KeywordArgument) and argument.name not in allowed:
                    detail = f"The filter `{each.name}` has no option `{argument.name[:40]}`."
                    raise _Misuse("syntax_error", detail, argument.token)
                self._expression(argument.value, min(need, Need.MAYBE), given)
        has_default = any(each.name == "default" for each in applied)
        self._expression(expression.left, Need.NEVER if has_default else need, given)

    def _path(self, path: Path, need: Need, given: frozenset[Segments]) -> None:
        key = _fixed_part(path)
        computed = len(key) < len(path.path)
        for nested in path.children():
            self._expression(nested, min(need, Need.MAYBE), given)
        if key in given:
            need = Need.NEVER
        if not key or key[0] in self.local or key[0] in self.loop_names:
            self.follows |= need > Need.NEVER and len(path.path) > 1 and key[:1] != ("forloop",)
            return
        self.follows |= need > Need.NEVER and computed
        if any(key[: len(known)] == known for known in given):
            need = min(need, Need.MAYBE)
        self.reads[key] = max(need, self.reads.get(key, Need.NEVER))


def _fixed_part(path: Path) -> Segments:
    """The path up to its first computed segment: of `texts[lang].title` it is `texts`."""
    fixed: list[str | int] = []
    for segment in path.path:
        if isinstance(segment, Path):
            break
        fixed.append(segment)
    return tuple(fixed)


def _implied(condition: Expression) -> frozenset[Segments]:
    """The paths that must have a value where the condition holds: those that it names alone or joins by `and`."""
    if isinstance(condition, BooleanExpression):
        return _implied(condition.expression)
    if isinstance(condition, LogicalAndExpression):
        return _implied(condition.left) | _implied(condition.right)
    if isinstance(condition, Path) and not condition.children():
        return frozenset({_fixed_part(condition)})
    return frozenset()


_NO_CONTEXT = RenderContext(BoundTemplate(ENVIRONMENTS[False], []))
