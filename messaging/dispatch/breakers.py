"""Circuit breakers: a provider that fails again and again is left alone for a while.

Each provider of a channel has one, in Valkey, so that it is one for all workers. Five faults in a row open it; after a
rest it lets one message through, whose outcome closes it or opens it for twice as long. A breaker that cannot be read
counts as closed: without Valkey messages still go out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final, cast

import structlog

from channels_app.types import Accepted, Ambiguous, NotConfigured, Outcome, Permanent, Transient
from messaging.dispatch import queue
from messaging.dispatch.queue import valkey

log = structlog.get_logger(__name__)

FAULTS: Final = 5
"""Faults in a row that open a breaker."""
REST: Final = 10.0
"""Seconds for which it opens at first."""
LONGEST_REST: Final = 300.0
TRIAL: Final = 12.0
"""Seconds after which a trial that nobody told the end of counts as abandoned: its worker may be dead. Where the
provider is merely slow, another message is tried beside it."""
_SOON: Final = 1.0
"""Seconds after which whoever waits for the trial of another looks again: it may end at any moment."""
_PAUSE: Final = 1.0
"""Seconds for which Valkey is not asked after it did not answer."""
_SPARED: Final = 1.0
"""Seconds between two successes of a process that are written down while nothing is amiss."""
_KEPT: Final = 24 * 3600

# Times are in milliseconds of the server's clock.
_CLOCK: Final = "local t = redis.call('TIME'); local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
_ENTER: Final = (
    _CLOCK
    + """
local found = {}
for place, key in ipairs(KEYS) do
    local kept = redis.call('HMGET', key, 'until', 'trial', 'faults')
    local rests, trial, faults = tonumber(kept[1]), tonumber(kept[2] or '0'), tonumber(kept[3] or '0')
    if not rests then
        found[place] = {'closed', 0, faults}
    elseif rests > now then
        found[place] = {'open', rests - now, faults}
    elseif trial > now then
        found[place] = {'open', math.min(trial - now, ARGV[2]), faults}
    else
        if ARGV[1] ~= '0' then redis.call('HSET', key, 'trial', now + ARGV[1]) end
        found[place] = {'half_open', 0, faults}
    end
end
return found
"""
)
_FAULT: Final = (
    _CLOCK
    + """
local kept = redis.call('HMGET', KEYS[1], 'until', 'trips')
local rests, trips = tonumber(kept[1]), tonumber(kept[2] or '0')
if rests and rests > now then return 0 end
local faults = redis.call('HINCRBY', KEYS[1], 'faults', 1)
redis.call('EXPIRE', KEYS[1], ARGV[4])
if not rests and faults < tonumber(ARGV[1]) then return 0 end
if rests then trips = trips + 1 end
local rest = math.min(ARGV[2] * 2 ^ trips, tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'until', string.format('%d', now + rest), 'trips', trips, 'trial', 0)
return 1
"""
)


class State(StrEnum):
    """How a breaker stands."""

    CLOSED = "closed"
    """Messages go through."""
    HALF_OPEN = "half_open"
    """One message may go through, and its outcome decides."""
    OPEN = "open"
    """Nothing goes through."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a breaker says just now."""

    state: State
    wait: float = 0.0
    """Seconds until an open one may let a message through."""
    faults: int = 0
    """Faults in a row."""


CLOSED: Final = Reading(state=State.CLOSED)

_rests_until = 0.0
_succeeded_at: dict[str, float] = {}
"""When a success of each provider was last written down by this process."""


@cache
def _enter() -> Any:
    return valkey().register_script(_ENTER)


@cache
def _fault() -> Any:
    return valkey().register_script(_FAULT)


def enter(channel: str, names: Sequence[str]) -> list[Reading]:
    """Ask the breakers of a channel's providers whether messages may go through.

    Whoever is told HALF_OPEN holds the trial, which is for one message: others are told OPEN until its outcome is
    noted, or it is given up by `leave`.
    """
    return _read(channel, names, trial=TRIAL)


def look(channel: str, names: Sequence[str]) -> list[Reading]:
    """How the breakers stand; changes nothing."""
    return _read(channel, names, trial=0.0)


def _read(channel: str, names: Sequence[str], *, trial: float) -> list[Reading]:
    global _rests_until
    if not names or time.monotonic() < _rests_until:
        return [CLOSED] * len(names)
    try:
        rows = _enter()(keys=[_key(channel, name) for name in names], args=[round(trial * 1000), round(_SOON * 1000)])
    except queue.Unreachable as error:
        _rests_until = time.monotonic() + _PAUSE
        log.warning("breakers_not_read", channel=channel, error=type(error).__name__)
        return [CLOSED] * len(names)
    found = cast("list[tuple[str, int, int]]", rows)
    return [Reading(state=State(state), wait=wait / 1000, faults=faults) for state, wait, faults in found]


def is_fault(outcome: Outcome) -> bool:
    """Whether an outcome is a fault of the provider: it is out of reach, in trouble, silent, or refuses us."""
    return isinstance(outcome, Transient | Ambiguous | NotConfigured)


def note(channel: str, name: str, outcome: Outcome, *, fault: bool, troubled: bool = False) -> bool:
    """Note what a provider answered; true where that opened its breaker. Being throttled is neither good nor bad.

    Successes are many, and one a second says as much as all: the others are written only where the provider is known
    to be `troubled`.
    """
    key = _key(channel, name)
    try:
        if fault:
            _succeeded_at.pop(key, None)
            opened = bool(_fault()(keys=[key], args=[FAULTS, REST * 1000, LONGEST_REST * 1000, _KEPT]))
            if opened:
                log.warning("breaker_opened", channel=channel, provider=name)
            return opened
        if isinstance(outcome, Accepted | Permanent) and (troubled or _is_time(key)):
            valkey().delete(key)
    except queue.Unreachable as error:
        log.warning("breaker_not_noted", channel=channel, provider=name, error=type(error).__name__)
    return False


def leave(channel: str, name: str) -> None:
    """Give up a trial without an outcome, so that another may begin it."""
    try:
        if valkey().hexists(_key(channel, name), "until"):
            valkey().hset(_key(channel, name), "trial", "0")
    except queue.Unreachable as error:
        log.warning("breaker_not_noted", channel=channel, provider=name, error=type(error).__name__)


def _is_time(key: str) -> bool:
    now = time.monotonic()
    if now < _succeeded_at.get(key, 0.0) + _SPARED:
        return False
    _succeeded_at[key] = now
    return True


def _key(channel: str, name: str) -> str:
    return f"breaker:{channel}:{name}"
