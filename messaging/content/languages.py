"""Language tags (BCP 47): one spelling of each, and what to look for where there is nothing in a language."""

from __future__ import annotations

import re

LENGTH = 35

_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", re.ASCII)
_ENCODING = re.compile(r"[.@]")


def canonical(text: str) -> str | None:
    """The usual spelling of a tag, `pt-BR` for `pt_br` and `PT-br`; None for what is no tag.

    The names of locales are taken too: of `pt_BR.UTF-8` only the language counts.
    """
    tag = _ENCODING.split(text.strip(), maxsplit=1)[0].replace("_", "-")
    if len(tag) > LENGTH or not _TAG.fullmatch(tag):
        return None
    language, *rest = tag.split("-")
    spelled = [language.lower()]
    extended = False
    for part in rest:
        extended = extended or len(part) == 1
        spelled.append(part.lower() if extended else _cased(part))
    return "-".join(spelled)


def _cased(part: str) -> str:
    """Regions are written in capitals, scripts with one; the rest is small."""
    if len(part) == 2:
        return part.upper()
    return part.title() if len(part) == 4 and part.isalpha() else part.lower()


def chain(text: str) -> list[str]:
    """A language and what it falls back to: `zh-Hant-TW`, `zh-Hant`, `zh`. Empty for what is no tag."""
    parts = (canonical(text) or "").split("-")
    found: list[str] = []
    while parts and parts[0]:
        found.append("-".join(parts))
        parts.pop()
        # A single letter only opens what followed it (RFC 4647, 3.4).
        if parts and len(parts[-1]) == 1:
            parts.pop()
    return found
