"""The supervisor with real processes: restart, back-off, order of stopping, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from config.stack import orphans
from config.stack.home import Home
from config.stack.pulse import pulse_file
from config.stack.spawn import rotate, spawn
from config.stack.supervisor import BACKOFF_FIRST, BACKOFF_LIMIT, STEADY_SECONDS, Child, Supervisor
from config.stack.watchdog import Watchdog

from .conftest import is_alive, until

ENV = {"PATH": os.defpath}


def shell(home: Home, name: str, text: str, *, grace: float = 10.0) -> Child:
    launch = partial(spawn, ["/bin/sh", "-c", text], env=ENV, log=home.log(name), cwd=home.root)
    return Child(name=name, launch=launch, stops=((signal.SIGTERM, grace),))


def stops_after(name: str, seconds: str = "0") -> str:
    """A process that says when it is asked to stop, and takes its time."""
    return f'trap "sleep {seconds}; echo {name} >> order; exit 0" TERM; touch up-{name}; while :; do sleep 0.05; done'


def pid_of(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


def test_what_ends_is_started_again_and_counted(home: Home, supervisor: Supervisor) -> None:
    child = shell(home, "one", "exec sleep 600")
    supervisor.start(child)
    old = pid_of(child)
    os.kill(old, signal.SIGKILL)

    def is_back() -> bool:
        supervisor.tick()
        return child.process is not None and child.process.pid != old

    until(is_back, "the child is back")
    assert child.restarts == 1
    assert "one: killed by SIGKILL" in home.log("supervisor").read_text()


def test_the_back_off_doubles_to_its_limit_and_starts_over_when_the_child_was_steady(home: Home) -> None:
    child = shell(home, "one", "exit 1")
    delays = [child.postpone(now=1000.0) for _ in range(12)]
    assert delays[:4] == [0.0, 2 * BACKOFF_FIRST, 4 * BACKOFF_FIRST, 8 * BACKOFF_FIRST]
    assert delays[-1] == BACKOFF_LIMIT
    child.started = 1000.0
    assert child.postpone(now=1000.0 + STEADY_SECONDS) == 0.0


def test_tiers_stop_one_after_the_other_the_last_one_first(home: Home, supervisor: Supervisor) -> None:
    for name, seconds in (("postgres", "0"), ("valkey", "0.2"), ("workers", "0.4"), ("beat", "0.6")):
        supervisor.start(shell(home, name, stops_after(name, seconds)))
        until((home.root / f"up-{name}").exists, f"{name} runs")
    supervisor.stop()
    assert (home.root / "order").read_text().split() == ["beat", "workers", "valkey", "postgres"]


def test_who_does_not_stop_in_time_is_killed(home: Home, supervisor: Supervisor) -> None:
    child = shell(home, "deaf", 'trap "" TERM; touch up-deaf; while :; do sleep 0.05; done', grace=0.2)
    supervisor.start(child)
    until((home.root / "up-deaf").exists, "it runs")
    pid = pid_of(child)
    supervisor.stop()
    assert not is_alive(pid)
    assert "deaf: did not stop in time; killing it" in home.log("supervisor").read_text()


def test_a_killed_process_leaves_none_of_its_own_children(home: Home, supervisor: Supervisor) -> None:
    child = shell(home, "parent", "sleep 600 & echo $! > inner; wait")
    supervisor.start(child)
    inner = int(until(lambda: _text(home.root / "inner"), "the inner process runs"))
    os.kill(pid_of(child), signal.SIGKILL)

    def is_gone() -> bool:
        supervisor.tick()
        return not is_alive(inner)

    until(is_gone, "the inner process is gone")


def test_what_carries_the_token_of_a_run_is_ended_and_nothing_else(home: Home) -> None:
    command = ["/bin/sh", "-c", "sleep 600 & wait"]
    with (
        subprocess.Popen(command, env={**ENV, orphans.VARIABLE: "this-run"}, start_new_session=True) as ours,
        subprocess.Popen(["sleep", "600"], env={**ENV, orphans.VARIABLE: "other-run"}) as other,
    ):
        until(lambda: len(orphans.members("this-run")) == 2, "both processes carry the token")
        assert orphans.end("this-run", grace=0.0) >= 1
        assert orphans.members("this-run") == []
        assert other.poll() is None
        other.kill()
        assert ours.wait() == -signal.SIGKILL


def test_the_guard_leaves_at_once_when_the_run_ended_in_order() -> None:
    guard = [sys.executable, "-I", orphans.__file__, "no-such-run"]
    assert subprocess.run(guard, input=orphans.DONE, check=False).returncode == 0


def test_the_guard_ends_what_a_killed_supervisor_left(home: Home) -> None:
    """Whoever holds the pipe dies without a word, as a killed supervisor does."""
    with subprocess.Popen(["sleep", "600"], env={**ENV, orphans.VARIABLE: "killed-run"}) as left:
        guard = [sys.executable, "-I", orphans.__file__, "killed-run", "0.2"]
        assert subprocess.run(guard, input=b"", check=False).returncode == 0
        assert left.wait() == -signal.SIGKILL


def test_a_log_that_has_grown_is_moved_aside(home: Home) -> None:
    log = home.log("api")
    for text in ("first", "second", "third"):
        log.write_text(text)
        rotate(log, limit=1, copies=2)
    assert not log.exists()
    assert {path.name: path.read_text() for path in home.logs.glob("api*")} == {
        "api.log.1": "third",
        "api.log.2": "second",
    }


class Dog:
    """A watchdog over real processes and files, with a clock that the test moves."""

    def __init__(self, home: Home, supervisor: Supervisor) -> None:
        self.home = home
        self.children = {name: shell(home, name, "exec sleep 600") for name in ("email", "urgent", "beat")}
        supervisor.start(*self.children.values())
        self.now = max(child.started for child in self.children.values()) + 100.0
        self.broker = True
        self.watchdog = Watchdog(
            run=home.run,
            workers={name: self.children[name] for name in ("email", "urgent")},
            beat=self.children["beat"],
            broker_answers=lambda: self.broker,
            clock=lambda: self.now,
        )

    def pulse(self, *names: str) -> None:
        for name in names:
            path = pulse_file(self.home.run, name)
            path.touch()
            os.utime(path, (self.now, self.now))

    def silent(self, *pulsing: str, seconds: int = 70) -> set[str]:
        """Let time pass with the pulse of some, and tell whom the watchdog names."""
        found = set()
        for _ in range(seconds // 5):
            self.now += 5.0
            self.pulse(*pulsing)
            found |= {child.name for child in self.watchdog.silent()}
        return found


@pytest.fixture
def dog(home: Home, supervisor: Supervisor) -> Dog:
    made = Dog(home, supervisor)
    made.pulse("email", "urgent")
    return made


def test_a_worker_without_pulse_is_named_and_the_others_are_not(dog: Dog) -> None:
    assert dog.silent("email", "urgent") == set()
    assert dog.silent("urgent") == {"email"}


def test_nobody_is_blamed_while_the_broker_does_not_answer(dog: Dog) -> None:
    dog.broker = False
    assert dog.silent("urgent", seconds=300) == set()


def test_nobody_is_blamed_while_beat_is_down(dog: Dog) -> None:
    beat = dog.children["beat"]
    os.kill(pid_of(beat), signal.SIGKILL)
    until(beat.ended, "beat has ended")
    assert dog.silent("urgent", seconds=300) == set()


def test_beat_is_blamed_when_all_are_silent_and_then_the_workers(dog: Dog) -> None:
    assert dog.silent(seconds=70) == {"beat"}
    assert dog.silent(seconds=5) == {"email", "urgent"}


def test_a_changed_clock_of_the_machine_blames_nobody(dog: Dog) -> None:
    for name in ("email", "urgent"):
        os.utime(pulse_file(dog.home.run, name), (1.0, 1.0))
    dog.now += 5.0
    assert dog.watchdog.silent() == []


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
