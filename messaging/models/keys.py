"""UUIDv7 keys (RFC 9562): time order is key order, and partitions are ranges of keys."""

from __future__ import annotations

import secrets
import threading
import time
from datetime import datetime
from uuid import UUID

_COUNTER_BITS = 26
_COUNTER_LIMIT = 1 << _COUNTER_BITS
_lock = threading.Lock()
_last_ms = 0
_counter = 0


def _next() -> tuple[int, int]:
    """The millisecond and the count within it, never going back within this process."""
    global _last_ms, _counter
    with _lock:
        now = time.time_ns() // 1_000_000
        if now > _last_ms:
            _last_ms = now
            _counter = secrets.randbits(_COUNTER_BITS - 2)
        else:
            _counter += 1
            if _counter >= _COUNTER_LIMIT:
                _last_ms += 1
                _counter = 0
        return _last_ms, _counter


def uuid7() -> UUID:
    """A new key, greater than every key that this process made before."""
    ms, count = _next()
    high = (ms << 16) | 0x7000 | (count >> 14)
    low = (0b10 << 62) | ((count & 0x3FFF) << 48) | secrets.randbits(48)
    return UUID(int=(high << 64) | low)


def lowest_key(at: datetime) -> UUID:
    """The lowest key of the millisecond `at`; not a key itself, a bound for ranges of them."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def key_time(key: UUID) -> float:
    """When a key was made, in seconds since 1970."""
    return (key.int >> 80) / 1000
