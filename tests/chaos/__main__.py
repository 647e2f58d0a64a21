"""Strikes a stack under load and prints what was accepted, lost and repeated.

./dispatch chaos [--faults worker-kill,database-kill] [--messages 20000] [--rounds 3]

The exit code is 1 when anything was lost, repeated beyond the limit or otherwise wrong, or a fault missed its window.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

COLUMNS = (
    "fault", "at", "accepted", "sent", "lost", "repeated (limit)", "first further send after", "all done after",
    "violations",
)  # fmt: skip


def _arguments(arguments: list[str], known: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dispatch chaos", description="Break things under load.")
    parser.add_argument("--faults", default=",".join(known), help=f"comma separated: {', '.join(known)}")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    options.faults = options.faults.split(",")
    if unknown := sorted(set(options.faults) - set(known)):
        parser.error(f"unknown faults: {', '.join(unknown)}")
    return options


def main(arguments: list[str]) -> int:
    """Run every fault in every round and give the exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from tests.chaos import faults
    from tests.servers import servers

    options = _arguments(arguments, list(faults.FAULTS))
    console = Console(width=None if sys.stdout.isatty() else 140)
    table = Table(*COLUMNS)
    good = True
    with servers() as pair, tempfile.TemporaryDirectory() as folder:
        for turn in range(options.rounds):
            for fault in options.faults:
                name = f"{fault}-{turn}"
                console.print(f"{name} …")
                own = Path(folder) / name
                own.mkdir()
                with faults.trial(pair, own, name=name) as trial:
                    report = faults.strike(trial, fault, messages=options.messages)
                flaws = faults.flaws(report)
                good = good and not flaws
                table.add_row(
                    report.fault, f"{report.struck_at:.0%}", f"{report.accepted:,}", f"{report.sent:,}",
                    str(report.lost), f"{report.repeated} ({report.limit})", f"{report.resumed:.1f} s",
                    f"{report.finished:.1f} s", "\n".join(flaws[:5]) or "none",
                )  # fmt: skip
    console.print(table)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
