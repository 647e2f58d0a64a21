"""Prints one table of ratios, each measured side by side in this run on this machine.

Absolute figures stand beside the ratios; they belong to the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import adapters, footprint
from tests.bench.cases import CASES, Bench
from tests.bench.figures import Figures, show
from tests.bench.ground import ground

_ONCE = ("memory", "start")
"""Cases that are measured once, after the rounds."""
_APART = ("adapters",)
"""Cases that need no stack."""


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    # Ended by an exception, so that every process ends too and the home is taken away.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    figures = Figures()
    begun = time.monotonic()
    rounds = [name for name in CASES if name in options.only]
    if "adapters" in options.only:
        _say("adapters")
        adapters.measure(figures, options.rounds)
    if set(options.only) - {"start", *_APART}:
        with ground() as place:
            bench = Bench(place, figures, messages=options.messages)
            for number in range(options.rounds):
                for name in rounds:
                    _say(f"round {number + 1} of {options.rounds}: {name}, {time.monotonic() - begun:.0f} s so far")
                    CASES[name](bench)
            if "memory" in options.only:
                footprint.memory(bench)
    if "start" in options.only:
        _say("start")
        footprint.start(figures)
    show(figures, title=_title(options, time.monotonic() - begun))
    if options.json:
        options.json.write_text(json.dumps(figures.as_json(), indent=2) + "\n")
    return 0


def _title(options: argparse.Namespace, seconds: float) -> str:
    return (
        f"Medians of {options.rounds} rounds, {options.messages:,} messages each, on {os.cpu_count()} cores with all "
        f"servers; {seconds:.0f} s in all"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cases(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in (*CASES, *_APART, *_ONCE)]
    if unknown:
        raise argparse.ArgumentTypeError(f"no case {unknown[0]}: there are {', '.join((*CASES, *_APART, *_ONCE))}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dispatch bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default %(default)s")
    parser.add_argument("--messages", type=int, default=20_000, help="in a round of e-mail; default %(default)s")
    parser.add_argument(
        "--only", type=_cases, default=[*CASES, *_APART, *_ONCE], metavar="CASE,CASE", help="among all cases"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
