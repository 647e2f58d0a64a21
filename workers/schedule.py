"""What beat rings by the clock. Each entry is safe to miss, to come late and to come twice."""

from __future__ import annotations

from typing import Any

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


def _entry(task: str, seconds: float, *, queue: str, args: tuple[str, ...] = ()) -> dict[str, Any]:
    # A run that nobody took in time is dropped: the next one does its work.
    return {
        "task": task,
        "schedule": seconds,
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
