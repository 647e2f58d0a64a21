"""Locks a home and its data directories, so that one launcher at a time works on each.

`flock` rather than a pid file: the kernel lets go when the last holder dies, however it dies. A server inherits the
lock of its own data directory and keeps it for as long as one of its processes lives, also when its launcher is gone.
"""

import fcntl
import os
import time
from pathlib import Path

from config.stack.errors import Held

_STEP = 0.05


def acquire(path: Path, *, wait: float = 0.3) -> int:
    """Take the lock at `path` and return its file descriptor, with our pid written into the file.

    The short wait lets a reader of `holder` pass, which holds the lock for an instant.

    Raises:
        Held: somebody else has it and kept it for `wait` seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                pid = _pid(descriptor)
                os.close(descriptor)
                raise Held(f"{path} is held by process {pid or 'unknown'}", pid=pid) from None
            time.sleep(_STEP)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor


def holder(path: Path) -> int | None:
    """Return the pid of the lock's holder, 0 if it wrote none, None if the lock is free."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0
