"""`manage lanes`: how deep every lane is."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.table import Table

from analytics.selectors import LaneDepth, lanes
from messaging.management.terminal import console


class Command(BaseCommand):
    help = "Show how many messages wait in each lane, for how long, and how many workers hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--busy", action="store_true", help="leave out lanes in which nothing waits or moves")

    def handle(self, *args: Any, busy: bool, **options: Any) -> None:
        depths = [depth for depth in lanes() if not busy or depth.waiting or depth.in_flight]
        table = Table("lane", box=None, pad_edge=False)
        for heading in ("waiting", "oldest due", "in flight"):
            table.add_column(heading, justify="right")
        for depth in depths:
            table.add_row(depth.lane.name, _waiting(depth), _oldest(depth), str(depth.in_flight))
        console(self.stdout).print(table)


def _waiting(depth: LaneDepth) -> str:
    return f"over {depth.waiting}" if depth.deeper else str(depth.waiting)


def _oldest(depth: LaneDepth) -> str:
    return "-" if depth.oldest is None else f"{depth.oldest:.1f} s"
