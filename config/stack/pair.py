"""The embedded servers of one home: PostgreSQL unless DATABASE_URL is set, Valkey unless REDIS_URL is."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from config.stack.binaries import binaries
from config.stack.errors import Held, StackError
from config.stack.home import Home, Place, closed_place, place
from config.stack.journal import Journal
from config.stack.keyring import Keyring, keyring
from config.stack.servers import Postgres, Server, Valkey
from config.stack.spawn import last_line
from config.stack.supervisor import Child, Supervisor
from config.stack.variables import Ports, choose_ports, variables

_T = TypeVar("_T")
_ROOM_FIRST = 500
_ROOM_LATER = 100
"""Megabytes that must be free for a first start, and for a later one."""
_LEFTOVERS_SECONDS = 30.0
_READY_SECONDS = 300.0
_SERVER_BACKOFF = 5.0


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What is embedded in this start. `fresh` tells that the database was made by it."""

    place: Place
    servers: tuple[Server, ...]
    children: tuple[Child, ...]
    fresh: bool


def wants_postgres(user: Mapping[str, str] = os.environ) -> bool:
    return not user.get("DATABASE_URL", "").strip()


def wants_valkey(user: Mapping[str, str] = os.environ) -> bool:
    return not user.get("REDIS_URL", "").strip()


def start_pair(
    home: Home,
    *,
    ring: Keyring,
    ports: Ports,
    supervisor: Supervisor,
    run: str = "",
    durable: bool = True,
    user: Mapping[str, str] = os.environ,
    go_on: Callable[[], None] = lambda: None,
) -> Pair:
    """Make, start and wait for the servers that are wanted; the supervisor keeps them from then on.

    `go_on` is called while waiting, and may raise.

    Raises:
        StackError: a server could not be made or started; the text says why.
    """
    kinds: list[tuple[type[Server], int]] = []
    if wants_postgres(user):
        kinds.append((Postgres, ports.postgres))
    if wants_valkey(user):
        kinds.append((Valkey, ports.valkey))
    where = place(home) if kinds else Place(root=home.root, account=None, moved=False)
    programs = binaries(where) if kinds else None
    servers: list[Server] = []
    fresh = False
    for kind, port in kinds:
        assert programs is not None  # noqa: S101 - for the type checker
        log = home.log(kind.name)
        server = kind(place=where, binaries=programs, ring=ring, port=port, log=log, run=run, durable=durable)
        check_room(where, megabytes=_ROOM_LATER if server.data.exists() else _ROOM_FIRST)
        fresh |= _patiently(server.prepare) and isinstance(server, Postgres)
        servers.append(server)
    children = tuple(_child(server) for server in servers)
    # Tiers of their own, and the last one started is stopped first: the broker before the database.
    for child in children:
        supervisor.start(child)
    for server, child in zip(servers, children, strict=True):
        _await(server, child, supervisor, go_on)
        if isinstance(server, Postgres):
            server.provide()
    return Pair(place=where, servers=tuple(servers), children=children, fresh=fresh)


@contextmanager
def temporary_pair(home: Home, *, journal: Journal | None = None) -> Iterator[dict[str, str]]:
    """Run the servers for as long as the block lasts, without durability, and yield the environment that names them."""
    home.make()
    supervisor = Supervisor(journal or Journal(log=home.log("supervisor")))
    ring = keyring(home)
    ports = choose_ports(home, api=0, flower=0)
    try:
        start_pair(home, ring=ring, ports=ports, supervisor=supervisor, durable=False)
        yield variables(home, ring, ports)
    finally:
        supervisor.stop()


def forget(home: Home) -> None:
    """Remove what a home keeps outside of itself."""
    shutil.rmtree(closed_place(home), ignore_errors=True)


def check_room(where: Place, *, megabytes: int) -> None:
    """Refuse to start on a full disk: a database that runs out of room in its first seconds is hard to read."""
    free = shutil.disk_usage(where.root).free // 2**20
    if free < megabytes:
        raise StackError(
            f"not enough room: {free} MB are free at {where.root}, {megabytes} MB are needed. "
            "Free some, or choose another place with --home"
        )


def _child(server: Server) -> Child:
    stops: tuple[tuple[signal.Signals, float], ...] = server.stops
    launch: Callable[[], subprocess.Popen[bytes]] = server.launch
    first = True

    def start() -> subprocess.Popen[bytes]:
        # The first start waits for what a killed one left; restarts must not hold up the supervisor and back off.
        nonlocal first
        if first:
            first = False
            return _patiently(launch)
        return launch()

    return Child(name=server.name, launch=start, stops=stops, backoff_limit=_SERVER_BACKOFF)


def _patiently(action: Callable[[], _T]) -> _T:
    """Do it again while processes of an earlier, killed start still end."""
    deadline = time.monotonic() + _LEFTOVERS_SECONDS
    while True:
        try:
            return action()
        except Held as held:
            if time.monotonic() >= deadline:
                raise StackError(f"another start uses the same data: {held}. Stop that one first") from None
            time.sleep(0.1)


def _await(server: Server, child: Child, supervisor: Supervisor, go_on: Callable[[], None]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not server.ready():
        go_on()
        supervisor.tick()
        if child.failures >= 3 or time.monotonic() >= deadline:
            raise StackError(f"{server.name} does not start: {last_line(server.log)} (see {server.log})")
        time.sleep(0.05)
