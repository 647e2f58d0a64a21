"""Statistics, performance and health, as they go out. Times are in seconds, rates between 0 and 1."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from analytics import health as platform
from analytics import performance as speed
from analytics import statistics as figures
from analytics.counting import Counts
from analytics.windows import Timeframe, Trend
from messaging.api.common.rendering import stamp
from messaging.api.oasis.envelope import Moment
from messaging.api.oasis.vocabulary import (
    COMPONENTS,
    CONDITION_OUT,
    TYPES,
    VERDICT_OUT,
    ComponentWord,
    ConditionWord,
    TypeWord,
    VerdictWord,
)

_DIGITS = 6


class Numbers(Struct, kw_only=True, frozen=True):
    """Messages by what became of them. Cumulative: one that was read is counted as sent and delivered too; what still
    waits counts in total alone."""

    total: int
    sent: int
    delivered: int
    read: int
    failed: int


class Rates(Struct, kw_only=True, frozen=True, rename="camel"):
    """Delivered and bounced of what was sent, read of what was delivered, as are clicked and complained."""

    delivery_rate: float
    open_rate: float
    click_rate: float
    bounce_rate: float
    complaint_rate: float


class Timing(Struct, kw_only=True, frozen=True, rename="camel"):
    """From the provider to the recipient, and from there to being read; null where nothing was timed."""

    average_delivery_time: float | None
    peak_delivery_time: float | None
    average_open_time: float | None
    peak_open_time: float | None


class Figures(Struct, kw_only=True, frozen=True, rename="camel"):
    """What became of the messages of a stretch of time."""

    messages: Numbers
    by_type: dict[TypeWord, int]
    performance: Rates
    timing: Timing


class Trends(Struct, kw_only=True, frozen=True, rename="camel"):
    """Against the window before of the same length; up to 5 % of change is stable."""

    messages: Trend
    delivery_rate: Trend
    open_rate: Trend
    click_rate: Trend


class Statistics(Struct, kw_only=True, frozen=True, rename="camel"):
    """Counts and rates of a stretch of time."""

    timeframe: Timeframe
    statistics: Figures
    trends: Trends
    last_updated: Moment


class TypeRates(Struct, kw_only=True, frozen=True, rename="camel"):
    """One type's part."""

    delivery_rate: float
    open_rate: float
    click_rate: float


class Speed(TypeRates, kw_only=True, frozen=True, rename="camel"):
    """How fast and how well."""

    average_delivery_time: float | None
    peak_delivery_time: float | None
    average_open_time: float | None
    peak_open_time: float | None


class Metrics(Struct, kw_only=True, frozen=True, rename="camel"):
    """How the platform keeps up; latency is from the accept to the provider, null where nothing was timed."""

    messages_per_second: float
    average_latency: float | None
    p95_latency: float | None
    p99_latency: float | None
    error_rate: float
    success_rate: float


class SpeedTrends(Struct, kw_only=True, frozen=True, rename="camel"):
    """Against the window before; a time that increases grows longer."""

    delivery_time: Trend
    open_time: Trend
    delivery_rate: Trend
    open_rate: Trend


class Performance(Struct, kw_only=True, frozen=True, rename="camel"):
    """How fast and how well messages went out; `breakdown` has the types that occurred."""

    performance: Speed
    metrics: Metrics
    trends: SpeedTrends
    breakdown: dict[TypeWord, TypeRates]
    last_updated: Moment


class Component(Struct, kw_only=True, frozen=True, rename="camel"):
    """How one type of message is; `sandbox` says that nobody is reached by it. Null is not known."""

    status: ConditionWord
    health: float | None
    last_check: Moment | None
    sandbox: bool


class Check(Struct, kw_only=True, frozen=True, rename="camel"):
    """A look at something that every message needs."""

    name: str
    status: VerdictWord
    response_time: float | None
    last_check: Moment


class Alert(Struct, kw_only=True, frozen=True):
    """Something that a person should look at."""

    code: str
    subject: str
    message: str


