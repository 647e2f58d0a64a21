"""What became of a workspace's messages: counts, rates and where they are going.

A statistic equals counting the messages' own timestamps, those that a later state implied included, in the hour of
created_at. A person's retry takes back what it cleared. `failed` are the messages that were never sent; what was
sent and came back counts as bounced. What still waits counts in no column but total.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from django.utils import timezone

from analytics import counting
from analytics.counting import Counts, Scope
from analytics.windows import Timeframe, Trend, Window, day_of, trend, window_of
from channels_app.types import Channel
from messaging.dispatch.tally import STAMPS
from messaging.models import Message

W = TypeVar("W", bound=str)
Grain = Literal["hour", "day"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Shares between 0 and 1; 0 where there is nothing to divide by."""

    delivery: float
    """Of what was sent."""
    open: float
    """Of what was delivered, like the next two."""
    click: float
    complaint: float
    bounce: float
    """Of what was sent."""
    success: float
    """What was sent, of all that was sent or failed."""
    error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Trends:
    """Against the window before; the number of messages by what came in a second, since an hour may still run."""

    messages: Trend
    delivery_rate: Trend
    open_rate: Trend
    click_rate: Trend
    bounce_rate: Trend


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """The counts of a window."""

    window: Window
    totals: Counts
    by_channel: dict[Channel, Counts]
    trends: Trends
    as_of: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """The counts of one stretch of a series."""

    at: datetime
    counts: Counts


def rates(counts: Counts) -> Rates:
    """The shares that counts amount to."""
    tried = counts.sent + counts.failed
    return Rates(
        delivery=_share(counts.delivered, counts.sent),
        open=_share(counts.opened, counts.delivered),
        click=_share(counts.clicked, counts.delivered),
        complaint=_share(counts.complained, counts.delivered),
        bounce=_share(counts.bounced, counts.sent),
        success=_share(counts.sent, tried),
        error=_share(counts.failed, tried),
    )


def counts_of(message: Message) -> Counts:
    """The part that one message has in the counts."""
    stamps = {name: int(getattr(message, f"{name}_at") is not None) for name in ("complained", *STAMPS)}
    return Counts(**{**stamps, "total": 1, "failed": int(stamps["failed"] and not stamps["sent"])})


def grouped(counts: Mapping[Channel, Counts], groups: Mapping[W, Collection[Channel]]) -> dict[W, Counts]:
    """The counts of channels that belong together, by what they are together."""
    return {
        word: sum((counts[channel] for channel in channels if channel in counts), start=Counts())
        for word, channels in groups.items()
    }


def statistics(scope: Scope, *, window: Window, now: datetime | None = None) -> Statistics:
    """Count the messages of a window, whole and by channel, and compare it with the window before."""
    found = counting.count(scope, by=("current", "channel"), window=window, previous=True)
    channels = sorted({channel for current, channel in found.rows if current}, key=list(Channel).index)
    totals, before = found.together(where=[(0, True)]), found.together(where=[(0, False)])
    return Statistics(
        window=window,
        totals=totals,
        by_channel={Channel(channel): found.rows[True, channel] for channel in channels},
        trends=trends(totals, before, window=window, now=now or timezone.now()),
        as_of=found.as_of,
    )


def statistics_of(scope: Scope, timeframe: Timeframe, *, now: datetime | None = None) -> Statistics:
    """The same of a timeframe that ends now."""
    return statistics(scope, window=window_of(timeframe, now=now), now=now)


def trends(present: Counts, past: Counts, *, window: Window, now: datetime) -> Trends:
    """Compare the counts of a window with those of the one before."""
    here, there = rates(present), rates(past)
    before = window.before
    return Trends(
        messages=trend(present.total / window.elapsed(now), past.total / before.elapsed(now)),
        delivery_rate=trend(here.delivery, there.delivery),
        open_rate=trend(here.open, there.open),
        click_rate=trend(here.click, there.click),
        bounce_rate=trend(here.bounce, there.bounce),
    )


def series(scope: Scope, *, window: Window, by: Grain) -> list[Point]:
    """The counts of each hour or day (UTC) of a window, in order, those without a message too."""
    found = counting.count(scope, by=(by,), window=window)
    step = timedelta(days=1) if by == "day" else timedelta(hours=1)
    at = day_of(window.since) if by == "day" else window.since
    points = []
    while at < window.until:
        points.append(Point(at=at, counts=found.rows.get((at,), Counts())))
        at += step
    return points


def by_provider(scope: Scope, *, window: Window | None = None) -> dict[str, Counts]:
    """What became of the messages that each provider had; `total` stands under no provider."""
    return {key[0]: counts for key, counts in counting.count(scope, by=("provider",), window=window).rows.items()}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
