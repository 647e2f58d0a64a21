"""Bounds how often a caller may ask: so many requests in any minute, counted in Valkey.

Requests are counted by the second in which they came; those of the last sixty count. So no minute, wherever it
begins, holds more than the limit, and what a caller holds there is sixty numbers at the most. One script counts and
decides by the server's clock, so that the limit is exact over all processes. Without Valkey every request passes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import cast

import redis
import structlog
from redis.commands.core import Script

from messaging.dispatch.queue import valkey

log = structlog.get_logger(__name__)

WINDOW = 60
"""Seconds that a request counts for."""
_REST = 1.0
"""Seconds for which Valkey is not asked after it did not answer."""

_TAKE = """
local now = tonumber(redis.call('TIME')[1])
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local seconds = redis.call('HGETALL', KEYS[1])
local used, oldest, stale = 0, now, {}
for place = 1, #seconds, 2 do
    local second = tonumber(seconds[place])
    if second <= now - window then
        stale[#stale + 1] = seconds[place]
    else
        used = used + tonumber(seconds[place + 1])
        if second < oldest then oldest = second end
    end
end
if #stale > 0 then redis.call('HDEL', KEYS[1], unpack(stale)) end
local taken = 0
if used < limit then
    redis.call('HINCRBY', KEYS[1], now, 1)
    redis.call('EXPIRE', KEYS[1], window + 1)
    taken, used = 1, used + 1
end
return {taken, math.max(0, limit - used), oldest + window, now}
"""

_rests_until = 0.0


@cache
def _script() -> Script:
    return valkey().register_script(_TAKE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """What a caller has left after this request."""

    limit: int
    remaining: int
    reset: int
    """The second (Unix time) at which the first request that counts ceases to."""
    passed: bool
    """Whether this request may go on; one that may not does not count."""
    retry_after: int
    """Seconds until `reset`, at least one."""


def take(subject: str, *, limit: int) -> Allowance | None:
    """Count a request of somebody who may ask `limit` times in any minute; None where nobody can count."""
    global _rests_until
    if time.monotonic() < _rests_until:
        return None
    try:
        found = _script()(keys=[f"rate:{subject}"], args=[limit, WINDOW])
    except redis.RedisError as error:
        _rests_until = time.monotonic() + _REST
        log.warning("requests_not_counted", error=type(error).__name__)
        return None
    taken, remaining, reset, now = cast("list[int]", found)
    return Allowance(limit=limit, remaining=remaining, reset=reset, passed=bool(taken), retry_after=max(1, reset - now))
