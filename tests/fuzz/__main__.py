"""Asks every operation of every surface for what its schema allows and for what it does not.

./dispatch fuzz [--surfaces v1,oasis] [--examples 100] [--seed 1]

Starts a stack of its own. The exit code is 1 when an answer was not what the surface's schema says, or a 5xx that its
document does not name.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from config.stack.control import down
from config.stack.home import CLONE, Home, temporary_home
from config.stack.pair import forget
from config.stack.servers import free_port
from config.stack.start import background

SURFACES = {
    "v1": "/api/schema/",
    "oasis": "/api/schema/oasis/",
    "fluxkit": "/api/schema/fluxkit/",
    "campaignos": "/api/schema/campaignos/",
    "blockv": "/api/schema/blockv/",
}
"""Surface → where its schema is."""
CHECKS = (
    "only_named_failures", "soon", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance",
)  # fmt: skip
LEFT_OUT = {
    "campaignos": ("--exclude-operation-id", "delete_workspace", "--exclude-operation-id", "revoke_key"),
}
"""Operations that are not fuzzed: ids of earlier answers are tried too, and these would shut out whoever asks."""


def main(arguments: Sequence[str]) -> int:
    """Fuzz the surfaces that are asked for, and give the exit code."""
    options = _parser().parse_args(arguments)
    # As by Ctrl-C: what was started is stopped with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with temporary_home("fuzz") as home:
        try:
            if code := background(home, ["--port", str(free_port())]):
                return code
            return max([_fuzz(home, name, options) for name in options.surfaces])
        finally:
            down(home)
            forget(home)


def _fuzz(home: Home, surface: str, options: argparse.Namespace) -> int:
    print(f"== {surface}", flush=True)
    known = json.loads((home.root / "credentials.json").read_text())
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", known["base_url"] + SURFACES[surface]),
        *("--header", f"X-API-Key: {known['api_key']}", "--phases", "examples,coverage,fuzzing"),
        *("--checks", ",".join(CHECKS), "--max-examples", str(options.examples), "--seed", str(options.seed)),
        *LEFT_OUT.get(surface, ()),
        *("--workers", "2", "--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off"),
    ]
    return subprocess.call(command, cwd=CLONE, env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.checks"})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dispatch fuzz", description="Ask for what nobody would ask for.")
    parser.add_argument("--surfaces", type=_surfaces, default=list(SURFACES), help=", ".join(SURFACES))
    parser.add_argument("--examples", type=int, default=100, help="cases for each operation (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def _surfaces(text: str) -> list[str]:
    names = text.split(",")
    if unknown := sorted(set(names) - set(SURFACES)):
        raise argparse.ArgumentTypeError(f"no such surface: {', '.join(unknown)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
