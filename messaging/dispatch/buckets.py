"""Token buckets: how many messages may go out now, by a provider or for a workspace.

A bucket holds the messages of one second, at least one, and fills at its rate. Tokens are taken before messages are
claimed, so that what is limited waits in the queue and costs nothing. One script takes them by the server's clock, so
that a rate is exact over all workers: in any time t at most rate x t and one bucketful go out. A provider that asks to
wait closes its bucket for so long. Without Valkey nobody can count: what has a rate waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

import structlog

from messaging.dispatch import queue
from messaging.dispatch.queue import Lane, valkey

log = structlog.get_logger(__name__)

LONGEST_CLOSED: Final = 60.0
"""Seconds for which one answer closes a provider's bucket at the most; the message itself waits as long as it is
told to."""
BLIND: Final = 1.0
"""Seconds until Valkey is asked again where it did not answer."""
_SOONEST: Final = 0.1
"""Seconds that pass at least until a limited lane is rung again."""

_TAKE: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + t[2] / 1000
local found = {}
for place, key in ipairs(KEYS) do
    local rate, wanted = tonumber(ARGV[2 * place - 1]), tonumber(ARGV[2 * place])
    local kept = redis.call('HMGET', key, 'tokens', 'at', 'closed')
    local closed = tonumber(kept[3] or '0')
    if closed > now then
        found[place] = {0, math.ceil(closed - now), 1}
    elseif rate <= 0 then
        found[place] = {wanted, 0, 0}
    else
        local size = math.max(1, rate)
        local tokens = size
        if kept[1] then tokens = math.min(size, kept[1] + (now - kept[2]) / 1000 * rate) end
        -- What was counted in parts may be a hair short of the whole.
        local taken = math.min(wanted, math.floor(tokens + 0.000001))
        tokens = tokens - taken
        if taken ~= 0 or not kept[1] then
            redis.call('HSET', key, 'tokens', string.format('%.9f', tokens), 'at', string.format('%.3f', now))
            redis.call('PEXPIRE', key, math.ceil(size / rate * 1000) + 60000)
        end
        found[place] = {taken, taken < wanted and math.ceil(math.max(0, 1 - tokens) / rate * 1000) or 0, 0}
    end
end
return found
"""
_GIVE: Final = """
for place, key in ipairs(KEYS) do
    local rate, left = tonumber(ARGV[2 * place - 1]), tonumber(ARGV[2 * place])
    local tokens = redis.call('HGET', key, 'tokens')
    if tokens then
        redis.call('HSET', key, 'tokens', string.format('%.9f', math.min(math.max(1, rate), tokens + left)))
    end
end
"""
_CLOSE: Final = """
local t = redis.call('TIME')
local until_ = t[1] * 1000 + t[2] / 1000 + ARGV[1]
if until_ > tonumber(redis.call('HGET', KEYS[1], 'closed') or '0') then
    redis.call('HSET', KEYS[1], 'closed', string.format('%.0f', until_))
    if redis.call('PTTL', KEYS[1]) < ARGV[1] + 60000 then redis.call('PEXPIRE', KEYS[1], ARGV[1] + 60000) end
end
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """Tokens that are wanted of one bucket."""

    key: str
    rate: float
    """Messages a second; 0 where there is no rate, and only a provider's wish to wait counts."""
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """What a bucket gave."""

    number: int
    wait: float = 0.0
    """Seconds until it has more, where it gave less than was wanted."""
    closed: bool = False
    """Whether the provider asked to wait."""


def of_provider(channel: str, name: str) -> str:
    """The key of a provider's bucket."""
    return f"bucket:{channel}:{name}"


def of_workspace(workspace_id: object) -> str:
    """The key of a workspace's bucket."""
    return f"bucket:workspace:{workspace_id}"


@cache
def _script(text: str) -> Any:
    return valkey().register_script(text)


def take(wants: Sequence[Want]) -> list[Grant]:
    """Take as many tokens as there are, up to what is wanted of each bucket. What has no rate passes where nobody can
    be asked; what has one does not."""
    if not wants:
        return []
    arguments = [value for want in wants for value in (want.rate, want.number)]
    try:
        rows = _script(_TAKE)(keys=[want.key for want in wants], args=arguments)
    except queue.Unreachable as error:
        log.warning("buckets_not_read", error=type(error).__name__)
        return [Grant(number=0, wait=BLIND) if want.rate else Grant(number=want.number) for want in wants]
    found = cast("list[tuple[int, int, int]]", rows)
    return [
        Grant(number=number, wait=max(wait / 1000, _SOONEST) if wait else 0.0, closed=bool(closed))
        for number, wait, closed in found
    ]


def give_back(unused: Sequence[Want]) -> None:
    """Give back tokens that were taken and not used."""
    unused = [want for want in unused if want.rate and want.number > 0]
    if not unused:
        return
    arguments = [value for want in unused for value in (want.rate, want.number)]
    try:
        _script(_GIVE)(keys=[want.key for want in unused], args=arguments)
    except queue.Unreachable as error:
        log.warning("tokens_not_given_back", error=type(error).__name__)


def close(key: str, seconds: float) -> None:
    """Give nothing more out of a bucket for so long, since its provider asks to wait."""
    try:
        _script(_CLOSE)(keys=[key], args=[round(min(seconds, LONGEST_CLOSED) * 1000)])
    except queue.Unreachable as error:
        log.warning("bucket_not_closed", key=key, error=type(error).__name__)


def look(keys: Sequence[str]) -> list[Grant]:
    """How long each bucket stays closed by its provider's wish; takes nothing."""
    return take([Want(key=key, rate=0.0, number=0) for key in keys])


# Lanes that have nothing to claim until there are tokens, or a breaker lets something through


def rest(lane: Lane, seconds: float) -> None:
    """Let sweeps pass a lane by for so long: it would be claimed from in vain."""
    try:
        valkey().set(f"rest:{lane.name}", "1", px=max(1, round(seconds * 1000)))
    except queue.Unreachable as error:
        log.warning("rest_not_noted", lane=lane.name, error=type(error).__name__)


def resting(lanes: Sequence[Lane]) -> Mapping[Lane, bool]:
    """Which lanes sweeps may pass by; none where nobody can be asked."""
    if not lanes:
        return {}
    try:
        found = cast("list[str | None]", valkey().mget([f"rest:{lane.name}" for lane in lanes]))
    except queue.Unreachable:
        return dict.fromkeys(lanes, False)
    return {lane: value is not None for lane, value in zip(lanes, found, strict=True)}
