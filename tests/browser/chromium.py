"""A headless Chromium, spoken to in its own protocol over two pipes.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0
_FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--no-first-run",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


class Refused(Exception):
    """The browser says no, or a script in it failed."""


class Chromium:
    """One browser with one page; `page` is the session that commands to it name."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._number, self._buffer = 0, b""
        self.events: list[Mapping[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.page: str = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def ask(self, method: str, *, session: str | None = None, **parameters: Any) -> Any:
        """Give a command and wait for its answer; keep what is told meanwhile."""
        self._number += 1
        said = {"id": self._number, "method": method, "params": parameters}
        os.write(self._write, json.dumps(said | ({"sessionId": session} if session else {})).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            told = self._next(deadline, method)
            if told.get("id") != self._number:
                self.events.append(told)
            elif "error" in told:
                raise Refused(f"{method}: {told['error'].get('message')}")
            else:
                return told["result"]

    def run(self, script: str) -> Any:
        """Run the body of an asynchronous function in the page, and give what it returns."""
        told = self.ask(
            "Runtime.evaluate",
            session=self.page,
            expression=f"(async () => {{ {script} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in told:
            details = told["exceptionDetails"]
            raise Refused(details.get("exception", {}).get("description") or details.get("text", "a script failed"))
        return told["result"].get("value")

    def event(self, method: str, wanted: str) -> Any:
        """Wait for an event of this name that holds what is wanted."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for told in self.events:
                if told.get("method") == method and told["params"].get(wanted):
                    return told["params"][wanted]
            self.events.append(self._next(deadline, method))

    def _next(self, deadline: float, what: str) -> Mapping[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(self._read, 1 << 16) if ready else b""
            if not more:
                raise Refused(f"{what}: the browser {'is gone' if ready else 'does not answer'}")
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\0")
        told: Mapping[str, Any] = json.loads(text)
        return told


def program() -> str | None:
    """Where a browser is; None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def running(path: str) -> Iterator[Chromium]:
    """Run the browser with a profile of its own while the block lasts."""
    ours, theirs = os.pipe(), os.pipe()

    def connect() -> None:
        # The protocol is read from descriptor 3 and written to 4, which either pipe may have by chance.
        read, write = os.dup(ours[0]), os.dup(theirs[1])
        high_read, high_write = 100, 101
        os.dup2(read, high_read)
        os.dup2(write, high_write)
        os.dup2(high_read, 3)
        os.dup2(high_write, 4)

    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with tempfile.TemporaryDirectory(prefix="dispatch-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [path, *flags, f"--user-data-dir={profile}", "about:blank"],
            close_fds=False,
            preexec_fn=connect,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(Path(profile) / "chromium.log").open("wb"),
        )
        os.close(ours[0])
        os.close(theirs[1])
        try:
            yield Chromium(theirs[0], ours[1])
        finally:
            process.kill()
            process.wait()
            os.close(theirs[0])
            os.close(ours[1])
