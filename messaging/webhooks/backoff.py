"""When a delivery is tried again: pure, and the only place that knows."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Final

WAITS: Final = tuple(
    wait.total_seconds()
    for wait in (
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=5),
        timedelta(hours=10),
        timedelta(hours=14),
        timedelta(hours=20),
        timedelta(hours=24),
    )
)
"""Seconds after each try that failed, as Standard Webhooks proposes; after the last of them nothing is tried."""
LONGEST: Final = WAITS[-1]
"""Seconds that an endpoint may ask for."""
JITTER: Final = 0.1
"""The part of a wait by which it may be longer, so that what failed together does not come back together."""


def wait_after(attempts: int, *, asked: float | None = None) -> float | None:
    """Seconds to wait after so many tries, no less than the endpoint asked for; None where that was the last."""
    if attempts > len(WAITS):
        return None
    wait = WAITS[max(attempts, 1) - 1] * (1 + random.random() * JITTER)  # noqa: S311 - nobody gains by guessing it
    return max(wait, min(asked or 0.0, LONGEST))
