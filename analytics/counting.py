"""Reads counts: the rollups, and on top of them the tail of the log that no rollup holds yet.

Each question is one statement, so that cursor, rollups and tail are of one snapshot and nothing counts twice. The
tail is bounded: where more is waiting than that, the counts are as of the moment that the tail reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from django.db import connection

from analytics.deltas import BUCKET, COUNTED, KEYS, MEASURE, PLACED
from analytics.histogram import Histogram
from analytics.models import Measure, Span
from analytics.rollups import PROGRESS
from analytics.windows import Window, day_of
from channels_app.types import Channel
from messaging.dispatch.tally import COUNTERS

TAIL: Final = 20_000
"""Events of the log that one question reads at the most."""

Key = Literal["channel", "provider", "template_id", "campaign_id", "hour", "day", "current"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Which messages are counted; what is left out narrows nothing, but test mode is never mixed with the rest."""

    workspace_id: UUID
    channels: frozenset[Channel] = frozenset()
    template_id: UUID | None = None
    campaign_id: UUID | None = None
    test: bool = False

    @property
    def narrowed(self) -> set[str]:
        """Which of a message's own template and campaign are asked for."""
        return {name for name in ("template_id", "campaign_id") if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages by what has become of them. Cumulative: one that was opened was delivered and sent as well."""

    total: int = 0
    sent: int = 0
    delivered: int = 0
    opened: int = 0
    clicked: int = 0
    bounced: int = 0
    failed: int = 0
    unsubscribed: int = 0
    cancelled: int = 0
    complained: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in COUNTERS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """Counts by their keys, and the moment that they are as of."""

    rows: dict[tuple[Any, ...], Counts]
    as_of: datetime

    def together(self, *, where: Iterable[tuple[int, Any]] = ()) -> Counts:
        """The sum over the rows whose key has these values at these places."""
        wanted = list(where)
        some = (counts for key, counts in self.rows.items() if all(key[place] == value for place, value in wanted))
        return sum(some, Counts())


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """Histograms by measure, channel, and whether they are of the window itself or of the one before."""

    rows: dict[tuple[Measure, Channel, bool], Histogram]
    as_of: datetime

    def together(self, measure: Measure, *, current: bool = True, channel: Channel | None = None) -> Histogram:
        """The steps of one measure, over all channels or in one."""
        return Histogram.together(
            histogram
            for key, histogram in self.rows.items()
            if key[0] is measure and key[2] is current and channel in {None, key[1]}
        )


class _Range(NamedTuple):
    span: Span
    low: datetime
    high: datetime


_RECENT = """
reached AS MATERIALIZED (
    SELECT COALESCE(max(xact), 0)::text::xid8 AS xact, COALESCE(max(open), '{}')::text[]::xid8[] AS open
      FROM analytics_progress WHERE id = %(progress)s
), recent AS MATERIALIZED (
    (SELECT message_id, workspace_id, at, provider, tally, took FROM messaging_messageevent
      WHERE xact >= (SELECT xact FROM reached) AND tally <> 0 ORDER BY xact LIMIT %(tail)s)
    UNION ALL
    (SELECT message_id, workspace_id, at, provider, tally, took FROM messaging_messageevent
      WHERE xact = ANY((SELECT open FROM reached)::xid8[]) AND tally <> 0 LIMIT %(tail)s)
), own AS (
    SELECT * FROM recent WHERE workspace_id = %(workspace)s
), placed AS MATERIALIZED ({placed})
"""
_AS_OF = "(SELECT CASE WHEN count(*) < %(tail)s THEN now() ELSE max(at) END FROM recent)"
_RECENT_PLACED = _RECENT.replace("{placed}", PLACED.format(events="own"))

_DETAILS: Final = {"provider", "template_id", "campaign_id"}
"""What only rows in detail tell."""
_IN_WINDOW = "hour >= %(since)s AND hour < %(until)s"
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)

_EXPRESSIONS: Final[dict[Key, str]] = {
    "day": "date_trunc('day', hour, 'UTC')",
    "current": "hour >= %(middle)s",
}


def count(scope: Scope, *, by: Sequence[Key] = (), window: Window | None = None, previous: bool = False) -> Counted:
    """Count a scope's messages by keys. `previous` takes the window before as well; the key `current` tells which."""
    places = ", ".join(f"k{place}" for place in range(len(by)))
    keys = [f"{_EXPRESSIONS.get(key, key)} AS k{place}" for place, key in enumerate(by)]
    ranges = _ranges(window, previous=previous, hourly="hour" in by)
    where, parameters = _where(scope, window, ranges)
    parameters["whole"] = not _DETAILS & {*by, *scope.narrowed}
    own, names = ", ".join(KEYS), ", ".join(COUNTERS)
    sql = f"""
WITH {_RECENT_PLACED}, counted AS (
    {_stored(f"SELECT {own}, {names} FROM analytics_rollup WHERE {where} AND whole = %(whole)s", ranges)}
    UNION ALL
    SELECT {own}, {", ".join(COUNTED.values())} FROM placed WHERE {_IN_WINDOW} AND {where} GROUP BY {own}
), grouped AS (
    SELECT {", ".join([*keys, *(f"sum({name})::bigint AS {name}" for name in COUNTERS)])}
      FROM counted {f"GROUP BY {places}" if by else ""}
)
SELECT {_AS_OF}, grouped.* FROM (SELECT) AS once LEFT JOIN grouped ON true
"""
    rows = _fetch(sql, parameters)
    width = 1 + len(by)
    found = {tuple(row[1:width]): Counts(*row[width:]) for row in rows if row[width] is not None}
    return Counted(rows=found, as_of=rows[0][0])


def time_steps(scope: Scope, *, window: Window) -> Timed:
    """The histograms of a scope's steps in a window and in the one before. Kept by channel only."""
    ranges = _ranges(window, previous=True)
    where, parameters = _where(scope, window, ranges)
    stored = f"SELECT measure, channel, hour, bucket, count, seconds, longest FROM analytics_timing WHERE {where}"
    sql = f"""
WITH {_RECENT_PLACED}, timed AS (
    {_stored(stored, ranges)}
    UNION ALL
    SELECT {MEASURE}, channel, hour, {BUCKET}, 1, took::float8, took::float8
      FROM placed WHERE took IS NOT NULL AND {_IN_WINDOW} AND {where}
), grouped AS (
    SELECT measure, channel, hour >= %(middle)s AS current, bucket, sum(count)::bigint AS count,
           sum(seconds) AS seconds, max(longest) AS longest
      FROM timed GROUP BY 1, 2, 3, 4
)
SELECT {_AS_OF}, grouped.* FROM (SELECT) AS once LEFT JOIN grouped ON true
"""
    rows = _fetch(sql, parameters)
    found: dict[tuple[Measure, Channel, bool], Histogram] = {}
    for _, measure, channel, current, *bucket in rows:
        if measure is not None:
            found.setdefault((Measure(measure), Channel(channel), current), Histogram()).add(*bucket)
    return Timed(rows=found, as_of=rows[0][0])


def _where(scope: Scope, window: Window | None, ranges: Sequence[_Range]) -> tuple[str, dict[str, Any]]:
    """The conditions that rollups and tail share, and the parameters of both."""
    parameters: dict[str, Any] = {
        "workspace": scope.workspace_id,
        "test": scope.test,
        "progress": PROGRESS,
        "tail": TAIL,
        "since": ranges[0].low,
        "until": ranges[-1].high,
        "middle": window.since if window else _EVER,
    }
    for place, each in enumerate(ranges):
        parameters |= {f"span{place}": each.span, f"low{place}": each.low, f"high{place}": each.high}
    conditions = ["workspace_id = %(workspace)s", "test = %(test)s"]
    for name in sorted(scope.narrowed):
        conditions.append(f"{name} = %({name})s")
        parameters[name] = getattr(scope, name)
    if scope.channels:
        conditions.append("channel = ANY(%(channels)s)")
        parameters["channels"] = [channel.value for channel in scope.channels]
    return " AND ".join(conditions), parameters


def _stored(select: str, ranges: Sequence[_Range]) -> str:
    """The rows of each range by a statement of its own, so that the planner knows how few they are."""
    return "\n    UNION ALL ".join(
        f"{select} AND span = %(span{place})s AND hour >= %(low{place})s AND hour < %(high{place})s"
        for place in range(len(ranges))
    )


def _ranges(window: Window | None, *, previous: bool = False, hourly: bool = False) -> list[_Range]:
    """The rows that make up a window: those of its whole days, and those of the hours before and after them."""
    if window is None:
        return [_Range(Span.HOUR if hourly else Span.DAY, _EVER, _NEVER)]
    before = _ranges(window.before, hourly=hourly) if previous else []
    first, last = day_of(window.since + timedelta(hours=23)), day_of(window.until)
    if hourly or first >= last:
        return [*before, _Range(Span.HOUR, window.since, window.until)]
    parts = [_Range(Span.HOUR, window.since, first), _Range(Span.DAY, first, last)]
    return [*before, *parts, _Range(Span.HOUR, last, window.until)]


def _fetch(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
