"""Templates that only put values into a text, such as most subjects: joined without the engine, some ten times as fast.

Whatever is not plain (another kind of value, one that is missing, a result past a bound) is left to the engine, which
alone decides what that gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from liquid import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import OutputNode
from markupsafe import escape

from messaging.content.liquid.context import find
from messaging.content.liquid.limits import NUMBER_LIMIT, OUTPUT_LIMIT

Pieces = tuple[str | tuple[str | int, ...], ...]
"""Texts, and paths to the values that stand between them."""


def pieces_of(nodes: Sequence[Node]) -> Pieces | None:
    """The pieces of a template that does nothing but put values into a text; None for any other."""
    pieces: list[str | tuple[str | int, ...]] = []
    for node in nodes:
        if isinstance(node, ContentNode):
            pieces.append(node.text)
            continue
        path = _path(node)
        if path is None:
            return None
        pieces.append(path)
    return tuple(pieces)


def _path(node: Node) -> tuple[str | int, ...] | None:
    if type(node) is not OutputNode or type(node.expression) is not FilteredExpression:
        return None
    left = node.expression.left
    if node.expression.filters or type(left) is not Path or not isinstance(left.path[0], str):
        return None
    fixed = tuple(segment for segment in left.path if not isinstance(segment, Path))
    return fixed if len(fixed) == len(left.path) else None


def fill(pieces: Pieces, data: Mapping[str, Any], *, html: bool) -> str | None:
    """The pieces with their values between them; None where that is for the engine to decide."""
    filled: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            filled.append(piece)
            continue
        value = find(data, piece)
        if type(value) is int and -NUMBER_LIMIT < value < NUMBER_LIMIT:
            value = str(value)
        if type(value) is not str:
            return None
        filled.append(str(escape(value)) if html else value)
    text = "".join(filled)
    return text if len(text) <= OUTPUT_LIMIT else None