class Health(Struct, kw_only=True, frozen=True, rename="camel"):
    """How the platform was when it was last looked at."""

    status: ConditionWord
    overall_health: float
    components: dict[ComponentWord, Component]
    checks: list[Check]
    alerts: list[Alert]
    last_updated: Moment


def statistics(timeframe: Timeframe, found: figures.Statistics, timed: speed.Performance) -> Statistics:
    """Statistics as they are shown."""
    shares, totals = figures.rates(found.totals), found.totals
    kinds = figures.grouped(found.by_channel, TYPES)
    return Statistics(
        timeframe=timeframe,
        statistics=Figures(
            messages=Numbers(
                total=totals.total,
                sent=totals.sent,
                delivered=totals.delivered,
                read=totals.opened,
                failed=totals.failed,
            ),
            by_type={word: counts.total for word, counts in kinds.items()},
            performance=Rates(
                delivery_rate=_round(shares.delivery),
                open_rate=_round(shares.open),
                click_rate=_round(shares.click),
                bounce_rate=_round(shares.bounce),
                complaint_rate=_round(shares.complaint),
            ),
            timing=Timing(**_timing(timed.latency)),
        ),
        trends=Trends(**{name: getattr(found.trends, name) for name in Trends.__struct_fields__}),
        last_updated=stamp(min(found.as_of, timed.as_of)),
    )


def performance(found: speed.Performance) -> Performance:
    """Performance as it is shown."""
    sending, shares, trends = found.latency.sending, found.rates, found.trends
    kinds = figures.grouped({channel: part.counts for channel, part in found.by_channel.items()}, TYPES)
    return Performance(
        performance=Speed(**_timing(found.latency), **_shares(shares)),
        metrics=Metrics(
            messages_per_second=_round(found.messages_per_second),
            average_latency=_figure(sending.mean),
            p95_latency=_figure(sending.p95),
            p99_latency=_figure(sending.p99),
            error_rate=_round(shares.error),
            success_rate=_round(shares.success),
        ),
        trends=SpeedTrends(
            delivery_time=trends.delivery_time,
            open_time=trends.opening_time,
            delivery_rate=trends.delivery_rate,
            open_rate=trends.open_rate,
        ),
        breakdown={
            word: TypeRates(**_shares(figures.rates(counts))) for word, counts in kinds.items() if counts != Counts()
        },
        last_updated=stamp(found.as_of),
    )


def health(found: platform.Health) -> Health:
    """Health as it is shown."""
    parts = {word: platform.together(found, channels) for word, channels in TYPES.items()}
    return Health(
        status=CONDITION_OUT[found.condition],
        overall_health=_round(found.health),
        components={
            COMPONENTS[word]: Component(
                status=CONDITION_OUT[part.condition],
                health=_figure(part.health),
                last_check=stamp(part.checked_at),
                sandbox=part.sandbox,
            )
            for word, part in parts.items()
        },
        checks=[
            Check(
                name=each.name,
                status=VERDICT_OUT[each.verdict],
                response_time=_figure(each.took),
                last_check=stamp(each.at),
            )
            for each in found.checks
        ],
        alerts=[Alert(code=each.code, subject=each.subject, message=each.detail) for each in found.alerts],
        last_updated=stamp(found.as_of),
    )


def _timing(found: speed.Latencies) -> dict[str, Any]:
    return {
        "average_delivery_time": _figure(found.delivery.mean),
        "peak_delivery_time": _figure(found.delivery.longest),
        "average_open_time": _figure(found.opening.mean),
        "peak_open_time": _figure(found.opening.longest),
    }


def _shares(found: figures.Rates) -> dict[str, Any]:
    return {
        "delivery_rate": _round(found.delivery),
        "open_rate": _round(found.open),
        "click_rate": _round(found.click),
    }


def _round(value: float) -> float:
    return round(value, _DIGITS)


def _figure(value: float | None) -> float | None:
    return None if value is None else _round(value)
