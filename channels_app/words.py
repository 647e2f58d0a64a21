"""What a provider says, made fit to show."""

from __future__ import annotations

import re
from typing import Final

DETAIL_LIMIT: Final = 500
"""Characters of a provider's words that are kept."""

_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufffd]+")
_ESCAPE_CODES: Final = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|[@-Z\\\\-_])")


def cleaned(words: bytes) -> str:
    """Make a provider's words fit to show: no escape or control codes, and not too long."""
    text = _ESCAPE_CODES.sub("", words[: DETAIL_LIMIT * 8].decode("utf-8", "replace"))
    return " ".join(_CONTROLS.sub(" ", text).split())[:DETAIL_LIMIT]
