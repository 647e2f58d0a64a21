"""Homes and servers of their own for the tests of the launcher."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from config.stack.home import Home, temporary_home
from config.stack.journal import Journal
from config.stack.keyring import keyring
from config.stack.pair import Pair, forget, start_pair
from config.stack.supervisor import Supervisor
from config.stack.variables import Ports, choose_ports

NET = 120.0
"""Seconds after which a wait is given up: a net under a broken test, not a measure."""


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something true and return it."""
    deadline = time.monotonic() + NET
    while not (found := condition()):
        assert time.monotonic() < deadline, f"gave up waiting until {what}"
        time.sleep(0.05)
    return found


def is_alive(pid: int) -> bool:
    """Tell whether the process runs. One that has ended and is not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def home() -> Iterator[Home]:
    """An empty home that others can pass through, as `up` makes it."""
    with temporary_home("unit") as made:
        made.make()
        yield made
        forget(made)


@pytest.fixture
def supervisor(home: Home) -> Iterator[Supervisor]:
    """A supervisor whose children end with the test."""
    made = Supervisor(Journal(screen=io.StringIO(), log=home.log("supervisor")))
    yield made
    made.stop(hurry=lambda: True)


class Servers:
    """The embedded pair of one home under a supervisor, whatever servers the environment of the tests names."""

    def __init__(self, home: Home, supervisor: Supervisor) -> None:
        self.home, self.supervisor = home, supervisor
        self.ports: Ports = choose_ports(home, api=0, flower=0)
        self.pair: Pair = self.start()

    def start(self) -> Pair:
        return start_pair(
            self.home, ring=keyring(self.home), ports=self.ports, supervisor=self.supervisor, run="unit", user={}
        )

    def url(self, name: str) -> str:
        return next(server.url for server in self.pair.servers if server.name == name)

    def pid(self, name: str) -> int:
        child = self.supervisor.find(name)
        assert child is not None
        assert child.process is not None
        return child.process.pid

    def recovered(self, name: str, old: int) -> bool:
        """Give the supervisor its turn, and tell whether a new process answers."""
        self.supervisor.tick()
        child = self.supervisor.find(name)
        assert child is not None
        server = next(server for server in self.pair.servers if server.name == name)
        return child.process is not None and child.process.pid != old and server.ready()


@pytest.fixture
def servers(home: Home, supervisor: Supervisor) -> Servers:
    """PostgreSQL and Valkey, started by the launcher."""
    return Servers(home, supervisor)


Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def script(tmp_path: Path, project: Path) -> Script:
    """The command in a clone of its own, which has no environment yet, with the modules given in its way."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("dispatch", "requirements.txt", "requirements-dev.txt"):
        shutil.copy2(project / name, clone / name)
    shadows = tmp_path / "shadows"
    shadows.mkdir()

    def run(
        *arguments: str,
        modules: Mapping[str, str] | None = None,
        hear: Callable[[str], None] = lambda line: None,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        for name, text in (modules or {}).items():
            (shadows / f"{name}.py").write_text(text)
        with (
            (tmp_path / "said").open("w+") as errors,
            subprocess.Popen(
                [sys.executable, str(clone / "dispatch"), *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={"PATH": str(tmp_path), "PYTHONPATH": str(shadows), "HOME": str(tmp_path), **env},
            ) as process,
        ):
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                hear(line)
            process.wait()
            errors.seek(0)
            return subprocess.CompletedProcess(process.args, process.returncode, "".join(lines), errors.read())

    return run
