"""Tells a person what happens: one line a step, with its seconds, and the same in the supervisor's log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Journal:
    """Writes progress to the terminal, or to whoever waits for a start in the background, and to a log."""

    def __init__(self, *, screen: IO[str] | None = None, log: Path | None = None) -> None:
        self._screen: IO[str] | None = sys.stdout if screen is None else screen
        self._log = log

    def say(self, text: str) -> None:
        """Tell one line."""
        self._show(f"{text}\n")
        self.note(text)

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """Announce a step, and close its line with the seconds it took. The value given adds a remark to that line."""
        remarks: list[str] = []
        started = time.monotonic()
        self._show(f"  {text} … ")
        try:
            yield remarks.append
        except BaseException:
            self._show("\n")
            raise
        remark = f" ({', '.join(remarks)})" if remarks else ""
        seconds = f"{time.monotonic() - started:.1f} s"
        self._show(f"{seconds}{remark}\n")
        self.note(f"{text}: {seconds}{remark}")

    def note(self, text: str) -> None:
        """Write to the log alone."""
        if self._log is None:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            with self._log.open("a", encoding="utf-8") as target:
                target.write(f"{stamp} {text}\n")
        except OSError:
            return  # A full disk must not stop the supervisor.

    def leave(self) -> None:
        """Go on with the log alone: whoever waited has what they waited for."""
        self._screen = None

    def _show(self, text: str) -> None:
        if self._screen is None:
            return
        try:
            self._screen.write(text)
            self._screen.flush()
        except OSError:
            self._screen = None
