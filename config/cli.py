"""The commands of ./dispatch, run by the environment that the script at the top has made."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from config.stack import control, start, suite
from config.stack.errors import StackError
from config.stack.home import CLONE, Home
from config.stack.processes import EMAIL_WORKERS, PORT
from config.stack.up import Wish

_PASSED_ON = {
    "manage": "run manage.py in the environment of the home",
    "test": "run every test; arguments go to pytest",
    "check": "lint, types, import rules, migrations (--browser: web push in a real browser instead)",
    "demo": "send on every channel and show each message walk its states (--peers: by providers on loopback)",
    "bench": "print the performance table",
    "chaos": "kill things under load and count what was accepted, lost and doubled",
    "fuzz": "ask every operation for what nobody would ask for",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. What goes wrong as expected is one line."""
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except StackError as error:
        print(f"dispatch: {error}", file=sys.stderr)
    except PermissionError as error:
        print(f"dispatch: no permission for {error.filename}: use the user who made it, or --home", file=sys.stderr)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print("dispatch: no space left on the disk: free some, or choose another place with --home", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def _dispatch(arguments: list[str]) -> int:
    options, rest = _parser().parse_known_args(arguments)
    if options.command in _PASSED_ON:
        return _passed_on(options, rest)
    if rest:
        raise StackError(f"{options.command} takes no argument {rest[0]}: see ./dispatch {options.command} --help")
    home = _home(options.home) or _default_home()
    if options.command == "up":
        return _up(home, options)
    if options.command == "status":
        return control.status(home)
    if options.command == "logs":
        return control.logs(home, options.names, follow=options.follow)
    return control.down(home)


def _up(home: Home, options: argparse.Namespace) -> int:
    if options.detach:
        flags = ["--port", str(options.port), "--workers", str(options.workers)]
        if options.flower_port is not None:
            flags += ["--flower-port", str(options.flower_port)]
        return start.background(home, flags)
    wish = Wish(port=options.port, flower_port=options.flower_port, email_workers=options.workers)
    return start.foreground(home, wish, report=options.report)


def _passed_on(options: argparse.Namespace, rest: list[str]) -> int:
    home = _home(options.home)
    if options.command == "manage":
        return suite.manage(home or _default_home(), rest)
    if options.command == "test":
        return suite.test(home, rest)
    if options.command == "check":
        return suite.check(rest)
    if options.command == "demo":
        return suite.demo(home or _default_home(), rest)
    return suite.module(home, f"tests.{options.command}", rest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dispatch", description="A self-hosted message dispatch platform.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    homed = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    homed.add_argument("--home", metavar="DIR", help="where data, logs and credentials are kept (default: var)")

    up = commands.add_parser("up", parents=[homed], help="start everything", allow_abbrev=False)
    up.add_argument("-d", "--detach", action="store_true", help="return when everything is ready")
    up.add_argument("--port", type=_port, default=PORT, help="of the API (default: %(default)s)")
    up.add_argument("--flower-port", type=_port, help="of Flower (default: the first free one from 5555 on)")
    up.add_argument("--workers", type=_count, default=EMAIL_WORKERS, help="e-mail processes (default: %(default)s)")
    up.add_argument("--report", type=int, help=argparse.SUPPRESS)

    commands.add_parser("down", parents=[homed], help="stop everything", allow_abbrev=False)
    commands.add_parser("status", parents=[homed], help="show the processes", allow_abbrev=False)
    logs = commands.add_parser("logs", parents=[homed], help="show the ends of the logs", allow_abbrev=False)
    logs.add_argument("names", nargs="*", metavar="name", help="of a process, or setup or supervisor")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is added")
    for name, text in _PASSED_ON.items():
        commands.add_parser(name, parents=[homed], help=text, add_help=False, allow_abbrev=False)
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError("must be from 1 to 65535")
    return port


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


def _home(text: str | None) -> Home | None:
    """Return the home named on the command line, relative to where the person stands."""
    if text is None:
        return None
    return Home(root=Path(os.environ.get("DISPATCH_FROM", "."), text).resolve())


def _default_home() -> Home:
    return Home(root=CLONE / "var")


if __name__ == "__main__":
    sys.exit(main())
