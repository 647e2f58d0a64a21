"""The whole stack by its command: ready, killed, started again, stopped in order, and nothing left of it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from flower.urls import handlers
from tornado.web import URLSpec

from config.stack import locks, orphans
from config.stack.home import Home
from config.stack.processes import POOLS, Shape, processes
from config.stack.servers import free_port
from config.stack.state import last_run, running
from messaging.dispatch.queue import LANES
from messaging.webhooks import deliveries

from .conftest import is_alive, until

NAMES = ["postgres", "valkey", *(process.name for process in processes(Shape()))]


class Command:
    """./dispatch on one home, with the servers of its own."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = free_port()
        own = {"DATABASE_URL", "REDIS_URL", "BROKER_URL", "VALKEY_TIMEOUT_MS"}
        self.env = {name: value for name, value in os.environ.items() if name not in own}

    def words(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "config.cli", *arguments, "--home", str(self.home.root)]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.words(*arguments), capture_output=True, text=True, check=False, env=self.env)

    def up(self) -> subprocess.CompletedProcess[str]:
        done = self.run("up", "-d", "--port", str(self.port))
        assert done.returncode == 0, done
        return done

    def credentials(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.home.credentials.read_text())
        return value

    def pids(self) -> dict[str, int]:
        state = running(self.home)
        assert state is not None
        return {row.name: row.pid for row in state.rows if row.pid}


@pytest.fixture
def command(home: Home) -> Iterator[Command]:
    made = Command(home)
    yield made
    made.run("down")


@pytest.mark.journey
def test_a_stack_comes_up_survives_kills_and_keeps_its_data(command: Command) -> None:
    first = command.up()
    made = command.credentials()
    assert stat.S_IMODE(command.home.credentials.stat().st_mode) == 0o600
    assert made["base_url"] == f"http://127.0.0.1:{command.port}"
    with urllib.request.urlopen(f"{made['base_url']}/readyz") as answer:  # noqa: S310 - http
        assert answer.status == 200
    assert made["api_key"] not in first.stdout, "a key that is printed is a key in a log"
    assert made["password"] not in first.stdout

    _look_at_flower(made)

    pids = command.pids()
    assert sorted(pids) == sorted(NAMES)
    status = command.run("status")
    assert status.returncode == 0
    assert all(name in status.stdout for name in NAMES)

    second = command.run("up", "-d", "--port", str(free_port()))
    assert second.returncode == 1
    assert f"already runs on {command.home.root} (process {locks.holder(command.home.lock)})" in second.stderr

    # A killed server and a killed worker come back, and nobody else is touched.
    for name in ("postgres", "valkey", "email"):
        os.kill(pids[name], signal.SIGKILL)
    until(lambda: command.run("status").returncode == 0 and _renewed(command.pids(), pids), "all are back")
    assert {name for name in NAMES if command.pids()[name] != pids[name]} == {"postgres", "valkey", "email"}

    # The supervisor is killed: everything ends with it, and the next start keeps what there was.
    token, pids = last_run(command.home), command.pids()
    supervisor = locks.holder(command.home.lock)
    assert supervisor
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not orphans.members(token) and not any(map(is_alive, pids.values())), "nothing is left")
    command.up()
    assert command.credentials() == made

    token = last_run(command.home)
    down = command.run("down")
    assert (down.returncode, orphans.members(token)) == (0, [])
    log = command.home.log("supervisor").read_text().splitlines()
    order = [line.split()[1].rstrip(":") for line in log if ": stopped (" in line]
    assert order[0] == "beat"
    assert order[-4:] == ["flower", "api", "valkey", "postgres"]


@pytest.mark.journey
def test_a_first_start_that_is_killed_or_stopped_can_be_repeated(command: Command) -> None:
    for moment, number in (
        ("migrating", signal.SIGKILL),
        ("making the first", signal.SIGKILL),
        ("API", signal.SIGTERM),
    ):
        with subprocess.Popen(
            command.words("up", "--port", str(command.port)), stdout=subprocess.PIPE, env=command.env
        ) as process:
            assert process.stdout is not None
            said = b""
            while moment.encode() not in said:
                chunk = os.read(process.stdout.fileno(), 4096)
                assert chunk, said
                said += chunk
            process.send_signal(number)
            assert process.wait() == (130 if number == signal.SIGTERM else -number)
    command.up()
    key = command.credentials()["api_key"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{command.port}/api/v1/messages", headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - http
        assert answer.status == 200


def _look_at_flower(made: dict[str, Any]) -> None:
    """It wants its password, changes nothing, and shows what bells and sweeps carry: names of lanes and processes."""
    tasks = f"{made['flower_url']}/api/tasks"
    key = base64.b64encode(f"{made['flower_username']}:{made['flower_password']}".encode()).decode()
    known = {"Authorization": f"Basic {key}"}
    wrong = {"Authorization": f"Basic {base64.b64encode(b'operator:wrong').decode()}"}
    for path in ("/", "/workers", "/tasks", "/broker", "/api/tasks", "/api/workers", "/metrics", "/healthcheck"):
        assert _ask(made["flower_url"] + path, known)[0] == 200, path
    for path in (*(_path(entry) for entry in handlers), "/static/css/flower.css"):
        url = made["flower_url"] + path
        answers = [_ask(url, headers, body)[0] for headers in ({}, wrong) for body in (None, b"{}")]
        assert answers == [401] * 4, path
    for path in ("/api/worker/shutdown/email@here", "/api/task/async-apply/workers.sweep"):
        assert _ask(made["flower_url"] + path, known, b"{}")[0] == 403, path
    names = {*(lane.name for lane in LANES), *(lane.value for lane in deliveries.Lane), *POOLS}
    shown: set[tuple[str, str | None, str]] = set()
    deadline = time.monotonic() + 60
    while ("workers.sweep", "()", "{}") not in shown and time.monotonic() < deadline:
        shown = {(task["name"], task["args"], task["kwargs"]) for task in json.loads(_ask(tasks, known)[1]).values()}
        # Of a task that it heard of only when it began, Flower knows no arguments.
        assert {args for _, args, _ in shown if args is not None} <= {"()", *(f"['{name}']" for name in names)}
    assert ("workers.sweep", "()", "{}") in shown


def _path(entry: Any) -> str:
    """A path that an entry of Flower's table takes."""
    pattern = entry.regex.pattern if isinstance(entry, URLSpec) else entry[0]
    return re.sub(r"\(\.[*+]\)", "x", pattern.rstrip("$")).replace("/?", "").replace(".*", "/nowhere")


def _ask(url: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:  # noqa: S310 - http
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, b""


def _renewed(now: dict[str, int], before: dict[str, int]) -> bool:
    return sorted(now) == sorted(NAMES) and all(now[name] != before[name] for name in ("postgres", "valkey", "email"))
