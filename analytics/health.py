"""How the platform is: its channels, its servers and its workers, as the last look at each found them.

A task looks (`look`) and Valkey keeps what it saw; whoever asks only reads, so that asking often costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import structlog
from django.db import DatabaseError, connection
from django.utils import timezone

from analytics.models import Progress
from analytics.rollups import PROGRESS
from channels_app.types import Channel
from messaging.dispatch import callbacks, limits, queue
from messaging.dispatch.breakers import State
from messaging.dispatch.limits import ChannelState, ValkeyError

log = structlog.get_logger(__name__)

SILENT_SECONDS: Final = 30.0
"""A worker that has taken no task for so long is not at work."""
BEHIND_SECONDS: Final = 120.0
"""Statistics and looks that are older than this are late."""
SLOW_SECONDS: Final = 1.0
_HEALTHY: Final = 0.9
_DEGRADED: Final = 0.5
_EACH: Final = tuple((channel,) for channel in Channel)
"""Every channel for itself."""


class Condition(StrEnum):
    """How something is, from the best to the worst; `unknown` where nobody has looked yet."""

    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNCONFIGURED = "unconfigured"


class Verdict(StrEnum):
    """What a check says."""

    FINE = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One look at something that every message needs."""

    name: str
    verdict: Verdict
    took: float | None
    """Seconds until it answered; None where nothing was asked."""
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """Something that a person should look at."""

    code: str
    subject: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """The platform as a whole."""

    condition: Condition
    health: float
    """Between 0 and 1: the mean of the parts of which something is known."""
    channels: tuple[ChannelState, ...]
    checks: tuple[Check, ...]
    alerts: tuple[Alert, ...]
    as_of: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Some channels that are looked at as one: as well as the worst of them."""

    condition: Condition
    health: float | None
    sandbox: bool
    """Whether nobody is reached by any of them."""
    checked_at: datetime | None
    """When the one that was probed longest ago was probed."""


# The task's side


def look(*, workers: Sequence[str]) -> None:
    """Look at everything and keep what was seen; `workers` are the processes that should be at work.

    Raises:
        ValkeyError: Valkey does not answer.
    """
    limits.probe()
    checks = [_timed("database", _ask_database), _timed("valkey", queue.ping), _statistics()]
    limits.write_note("checks", {"checks": checks, "workers": workers, "at": time.time()})


def _timed(name: str, ask: Callable[[], object]) -> dict[str, Any]:
    begun = time.monotonic()
    try:
        ask()
    except (DatabaseError, ValkeyError) as error:
        log.warning("check_failed", check=name, error=type(error).__name__)
        return _check(name, Verdict.FAIL, None)
    took = time.monotonic() - begun
    return _check(name, Verdict.WARN if took > SLOW_SECONDS else Verdict.FINE, took)


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _statistics() -> dict[str, Any]:
    """Whether rollups keep up."""
    try:
        counted_at = Progress.objects.filter(id=PROGRESS).values_list("counted_at", flat=True).first()
    except DatabaseError:
        return _check("statistics", Verdict.FAIL, None)
    behind = counted_at is not None and (timezone.now() - counted_at).total_seconds() > BEHIND_SECONDS
    return _check("statistics", Verdict.WARN if behind else Verdict.FINE, None)


def _check(name: str, verdict: Verdict, took: float | None) -> dict[str, Any]:
    return {"name": name, "verdict": verdict.value, "took": took, "at": time.time()}


# The reader's side


def health(parts: Collection[Collection[Channel]] = _EACH) -> Health:
    """Tell how everything was when it was last looked at. Never raises on account of Valkey: that is an answer too.

    Only channels of the parts are told of, and those of one part count as one.
    """
    try:
        states, seen, pulses = limits.states(), limits.read_note("checks"), queue.pulses()
        refused = callbacks.refused()
    except ValkeyError as error:
        log.warning("state_not_read", error=type(error).__name__)
        return _blind()
    channels = [state for state in states if any(state.channel in part for part in parts)]
    checks = [*_seen(seen), *_workers(seen, pulses)]
    alerts = (*_channel_alerts(channels), *_check_alerts(checks), *_late(seen), *_forged(refused))
    scores = [score for part in parts if (score := _score(_within(channels, part))) is not None]
    whole = sum(scores) / len(scores) if scores else 0.0
    return Health(
        condition=_whole(whole, checks, known=bool(scores)),
        health=whole,
        channels=tuple(channels),
        checks=tuple(checks),
        alerts=alerts,
        as_of=timezone.now(),
    )


def together(found: Health, channels: Collection[Channel]) -> Part:
    """How some channels are as one; unknown where nothing is known of any."""
    states, order = _within(found.channels, channels), list(Condition)
    checks = [state.checked_at for state in states]
    return Part(
        condition=max(map(condition_of, states), key=order.index, default=Condition.UNKNOWN),
        health=_score(states),
        sandbox=bool(states) and all(state.sandbox for state in states),
        checked_at=None if None in checks else min((at for at in checks if at is not None), default=None),
    )


def _within(states: Iterable[ChannelState], channels: Collection[Channel]) -> list[ChannelState]:
    return [state for state in states if state.channel in channels]


def _score(states: Sequence[ChannelState]) -> float | None:
    """How well channels are as one: as the worst; unknown where one is."""
    scores = [state.health for state in states]
    return None if None in scores else min((score for score in scores if score is not None), default=None)


def condition_of(channel: ChannelState) -> Condition:
    """How a channel is."""
    if not channel.configured:
        return Condition.UNCONFIGURED
    return Condition.UNKNOWN if channel.health is None else by_score(channel.health)


def by_score(score: float) -> Condition:
    """The word for a share."""
    if score >= _HEALTHY:
        return Condition.HEALTHY
    return Condition.DEGRADED if score >= _DEGRADED else Condition.UNHEALTHY


def _whole(score: float, checks: Iterable[Check], *, known: bool) -> Condition:
    """What fails at a server fails everything; what only warns, or a silent worker, does not stop the others."""
    verdicts = {check.name: check.verdict for check in checks}
    if Verdict.FAIL in {verdicts.get("database"), verdicts.get("valkey")}:
        return Condition.UNHEALTHY
    found = by_score(score) if known else Condition.UNKNOWN
    if found is Condition.HEALTHY and set(verdicts.values()) - {Verdict.FINE}:
        return Condition.DEGRADED
    return found


def _blind() -> Health:
    now = timezone.now()
    return Health(
        condition=Condition.UNHEALTHY,
        health=0.0,
        channels=(),
        checks=(Check(name="valkey", verdict=Verdict.FAIL, took=None, at=now),),
        alerts=(Alert(code="check_failed", subject="valkey", detail="The state of the platform cannot be read."),),
        as_of=now,
    )


def _seen(seen: dict[str, Any] | None) -> Iterator[Check]:
    for each in seen["checks"] if seen else ():
        yield Check(name=each["name"], verdict=Verdict(each["verdict"]), took=each["took"], at=_moment(each["at"]))


def _workers(seen: dict[str, Any] | None, pulses: dict[str, float]) -> Iterator[Check]:
    now = timezone.now()
    for name in seen["workers"] if seen else sorted(pulses):
        alive = pulses.get(name, SILENT_SECONDS) < SILENT_SECONDS
        yield Check(name=f"worker:{name}", verdict=Verdict.FINE if alive else Verdict.FAIL, took=None, at=now)


def _channel_alerts(channels: Iterable[ChannelState]) -> Iterator[Alert]:
    for channel in channels:
        for provider in channel.providers:
            found = by_score(provider.health)
            subject = f"{channel.channel}/{provider.name}" if provider.name else channel.channel.value
            if provider.breaker is not State.CLOSED:
                detail = "It failed again and again and is left alone for a while; messages wait, or take another way."
                yield Alert(code="breaker_open", subject=subject, detail=detail)
            elif found is not Condition.HEALTHY:
                yield Alert(code=f"provider_{found}", subject=subject, detail=f"The provider is {found}.")


def _check_alerts(checks: Iterable[Check]) -> Iterator[Alert]:
    details = {Verdict.FAIL: ("check_failed", "It does not answer."), Verdict.WARN: ("check_warned", "It is late.")}
    for check in checks:
        if check.verdict in details:
            code, detail = details[check.verdict]
            yield Alert(code=code, subject=check.name, detail=detail)


def _forged(refused: Mapping[str, int]) -> Iterator[Alert]:
    for provider, number in sorted(refused.items()):
        detail = f"{number} callbacks without the provider's signature were refused within a day."
        yield Alert(code="callbacks_refused", subject=provider, detail=detail)


def _late(seen: dict[str, Any] | None) -> Iterator[Alert]:
    if seen is not None and time.time() - seen["at"] > BEHIND_SECONDS:
        yield Alert(code="probe_late", subject="probe", detail="Nobody has looked at the platform for a while.")


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
