"""Ends what is left of a run whose supervisor was killed. Run as a script with the run's token, it guards that run.

The kernel's death signal reaches the supervisor's own children, which stop in order. What they had started themselves
(a worker's children, the API's workers) gets none if its parent is gone too. So the guard waits on a pipe that closes
when the supervisor dies, gives everybody a few seconds, and kills what still carries the token in its environment.
Standard library only: it starts before everything else and stays small.
"""

import os
import signal
import sys
import time
from pathlib import Path

VARIABLE = "DISPATCH_RUN"
GRACE = 10.0
DONE = b"done"


def members(token: str) -> list[int]:
    """Return the processes that carry the run's token."""
    wanted = f"{VARIABLE}={token}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in variables and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def end(token: str, *, grace: float = GRACE) -> int:
    """Wait until no process of the run is left, kill those that outstay `grace`, and return how many that were."""
    deadline = time.monotonic() + grace
    while members(token):
        if time.monotonic() >= deadline:
            break
        time.sleep(0.1)
    killed = 0
    for _ in range(50):
        left = members(token)
        if not left:
            break
        for pid in left:
            killed += _kill(pid, token)
        time.sleep(0.1)
    return killed


def _kill(pid: int, token: str) -> int:
    """Kill by a handle on the process, so that a pid used again in the meantime is not hit."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return 0
    try:
        if pid not in members(token):
            return 0
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return 0
    finally:
        os.close(handle)
    return 1


def main() -> None:
    """Guard the run named on the command line, with another grace if one follows; standard input is the pipe."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read() != DONE:
        end(sys.argv[1], grace=float(sys.argv[2]) if len(sys.argv) > 2 else GRACE)


if __name__ == "__main__":
    main()
