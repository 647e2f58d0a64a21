"""Reads query parameters: words in any case, whole numbers, moments. Every bad value is told, by its name.

A parameter that nobody knows is passed by, and an empty one counts as left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar

from django.http import QueryDict

from messaging.api.common import queries
from messaging.content import screen
from messaging.errors import FieldError, Invalid

W = TypeVar("W", bound=str)
T = TypeVar("T")

LARGEST: Final = 200
FARTHEST: Final = 1_000_000_000
PLACES: Final = frozenset({"limit", "offset"})
_LONGEST: Final = 2048
_DATE: Final = re.compile(r"\d{4}-?\d\d-?\d\d\Z", re.ASCII)


class Query:
    """The parameters of one request. Ask for each, then `check`."""

    def __init__(self, given: QueryDict) -> None:
        self._given = given
        self._errors: list[FieldError] = []

    def word(self, name: str, known: Mapping[W, T], default: T) -> T:
        """What a word stands for, in any case."""
        text = self.text(name)
        if text is None:
            return default
        folded = {word.lower(): value for word, value in known.items()}
        if text.lower() not in folded:
            self._refuse(name, "invalid_choice", f"{name} is one of {', '.join(known)}.")
        return folded.get(text.lower(), default)

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number within bounds."""
        text = self.text(name)
        if text is None:
            return default
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else -1
        if not least <= number <= most:
            self._refuse(name, "out_of_range", f"{name} is a whole number from {least} to {most}.")
            return default
        return number

    def page(self, *, limit: int = 50) -> tuple[int, int]:
        """How many are wanted, and how many are skipped."""
        return (
            self.number("limit", limit, least=1, most=LARGEST),
            self.number("offset", 0, least=0, most=FARTHEST),
        )

    def moment(self, name: str, *, end: bool = False) -> datetime | None:
        """A moment in ISO 8601, in UTC where it names no offset; a bare date is its first moment, or as an end the
        first one after it."""
        text = self.text(name)
        if text is None:
            return None
        try:
            # A plus that was not escaped arrives as a space.
            moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
            if end and _DATE.match(text):
                if moment.date() == date.max:
                    return None
                moment += timedelta(days=1)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self._refuse(name, "invalid_value", f"{name} is a date or a moment in ISO 8601.")
            return None

    def text(self, name: str) -> str | None:
        """A parameter as it stands; None where it is left out."""
        return self._raw(name).strip() or None

    def address(self, name: str) -> str | None:
        """An address or an id, in which a plus that was not escaped is a plus."""
        return queries.address(self._raw(name)).strip() or None

    def _raw(self, name: str) -> str:
        values = self._given.getlist(name)
        if len(values) > 1:
            self._refuse(name, "repeated_parameter", f"{name} stands here more than once.")
        text = values[0] if values else ""
        if len(text) > _LONGEST:
            self._refuse(name, "too_long", f"{name} has at most {_LONGEST} characters.")
            return ""
        screen.one_line(text, pointer=f"/{name}")
        return text

    def check(self) -> None:
        """Refuse what was found wrong.

        Raises:
            Invalid: a value cannot be used; of a place in a list alone by the code `invalid_parameter`.
        """
        if self._errors:
            code = "invalid_parameter" if PLACES.issuperset(each.pointer[1:] for each in self._errors) else None
            raise Invalid(self._errors[0].detail, code=code, errors=self._errors)

    def _refuse(self, name: str, code: str, detail: str) -> None:
        self._errors.append(FieldError(f"/{name}", code, detail))
