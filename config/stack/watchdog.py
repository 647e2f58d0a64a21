"""Finds workers that live but do no work: beat's pulse reaches the queue, and nobody takes it.

A stopped broker or a silent beat would make every worker look dead, so it judges only while both are well, and it
measures how long it has seen no new pulse by its own clock, which a change of the machine's time does not move.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from config.stack.pulse import STALE_SECONDS, pulse_file
from config.stack.supervisor import Child

PERIOD = 5.0


class Watchdog:
    """Watches the pulse files of the workers of one supervisor."""

    def __init__(
        self,
        *,
        run: Path,
        workers: Mapping[str, Child],
        beat: Child,
        broker_answers: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        stale: float = STALE_SECONDS,
    ) -> None:
        self._run, self._workers, self._beat = run, workers, beat
        self._broker_answers, self._clock, self._stale = broker_answers, clock, stale
        self._seen: dict[str, tuple[float, float]] = {}
        """For each worker the last time stamp of its file, and when that was first seen."""
        self._next = 0.0
        self._quiet_until = 0.0
        self._beat_blamed = False

    def silent(self) -> list[Child]:
        """Return the children to restart: workers without a pulse, or beat when no worker has one."""
        now = self._clock()
        if now < self._next:
            return []
        self._next = now + PERIOD
        late = [child for name, child in self._workers.items() if self._is_late(name, child, now)]
        if not late or now < self._quiet_until or not self._steady(self._beat, now):
            return []
        if not self._broker_answers():
            # Pulses that wait in a broker which comes back need time to be taken.
            self._quiet_until = now + self._stale
            return []
        # All at once is more likely beat's fault; but if a new beat did not help, it was theirs.
        everyone = len(late) == len(self._workers)
        if everyone and not self._beat_blamed:
            self._beat_blamed = True
            return [self._beat]
        self._beat_blamed = False
        return late

    def _is_late(self, name: str, child: Child, now: float) -> bool:
        try:
            stamp = pulse_file(self._run, name).stat().st_mtime
        except FileNotFoundError:
            stamp = 0.0
        known = self._seen.get(name)
        if known is None or known[0] != stamp:
            self._seen[name] = (stamp, now)
            return False
        return now - known[1] > self._stale and self._steady(child, now)

    def _steady(self, child: Child, now: float) -> bool:
        return child.running and now - child.started > self._stale
