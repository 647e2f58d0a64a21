"""Statistics, performance and health, as they go out. Times are in seconds, rates between 0 and 1."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from analytics import health as platform
from analytics import performance as speed
from analytics import statistics as figures
from analytics.counting import Counts
from analytics.windows import Timeframe, Trend
from channels_app.types import Channel
from messaging.api.common.rendering import stamp
from messaging.dispatch.breakers import State
from messaging.dispatch.limits import ChannelState, ProviderState

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Share = Annotated[float, Meta(ge=0, le=1)]
_DIGITS = 6


class Totals(Struct, kw_only=True, frozen=True):
    """Messages by what became of them. Cumulative: an opened message is counted as sent and delivered too."""

    total: int
    sent: int
    delivered: int
    opened: int
    clicked: int
    bounced: int
    failed: int
    unsubscribed: int
    complained: int
    cancelled: int


class Rates(Struct, kw_only=True, frozen=True):
    """Delivered and bounced of what was sent; opened, clicked and complained of what was delivered."""

    delivery_rate: float
    open_rate: float
    click_rate: float
    bounce_rate: float
    complaint_rate: float


class Trends(Struct, kw_only=True, frozen=True):
    """Against the window before of the same length; up to 5 % of change is stable."""

    messages: Trend
    delivery_rate: Trend
    open_rate: Trend
    click_rate: Trend
    bounce_rate: Trend


class Statistics(Struct, kw_only=True, frozen=True):
    """The messages that were accepted from `since` until before `until`."""

    timeframe: Timeframe
    since: Moment
    until: Moment
    totals: Totals
    by_channel: dict[Channel, Totals]
    rates: Rates
    trends: Trends
    updated_at: Moment


class Latency(Struct, kw_only=True, frozen=True):
    """How long a step takes; null where nothing was timed."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None
    mean: float | None
    max: float | None


class Latencies(Struct, kw_only=True, frozen=True):
    """From the accept to the provider, from there to the recipient, and from there to being opened."""

    sending: Latency
    delivery: Latency
    opening: Latency


class ChannelPerformance(Struct, kw_only=True, frozen=True):
    """One channel's part."""

    latency: Latencies
    delivery_rate: float
    open_rate: float
    click_rate: float
    error_rate: Share
    success_rate: Share


class PerformanceTrends(Struct, kw_only=True, frozen=True):
    """Against the window before; a time that increases grows longer."""

    sending_time: Trend
    delivery_time: Trend
    opening_time: Trend
    delivery_rate: Trend
    open_rate: Trend
    error_rate: Trend


class Performance(Struct, kw_only=True, frozen=True):
    """How fast and how well messages went out; a message that was never sent is an error."""

    timeframe: Timeframe
    since: Moment
    until: Moment
    latency: Latencies
    messages_per_second: float
    error_rate: Share
    success_rate: Share
    by_channel: dict[Channel, ChannelPerformance]
    trends: PerformanceTrends
    updated_at: Moment


class Provider(Struct, kw_only=True, frozen=True):
    """A provider of a channel: its answers of the last five minutes. `back_in` is in seconds, and says when it is given
    messages again, where its breaker is open or it asked to wait; `rate` is messages a second at the most."""

    name: str
    status: platform.Condition
    sandbox: bool
    success_rate: float | None
    error_rate: float | None
    latency: float | None
    breaker: State
    back_in: float | None
    rate: float | None
    last_success_at: Moment | None
    last_failure_at: Moment | None
    probed_at: Moment | None


class ChannelHealth(Struct, kw_only=True, frozen=True):
    """How a channel is. `sandbox` says that nobody is reached by it."""

    status: platform.Condition
    health: float | None
    sandbox: bool
    last_check: Moment | None
    providers: list[Provider]


class Check(Struct, kw_only=True, frozen=True):
    """A look at something that every message needs."""

    name: str
    status: platform.Verdict
    response_time: float | None
    last_check: Moment


class Alert(Struct, kw_only=True, frozen=True):
    """Something that a person should look at."""

    code: str
    subject: str
    detail: str


