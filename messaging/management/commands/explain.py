"""`manage explain`: why a message stands where it stands."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.markup import escape

from messaging.dispatch.explain import explain
from messaging.management import terminal


class Command(BaseCommand):
    help = "Tell why a message stands where it stands, what happened to it and what happens next."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the message's id")

    def handle(self, *args: Any, id: str, **options: Any) -> None:
        told = explain(terminal.message(id))
        screen = terminal.console(self.stdout)
        screen.print(f"{told['id']}  {terminal.coloured(told['status'])} since {told['since']:%Y-%m-%d %H:%M:%S} UTC")
        screen.print(f"why      {escape(told['why'])}")
        screen.print(f"next     {escape(told['next'])}")
        if told["hint"]:
            screen.print(f"hint     {escape(told['hint'])}")
        screen.print(f"lane     {told['lane']}, attempt {told['attempts']} of {told['max_attempts']}")
        if told["next_attempt_at"]:
            screen.print(f"due      {told['next_attempt_at']:%Y-%m-%d %H:%M:%S} UTC")
        if told["claim"]:
            claim = told["claim"]
            screen.print(f"held by  {escape(claim['worker'])} until {claim['expires_at']:%H:%M:%S} UTC")
        _timeline(screen, told["timeline"])


def _timeline(screen: Console, timeline: list[dict[str, Any]]) -> None:
    screen.print()
    previous = None
    for entry in timeline:
        step = "" if previous is None else f"+{(entry['at'] - previous).total_seconds():.3f} s"
        previous = entry["at"]
        detail = ", ".join(f"{key}={value}" for key, value in entry["detail"].items())
        words = " ".join(filter(None, (entry["provider"], detail)))
        screen.print(
            f"{entry['at']:%Y-%m-%d} {terminal.clock(entry['at'])}  {step:>12}  {escape(entry['type']):<16}"
            f"  by {entry['cause']:<8}  attempt {entry['attempt']}  {escape(words)}".rstrip()
        )
