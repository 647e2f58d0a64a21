"""The one pass over a source: it finds the markers, refuses what is malformed and hands tokens to the parser.

It stands in for python-liquid's own lexer, whose expressions take quadratic time on unclosed markers, on unended raw
blocks and on long runs of spaces inside a marker. Every character here is looked at a bounded number of times. Tags
are an allow list; comments leave no token; blocks are matched, so that an unended one is reported where it begins.
"""

from __future__ import annotations

import re
from typing import NoReturn

from liquid.token import TOKEN_CONTENT, TOKEN_EXPRESSION, TOKEN_OUTPUT, TOKEN_TAG, Token

from messaging.content.liquid.limits import BLOCK_DEPTH, BRACKET_COUNT, MARKER_COUNT, MARKER_LENGTH

BLOCK_TAGS = {"if": "endif", "unless": "endunless", "case": "endcase", "for": "endfor", "capture": "endcapture"}
BARE_TAGS = frozenset({"else", *BLOCK_TAGS.values()})
PLAIN_TAGS = frozenset({"elsif", "when", "assign", "break", "continue", "cycle", "decrement", "echo", "increment"})

_OPEN = re.compile(r"\{[{%]")
_NAME = re.compile(r"#|\w+")
_COMMENT = re.compile(r"\{%-?\s*(comment|endcomment)\b[^{%]*%\}")
_END_RAW = re.compile(r"\{%(-?)\s*endraw\s*(-?)%\}")


class TemplateRefused(ValueError):
    """A source that cannot be a template.

    `code` is one of `source_too_long`, `too_many_markers`, `marker_too_long`, `unclosed_marker`, `empty_marker`,
    `unclosed_block`, `unexpected_end`, `blocks_too_deep`, `unknown_tag`, `unknown_filter`, `misplaced_tag`,
    `syntax_error`; `line` and `column` count from 1; `field` is the name that the caller gave to the source.
    """

    def __init__(self, code: str, detail: str, *, line: int, column: int, field: str) -> None:
        super().__init__(f"{field}, line {line}, column {column}: {detail}")
        self.code = code
        self.detail = detail
        self.line = line
        self.column = column
        self.field = field


def refuse(code: str, detail: str, *, source: str, at: int, field: str) -> NoReturn:
    """Raise TemplateRefused for the place `at`, an index into the source."""
    line = source.count("\n", 0, at) + 1
    column = at - source.rfind("\n", 0, at)
    raise TemplateRefused(code, detail, line=line, column=column, field=field)


def literal(text: str) -> str:
    """The source that every render gives this text for: what looks like a marker in it is none."""
    if not _OPEN.search(text):
        return text
    apart = _END_RAW.sub(lambda end: f"{end[0][0]}{{% endraw %}}{{% raw %}}{end[0][1:]}", text)
    return f"{{% raw %}}{apart}{{% endraw %}}"


def scan(source: str, *, field: str) -> list[Token]:
    """The tokens of a source, as python-liquid's parser takes them. Raises TemplateRefused."""
    return _Scan(source, field).run()