class Health(Struct, kw_only=True, frozen=True):
    """How the platform was when it was last looked at."""

    status: platform.Condition
    health: Share
    channels: dict[Channel, ChannelHealth]
    checks: list[Check]
    alerts: list[Alert]
    updated_at: Moment


def statistics(timeframe: Timeframe, found: figures.Statistics) -> Statistics:
    """Statistics as they are shown."""
    shares, trends = figures.rates(found.totals), found.trends
    return Statistics(
        timeframe=timeframe,
        since=stamp(found.window.since),
        until=stamp(found.window.until),
        totals=totals(found.totals),
        by_channel={channel: totals(counts) for channel, counts in found.by_channel.items()},
        rates=Rates(
            delivery_rate=_round(shares.delivery),
            open_rate=_round(shares.open),
            click_rate=_round(shares.click),
            bounce_rate=_round(shares.bounce),
            complaint_rate=_round(shares.complaint),
        ),
        trends=Trends(**{name: getattr(trends, name) for name in Trends.__struct_fields__}),
        updated_at=stamp(found.as_of),
    )


def totals(counts: Counts) -> Totals:
    """Counts as they are shown."""
    return Totals(**{name: getattr(counts, name) for name in Totals.__struct_fields__})


def performance(timeframe: Timeframe, found: speed.Performance) -> Performance:
    """Performance as it is shown."""
    trends = found.trends
    return Performance(
        timeframe=timeframe,
        since=stamp(found.window.since),
        until=stamp(found.window.until),
        latency=_latencies(found.latency),
        messages_per_second=_round(found.messages_per_second),
        error_rate=_round(found.rates.error),
        success_rate=_round(found.rates.success),
        by_channel={channel: _part(part) for channel, part in found.by_channel.items()},
        trends=PerformanceTrends(**{name: getattr(trends, name) for name in PerformanceTrends.__struct_fields__}),
        updated_at=stamp(found.as_of),
    )


def _part(part: speed.Part) -> ChannelPerformance:
    return ChannelPerformance(
        latency=_latencies(part.latency),
        delivery_rate=_round(part.rates.delivery),
        open_rate=_round(part.rates.open),
        click_rate=_round(part.rates.click),
        error_rate=_round(part.rates.error),
        success_rate=_round(part.rates.success),
    )


def _latencies(found: speed.Latencies) -> Latencies:
    return Latencies(
        sending=_latency(found.sending), delivery=_latency(found.delivery), opening=_latency(found.opening)
    )


def _latency(found: speed.Latency) -> Latency:
    return Latency(
        count=found.count,
        p50=_figure(found.p50),
        p95=_figure(found.p95),
        p99=_figure(found.p99),
        mean=_figure(found.mean),
        max=_figure(found.longest),
    )


def health(found: platform.Health) -> Health:
    """Health as it is shown."""
    return Health(
        status=found.condition,
        health=_round(found.health),
        channels={channel.channel: _channel(channel) for channel in found.channels},
        checks=[
            Check(name=each.name, status=each.verdict, response_time=_figure(each.took), last_check=stamp(each.at))
            for each in found.checks
        ],
        alerts=[Alert(code=each.code, subject=each.subject, detail=each.detail) for each in found.alerts],
        updated_at=stamp(found.as_of),
    )


def _channel(state: ChannelState) -> ChannelHealth:
    return ChannelHealth(
        status=platform.condition_of(state),
        health=_figure(state.health),
        sandbox=state.sandbox,
        last_check=stamp(state.checked_at),
        providers=[_provider(each) for each in state.providers],
    )


def _provider(state: ProviderState) -> Provider:
    success = state.success_rate
    return Provider(
        name=state.name,
        status=platform.by_score(state.health),
        sandbox=state.sandbox,
        success_rate=_figure(success),
        error_rate=None if success is None else _round(1 - success),
        latency=_figure(state.latency),
        breaker=state.breaker,
        back_in=_figure(state.back_in) or None,
        rate=state.rate,
        last_success_at=stamp(state.last_success_at),
        last_failure_at=stamp(state.last_failure_at),
        probed_at=stamp(state.probed_at),
    )


def _round(value: float) -> float:
    return round(value, _DIGITS)


def _figure(value: float | None) -> float | None:
    return None if value is None else _round(value)
