"""The state of providers, kept in Valkey: what they answered lately, and what the last probe of each found.

Delivery notes answers by the batch and a thread of the process writes them down, so that no message waits for it and
a Valkey that is down costs nothing but the figures. A task probes; whoever asks for the state only reads.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, cast

import msgspec
import redis
import structlog
from django.conf import settings

from channels_app.errors import ProviderMissing
from channels_app.registry import SANDBOX
from channels_app.types import Accepted, Channel, Outcome, Permanent, Throttled
from messaging.dispatch import breakers, buckets, providers
from messaging.dispatch.breakers import State
from messaging.dispatch.queue import valkey

log = structlog.get_logger(__name__)

ValkeyError = redis.RedisError
"""What is raised where Valkey does not answer, for those who may not know who it is."""

WINDOW_MINUTES: Final = 5
"""Answers of so many minutes make a provider's rates, the running one included."""
_REST: Final = 0.5
"""Seconds between two writes of a process."""
_KEPT: Final = 24 * 3600
_MINUTE: Final = 60
_PROBES: Final = 8
"""Providers that are probed at a time."""


@dataclass(slots=True)
class Answers:
    """What a provider answered in one batch, or lately."""

    accepted: int = 0
    refused: int = 0
    """Refused for good: the message is at fault, the provider works."""
    failed: int = 0
    """Broken connections, time-outs, faults of the provider, credentials that it refuses."""
    throttled: int = 0
    responses: int = 0
    """Batches whose first answer was timed."""
    seconds: float = 0.0
    """From handing over the first message of each to its answer, together."""
    last_success: float = 0.0
    last_failure: float = 0.0
    last_code: str = ""
    """Why it last failed."""
    _begun: float | None = None

    def begin(self) -> None:
        """Note that a message is handed over now; only the first one counts."""
        if self._begun is None and not self.responses:
            self._begun = time.monotonic()

    def add(self, outcome: Outcome) -> None:
        """Count an answer. A message that was never begun is none."""
        if isinstance(outcome, Throttled) and outcome.wait <= 0:
            return
        if self._begun is not None:
            self.responses, self.seconds, self._begun = 1, time.monotonic() - self._begun, None
        match outcome:
            case Accepted():
                self.accepted += 1
                self.last_success = time.time()
            case Permanent():
                self.refused += 1
                self.last_success = time.time()
            case Throttled():
                self.throttled += 1
            case _:
                self.failed += 1
                self.last_failure = time.time()
                self.last_code = outcome.code

    def __add__(self, other: Answers) -> Answers:
        newest = max(self, other, key=lambda each: each.last_failure)
        return Answers(
            **{name: getattr(self, name) + getattr(other, name) for name in _COUNTED},
            last_success=max(self.last_success, other.last_success),
            last_failure=newest.last_failure,
            last_code=newest.last_code,
        )


