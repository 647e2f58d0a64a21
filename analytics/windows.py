"""Stretches of time that statistics are asked for, and what became of a figure from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from django.utils import timezone

STABLE: Final = 0.05
"""The share by which a figure may change and still counts as stable."""
_ROUNDING: Final = 1e-9


class Timeframe(StrEnum):
    """The clock hours that a statistic covers, the one that runs included."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def hours(self) -> int:
        return _HOURS[self]


_HOURS: Final = {Timeframe.HOUR: 1, Timeframe.DAY: 24, Timeframe.WEEK: 7 * 24, Timeframe.MONTH: 30 * 24}


class Trend(StrEnum):
    """Where a figure goes, against the window before."""

    INCREASING = "increasing"
    STABLE = "stable"
    DECREASING = "decreasing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Whole hours: `since` is the first moment that belongs to it, `until` the first that does not any more."""

    since: datetime
    until: datetime

    @property
    def before(self) -> Window:
        """The window of the same length that ends where this one begins."""
        return Window(since=self.since - (self.until - self.since), until=self.since)

    def elapsed(self, now: datetime) -> float:
        """The seconds of it that have passed; at least one, so that rates can be taken."""
        return max(1.0, (min(now, self.until) - self.since).total_seconds())


def window_of(timeframe: Timeframe, *, now: datetime | None = None) -> Window:
    """The window of a timeframe that ends with the hour that runs."""
    until = hour_of(now or timezone.now()) + timedelta(hours=1)
    return Window(since=until - timedelta(hours=timeframe.hours), until=until)


def days_until_now(days: int, *, now: datetime | None = None) -> Window:
    """The window of so many times 24 hours that ends with the hour that runs."""
    until = hour_of(now or timezone.now()) + timedelta(hours=1)
    return Window(since=until - timedelta(days=days), until=until)


def calendar_days(days: int, *, now: datetime | None = None) -> Window:
    """The window of so many days (UTC), the one that runs included."""
    moment = now or timezone.now()
    return Window(since=day_of(moment) - timedelta(days=days - 1), until=hour_of(moment) + timedelta(hours=1))


def hour_of(at: datetime) -> datetime:
    """The beginning of the hour of a moment."""
    return at.replace(minute=0, second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    """The beginning of the day (UTC) of a moment."""
    return hour_of(at.astimezone(UTC)).replace(hour=0)


def trend(now: float | None, before: float | None) -> Trend:
    """Compare a figure with the one before; nothing, then as now, is stable."""
    present, past = now or 0.0, before or 0.0
    if abs(present - past) <= (STABLE + _ROUNDING) * abs(past):
        return Trend.STABLE
    return Trend.INCREASING if present > past else Trend.DECREASING
