"""Servers that stopped answering: left alone for a while, so that they do not hold the threads that others need.

A request that nobody answers takes a thread for as long as a message may take. Once several in a row did, requests to
that server are not made until it had a rest; then one finds out whether it answers again. Each process keeps its own.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Final

IN_A_ROW: Final = 4
"""Requests without an answer after which a server rests."""
REST: Final = 30.0
"""Seconds for which it does, and for which one request may find out."""
MOST: Final = 10_000
"""Servers that are remembered."""


@dataclass(slots=True)
class _Silence:
    number: int = 0
    until: float = 0.0


class Silences:
    """Which servers rest, by name and port. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, _Silence] = {}

    def wait(self, server: str) -> float:
        """Give the seconds for which a server still rests; whoever is told none after a rest finds out for all."""
        if server not in self._found:
            return 0.0
        with self._lock:
            silence, now = self._found.get(server), time.monotonic()
            if silence is None or silence.number < IN_A_ROW:
                return 0.0
            if silence.until > now:
                return silence.until - now
            silence.until = now + REST
            return 0.0

    def note(self, server: str, *, silent: bool) -> None:
        """Note that a server gave no answer in time, or that it answered in whatever way."""
        if not silent and server not in self._found:
            return
        with self._lock:
            if not silent:
                self._found.pop(server, None)
                return
            silence = self._found.setdefault(server, _Silence())
            silence.number += 1
            silence.until = time.monotonic() + REST
            if len(self._found) > MOST:
                del self._found[next(iter(self._found))]
