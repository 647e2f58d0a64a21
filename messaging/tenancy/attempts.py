"""Bounds the guessing of passwords: so many tries for a username from one address, then a pause."""

from __future__ import annotations

import hashlib

import structlog
from django.core.cache import cache

log = structlog.get_logger(__name__)

TRIES = 10
PAUSE_SECONDS = 300


def begin(*, username: str, address: str) -> bool:
    """Count a try before it is made, so that tries at the same time count too; false where there were too many.

    Without the cache every try is let through: signing in must not hang on it.
    """
    key = _key(username, address)
    try:
        cache.add(key, 0, PAUSE_SECONDS)
        tries = cache.incr(key)
    except ValueError:
        # The count ran out between the two calls.
        return True
    # Each cache has errors of its own kind.
    except Exception as error:
        log.warning("attempts_not_counted", error=type(error).__name__)
        return True
    if tries > TRIES:
        log.warning("too_many_attempts", tries=tries, address=address)
    return bool(tries <= TRIES)


def succeed(*, username: str, address: str) -> None:
    """Forget the tries of somebody who knew the password."""
    try:
        cache.delete(_key(username, address))
    except Exception as error:
        log.warning("attempts_not_forgotten", error=type(error).__name__)


def _key(username: str, address: str) -> str:
    digest = hashlib.sha256(f"{username.casefold()}\0{address}".encode()).hexdigest()
    return f"attempts:{digest}"
