"""Whom Telegram's 429 is about: a chat that was written to too often, or the bot as a whole.

Telegram bounds what a chat gets (about one message a second, in groups 20 a minute) and what a bot sends (about 30 a
second), and its 429 does not say which bound was met. A chat that took a message just before has likely met its own.
Where that is wrong the next chat is told the same, and then it counts for the bot.
"""

from __future__ import annotations

import threading
import time
from typing import Final

WITHIN: Final = 60.0
"""Seconds for which a message that a chat took counts, and for which it is left alone at the most."""
MOST: Final = 10_000
"""Chats that are remembered."""


class Pace:
    """Which chats took a message just before, and which are to be left alone. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts_until: dict[str, float] = {}
        self._held_until: dict[str, float] = {}

    def wait(self, chat: str) -> float:
        """Give the seconds for which a chat is still to be left alone."""
        return max(0.0, self._held_until.get(chat, 0.0) - time.monotonic())

    def took(self, chat: str) -> None:
        """Note that a chat took a message."""
        self._note(self._counts_until, chat, WITHIN)

    def hold(self, chat: str, seconds: float) -> bool:
        """Leave a chat alone for so long, if it took a message just before; tell whether it did."""
        if self._counts_until.get(chat, 0.0) <= time.monotonic():
            return False
        self._note(self._held_until, chat, min(seconds, WITHIN))
        return True

    def _note(self, until: dict[str, float], chat: str, seconds: float) -> None:
        with self._lock:
            until.pop(chat, None)
            until[chat] = time.monotonic() + seconds
            if len(until) > MOST:
                del until[next(iter(until))]