class _Scan:
    def __init__(self, source: str, field: str) -> None:
        self.source = source
        self.field = field
        self.tokens: list[Token] = []
        self.blocks: list[tuple[str, int]] = []
        self.position = 0
        self.markers = 0
        self.trim = False
        """Whether the last marker ended in a dash, which takes the white space after it."""

    def run(self) -> list[Token]:
        while opening := _OPEN.search(self.source, self.position):
            start = opening.start()
            self._content(start, trim_end=self.source.startswith("-", start + 2))
            self._marker(start)
        self._content(len(self.source), trim_end=False)
        if self.blocks:
            name, start = self.blocks[-1]
            self._refuse("unclosed_block", f"`{name}` is never ended by `{BLOCK_TAGS[name]}`.", start)
        return self.tokens

    def _refuse(self, code: str, detail: str, at: int) -> NoReturn:
        refuse(code, detail, source=self.source, at=at, field=self.field)

    def _add(self, kind: str, value: str, at: int) -> None:
        self.tokens.append(Token(kind, value, at, self.source))

    def _content(self, end: int, *, trim_end: bool) -> None:
        text = self.source[self.position : end]
        if self.trim:
            text = text.lstrip()
        if trim_end:
            text = text.rstrip()
        if text:
            self._add(TOKEN_CONTENT, text, self.position)
        self.position = end

    def _marker(self, start: int) -> None:
        is_output = self.source[start + 1] == "{"
        inside = self._inside(start, "}}" if is_output else "%}")
        opens = inside.startswith("-")
        self.trim = inside.endswith("-") and len(inside) > opens
        self.position = start + len(inside) + 4
        body = inside[opens : len(inside) - self.trim]
        text = body.lstrip()
        at = start + 2 + opens + len(body) - len(text)
        text = text.rstrip()
        if not text:
            self._refuse("empty_marker", "There is nothing inside this marker.", start)
        if is_output:
            self._add(TOKEN_OUTPUT, self.source[start : self.position], start)
            self._add(TOKEN_EXPRESSION, text, at)
        else:
            self._tag(text, at, start)

    def _inside(self, start: int, closing: str) -> str:
        """What stands between the delimiters of the marker that begins at `start`."""
        end = self.source.find(closing, start + 2)
        inside = self.source[start + 2 : end]
        if end < 0 or _OPEN.search(inside):
            opening = self.source[start : start + 2]
            self._refuse("unclosed_marker", f"`{opening}` is not closed by `{closing}` before the next one.", start)
        self.markers += 1
        if self.markers > MARKER_COUNT:
            self._refuse("too_many_markers", f"A template has at most {MARKER_COUNT} markers.", start)
        if len(inside) > MARKER_LENGTH or inside.count("[") > BRACKET_COUNT:
            detail = f"A marker has at most {MARKER_LENGTH} characters and {BRACKET_COUNT} brackets."
            self._refuse("marker_too_long", detail, start)
        return inside

    def _tag(self, text: str, at: int, start: int) -> None:
        match = _NAME.match(text)
        name = match.group() if match else text[:1]
        rest = text[len(name) :]
        expression = rest.lstrip()
        if name == "#":
            return
        if name in ("comment", "raw"):
            self._verbatim(name, start)
            return
        self._track(name, start, has_expression=bool(expression))
        self._add(TOKEN_TAG, name, at)
        if expression:
            self._add(TOKEN_EXPRESSION, expression, at + len(name) + len(rest) - len(expression))

    def _verbatim(self, name: str, start: int) -> None:
        if name == "comment":
            self._comment(start)
        else:
            self._raw(start)

    def _track(self, name: str, start: int, *, has_expression: bool) -> None:
        """Refuse a tag that is not on the list or not in its place; remember the blocks that are open."""
        if name in BLOCK_TAGS:
            self.blocks.append((name, start))
            if len(self.blocks) > BLOCK_DEPTH:
                self._refuse("blocks_too_deep", f"At most {BLOCK_DEPTH} blocks may stand inside each other.", start)
        elif name in BARE_TAGS:
            if has_expression:
                hint = " Did you mean `elsif`?" if name == "else" else ""
                self._refuse("syntax_error", f"`{name}` stands alone.{hint}", start)
            if name != "else":
                self._end_block(name, start)
        elif name not in PLAIN_TAGS:
            self._refuse("unknown_tag", f"There is no tag `{name[:40]}`.", start)

    def _end_block(self, name: str, start: int) -> None:
        if not self.blocks or BLOCK_TAGS[self.blocks[-1][0]] != name:
            self._refuse("unexpected_end", f"`{name}` ends nothing that is open here.", start)
        self.blocks.pop()

    def _comment(self, start: int) -> None:
        depth = 1
        while depth:
            match = _COMMENT.search(self.source, self.position)
            if match is None:
                self._refuse("unclosed_block", "`comment` is never ended by `endcomment`.", start)
            depth += 1 if match.group(1) == "comment" else -1
            self.position = match.end()
        self.trim = self.source.startswith("-%}", self.position - 3)

    def _raw(self, start: int) -> None:
        match = _END_RAW.search(self.source, self.position)
        if match is None:
            self._refuse("unclosed_block", "`raw` is never ended by `endraw`.", start)
        self._content(match.start(), trim_end=bool(match.group(1)))
        self.position = match.end()
        self.trim = bool(match.group(2))
