"""How many threads of a worker process one channel may hold, so that a stalled provider leaves the others theirs."""

from __future__ import annotations

from config.stack.processes import WORKERS

_KEPT_FOR_SWEEPS = 2


def channel_threads(name: str) -> int:
    """Threads that a channel may hold at a time in the process `name`; a prefork child has one thread anyway."""
    for process in WORKERS:
        if process.name == name and process.pool == "threads":
            channels = {queue.partition(".")[0] for queue in process.queues} - {"pulse", "sweep"}
            threads = process.threads - (_KEPT_FOR_SWEEPS if "sweep" in process.queues else 0)
            return max(1, threads // len(channels))
    return 1