_COUNTED: Final = ("accepted", "refused", "failed", "throttled", "responses", "seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What asking a provider found."""

    provider: str
    ok: bool
    detail: str
    took: float
    """Seconds."""
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderState:
    """What is known of a provider on a channel."""

    name: str
    sandbox: bool
    answers: Answers
    """Of the last minutes; the moments are of the last day."""
    probe: Probe
    breaker: State = State.CLOSED
    back_in: float = 0.0
    """Seconds until it may be given a message, where its breaker is open or it asked to wait."""
    rate: float | None = None
    """Messages a second at the most; None is any number."""

    @property
    def success_rate(self) -> float | None:
        """The share of its answers that were answers at all; None where nothing was asked lately."""
        answered = self.answers.accepted + self.answers.refused
        asked = answered + self.answers.failed
        return answered / asked if asked else None

    @property
    def last_success_at(self) -> datetime | None:
        return _moment(self.answers.last_success)

    @property
    def last_failure_at(self) -> datetime | None:
        return _moment(self.answers.last_failure)

    @property
    def probed_at(self) -> datetime | None:
        return _moment(self.probe.at)

    @property
    def latency(self) -> float | None:
        """Seconds to a first answer, on average; None where nothing was asked lately."""
        return self.answers.seconds / self.answers.responses if self.answers.responses else None

    @property
    def health(self) -> float:
        """Between 0 and 1: its answers lately, else the last probe. A probe that fails outweighs older answers, and a
        breaker that is not closed everything."""
        if self.breaker is not State.CLOSED:
            return 0.0
        if not self.probe.ok and self.probe.at > self.answers.last_success:
            return 0.0
        return 1.0 if self.success_rate is None else self.success_rate


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelState:
    """What is known of a channel's providers, the preferred first."""

    channel: Channel
    configured: bool
    sandbox: bool
    """Whether nobody is reached: every provider is the sandbox."""
    providers: tuple[ProviderState, ...] = ()

    @property
    def health(self) -> float | None:
        """That of its best provider; None where none is configured or none was probed yet."""
        return max((each.health for each in self.providers), default=None)

    @property
    def checked_at(self) -> datetime | None:
        """When its providers were last probed."""
        return _moment(max((each.probe.at for each in self.providers), default=0.0))


def _moment(at: float) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if at else None


# Writing


@dataclass(slots=True)
class Writer:
    """Writes answers down, a little after they came, all of a process together."""

    _noted: dict[tuple[str, str], Answers] = field(default_factory=dict)
    _awake: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> Writer:
        threading.Thread(target=self._run, name="limits", daemon=True).start()
        return self

    def note(self, channel: str, provider: str, answers: Answers) -> None:
        with self._awake:
            self._noted[channel, provider] = self._noted.get((channel, provider), Answers()) + answers
            self._awake.notify()

    def _run(self) -> None:
        while True:
            with self._awake:
                while not self._noted:
                    self._awake.wait()
                noted, self._noted = self._noted, {}
            try:
                write(noted)
            except redis.RedisError as error:
                log.warning("provider_state_not_written", error=type(error).__name__)
            time.sleep(_REST)


@cache
def _writer(process: int) -> Writer:
    return Writer().start()


def note(channel: str, provider: str, answers: Answers) -> None:
    """Note what a provider answered in a batch; returns at once and never raises."""
    _writer(os.getpid()).note(channel, provider, answers)


def write(noted: Mapping[tuple[str, str], Answers]) -> None:
    """Write answers down.

    Raises:
        redis.RedisError: Valkey does not answer.
    """
    minute = int(time.time()) // _MINUTE
    with valkey().pipeline(transaction=False) as pipe:
        for (channel, provider), answers in noted.items():
            counts, moments = _counts_key(channel, provider, minute), _moments_key(channel, provider)
            for name in _COUNTED:
                if value := getattr(answers, name):
                    pipe.hincrbyfloat(counts, name, value)
            pipe.expire(counts, (WINDOW_MINUTES + 1) * _MINUTE)
            latest: dict[Any, Any] = {}
            if answers.last_success:
                latest["last_success"] = answers.last_success
            if answers.last_failure:
                latest |= {"last_failure": answers.last_failure, "last_code": answers.last_code}
            if latest:
                pipe.hset(moments, mapping=latest)
                pipe.expire(moments, _KEPT)
        pipe.execute()


def probe() -> None:
    """Ask every configured provider whether it works, several at a time, and write down what they say.

    Raises:
        redis.RedisError: Valkey does not answer.
    """
    with ThreadPoolExecutor(_PROBES, thread_name_prefix="probe") as pool:
        found = dict(zip(Channel, pool.map(_probe_channel, Channel), strict=True))
    write_note("probes", {channel.value: probes for channel, probes in found.items()})


def _probe_channel(channel: Channel) -> list[Probe]:
    try:
        adapters = providers.registry().adapters(channel)
    except ProviderMissing as error:
        return [Probe(provider="", ok=False, detail=str(error), took=0.0, at=time.time())]
    probes = []
    for adapter in adapters:
        begun = time.monotonic()
        found = adapter.probe()
        took = time.monotonic() - begun
        probes.append(Probe(provider=adapter.provider, ok=found.ok, detail=found.detail, took=took, at=time.time()))
    return probes


def write_note(name: str, value: object) -> None:
    """Keep a document about the platform's state for a day.

    Raises:
        redis.RedisError: Valkey does not answer.
    """
    valkey().set(f"state:{name}", msgspec.json.encode(value), ex=_KEPT)


# Reading


def read_note(name: str) -> Any:
    """A document about the platform's state; None where there is none.

    Raises:
        redis.RedisError: Valkey does not answer.
    """
    text = cast("str | None", valkey().get(f"state:{name}"))
    return None if text is None else msgspec.json.decode(text)


def states() -> list[ChannelState]:
    """The state of every channel. Asks no provider, and loads no adapter.

    Raises:
        redis.RedisError: Valkey does not answer.
    """
    probes: dict[str, list[Any]] = read_note("probes") or {}
    found = []
    for channel in Channel:
        options = settings.CHANNELS.get(channel.value, [])
        known = [Probe(**each) for each in probes.get(channel.value, [])]
        found.append(
            ChannelState(
                channel=channel,
                configured=bool(options),
                sandbox=bool(options) and all(each["adapter"] == SANDBOX for each in options),
                providers=tuple(_state(channel, each) for each in known) if options else (),
            )
        )
    return found


def _state(channel: Channel, found: Probe) -> ProviderState:
    reading = breakers.look(channel, [found.provider])[0]
    closed = buckets.look([buckets.of_provider(channel, found.provider)])[0]
    return ProviderState(
        name=found.provider,
        sandbox=found.provider == SANDBOX,
        answers=answers(channel, found.provider),
        probe=found,
        breaker=reading.state,
        back_in=max(reading.wait, closed.wait),
        rate=settings.PROVIDER_RATES.get(found.provider),
    )


def answers(channel: Channel, provider: str) -> Answers:
    """What a provider answered in the last minutes.

    Raises:
        redis.RedisError: Valkey does not answer.
    """
    minute = int(time.time()) // _MINUTE
    with valkey().pipeline(transaction=False) as pipe:
        pipe.hgetall(_moments_key(channel, provider))
        for past in range(WINDOW_MINUTES):
            pipe.hgetall(_counts_key(channel, provider, minute - past))
        moments, *minutes = cast("list[dict[str, str]]", pipe.execute())
    return Answers(
        **{name: _sum(name, minutes) for name in _COUNTED},
        last_success=float(moments.get("last_success", 0)),
        last_failure=float(moments.get("last_failure", 0)),
        last_code=moments.get("last_code", ""),
    )


def _sum(name: str, minutes: Sequence[Mapping[str, str]]) -> Any:
    whole = sum(float(each.get(name, 0)) for each in minutes)
    return whole if name == "seconds" else round(whole)


def _counts_key(channel: str, provider: str, minute: int) -> str:
    return f"answers:{channel}:{provider}:{minute}"


def _moments_key(channel: str, provider: str) -> str:
    return f"answers:{channel}:{provider}"
