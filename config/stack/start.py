"""`up` as a person meets it: in the foreground, or in the background with the progress shown until it is ready."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from config.stack.home import CLONE, Home, read_json
from config.stack.journal import Journal
from config.stack.spawn import rotate
from config.stack.up import Stack, Wish
from config.stack.variables import Ports

READY = "\0"
"""What the background process writes when everything works; without it, its exit code is the answer."""
_STOPPED = 130
"""The exit code of a start that a signal ended."""


def foreground(home: Home, wish: Wish, *, report: int | None = None) -> int:
    """Run the stack until a signal stops it. `report` is a descriptor that somebody reads who waits for it."""
    home.make()
    rotate(home.log("supervisor"))
    screen = os.fdopen(report, "w", encoding="utf-8") if report is not None else sys.stdout
    journal = Journal(screen=screen, log=home.log("supervisor"))
    journal.say(f"Starting Dispatch on {home.root}")

    def on_ready(ports: Ports, seconds: float) -> None:
        journal.say(f"Ready after {seconds:.1f} s.\n\n{summary(home, ports)}")
        if report is None:
            journal.say("Ctrl-C stops everything.")
        else:
            _release(screen)
            journal.leave()

    return 0 if Stack(home, wish, journal).run(on_ready=on_ready) else _STOPPED


def background(home: Home, arguments: Sequence[str]) -> int:
    """Start the stack in a session of its own and return when it is ready, or with its exit code if it gives up."""
    home.make()
    read, write = os.pipe()
    with home.log("supervisor").open("ab") as log:
        begun = log.tell()
        command = [sys.executable, "-m", "config.cli", "up", "--home", str(home.root), *arguments]
        process = subprocess.Popen(
            [*command, "--report", str(write)],
            cwd=CLONE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(write,),
        )
    os.close(write)
    try:
        if _relay(read):
            return 0
        code = process.wait() or 1
        if code != _STOPPED:
            print(f"dispatch: {_reason(home.log('supervisor'), begun)}", file=sys.stderr)
        return code
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait()
        return _STOPPED
    finally:
        process.returncode = process.returncode or 0  # It goes on without us: no warning that it was not waited for.


def summary(home: Home, ports: Ports) -> str:
    """Return where everything is, and a request to try."""
    known = read_json(home.credentials)
    body = '{"channel": "email", "to": "ada@example.com", "subject": "Hello", "text": "It works."}'
    # The key itself is not shown: what is printed here is kept in logs.
    key = rf"""$(sed -n 's/.*"api_key": "\(dk_live[^"]*\)".*/\1/p' {shlex.quote(str(home.credentials))})"""
    return (
        f"  API        {ports.base_url}/api/v1/     docs {ports.base_url}/api/docs/\n"
        f"  Admin      {known['admin_url']}     user {known['username']}\n"
        f"  Flower     {known['flower_url']}     user {known['flower_username']}\n"
        f"  Passwords and keys are in {home.credentials}\n\n"
        "Try it:\n\n"
        f"  curl -X POST {ports.base_url}/api/v1/messages \\\n"
        f"    -H 'Content-Type: application/json' \\\n"
        f'    -H "Authorization: Bearer {key}" \\\n'
        f"    -d '{body}'\n"
    )


def _release(screen: IO[str]) -> None:
    with suppress(OSError):
        screen.write(READY)
        screen.close()


def _relay(source: int) -> bool:
    """Show what comes until the other end closes, and tell whether it said that it is ready."""
    said = False
    with os.fdopen(source, "rb", buffering=0) as stream:
        while chunk := stream.read(4096):
            said = said or READY.encode() in chunk
            sys.stdout.write(chunk.replace(READY.encode(), b"").decode("utf-8", "replace"))
            sys.stdout.flush()
    return said


def _reason(log: Path, begun: int) -> str:
    """Return the refusal that a start in the background has written, else the last that it said."""
    with log.open("rb") as source:
        # A log that became shorter was moved aside, and begins anew. One that runs already writes between the lines.
        source.seek(begun if begun <= log.stat().st_size else 0)
        lines = source.read().decode("utf-8", "replace").splitlines()
    refusals = [line.removeprefix("dispatch: ") for line in lines if line.startswith("dispatch: ")]
    return (refusals or lines or ["it ended without a word"])[-1]
