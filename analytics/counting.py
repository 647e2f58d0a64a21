"""Reads counts: the rollups, and on top of them the tail of the log that no rollup holds yet.

Each question is one statement, so that cursor, rollups and tail are of one snapshot and nothing counts twice. The
tail is bounded: where more is waiting than that, the counts are as of the moment that the tail reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from django.db import connection
from django.utils import timezone

from analytics.deltas import BUCKET, COUNTED, MEASURE, PLACED
from analytics.histogram import Histogram
from analytics.models import Measure
from analytics.rollups import PROGRESS
from analytics.windows import Window
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

_EXPRESSIONS: Final[dict[Key, str]] = {
    "day": "date_trunc('day', hour, 'UTC')",
    "current": "hour >= %(middle)s",
}


def count(scope: Scope, *, by: Sequence[Key] = (), window: Window | None = None, previous: bool = False) -> Counted:
    """Count a scope's messages by keys. `previous` takes the window before as well; the key `current` tells which."""
    keys = [f"{_EXPRESSIONS.get(key, key)} AS k{place}" for place, key in enumerate(by)]
    where, parameters = _where(scope, window, previous=previous)
    names = ", ".join(COUNTERS)
    own = ", ".join(["workspace_id", "hour", "channel", "provider", "template_id", "campaign_id", "test"])
    sql = f"""
WITH {_RECENT_PLACED}, counted AS (
    SELECT {own}, {names} FROM analytics_rollup WHERE {where}
    UNION ALL
    SELECT {own}, {COUNTED} FROM placed WHERE {where} GROUP BY {own}
), grouped AS (
    SELECT {", ".join([*keys, *(f"sum({name})::bigint AS {name}" for name in COUNTERS)])}
      FROM counted {"GROUP BY " + ", ".join(f"k{place}" for place in range(len(by))) if by else ""}
)
SELECT {_AS_OF}, grouped.* FROM (SELECT) AS once LEFT JOIN grouped ON true
"""
    rows = _fetch(sql, parameters)
    width = 1 + len(by)
    found = {tuple(row[1:width]): Counts(*row[width:]) for row in rows if row[width] is not None}
    return Counted(rows=found, as_of=rows[0][0])


def time_steps(scope: Scope, *, window: Window) -> Timed:
    """The histograms of a scope's steps in a window and in the one before. Kept by channel only."""
    where, parameters = _where(scope, window, previous=True)
    sql = f"""
WITH {_RECENT_PLACED}, timed AS (
    SELECT measure, channel, hour, bucket, count, seconds, longest FROM analytics_timing WHERE {where}
    UNION ALL
    SELECT {MEASURE}, channel, hour, {BUCKET}, 1, took::float8, took::float8
      FROM placed WHERE took IS NOT NULL AND {where}
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


def _where(scope: Scope, window: Window | None, *, previous: bool) -> tuple[str, dict[str, Any]]:
    conditions = ["workspace_id = %(workspace)s", "test = %(test)s"]
    parameters: dict[str, Any] = {
        "workspace": scope.workspace_id,
        "test": scope.test,
        "progress": PROGRESS,
        "tail": TAIL,
        "middle": window.since if window else timezone.now(),
    }
    if window is not None:
        conditions.append("hour >= %(since)s AND hour < %(until)s")
        parameters["since"] = window.before.since if previous else window.since
        parameters["until"] = window.until
    for name in ("template_id", "campaign_id"):
        value = getattr(scope, name)
        if value is not None:
            conditions.append(f"{name} = %({name})s")
            parameters[name] = value
    if scope.channels:
        conditions.append("channel = ANY(%(channels)s)")
        parameters["channels"] = [channel.value for channel in scope.channels]
    return " AND ".join(conditions), parameters


def _fetch(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
