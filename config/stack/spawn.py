"""Starts one child process so that it never outlives its parent, with its output in a log file of its own."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.stack.accounts import Account

LOG_BYTES = 10 * 1024 * 1024
LOG_COPIES = 3
_PR_SET_PDEATHSIG = 1
# Loaded here and not after the fork, where taking the loader's lock could hang.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path,
    account: Account | None = None,
    nice: int = 0,
    on_parent_death: signal.Signals = signal.SIGTERM,
    keep: Sequence[int] = (),
    feed: bytes | None = None,
    stdout: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, as `account`, with the descriptors in `keep` and `feed` on its input.

    Both outputs go to `log`, unless `stdout` says otherwise as in subprocess.
    The kernel sends `on_parent_death` when the thread that called this ends, so only a main thread may call it.
    """
    parent = os.getpid()

    def settle() -> None:
        # Popen has dropped to the account by now; before that the drop would clear the death signal again.
        if _PRCTL is not None:
            _PRCTL(_PR_SET_PDEATHSIG, int(on_parent_death))
            if os.getppid() != parent:
                os._exit(1)
        if nice:
            os.nice(nice)

    rotate(log)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
            stdout=output if stdout is None else stdout,
            stderr=output,
            start_new_session=True,
            preexec_fn=settle,
            pass_fds=tuple(keep),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    if feed is not None and process.stdin is not None:
        try:
            process.stdin.write(feed)
            process.stdin.close()
        except BrokenPipeError:
            pass  # It ended at once; whoever polls it sees that.
    return process


def end_group(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> None:
    """Signal whatever is left of the child's session: a killed main process leaves its own children behind."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def rotate(log: Path, *, limit: int = LOG_BYTES, copies: int = LOG_COPIES) -> None:
    """Move a log that has grown past `limit` aside, and drop the oldest of its copies."""
    try:
        if log.stat().st_size <= limit:
            return
    except FileNotFoundError:
        return
    for number in range(copies, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if newer.exists():
            newer.replace(older)


def last_line(log: Path, *, default: str = "no output") -> str:
    """Return the last line of a log that says something, for a one-line report."""
    try:
        with log.open("rb") as source:
            source.seek(max(0, log.stat().st_size - 8192))
            lines = source.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return default
    return next((line.strip() for line in reversed(lines) if line.strip()), default)
