"""How many threads of a worker process one channel may hold, so that a stalled provider leaves the others theirs."""

from __future__ import annotations

from config.stack.processes import WORKERS

_KEPT = {"sweep": 2, "webhooks": 4}
"""Threads that are left to what is no channel, where a process does that too."""


def channel_threads(name: str) -> int:
    """Threads that a channel may hold at a time in the process `name`; a prefork child has one thread anyway."""
    for process in WORKERS:
        if process.name == name and process.pool == "threads":
            channels = {queue.partition(".")[0] for queue in process.queues} - {"pulse", *_KEPT}
            threads = process.threads - sum(kept for queue, kept in _KEPT.items() if queue in process.queues)
            return max(1, threads // len(channels))
    return 1
