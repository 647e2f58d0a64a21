"""Runs parts of the stack as real processes, to be watched, stopped, killed and started again from outside.

    with servers() as pair, Stack(pair.store("bulk").env, EMAIL_URL=mail.url) as stack:
        stack.start("email", "inside", "beat")

Nothing outlives the process that uses this: children end with it, and a guard ends what they had started.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from config.stack import orphans
from config.stack.home import CLONE, temporary_home
from config.stack.keyring import keyring
from config.stack.processes import POOLS, Process, Shape, processes
from config.stack.pulse import pulse_file
from config.stack.servers import LOOPBACK
from config.stack.spawn import spawn
from config.stack.variables import Ports, for_process, variables

T = TypeVar("T")
PATIENCE = 300.0
"""Seconds after which something that should happen counts as never happening: a net, not a measure of speed."""
_STEP = 0.05
_SELDOM = 5.0
"""Steps between two looks in the end."""


def eventually(
    condition: Callable[[], T], what: str | Callable[[], str], *, seconds: float = PATIENCE, step: float = _STEP
) -> T:
    """Wait until `condition` gives something true, and give that; `what` names what was waited for.

    It is asked again after `step` seconds, and ever more seldom: whoever asks takes time from those who are asked for.
    """
    deadline = time.monotonic() + seconds
    pause = step
    while not (found := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(pause)
        pause = min(pause * 1.2, step * _SELDOM)
    return found


@contextmanager
def reserved_port() -> Iterator[int]:
    """A loopback port at which nobody listens unless we let them: while the block lasts nobody is given it by chance,
    neither to listen nor to connect from."""
    with socket.socket() as held:
        # Whoever is told the number binds it beside this one, which never listens: servers ask for that, too.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, 0))
        yield held.getsockname()[1]


def family(leader: int) -> set[int]:
    """The processes in the leader's session, and all that descend from it in sessions of their own."""
    parents: dict[int, int] = {}
    found = {leader}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The name in parentheses may hold anything; state, parent, group and session follow it.
            state, parent, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if state == "Z":
                continue
            parents[int(entry.name)] = int(parent)
            if int(session) == leader:
                found.add(int(entry.name))
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found & parents.keys()


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Part:
    """One process that was started here, with everything that it starts."""

    def __init__(self, name: str, launch: Callable[[], subprocess.Popen[bytes]], log: Path) -> None:
        self.name, self.log = name, log
        self._launch = launch
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.alive, f"{self.name} runs already"
        self._process = self._launch()

    def pids(self) -> set[int]:
        return family(self.pid)

    def kill(self) -> set[int]:
        """Kill the process and all its children at one stroke, which none can answer; give their pids."""
        if self._process is None:
            return set()
        struck: set[int] = set()
        while fresh := self.pids() - struck:
            _signal(fresh, signal.SIGSTOP)
            struck |= fresh
        _signal(struck, signal.SIGKILL)
        self._process.wait()
        self._process = None
        eventually(lambda: not any(_exists(pid) for pid in struck), f"{self.name} is gone")
        return struck

    def halt(self) -> set[int]:
        """Stop the process and all its children where they are."""
        pids = self.pids()
        _signal(pids, signal.SIGSTOP)
        return pids

    def resume(self) -> None:
        _signal(self.pids(), signal.SIGCONT)

    def ask_to_stop(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """The exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(seconds)


def _exists(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Stack:
    """Chosen processes of the stack, in an environment of their own; logs and pulses lie in a temporary home."""

    def __init__(self, servers: Mapping[str, str], **extra: str) -> None:
        self._servers, self._extra = servers, extra
        self._token = secrets.token_hex(12)
        self._held = ExitStack()
        self.parts: dict[str, Part] = {}

    def __enter__(self) -> Stack:
        self.home = self._held.enter_context(temporary_home("trial"))
        self.home.make()
        self.port = self._held.enter_context(reserved_port())
        ports = Ports(api=self.port, flower=0, postgres=0, valkey=0)
        user = {"PATH": os.environ.get("PATH", os.defpath), **self._servers, **self._extra}
        self.home.static.mkdir()
        self.env = {
            **variables(self.home, keyring(self.home), ports, user=user),
            orphans.VARIABLE: self._token,
        }
        self._known = {
            process.name: process for process in processes(Shape(port=self.port, static=str(self.home.static)))
        }
        command = [sys.executable, "-I", orphans.__file__, self._token]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/", start_new_session=True)
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            for part in self.parts.values():
                part.kill()
        finally:
            assert self._guard.stdin is not None
            self._guard.stdin.write(orphans.DONE)
            self._guard.stdin.close()
            self._guard.wait()
            self._held.close()

    def start(self, *names: str) -> None:
        """Start processes of the one list by their names, and wait until the workers among them take tasks."""
        for name in names:
            pulse_file(self.home.run, name).unlink(missing_ok=True)
            self.parts.setdefault(name, self._part(self._known[name])).start()
        for name in names:
            if name in POOLS:
                self.await_pulse(name)

    def await_pulse(self, name: str) -> None:
        def ready() -> bool:
            assert self.parts[name].alive, f"{name} ended\n{self.tail(name)}"
            return pulse_file(self.home.run, name).exists()

        eventually(ready, lambda: f"{name} takes tasks\n{self.tail(name)}")

    def tail(self, name: str, *, lines: int = 15) -> str:
        """The end of a process's log, for a report of what went wrong."""
        with suppress(OSError):
            return "\n".join(self.home.log(name).read_text("utf-8", "replace").splitlines()[-lines:])
        return ""

    def _part(self, process: Process) -> Part:
        log = self.home.log(process.name)

        def launch() -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", *process.command]
            return spawn(command, env=for_process(self.env, process.name), log=log, cwd=CLONE, nice=process.nice)

        return Part(process.name, launch, log)


class Helper:
    """A program of the tests in a process of its own: its first line says that it is ready, and it may answer lines."""

    def __init__(self, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._env = env

    def __enter__(self) -> Helper:
        self.process = subprocess.Popen(
            self._command, cwd=CLONE, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.greeting = self._line()
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, line: str) -> str:
        """Give it a line, and give what it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"{self._command} ended with exit code {self.process.wait()}"
        return line.strip()
