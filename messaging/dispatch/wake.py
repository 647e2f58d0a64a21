"""Requests that wait for an outcome, and the worker that wakes them.

The worker pushes to a list of the message, the request pops from it: what is pushed before anybody pops stays for a
while, so that no order of the two loses it. At most half of the threads that answer requests wait; whoever finds no
place does not. Without Valkey nobody waits, and a request that is not woken looks at the row when its time is up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final
from uuid import UUID

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from messaging.dispatch.queue import valkey

log = structlog.get_logger(__name__)

MARGIN: Final = 1.0
"""Seconds by which a message stays awaited beyond the wait of its request."""
_SILENCE: Final = 0.5
"""Seconds after the end of a wait for which Valkey may say nothing about it."""
_KEPT: Final = 10
"""Seconds that an outcome stays for a request which does not wait yet."""
_REST: Final = 1.0
"""Seconds for which nobody is woken after Valkey did not answer."""

_rests_until = 0.0


@contextmanager
def place() -> Iterator[bool]:
    """A place among the requests of this process that may wait; false where all are taken."""
    places = _places(settings.API_THREADS // 2)
    got = places.acquire(blocking=False)
    try:
        yield got
    finally:
        if got:
            places.release()


@cache
def _places(number: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(number)


@cache
def _waiting(url: str, seconds: float) -> redis.Redis:
    """The client of those who wait, whose calls may take as long as a wait does."""
    return redis.Redis.from_url(
        url,
        socket_timeout=seconds + _SILENCE,
        socket_connect_timeout=settings.VALKEY_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def wait(message_id: UUID) -> bool:
    """Wait until the message's outcome is told; false where that did not happen in time, or Valkey does not answer."""
    seconds: float = settings.SYNC_WAIT_SECONDS
    if seconds <= 0:
        return False
    try:
        return _waiting(settings.REDIS_URL, seconds).blpop([_key(message_id)], timeout=seconds) is not None
    except redis.RedisError as error:
        log.warning("outcome_not_awaited", error=type(error).__name__)
        return False


def wake(ids: Iterable[UUID]) -> None:
    """Tell the requests that wait for these messages that there is an outcome. Never raises."""
    global _rests_until
    if time.monotonic() < _rests_until:
        return
    try:
        with valkey().pipeline(transaction=False) as pipe:
            for message_id in ids:
                pipe.rpush(_key(message_id), "1")
                pipe.expire(_key(message_id), _KEPT)
            pipe.execute()
    except redis.RedisError as error:
        _rests_until = time.monotonic() + _REST
        log.warning("requests_not_woken", error=type(error).__name__)


def _key(message_id: UUID) -> str:
    return f"outcome:{message_id}"
