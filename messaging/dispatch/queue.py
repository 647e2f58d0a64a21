"""The bell: tells the workers of a lane that rows wait, and never which.

A bell that hangs already is not hung again (a key in Valkey, which expires by itself), so that a flood of accepts
costs one task. Ringing never holds the caller up: a thread of the process does it, and a bell that is lost, late
or doubled changes nothing, since a sweep rings every lane that has due rows.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import cast

import redis
import structlog
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from channels_app.types import Channel
from messaging.state import Priority

log = structlog.get_logger(__name__)

DELIVER = "workers.deliver"
"""The task that a bell publishes; its one argument is the lane's name."""

Unreachable = redis.RedisError
"""Valkey does not answer, or not in time."""

_HANGS_FOR = 3
"""Seconds after which a bell that nobody answered may be hung again."""
_MISSES = 3
_PAUSE = 5.0
_PULSE_KEPT = 300


@dataclass(frozen=True, slots=True)
class Lane:
    """A channel at a priority; the name of its queue is `channel.priority`."""

    channel: Channel
    priority: Priority

    @property
    def name(self) -> str:
        return f"{self.channel}.{self.priority.word}"

    @classmethod
    def named(cls, name: str) -> Lane:
        """The lane of a queue's name; ValueError or KeyError where there is none."""
        channel, _, priority = name.partition(".")
        return cls(Channel(channel), Priority[priority.upper()])


LANES = tuple(Lane(channel, priority) for channel in Channel for priority in Priority)


@cache
def valkey() -> redis.Redis:
    """This process's client of Valkey. One short time-out bounds every call and nothing is retried."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=settings.VALKEY_SECONDS,
        socket_connect_timeout=settings.VALKEY_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class Ringer:
    """Hangs bells from a thread of its own. After three misses it rests for five seconds."""

    def __init__(self) -> None:
        self._wanted: dict[Lane, None] = {}
        self._later: dict[Lane, float] = {}
        self._awake = threading.Condition()
        self._misses = 0
        self._rests_until = 0.0
        threading.Thread(target=self._run, name="ringer", daemon=True).start()

    def ring(self, lanes: Iterable[Lane]) -> None:
        with self._awake:
            self._wanted.update(dict.fromkeys(lanes))
            self._awake.notify()

    def ring_later(self, lane: Lane, seconds: float) -> None:
        at = time.monotonic() + seconds
        with self._awake:
            if at < self._later.get(lane, math.inf):
                self._later[lane] = at
                self._awake.notify()

    def _next(self) -> list[Lane]:
        """Wait for lanes that are to be rung."""
        with self._awake:
            while True:
                now = time.monotonic()
                for lane in [lane for lane, at in self._later.items() if at <= now]:
                    del self._later[lane]
                    self._wanted[lane] = None
                if self._wanted:
                    lanes, self._wanted = list(self._wanted), {}
                    return lanes
                self._awake.wait(min(self._later.values()) - now if self._later else None)

    def _run(self) -> None:
        while True:
            for lane in self._next():
                try:
                    self._hang(lane)
                except Exception:
                    # This thread rings for the whole process: whatever happens, it goes on.
                    log.exception("bell_not_hung", lane=lane.name)

    def _hang(self, lane: Lane) -> None:
        if time.monotonic() < self._rests_until:
            return
        try:
            if valkey().set(f"bell:{lane.name}", "1", nx=True, ex=_HANGS_FOR):
                current_app.send_task(DELIVER, args=[lane.name], queue=lane.name, ignore_result=True, retry=False)
            self._misses = 0
        except (redis.RedisError, OperationalError, OSError) as error:
            self._misses += 1
            if self._misses >= _MISSES:
                self._misses = 0
                self._rests_until = time.monotonic() + _PAUSE
            log.warning("bell_not_hung", lane=lane.name, error=type(error).__name__)


@cache
def _ringer(process: int) -> Ringer:
    return Ringer()


_one_ringer = threading.Lock()


def _own_ringer() -> Ringer:
    # A cache alone lets two threads make one each.
    with _one_ringer:
        return _ringer(os.getpid())


def ring(*lanes: Lane) -> None:
    """Let the workers of these lanes know that rows wait; returns at once and never raises."""
    if lanes:
        _own_ringer().ring(lanes)


def ring_later(lane: Lane, seconds: float) -> None:
    """Ring a lane in a while. A bell that is lost with this process is rung by the sweep."""
    _own_ringer().ring_later(lane, seconds)


def lift(lane: Lane) -> None:
    """Take the bell off before claiming, so that whatever comes from now on hangs a new one."""
    try:
        valkey().delete(f"bell:{lane.name}")
    except redis.RedisError:
        log.warning("bell_not_lifted", lane=lane.name)


def record_pulse(process: str) -> None:
    """Note that a worker process just took a task from the broker."""
    valkey().set(f"pulse:{process}", repr(time.time()), ex=_PULSE_KEPT)


def pulses() -> dict[str, float]:
    """Seconds since each worker process last took a task; those silent for five minutes are left out.

    Raises:
        Unreachable: Valkey does not answer.
    """
    keys = [str(key) for key in valkey().scan_iter("pulse:*")]
    values = cast("list[str | None]", valkey().mget(keys)) if keys else []
    now = time.time()
    return {
        key.partition(":")[2]: max(0.0, now - float(value))
        for key, value in zip(keys, values, strict=True)
        if value is not None
    }


def ping() -> None:
    """Ask whether Valkey answers.

    Raises:
        Unreachable: it does not.
    """
    valkey().ping()
