"""One run of the whole stack: from nothing to ready, and in order back to nothing."""

import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import FrameType

from config.stack import locks, orphans
from config.stack.broker import answers
from config.stack.errors import Held, StackError
from config.stack.home import CLONE, Home
from config.stack.journal import Journal
from config.stack.keyring import keyring
from config.stack.pair import Pair, start_pair
from config.stack.preparation import Preparation
from config.stack.processes import POOLS, Process, Shape, processes
from config.stack.pulse import pulse_file
from config.stack.servers import is_free
from config.stack.spawn import last_line, spawn
from config.stack.state import last_run, readiness, write_state
from config.stack.supervisor import Child, Supervisor
from config.stack.variables import Ports, choose_ports, for_process, known_ports, variables
from config.stack.watchdog import Watchdog

READY_SECONDS = 180.0
_TICK = 0.25
_FAILURES = 3
"""Ends in a row of one process before ready that make the start fail."""


class Interrupted(Exception):
    """A signal asked to stop while the stack was still starting."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the command line asks of a start."""

    port: int
    flower_port: int | None
    email_workers: int


class Stack:
    """The running stack of one home. `run` returns when it has been stopped."""

    def __init__(self, home: Home, wish: Wish, journal: Journal) -> None:
        self._home, self._wish, self._journal = home, wish, journal
        self._token = secrets.token_hex(12)
        self._supervisor = Supervisor(journal, changed=self._tell)
        self._ports = known_ports(home)
        self._place = home.root
        self._since = time.time()
        self._ready = False
        self._signals = 0

    def run(self, *, on_ready: Callable[[Ports, float], None]) -> bool:
        """Start everything, tell `on_ready`, keep it running until a signal, and stop everything.

        Returns whether it was ready before the signal came.

        Raises:
            StackError: the start failed; whatever ran is stopped again.
        """
        begun = time.monotonic()
        with self._exclusive(), self._guarded(), self._signals_noted():
            try:
                watchdog = self._start()
                self._ready = True
                self._tell()
                on_ready(self._ports, time.monotonic() - begun)
                self._keep(watchdog)
            except Interrupted:
                self._journal.say("Stopping before everything was up …")
                return False
            finally:
                self._ready = False
                self._supervisor.stop(hurry=lambda: self._signals > 1)
                self._home.state.unlink(missing_ok=True)
        return True

    def _start(self) -> Watchdog:
        self._clear_leftovers()
        for name, port in (("API", self._wish.port), ("Flower", self._wish.flower_port)):
            if port is not None and not is_free(port):
                flag = "--port" if name == "API" else "--flower-port"
                raise StackError(f"port {port} is taken by another program: choose another for {name} with {flag}")
        self._ports = choose_ports(self._home, api=self._wish.port, flower=self._wish.flower_port)
        ring = keyring(self._home)
        self._tell()
        with self._journal.step("starting database and broker") as remark:
            pair = start_pair(
                self._home,
                ring=ring,
                ports=self._ports,
                supervisor=self._supervisor,
                run=self._token,
                go_on=self._go_on,
            )
            if not pair.servers:
                remark("your own servers")
        self._place = pair.place.root
        self._tell_place(pair)
        env = {**variables(self._home, ring, self._ports), orphans.VARIABLE: self._token}
        Preparation(self._home, env, self._journal, fresh=pair.fresh, go_on=self._go_on).run(self._ports)
        return self._start_processes(env)

    def _start_processes(self, env: dict[str, str]) -> Watchdog:
        shape = Shape(
            port=self._ports.api,
            flower_port=self._ports.flower,
            email_workers=self._wish.email_workers,
            static=str(self._home.static),
        )
        for name in POOLS:
            pulse_file(self._home.run, name).unlink(missing_ok=True)
        children = {process.name: self._child(process, env) for process in processes(shape)}
        workers = {name: children[name] for name in POOLS}
        with self._journal.step("starting API, workers, beat and Flower"):
            self._supervisor.start(children["api"])
            self._supervisor.start(children["flower"])
            self._supervisor.start(*workers.values())
            self._supervisor.start(children["beat"])
            self._await_ready()
        broker = partial(answers, env["BROKER_URL"])
        return Watchdog(run=self._home.run, workers=workers, beat=children["beat"], broker_answers=broker)

    def _child(self, process: Process, env: dict[str, str]) -> Child:
        command = [sys.executable, "-m", *process.command]
        launch = partial(
            spawn,
            command,
            env=for_process(env, process.name),
            log=self._home.log(process.name),
            cwd=CLONE,
            nice=process.nice,
        )
        return Child(name=process.name, launch=launch, stops=((signal.SIGTERM, process.grace),))

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            self._go_on()
            self._supervisor.tick()
            for child in self._supervisor.children:
                if child.failures >= _FAILURES:
                    log = self._home.log(child.name)
                    raise StackError(f"{child.name} ended {_FAILURES} times at once: {last_line(log)} (see {log})")
            status, answer = readiness(self._ports)
            if status == 200 and not is_free(self._ports.flower) and all(c.running for c in self._supervisor.children):
                return
            if time.monotonic() >= deadline:
                raise StackError(f"not ready after {READY_SECONDS:.0f} s: /readyz said {status or ''} {answer}")
            time.sleep(0.1)

    def _keep(self, watchdog: Watchdog) -> None:
        while not self._signals:
            self._supervisor.tick()
            for child in watchdog.silent():
                self._supervisor.restart(child, "no pulse")
            self._sleep()
        self._journal.say("Stopping …")

    def _sleep(self) -> None:
        ready, _, _ = select.select([self._wakeup], [], [], _TICK)
        if ready:
            with suppress(BlockingIOError):
                self._wakeup.recv(4096)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        self._home.make()
        try:
            lock = locks.acquire(self._home.lock)
        except Held as held:
            raise StackError(
                f"Dispatch already runs on {self._home.root} (process {held.pid}): "
                "see ./dispatch status, stop it with ./dispatch down, or choose another --home"
            ) from None
        try:
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Run the guard that ends the children's children if this process is killed."""
        command = [sys.executable, "-I", orphans.__file__, self._token]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            cwd="/",
            start_new_session=True,
        ) as guard:
            try:
                yield
            finally:
                if guard.stdin is not None:
                    with suppress(BrokenPipeError):
                        guard.stdin.write(orphans.DONE)
                        guard.stdin.close()

    @contextmanager
    def _signals_noted(self) -> Iterator[None]:
        self._wakeup, write = socket.socketpair()
        self._wakeup.setblocking(False)
        write.setblocking(False)
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in handled}
        # Python's own handler, though it does nothing: without one a child's end would not interrupt the wait.
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._wakeup.close()
            write.close()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # It only counts: raised from here, an exception could be lost in a finaliser or leave a step half done.
        self._signals += 1

    def _go_on(self) -> None:
        """Raise Interrupted if somebody asked to stop; every wait of the start calls it."""
        if self._signals:
            raise Interrupted

    def _clear_leftovers(self) -> None:
        token = last_run(self._home)
        if token and orphans.members(token):
            with self._journal.step("ending what a killed start left behind"):
                orphans.end(token)

    def _tell(self) -> None:
        write_state(
            self._home,
            run=self._token,
            ready=self._ready,
            since=self._since,
            place=self._place,
            children=self._supervisor.children,
            ports=self._ports,
        )

    def _tell_place(self, pair: Pair) -> None:
        account = pair.place.account
        if account and pair.place.moved:
            self._journal.say(
                f"  note: {self._home.root} is closed to the user {account.name}, as whom the servers run, "
                f"so their data is in {pair.place.root}"
            )
