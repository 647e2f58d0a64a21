"""Chooses the ordinary user as whom PostgreSQL and Valkey run when the command itself runs as root."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Account:
    """A named user. A bare numeric id is not enough: initdb refuses a user without a name."""

    name: str
    uid: int
    gid: int


def ordinary(clone: Path) -> Account | None:
    """Return the user to drop to: the clone's owner, or `nobody` where root owns it. None unless we are root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwuid(clone.stat().st_uid)
    except KeyError:
        entry = pwd.getpwnam("nobody")
    if entry.pw_uid == 0:
        entry = pwd.getpwnam("nobody")
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def can_execute(account: Account | None, binary: Path) -> bool:
    """Tell whether the user can run `binary`, by running it: mode bits alone do not tell of mounts and access lists."""
    return _succeeds(account, [str(binary), "--version"])


def can_enter(account: Account | None, directory: Path) -> bool:
    """Tell whether the user can reach into `directory`."""
    return _succeeds(account, ["/bin/sh", "-c", 'test -x "$0"', str(directory)])


def _succeeds(account: Account | None, command: Sequence[str]) -> bool:
    try:
        result = subprocess.run(
            command,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError:
        return False
    return result.returncode == 0
