"""UUIDv7 keys (RFC 9562): time order is key order, and partitions are ranges of keys."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID, SafeUUID

_COUNTER_BITS = 26
_COUNTER_LIMIT = 1 << _COUNTER_BITS
_RANDOM_BYTES = 6
_START_BYTES = (_COUNTER_BITS - 2) // 8
_VARIANT = 0b10 << 62
_UNKNOWN = SafeUUID.unknown
_lock = threading.Lock()
_last_ms = 0
_counter = 0


def _next(count: int, start: bytes) -> tuple[int, int]:
    """A millisecond and the first of so many counts within it, never going back within this process."""
    global _last_ms, _counter
    with _lock:
        now = time.time_ns() // 1_000_000
        if now > _last_ms:
            _last_ms = now
            first = int.from_bytes(start)
        elif _counter + count < _COUNTER_LIMIT:
            first = _counter + 1
        else:
            _last_ms += 1
            first = 0
        _counter = first + count - 1
        return _last_ms, first


def uuid7() -> UUID:
    """A new key, greater than every key that this process made before."""
    random = secrets.token_bytes(_START_BYTES + _RANDOM_BYTES)
    return _uuid(_value(*_next(1, random[:_START_BYTES]), random[_START_BYTES:]))


def uuid7_many(count: int) -> list[UUID]:
    """So many new keys, each greater than the one before; fewer than 2^25."""
    return [_uuid(value) for value in _values(count)]


def uuid7_texts(count: int) -> list[str]:
    """The same as 32 hexadecimal digits, which a database takes as well."""
    return [f"{value:032x}" for value in _values(count)]


def _values(count: int) -> Iterator[int]:
    # One call to the system for all of them, which takes longer than the rest.
    random, size = secrets.token_bytes(_RANDOM_BYTES * count + _START_BYTES), _RANDOM_BYTES
    ms, first = _next(count, random[-_START_BYTES:])
    for place in range(count):
        yield _value(ms, first + place, random[place * size : (place + 1) * size])


def _value(ms: int, count: int, random: bytes) -> int:
    high = (ms << 16) | 0x7000 | (count >> 14)
    low = _VARIANT | ((count & 0x3FFF) << 48) | int.from_bytes(random)
    return (high << 64) | low


def _uuid(value: int) -> UUID:
    """A UUID of 128 bits: the class itself looks at all that it could be made of, which takes twice as long."""
    made = object.__new__(UUID)
    object.__setattr__(made, "int", value)
    object.__setattr__(made, "is_safe", _UNKNOWN)
    return made


def lowest_key(at: datetime) -> UUID:
    """The lowest key of the millisecond `at`; not a key itself, a bound for ranges of them."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def key_time(key: UUID) -> float:
    """When a key was made, in seconds since 1970."""
    return (key.int >> 80) / 1000
