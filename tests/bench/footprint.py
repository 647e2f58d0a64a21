"""What a running stack weighs, and how soon it is ready."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from config.stack.home import CLONE, temporary_home
from config.stack.pair import forget
from config.stack.servers import free_port
from tests.bench.cases import Bench
from tests.bench.figures import Figures

_MEGABYTE = 2**20
_MEASURED = ("api", "email", "urgent", "inside", "phone", "web", "beat")


def memory(bench: Bench) -> None:
    """Note what every process of the stack holds after all the messages that this run has passed."""
    _ = bench.dispatch
    for name in _MEASURED:
        pids = _session(bench.ground.children[name].pid)
        for place, pid in enumerate(pids):
            resident, share = rss_and_pss(pid)
            part = f"{name}, {'main' if place == 0 else f'child {place}'}" if len(pids) > 1 else name
            bench.figures.add(
                f"memory after {bench.passed:,}: {part}",
                "PSS beside RSS",
                share / _MEGABYTE,
                resident / _MEGABYTE,
                unit="MB",
                compares=False,
                **({"floor": "200 MB", "goal": "150 MB"} if name in ("api", "email") else {}),
            )


def rss_and_pss(pid: int) -> tuple[int, int]:
    """Bytes that a process holds: all of it, and with what it shares divided by those who share it."""
    found = {"Rss": 0, "Pss": 0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = int(rest.split()[0]) * 1024
    return found["Rss"], found["Pss"]


def _session(leader: int) -> list[int]:
    """The processes of the leader's session, the leader first."""
    members = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
        except OSError:
            continue
        if session == leader:
            members.append(int(entry.name))
    return sorted(members, key=lambda pid: (pid != leader, pid))


def start(figures: Figures) -> None:
    """Note the seconds that `./dispatch up -d` takes in a new home, and once more in the same."""
    with temporary_home("bench") as home:
        command = [sys.executable, str(CLONE / "dispatch")]
        try:
            for which in ("first", "second"):
                flags = ["up", "-d", "--home", str(home.root), "--port", str(free_port())]
                begun = time.monotonic()
                subprocess.run([*command, *flags], check=True, stdout=subprocess.DEVNULL)
                figures.add(f"ready after ./dispatch up -d, {which} start", "", time.monotonic() - begun, unit="s")
                subprocess.run([*command, "down", "--home", str(home.root)], check=True, stdout=subprocess.DEVNULL)
        finally:
            forget(home)
