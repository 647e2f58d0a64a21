"""The ground that all subjects stand on: one database server, one broker, one SMTP sink, and their processes."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from config.stack.broker import with_database
from config.stack.home import CLONE, Home, temporary_home
from config.stack.journal import Journal
from config.stack.keyring import keyring
from config.stack.pair import start_pair
from config.stack.servers import LOOPBACK, free_port
from config.stack.spawn import end_group, last_line, spawn
from config.stack.supervisor import Supervisor
from config.stack.variables import Ports, choose_ports, variables

_PATIENCE = 120.0
_GRACE = 15.0
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
"""Variables of the caller that a measured process sees: no settings and no secrets."""


@dataclass
class Ground:
    """What is running, and how to run more on it."""

    home: Home
    ports: Ports
    env: dict[str, str]
    superuser: str
    """The URL of the database server for its owner."""
    smtp_port: int
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def database(self, name: str) -> str:
        """Make a database of that name and give its URL."""
        url = self.env["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return url.rpartition("/")[0] + f"/{name}"

    def broker(self, number: int) -> str:
        """Give the URL of one of the broker's numbered databases."""
        return with_database(self.env["REDIS_URL"], number)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], *, nice: int = 0) -> None:
        """Start `python -m command` and keep it until the end."""
        self.children[name] = spawn(
            [sys.executable, "-m", *command], env=env, log=self.home.log(name), cwd=CLONE, nice=nice
        )

    def run(self, *command: str, env: Mapping[str, str]) -> str:
        """Run `python command` to its end and give what it printed."""
        result = subprocess.run(
            [sys.executable, *command], env=dict(env), cwd=CLONE, check=False, capture_output=True, text=True
        )
        if result.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
        return result.stdout

    def await_http(self, name: str, port: int, path: str, *, code: int) -> None:
        """Wait until a process answers a request with that status."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if self.children[name].poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                    status = answer.status
            except urllib.error.HTTPError as error:
                status = error.code
            except OSError:
                status = 0
            if status == code:
                return
            time.sleep(0.1)
        raise RuntimeError(f"{name} is not ready: {last_line(self.home.log(name))}")

    def hold(self, *names: str) -> None:
        """Stop processes, with their children, where they stand."""
        for name in names:
            end_group(self.children[name], signal.SIGSTOP)

    def release(self, *names: str) -> None:
        """Let them go on."""
        for name in names:
            end_group(self.children[name], signal.SIGCONT)

    def letters(self) -> int:
        """How many letters the sink has taken."""
        with (self.home.root / "letters.jsonl").open("rb") as source:
            return sum(block.count(b"\n") for block in iter(lambda: source.read(1 << 20), b""))

    def settle(self) -> None:
        """Let nobody pay for what another one wrote."""
        with psycopg.connect(self.superuser, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def stop(self) -> None:
        children = list(self.children.values())
        for child in children:
            end_group(child, signal.SIGCONT)
            child.terminate()
        deadline = time.monotonic() + _GRACE
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
            end_group(child)
            child.wait()


@contextmanager
def ground() -> Iterator[Ground]:
    """Start database, broker and sink in a home of their own, and stop everything at the end."""
    user = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with temporary_home("bench") as home:
        home.make()
        ring = keyring(home)
        ports = choose_ports(home, api=free_port(), flower=None)
        supervisor = Supervisor(Journal(screen=io.StringIO(), log=home.log("supervisor")))
        try:
            start_pair(home, ring=ring, ports=ports, supervisor=supervisor, user=user)
            env = variables(home, ring, ports, user=user)
            superuser = f"postgresql://postgres:{ring.postgres_superuser}@{LOOPBACK}:{ports.postgres}/postgres"
            place = Ground(home=home, ports=ports, env=env, superuser=superuser, smtp_port=free_port())
            try:
                _start_sink(place, user)
                yield place
            finally:
                place.stop()
        finally:
            supervisor.stop()


def _start_sink(place: Ground, env: Mapping[str, str]) -> None:
    command = ["tests.peers.smtp", "--port", str(place.smtp_port), "--record", str(place.home.root / "letters.jsonl")]
    place.start("sink", command, env)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((LOOPBACK, place.smtp_port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the sink is not ready: {last_line(place.home.log('sink'))}")
