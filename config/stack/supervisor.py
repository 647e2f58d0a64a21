"""Keeps processes running: starts them, restarts with back-off what ends, stops them in order.

One thread and no callbacks: `tick` looks at every child, and whoever owns the supervisor calls it. The thread matters,
since a child's death signal fires when the thread that started it ends.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from config.stack.errors import StackError
from config.stack.journal import Journal
from config.stack.spawn import end_group

STEADY_SECONDS = 60.0
"""A child that lived as long as this starts again at once when it ends."""
BACKOFF_FIRST = 0.25
BACKOFF_LIMIT = 30.0
_STEP = 0.05


@dataclass(kw_only=True, eq=False)
class Child:
    """A supervised process, over all its restarts."""

    name: str
    launch: Callable[[], subprocess.Popen[bytes]]
    stops: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 10.0),)
    """Signals in order of force, each with the seconds it is given before the next; SIGKILL comes last."""
    backoff_limit: float = BACKOFF_LIMIT
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    """Monotonic."""
    since: float = 0.0
    """Wall clock, for people."""
    restarts: int = 0
    failures: int = field(default=0)
    """Ends in a row, each before the child was steady."""
    due: float = 0.0

    @property
    def running(self) -> bool:
        return self.process is not None

    def start(self) -> None:
        self.process = self.launch()
        self.started, self.since = time.monotonic(), time.time()

    def ended(self) -> str | None:
        """Return how the process ended, once, and clear away what it left behind; None while it runs."""
        if self.process is None:
            return None
        # Look without reaping: until it is reaped the process group cannot be another's.
        if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        end_group(self.process)
        code = self.process.wait()
        self.process = None
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)

    def postpone(self, now: float) -> float:
        """Set when to start again, and return the seconds until then."""
        if self.started and now - self.started >= STEADY_SECONDS:
            self.failures = 0
        delay = min(BACKOFF_FIRST * 2**self.failures, self.backoff_limit) if self.failures else 0.0
        self.failures += 1
        self.due = now + delay
        return delay


class Supervisor:
    """The children in tiers: a tier is stopped together, the last one added first."""

    def __init__(self, journal: Journal, *, changed: Callable[[], None] = lambda: None) -> None:
        self.journal = journal
        self.children: list[Child] = []
        self._tiers: list[tuple[Child, ...]] = []
        self._changed = changed

    def start(self, *children: Child) -> None:
        """Start a tier."""
        self._tiers.append(children)
        for child in children:
            self.children.append(child)
            child.start()
            self.journal.note(f"{child.name}: started as process {child.process.pid if child.process else 0}")
        self._changed()

    def find(self, name: str) -> Child | None:
        """Return the child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def tick(self) -> None:
        """Notice what has ended, and start again what is due."""
        now = time.monotonic()
        for child in self.children:
            how = child.ended()
            if how is not None:
                delay = child.postpone(now)
                self.journal.note(f"{child.name}: {how}; starting again in {delay:.1f} s")
                self._changed()
            elif not child.running and now >= child.due:
                self._restart(child, now)

    def restart(self, child: Child, reason: str) -> None:
        """End a child that does not work any more; the next tick starts it again."""
        self.journal.note(f"{child.name}: {reason}; ending it")
        if child.process is not None:
            end_group(child.process)

    def stop(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop every tier, the last one started first. `hurry` cuts the waiting short."""
        while self._tiers:
            self._stop(self._tiers.pop(), hurry)
            self._changed()
        self.children.clear()

    def _restart(self, child: Child, now: float) -> None:
        try:
            child.start()
        except (StackError, OSError) as error:
            delay = child.postpone(now)
            self.journal.note(f"{child.name}: cannot start: {error}; again in {delay:.1f} s")
            return
        child.restarts += 1
        self.journal.note(f"{child.name}: started again as process {child.process.pid if child.process else 0}")
        self._changed()

    def _stop(self, tier: Sequence[Child], hurry: Callable[[], bool]) -> None:
        begun = time.monotonic()
        waiting = [child for child in tier if child.running]
        steps = {id(child): 0 for child in waiting}
        for child in waiting:
            child.signal(child.stops[0][0])
        while waiting:
            for child in list(waiting):
                if (how := child.ended()) is not None:
                    self.journal.note(f"{child.name}: stopped ({how})")
                    waiting.remove(child)
                else:
                    step = self._force(child, time.monotonic() - begun, hurry())
                    if step > steps[id(child)]:
                        steps[id(child)] = step
                        self._escalate(child, step)
            time.sleep(_STEP)

    @staticmethod
    def _force(child: Child, elapsed: float, hurry: bool) -> int:
        """Return how many of the child's signals have had their time."""
        if hurry and elapsed > 1.0:
            return len(child.stops)
        spent, step = 0.0, 0
        for _, seconds in child.stops:
            spent += seconds
            if elapsed < spent:
                break
            step += 1
        return step

    def _escalate(self, child: Child, step: int) -> None:
        if step < len(child.stops):
            self.journal.note(f"{child.name}: still there; sending {child.stops[step][0].name}")
            child.signal(child.stops[step][0])
        elif child.process is not None:
            self.journal.note(f"{child.name}: did not stop in time; killing it")
            end_group(child.process)
