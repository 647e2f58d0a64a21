"""What a running supervisor tells of itself in `run/state.json`, and what the machine tells of its processes."""

import http.client
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.stack import locks
from config.stack.errors import StackError
from config.stack.home import Home, read_json, write_json
from config.stack.servers import LOOPBACK
from config.stack.supervisor import Child
from config.stack.variables import Ports

_KILOBYTE = 1024


@dataclass(frozen=True, kw_only=True)
class Row:
    """One process in `status`."""

    name: str
    pid: int | None
    since: float
    restarts: int


@dataclass(frozen=True, kw_only=True)
class State:
    """The last state that a supervisor wrote."""

    pid: int
    run: str
    ready: bool
    since: float
    place: str
    rows: tuple[Row, ...]


def write_state(
    home: Home, *, run: str, ready: bool, since: float, place: Path, children: Sequence[Child], ports: Ports
) -> None:
    """Record the present state."""
    value: dict[str, Any] = {
        "pid": os.getpid(),
        "run": run,
        "ready": ready,
        "since": since,
        "place": str(place),
        "base_url": ports.base_url,
        "processes": [
            {
                "name": child.name,
                "pid": child.process.pid if child.process else None,
                "since": child.since,
                "restarts": child.restarts,
            }
            for child in children
        ],
    }
    write_json(home.state, value, durable=False)


def running(home: Home) -> State | None:
    """Return the state of the supervisor that holds the home, or None where none does."""
    pid = locks.holder(home.lock)
    if pid is None:
        return None
    value = _read(home)
    if value.get("pid") != pid:
        return State(pid=pid, run="", ready=False, since=0.0, place=str(home.root), rows=())
    return State(
        pid=pid,
        run=str(value["run"]),
        ready=bool(value["ready"]),
        since=float(value["since"]),
        place=str(value["place"]),
        rows=tuple(Row(**row) for row in value["processes"]),
    )


def last_run(home: Home) -> str:
    """Return the token of the run that wrote the state last, however it ended."""
    return str(_read(home).get("run", ""))


def _read(home: Home) -> dict[str, Any]:
    try:
        return read_json(home.state)
    except StackError:
        return {}  # Written without fsync: a machine that lost power may leave it empty.


def readiness(ports: Ports, *, timeout: float = 3.0) -> tuple[int | None, str]:
    """Ask the API whether it is ready: its status code and body, or None and a reason."""
    connection = http.client.HTTPConnection(LOOPBACK, ports.api, timeout=timeout)
    try:
        connection.request("GET", "/readyz", headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read(2000).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return None, str(error) or type(error).__name__
    finally:
        connection.close()


def memory(leader: int) -> int:
    """Return the bytes that a process and its descendants use, shared pages divided among their users."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # The name in parentheses may hold spaces and parentheses: the parent is the second field after it.
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    family = {leader}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(own_memory(pid) for pid in family)


def own_memory(pid: int) -> int:
    """Return the bytes of one process."""
    for name, word in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            text = Path(f"/proc/{pid}/{name}").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith(word):
                return int(line.split()[1]) * _KILOBYTE
    return 0
