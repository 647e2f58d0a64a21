"""What beat rings by the clock. Each entry is safe to miss, to come late and to come twice."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

from celery.schedules import schedstate, schedule

WORKERS = ("email", "phone", "web", "inside", "urgent")
"""Processes that are asked for a sign of life."""

SWEEPS: dict[str, float] = {
    "workers.sweep": 1.0,
    "workers.reap": 1.0,
    "workers.ask": 2.0,
    "workers.apply_receipts": 0.5,
    "workers.fall_back": 1.0,
    "workers.start_campaigns": 1.0,
    "workers.feed_campaigns": 1.0,
    "workers.settle_campaigns": 2.0,
    "workers.feed_webhooks": 1.0,
    "workers.forget_webhooks": 600.0,
    "workers.maintain": 600.0,
    "workers.rollup": 10.0,
    "workers.probe": 30.0,
}
"""Task → seconds between two runs."""

LANES = ("steady", "failing")
"""Endpoints that are told of events, by whether they work: each lane has a turn of its own."""

_PULSE = 5.0
_TURN = 1.0


_SLOTS = 20
_slots = count()


class Turns(schedule):
    """Each so many seconds, in the entry's own slot of the second: what all did at once would hold up whatever is sent
    just then."""

    def __init__(self, seconds: float, slot: int) -> None:
        super().__init__(seconds)
        self._offset = slot % _SLOTS / _SLOTS

    def is_due(self, last_run_at: datetime) -> Any:
        """Tell whether a turn began since, whichever way the clock was set, and in how many seconds the next does."""
        last, _ = divmod(last_run_at.timestamp() - self._offset, self.seconds)
        turn, passed = divmod(self.now().timestamp() - self._offset, self.seconds)
        return schedstate(turn != last, self.seconds - passed)


def _entry(task: str, seconds: float, *, queue: str, args: tuple[str, ...] = ()) -> dict[str, Any]:
    # A run that nobody took in time is dropped: the next one does its work.
    return {
        "task": task,
        "schedule": Turns(seconds, next(_slots)),
        "args": args,
        "options": {"queue": queue, "expires": max(3.0, 2 * seconds), "ignore_result": True},
    }


SCHEDULE: dict[str, dict[str, Any]] = {
    **{task: _entry(task, seconds, queue="sweep") for task, seconds in SWEEPS.items()},
    **{
        f"workers.send_webhooks:{lane}": _entry("workers.send_webhooks", _TURN, queue="webhooks", args=(lane,))
        for lane in LANES
    },
    **{
        f"workers.pulse:{process}": _entry("workers.pulse", _PULSE, queue=f"pulse.{process}", args=(process,))
        for process in WORKERS
    },
}
