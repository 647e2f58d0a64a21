"""The directory that holds everything one running Dispatch keeps, and where its servers keep their data.

credentials.json  secrets.json  ports.json  setup.json      static/  logs/  run/  supervisor.lock
postgres/  valkey/  postgres.lock  valkey.lock  bin/         the servers' part, here or under /var/lib
"""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.stack.accounts import Account, can_enter, ordinary
from config.stack.errors import StackError

CLONE = Path(__file__).resolve().parent.parent.parent
CLOSED_HOMES = Path("/var/lib")
"""Where the servers' data goes if root's home is closed to the user they run as."""


@dataclass(frozen=True, kw_only=True)
class Home:
    """One home directory: paths only, apart from `make`."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def static(self) -> Path:
        return self.root / "static"

    @property
    def lock(self) -> Path:
        return self.root / "supervisor.lock"

    @property
    def state(self) -> Path:
        return self.run / "state.json"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def setup(self) -> Path:
        return self.root / "setup.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def make(self) -> None:
        """Make what is missing. Others may pass through to the data of the servers' user; the files are 0600.

        Raises:
            StackError: this place can hold no directory.
        """
        try:
            if not self.root.exists():
                self.root.mkdir(parents=True)
                self.root.chmod(0o711)
            for directory in (self.logs, self.run):
                directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EPERM, errno.ENOSPC}:
                raise
            raise StackError(
                f"cannot keep anything under {self.root}: {error.strerror}. Choose another --home"
            ) from None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the embedded servers live, and as whom they run: None is ourselves, an ordinary user."""

    root: Path
    account: Account | None
    moved: bool
    """The home is closed to the account, so `root` lies outside."""


def place(home: Home) -> Place:
    """Choose the servers' directory: the home itself, unless we are root and the user to drop to cannot reach it."""
    account = ordinary(CLONE)
    if account is None or can_enter(account, home.root):
        return Place(root=home.root, account=account, moved=False)
    root = closed_place(home)
    root.mkdir(mode=0o711, parents=True, exist_ok=True)
    root.chmod(0o711)
    return Place(root=root, account=account, moved=True)


def closed_place(home: Home) -> Path:
    """Return the directory of a home that the servers' user cannot reach. The name follows from the home's path."""
    return CLOSED_HOMES / f"dispatch-{hashlib.sha256(os.fsencode(home.root)).hexdigest()[:12]}"


@contextmanager
def temporary_home(purpose: str) -> Iterator[Home]:
    """Make a home for one run, and take it away afterwards together with the servers' part of it."""
    with tempfile.TemporaryDirectory(prefix=f"dispatch-{purpose}-", ignore_cleanup_errors=True) as directory:
        root = Path(directory)
        root.chmod(0o711)
        yield Home(root=root)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in `path`, or an empty one where there is no file.

    Raises:
        StackError: the file holds something else.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise StackError(f"{path} is damaged: it holds no JSON object. Restore it, or remove it") from None
    if not isinstance(value, dict):
        raise StackError(f"{path} is damaged: it holds no JSON object. Restore it, or remove it")
    return value


def write_json(path: Path, value: Mapping[str, Any], *, durable: bool = True) -> None:
    """Replace `path` in one step, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as target:
        json.dump(value, target, indent=2)
        target.write("\n")
        if durable:
            target.flush()
            os.fsync(target.fileno())
    draft.replace(path)
