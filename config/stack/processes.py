"""The one list of processes: what `./dispatch up` starts, what docker-compose.yml runs, and which queue is whose.

A channel's lanes are consumed by exactly one family of workers, so that a slow provider holds up its own family at
most, and the urgent lane of every channel has a process that does nothing else.
"""

from dataclasses import dataclass

from channels_app.types import Channel

_FAMILIES: dict[str, tuple[Channel, ...]] = {
    "email": (Channel.EMAIL,),
    "phone": (Channel.SMS, Channel.WHATSAPP, Channel.TELEGRAM),
    "web": (Channel.PUSH, Channel.WEBHOOK),
    "inside": (Channel.ONSITE, Channel.DIRECT),
}
_EMAIL_NICE = 5
"""Bulk e-mail is the one load that can keep every core busy; being nice cuts the urgent lane's tail."""
_WORKER_GRACE = 35.0
"""A worker may finish what it handed over: a provider's total deadline is 30 s."""

THREADS = 8
URGENT_THREADS = 16
"""Two for each channel, so that a provider which is slow with one message does not hold up the next."""
OUTWARD_THREADS = THREADS + 4
"""Those for messages, and one for each turn that tells endpoints of events."""
WEB_WORKERS = 2
WEB_THREADS = 16
"""Threads of an API process that answer requests, its connections to the database, and twice those that may wait."""
FLOWER_USER = "operator"
EMAIL_WORKERS = 2
PORT = 8000
FLOWER_PORT = 5555


@dataclass(frozen=True, kw_only=True)
class Process:
    """One long-running process. The first word of `command` is a module that Python runs with `-m`."""

    name: str
    command: tuple[str, ...]
    queues: tuple[str, ...] = ()
    pool: str | None = None
    threads: int = 0
    """Tasks at a time, where the pool is one of threads."""
    nice: int = 0
    grace: float = 10.0
    """Seconds between the request to stop and the kill."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What differs between a start on one machine and containers."""

    host: str = "127.0.0.1"
    port: int = PORT
    flower_port: int = FLOWER_PORT
    email_workers: int = EMAIL_WORKERS
    static: str = "var/static"


def processes(shape: Shape) -> tuple[Process, ...]:
    """Return every process in the order of `status`: the API, the workers, beat, Flower."""
    return (_api(shape), *_workers(shape), _beat(), _flower(shape))


def _api(shape: Shape) -> Process:
    command = (
        *("granian", "--interface", "wsgi", "config.wsgi:application"),
        *("--host", shape.host, "--port", str(shape.port), "--http", "1", "--no-ws"),
        *("--workers", str(WEB_WORKERS), "--blocking-threads", str(WEB_THREADS)),
        *("--respawn-failed-workers", "--workers-kill-timeout", "10"),
        *("--static-path-route", "/static", "--static-path-mount", shape.static),
    )
    return Process(name="api", command=command, grace=15.0)


def _workers(shape: Shape) -> tuple[Process, ...]:
    families = {
        name: tuple(f"{channel}.{priority}" for channel in channels for priority in ("normal", "bulk"))
        for name, channels in _FAMILIES.items()
    }
    families["inside"] = ("sweep", *families["inside"])
    families["web"] = ("webhooks", *families["web"])
    families["urgent"] = tuple(f"{channel}.urgent" for channel in Channel)
    return tuple(_worker(name, (f"pulse.{name}", *queues), shape) for name, queues in families.items())


def _worker(name: str, queues: tuple[str, ...], shape: Shape) -> Process:
    threads = {"email": 0, "urgent": URGENT_THREADS, "web": OUTWARD_THREADS}.get(name, THREADS)
    pool, size = ("threads", threads) if threads else ("prefork", shape.email_workers)
    command = (
        *("celery", "-A", "config.celery", "worker", "-n", f"{name}@%h", "-P", pool, "-c", str(size)),
        *("-Q", ",".join(queues), "-E", "--without-gossip", "--without-mingle"),
    )
    nice = _EMAIL_NICE if name == "email" else 0
    return Process(
        name=name, command=command, queues=queues, pool=pool, threads=threads, nice=nice, grace=_WORKER_GRACE
    )


def _beat() -> Process:
    # The in-memory scheduler: every entry is periodic and short, so a file of last runs is only one thing more to lose.
    return Process(name="beat", command=("celery", "-A", "config.celery", "beat", "-S", "celery.beat:Scheduler"))


def _flower(shape: Shape) -> Process:
    # The password comes by FLOWER_BASIC_AUTH, since a command line is readable by every user of the machine.
    options = (f"--address={shape.host}", f"--port={shape.flower_port}", "--read_only=True", "--max_tasks=10000")
    return Process(name="flower", command=("config.flower", *options), nice=10, grace=5.0)


WORKERS: tuple[Process, ...] = tuple(process for process in processes(Shape()) if process.pool is not None)
POOLS: dict[str, str] = {process.name: process.pool for process in WORKERS if process.pool is not None}
QUEUES: frozenset[str] = frozenset(queue for process in WORKERS for queue in process.queues)
