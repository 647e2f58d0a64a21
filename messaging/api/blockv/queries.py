"""The query parameters of this surface's lists. An empty one counts as left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from messaging.api.blockv.vocabulary import ASCENDING, ActionWord, LanguageWord, OrderWord, StatusWord, SystemWord
from messaging.api.common import bodies
from messaging.errors import Invalid

LIMIT = 20
LARGEST = 100
_LONGEST = 255
_LONGEST_ADDRESS = 2_048
_LONGEST_TOKEN = 8_192
_DAY = len("2024-01-01")
_MILLISECOND = timedelta(milliseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC)

MessageSort = Literal["when_created", "when_modified", "scheduled_at", "status", "to"]
TemplateSort = Literal["when_created", "when_modified", "name", "system"]

Token = Annotated[str, Meta(max_length=_LONGEST_TOKEN, extra_json_schema={"pattern": "^[A-Za-z0-9_-]*$"})]
Id = Annotated[str, Meta(max_length=_LONGEST)]
Moment = Annotated[str, Meta(max_length=40, extra_json_schema={"format": "date-time"})]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time: from its first moment up to, and without, its end. None is open."""

    start: datetime | None
    end: datetime | None


class ListQuery(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What both lists take."""

    id: Annotated[Id, Meta(description="The one with this id.")] = ""
    limit: Annotated[int, Meta(ge=1, le=LARGEST, description="How many to return at one time.")] = LIMIT
    autocomplete: Annotated[
        str, Meta(max_length=_LONGEST, description="How a recipient, or the name of a template, begins.")
    ] = ""
    next: Annotated[Token, Meta(description="`next` of the page before.")] = ""
    order: Annotated[OrderWord, Meta(description="Which way to sort.")] = "desc"
    language: LanguageWord | UnsetType = UNSET
    system: SystemWord | UnsetType = UNSET
    created_gt: Annotated[Moment, Meta(description="Created after.")] = msgspec.field(
        default="", name="when_created[$gt]"
    )
    created_lt: Annotated[Moment, Meta(description="Created before.")] = msgspec.field(
        default="", name="when_created[$lt]"
    )
    created_gte: Annotated[Moment, Meta(description="Created then or after.")] = msgspec.field(
        default="", name="when_created[$gte]"
    )
    created_lte: Annotated[Moment, Meta(description="Created then or before.")] = msgspec.field(
        default="", name="when_created[$lte]"
    )

    @property
    def ascending(self) -> bool:
        return ASCENDING[self.order]

    def window(self) -> Window:
        """What the bounds say together, at the precision that moments are shown with.

        Raises:
            Invalid: one is no moment.
        """
        starts = [
            _after(moment(self.created_gt, "when_created[$gt]")),
            _from(moment(self.created_gte, "when_created[$gte]")),
        ]
        ends = [
            _from(moment(self.created_lt, "when_created[$lt]")),
            _after(moment(self.created_lte, "when_created[$lte]")),
        ]
        return Window(start=max(_said(starts), default=None), end=min(_said(ends), default=None))


class MessageQuery(ListQuery, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What the list of messages takes."""

    sort_by: Annotated[MessageSort, Meta(description="What to sort by.")] = msgspec.field(
        default="when_created", name="sortBy"
    )
    template_id: Annotated[Id, Meta(description="Made from this template.")] = ""
    to: Annotated[str, Meta(max_length=_LONGEST_ADDRESS, description="A recipient: an address, or an id.")] = ""
    action_type: ActionWord | UnsetType = UNSET
    status: StatusWord | UnsetType = UNSET


class TemplateQuery(ListQuery, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What the list of templates takes."""

    sort_by: Annotated[TemplateSort, Meta(description="What to sort by.")] = msgspec.field(
        default="when_created", name="sortBy"
    )
    type: ActionWord | UnsetType = UNSET


def moment(text: str, name: str) -> datetime | None:
    """The moment that a text tells, None for an empty one: RFC 3339, or a day, which begins at midnight in UTC.

    Raises:
        Invalid: it tells none.
    """
    if not text:
        return None
    # A day alone; and the plus of an offset, which arrives as a blank where a URL was not encoded.
    whole = f"{text}T00:00:00Z" if len(text) == _DAY else text.replace(" ", "+") if "T" in text else text
    try:
        found = msgspec.convert(whole, Annotated[datetime, Meta(tz=True)])
    except msgspec.ValidationError:
        detail = "A moment is written as in 2024-01-01T00:00:00Z, with an offset."
        raise Invalid.at(f"/{name}", "invalid_moment", detail) from None
    return bodies.utc(found, f"/{name}")


def _from(at: datetime | None) -> datetime | None:
    """The first moment that is shown as this one, or later."""
    return at if at is None or not at.microsecond % 1000 else _after(at)


def _after(at: datetime | None) -> datetime | None:
    """The first moment that is shown as later than this one."""
    if at is None:
        return None
    shown = at.replace(microsecond=at.microsecond // 1000 * 1000)
    return shown + _MILLISECOND if shown <= _LAST - _MILLISECOND else _LAST


def _said(moments: Iterable[datetime | None]) -> list[datetime]:
    return [each for each in moments if each is not None]
