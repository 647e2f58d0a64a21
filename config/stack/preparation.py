"""Brings database, static files and credentials up to date before the processes start."""

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from config.stack.errors import StackError
from config.stack.home import CLONE, Home, read_json, write_json
from config.stack.journal import Journal
from config.stack.pair import wants_postgres
from config.stack.processes import FLOWER_USER
from config.stack.spawn import end_group, last_line, spawn
from config.stack.variables import Ports

BOOTSTRAPPED = ("username", "password", "avatar_id", "workspace_id", "api_key", "test_api_key")
"""What the command bootstrap prints, once."""
TAKEN = 3
"""Its exit code where there are users already."""


class Preparation:
    """The steps of one start. A step whose inputs are those of the last start is skipped."""

    def __init__(
        self,
        home: Home,
        env: Mapping[str, str],
        journal: Journal,
        *,
        fresh: bool,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        self._home, self._env, self._journal = home, env, journal
        self._go_on = go_on
        self._fresh = fresh
        self._done: dict[str, Any] = {} if fresh else read_json(home.setup)

    def run(self, ports: Ports) -> None:
        """Do every step.

        Raises:
            StackError: a command failed; the text has its last line.
        """
        schema = digest([CLONE / "requirements.txt", *sorted(CLONE.glob("*/migrations/*.py"))])
        # Its checks also tell whether these keys are those that rows were encrypted with.
        keys = hashlib.sha256(self._env.get("DISPATCH_KEYS", "").encode()).hexdigest()
        # Another server's database may have been changed or exchanged by others: ask it every time.
        if (self._done.get("schema"), self._done.get("keys")) != (schema, keys) or not wants_postgres():
            self._manage("migrating the database", "migrate", "--noinput")
            self._keep("schema", schema)
            self._keep("keys", keys)
        assets = digest([CLONE / "requirements.txt", *sorted(CLONE.glob("*/static/**/*"))])
        if self._done.get("static") != assets or not self._home.static.is_dir():
            self._manage("collecting static files", "collectstatic", "--noinput", "--clear")
            self._keep("static", assets)
        self._credentials(ports)

    def _credentials(self, ports: Ports) -> None:
        kept = {} if self._fresh else read_json(self._home.credentials)
        if not all(kept.get(name) for name in BOOTSTRAPPED):
            # The database may know of a bootstrap whose output was lost when a start was cut off: ours is made anew.
            # Somebody else's database is not: its users may be in use.
            again = bool(self._done.get("bootstrapping")) or (wants_postgres() and not self._fresh)
            self._keep("bootstrapping", True)
            kept = self._bootstrap(again=again)
        write_json(self._home.credentials, credentials(kept, self._env, ports))
        if self._done.get("bootstrapping"):
            self._keep("bootstrapping", False)

    def _bootstrap(self, *, again: bool) -> dict[str, Any]:
        try:
            output = self._manage("making the first workspace", "bootstrap", *(["--reset"] if again else []))
        except StackError:
            self._keep("bootstrapping", again)
            raise
        line = next((line for line in reversed(output.splitlines()) if line.startswith("{")), "{}")
        try:
            made: dict[str, Any] = json.loads(line)
        except ValueError:
            made = {}
        if missing := [name for name in BOOTSTRAPPED if not made.get(name)]:
            raise StackError(f"bootstrap printed no {', '.join(missing)} (see {self._home.log('setup')})")
        return made

    def _keep(self, name: str, value: str | bool) -> None:
        self._done[name] = value
        write_json(self._home.setup, self._done)

    def _manage(self, what: str, *arguments: str) -> str:
        """Run a management command and return what it printed on standard output."""
        log = self._home.log("setup")
        with self._journal.step(what):
            process = spawn(
                [sys.executable, "manage.py", *arguments], env=self._env, log=log, cwd=CLONE, stdout=subprocess.PIPE
            )
            output = self._output(process)
        if process.returncode != 0:
            if process.returncode == TAKEN:
                raise StackError(
                    f"the database has users already, made from another home: put that home's credentials.json at "
                    f"{self._home.credentials}, or let ./dispatch manage bootstrap --reset print new ones for it"
                )
            raise StackError(f"manage.py {arguments[0]} failed: {last_line(log)} (see {log})")
        return output

    def _output(self, process: subprocess.Popen[bytes]) -> str:
        while True:
            try:
                return process.communicate(timeout=0.2)[0].decode("utf-8", "replace")
            except subprocess.TimeoutExpired:
                try:
                    self._go_on()
                except Exception:
                    end_group(process)
                    process.wait()
                    raise


def credentials(kept: Mapping[str, Any], env: Mapping[str, str], ports: Ports) -> dict[str, Any]:
    """Return the content of credentials.json: what bootstrap made once, and the addresses of this start."""
    return {
        "base_url": ports.base_url,
        "stream_url": None,
        "admin_url": f"{ports.base_url}/admin/",
        "flower_url": ports.flower_url,
        **{name: kept[name] for name in BOOTSTRAPPED},
        "flower_username": FLOWER_USER,
        "flower_password": env["FLOWER_PASSWORD"],
    }


def digest(paths: Iterable[Path]) -> str:
    """Return a fingerprint of files by name and content, and of the interpreter."""
    total = hashlib.sha256(platform.python_version().encode())
    for path in paths:
        if path.is_file():
            total.update(f"\0{path.relative_to(CLONE)}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()
