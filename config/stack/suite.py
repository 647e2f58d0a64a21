"""Commands of developers and of people who try it out: manage, test, check, demo, and what runs from tests/."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from config.stack.control import down
from config.stack.errors import StackError
from config.stack.home import CLONE, Home, temporary_home
from config.stack.keyring import Keyring, keyring
from config.stack.pair import forget, temporary_pair, wants_postgres, wants_valkey
from config.stack.servers import LOOPBACK, free_port
from config.stack.start import background
from config.stack.state import running
from config.stack.variables import Ports, known_ports, variables


def manage(home: Home, arguments: Sequence[str]) -> int:
    """Run manage.py in the environment of the home."""
    if not home.secrets.exists() and (wants_postgres() or wants_valkey()):
        print(f"note: nothing was started on {home.root} yet: ./dispatch up makes its database", file=sys.stderr)
    home.make()
    env = variables(home, keyring(home), known_ports(home))
    return _run([sys.executable, "manage.py", *arguments], env)


_WHOLE = ("-n", "2", "--dist", "loadfile", "--max-worker-restart", "0")
"""How the whole suite runs: in two processes, the tests of a file in one of them."""


def test(home: Home | None, arguments: Sequence[str]) -> int:
    """Run pytest with servers of its own, except those that the environment names. Without arguments it runs every
    test, which is more than one process gets done in a few minutes."""
    with ExitStack() as held:
        chosen = home or held.enter_context(temporary_home("test"))
        if home is None:
            held.callback(forget, chosen)
        env = held.enter_context(temporary_pair(chosen))
        return _run([sys.executable, "-m", "pytest", *(arguments or _WHOLE)], env)


def check(arguments: Sequence[str]) -> int:
    """Run every check, whatever the ones before said, and print what came of each."""
    if list(arguments) == ["--browser"]:
        # Not among the checks: it needs a browser, and npm's registry.
        return _run([sys.executable, "-m", "tests.browser"], os.environ)
    if arguments:
        raise StackError(f"check takes no argument {arguments[0]}")
    with temporary_home("check") as home:
        env = variables(home, _throwaway(), Ports(api=8000, flower=5555, postgres=1, valkey=1))
        results = {name: _timed(name, command, env) for name, command in _checks().items()}
    print()
    for name, (code, seconds) in results.items():
        print(f"  {'ok    ' if code == 0 else 'FAILED'} {name:<28}{seconds:6.1f} s")
    return 1 if any(code for code, _ in results.values()) else 0


def module(home: Home | None, name: str, arguments: Sequence[str]) -> int:
    """Run a module of tests/ that brings its own stack: bench or chaos."""
    env = dict(os.environ)
    if home is not None:
        env["DISPATCH_HOME"] = str(home.root)
    return _run([sys.executable, "-m", name, *arguments], env)


def demo(home: Home, arguments: Sequence[str]) -> int:
    """Run the demo on the stack of the home, or on one that lives as long as the demo.

    With `--peers` it is always one of its own, whose providers are peers on loopback.
    """
    wished = [argument for argument in arguments if argument != "--peers"]
    if len(wished) < len(arguments):
        return _demo_with_peers(wished)
    state = running(home)
    if state is not None and state.ready:
        return manage(home, ["demo", *arguments])
    print("Dispatch does not run: starting one for the demo", flush=True)
    with _interruptible(), temporary_home("demo") as own:
        return _demo_on(own, free_port(), arguments)


def _demo_with_peers(arguments: Sequence[str]) -> int:
    port = free_port()
    print("Starting loopback providers, and a Dispatch that talks to them", flush=True)
    with _interruptible(), temporary_home("demo") as own:
        own.make()
        command = [sys.executable, "-m", "tests.peers", "--base-url", f"http://{LOOPBACK}:{port}"]
        with subprocess.Popen(
            [*command, "--folder", str(own.root)], cwd=CLONE, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as peers:
            try:
                told = peers.stdout.readline() if peers.stdout else ""
                if not told:
                    raise StackError("the loopback providers did not start")
                (own.root / "peers.json").write_text(told)
                os.environ.update(json.loads(told)["env"])
                return _demo_on(own, port, ["--peers", str(own.root / "peers.json"), *arguments])
            finally:
                peers.terminate()


def _demo_on(own: Home, port: int, arguments: Sequence[str]) -> int:
    try:
        code = background(own, ["--port", str(port)])
        return code or manage(own, ["demo", *arguments])
    finally:
        down(own)
        forget(own)


@contextmanager
def _interruptible() -> Iterator[None]:
    """As by Ctrl-C: what was started for the demo is stopped with it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _checks() -> dict[str, list[str]]:
    python = sys.executable
    return {
        "ruff check": [python, "-m", "ruff", "check", "."],
        "ruff format --check": [python, "-m", "ruff", "format", "--check", "."],
        "mypy": [python, "-m", "mypy", "."],
        "lint-imports": [python, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
        "makemigrations --check": [python, "-W", "ignore::RuntimeWarning", "manage.py", "makemigrations", "--check"],
        "manage.py check": [python, "manage.py", "check"],
    }


def _timed(name: str, command: Sequence[str], env: Mapping[str, str]) -> tuple[int, float]:
    print(f"== {name}", flush=True)
    started = time.monotonic()
    return _run(command, env), time.monotonic() - started


def _throwaway() -> Keyring:
    """Return secrets for commands that start nothing and reach nothing."""
    word = secrets.token_hex(16)
    key = "k1:" + "A" * 43 + "="
    return Keyring(
        secret_key=word * 2, dispatch_keys=key, postgres_superuser=word, postgres=word, valkey=word, flower=word
    )


def _run(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a command at the terminal. Ctrl-C reaches it too, so we wait until it has dealt with it."""
    with subprocess.Popen(command, cwd=CLONE, env=dict(env)) as process:
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                continue
            return code if code >= 0 else 128 - code
