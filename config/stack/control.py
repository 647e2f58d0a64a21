"""Commands that look at a running stack or end it: status, logs, down."""

import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from config.stack import locks
from config.stack.errors import StackError
from config.stack.home import Home
from config.stack.state import Row, memory, own_memory, readiness, running
from config.stack.variables import known_ports

_STOP_SECONDS = 150.0
_TAIL_BYTES = 64 * 1024
_TAIL_LINES = 40
_MEGABYTE = 2**20


def status(home: Home) -> int:
    """Print the processes with their age and memory, and whether the API is ready. Exit code 0 only if it is."""
    state = running(home)
    if state is None:
        print(f"Dispatch does not run on {home.root}. Start it with ./dispatch up")
        return 3
    ports = known_ports(home)
    print(f"{'process':<12}{'pid':>9}{'uptime':>12}{'restarts':>10}{'memory':>10}")
    rows = (Row(name="supervisor", pid=state.pid, since=state.since, restarts=0), *state.rows)
    total = 0
    for row in rows:
        used = _memory(row)
        total += used
        age = _age(time.time() - row.since) if row.pid and row.since else "ended"
        print(f"{row.name:<12}{row.pid or '-':>9}{age:>12}{row.restarts:>10}{_megabytes(used):>10}")
    print(f"{'':<43}{_megabytes(total):>10}")
    code, answer = readiness(ports)
    print(f"\n{ports.base_url}/readyz: {code or 'no answer'}" + ("" if code == 200 else f" ({answer})"))
    print(f"home {home.root}" + (f", server data {state.place}" if state.place != str(home.root) else ""))
    return 0 if code == 200 else 1


def down(home: Home) -> int:
    """Ask the supervisor to stop everything and wait for it."""
    pid = locks.holder(home.lock)
    if pid is None:
        print(f"Dispatch does not run on {home.root}")
        return 0
    # A handle first, then the lock again: the signal reaches the process that held it, not one that got its number.
    handle = _handle(pid)
    if handle is None or locks.holder(home.lock) != pid:
        print("Dispatch has just stopped")
        return 0
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        started = time.monotonic()
        if not select.select([handle], [], [], _STOP_SECONDS)[0]:
            raise StackError(f"process {pid} still stops after {_STOP_SECONDS:.0f} s: see {home.log('supervisor')}")
    finally:
        os.close(handle)
    print(f"Stopped ({time.monotonic() - started:.1f} s)")
    return 0


def logs(home: Home, names: Sequence[str], *, follow: bool) -> int:
    """Print the end of the logs, all or those named, and with `follow` what is added from then on."""
    known = sorted(path.stem for path in home.logs.glob("*.log"))
    if unknown := [name for name in names if name not in known]:
        raise StackError(f"no log named {unknown[0]}: there are {', '.join(known) or 'none yet'}")
    chosen = [home.log(name) for name in (names or known)]
    width = max((len(path.stem) for path in chosen), default=0) if len(chosen) > 1 else 0
    positions = {path: _print_end(path, width) for path in chosen}
    while follow:
        for path in chosen:
            positions[path] = _print_from(path, positions[path], width)
        time.sleep(0.3)
    return 0


def _print_end(path: Path, width: int) -> int:
    with path.open("rb") as source:
        size = source.seek(0, os.SEEK_END)
        source.seek(max(0, size - _TAIL_BYTES))
        lines = source.read().splitlines()
    for line in lines[-_TAIL_LINES:]:
        _print(path, line, width)
    return size


def _print_from(path: Path, position: int, width: int) -> int:
    """Print whole new lines. A log that became shorter was moved aside, and begins anew."""
    try:
        with path.open("rb") as source:
            size = source.seek(0, os.SEEK_END)
            source.seek(position if position <= size else 0)
            start = source.tell()
            text = source.read()
    except FileNotFoundError:
        return 0
    whole = text.rfind(b"\n") + 1
    for line in text[:whole].splitlines():
        _print(path, line, width)
    return start + whole


def _print(path: Path, line: bytes, width: int, screen: TextIO | None = None) -> None:
    prefix = f"{path.stem:<{width}} | " if width else ""
    print(prefix + line.decode("utf-8", "replace"), file=screen or sys.stdout, flush=True)


def _handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _memory(row: Row) -> int:
    if row.pid is None:
        return 0
    # The supervisor's descendants have rows of their own.
    return own_memory(row.pid) if row.name == "supervisor" else memory(row.pid)


def _megabytes(count: int) -> str:
    return f"{count / _MEGABYTE:.0f} MB"


def _age(seconds: float) -> str:
    days, rest = divmod(int(max(0.0, seconds)), 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {clock}" if days else clock
