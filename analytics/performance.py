"""How fast and how well messages go out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from analytics import counting
from analytics.counting import Counts, Scope, Timed
from analytics.histogram import Histogram
from analytics.models import Measure
from analytics.statistics import Rates, rates
from analytics.windows import Timeframe, Trend, Window, trend, window_of
from channels_app.types import Channel


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """How long a step takes, in seconds; None where nothing was timed."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None
    mean: float | None
    longest: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Latencies:
    """The three steps that are timed."""

    sending: Latency
    """From the accept, or the time that was asked for, to the provider."""
    delivery: Latency
    """From the provider to the recipient, as far as providers report it."""
    opening: Latency
    """From the recipient's mailbox or device to being opened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One channel's performance."""

    latency: Latencies
    counts: Counts
    rates: Rates


@dataclass(frozen=True, kw_only=True, slots=True)
class PerformanceTrends:
    """Against the window before. A time that increases is one that grows longer."""

    sending_time: Trend
    delivery_time: Trend
    opening_time: Trend
    delivery_rate: Trend
    open_rate: Trend
    error_rate: Trend


@dataclass(frozen=True, kw_only=True, slots=True)
class Performance:
    """The times and rates of a window."""

    window: Window
    latency: Latencies
    rates: Rates
    messages_per_second: float
    """Sent, over the part of the window that has passed."""
    by_channel: dict[Channel, Part]
    trends: PerformanceTrends
    as_of: datetime


def performance(scope: Scope, *, window: Window, now: datetime | None = None) -> Performance:
    """Measure a window, whole and by channel, and compare it with the window before.

    Times are kept by channel; a scope's template or campaign cannot narrow them and is refused by ValueError.
    """
    if scope.template_id is not None or scope.campaign_id is not None:
        raise ValueError("times are not kept by template or campaign")
    counted = counting.count(scope, by=("current", "channel"), window=window, previous=True)
    timed = counting.time_steps(scope, window=window)
    present, past = (counted.together(where=[(0, current)]) for current in (True, False))
    here, there = rates(present), rates(past)
    channels = [channel for channel in Channel if (True, channel.value) in counted.rows]
    return Performance(
        window=window,
        latency=_latencies(timed),
        rates=here,
        messages_per_second=present.sent / window.elapsed(now or timezone.now()),
        by_channel={
            channel: Part(latency=_latencies(timed, channel), counts=counts, rates=rates(counts))
            for channel in channels
            for counts in (counted.rows[True, channel.value],)
        },
        trends=PerformanceTrends(
            sending_time=_time_trend(timed, Measure.SENDING),
            delivery_time=_time_trend(timed, Measure.DELIVERY),
            opening_time=_time_trend(timed, Measure.OPENING),
            delivery_rate=trend(here.delivery, there.delivery),
            open_rate=trend(here.open, there.open),
            error_rate=trend(here.error, there.error),
        ),
        as_of=min(counted.as_of, timed.as_of),
    )


def performance_of(scope: Scope, timeframe: Timeframe, *, now: datetime | None = None) -> Performance:
    """The same of a timeframe that ends now."""
    return performance(scope, window=window_of(timeframe, now=now), now=now)


def _latencies(timed: Timed, channel: Channel | None = None) -> Latencies:
    sending, delivery, opening = (
        _latency(timed.together(measure, channel=channel))
        for measure in (Measure.SENDING, Measure.DELIVERY, Measure.OPENING)
    )
    return Latencies(sending=sending, delivery=delivery, opening=opening)


def _latency(histogram: Histogram) -> Latency:
    return Latency(
        count=histogram.count,
        p50=histogram.percentile(0.5),
        p95=histogram.percentile(0.95),
        p99=histogram.percentile(0.99),
        mean=histogram.mean,
        longest=histogram.longest if histogram.count else None,
    )


def _time_trend(timed: Timed, measure: Measure) -> Trend:
    return trend(timed.together(measure).mean, timed.together(measure, current=False).mean)
