"""Values of which a test knows the form alone: each equals whatever has it, so that a null or an empty text is told."""

from __future__ import annotations

import re
from datetime import datetime


class Form:
    """Equal to every text that an expression matches whole."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str, expression: str) -> None:
        self.name = name
        self.expression = re.compile(expression)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.expression.fullmatch(other) is not None

    def __repr__(self) -> str:
        return f"<{self.name}>"


MOMENT = Form("a moment", r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TREND = Form("a trend", "increasing|stable|decreasing")
SENTENCE = Form("a sentence", r"\S[^\n]{5,}")


def moment_of(at: datetime | None) -> str:
    """A moment as all documents write it."""
    assert at is not None
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
