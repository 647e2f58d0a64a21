"""`manage demo`: sends on every channel through the running stack's API, and shows each message walk its states."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from channels_app.registry import reports_delivery
from messaging.management import peers
from messaging.management.client import ApiClient
from messaging.management.terminal import coloured, console
from messaging.state import Status

BATCH = 20
_LOOK = 0.1
"""Seconds between two rounds of looks."""

ARRIVED = frozenset({"DELIVERED", "OPENED", "CLICKED", "UNSUBSCRIBED"})
ENDED_BADLY = frozenset({"FAILED", "BOUNCED", "CANCELLED"})
STEPS = tuple(status.value for status in (Status.QUEUED, Status.SENDING, Status.SENT, Status.DELIVERED))
"""States whose times the table shows."""

MESSAGES: tuple[dict[str, Any], ...] = (
    {
        "channel": "email",
        "to": "ann@example.com",
        "name": "Ann",
        "subject": "Welcome, {{ name }}",
        "body": "<p>Good to have you here, {{ name }}.</p>",
        "text": "Good to have you here, {{ name }}.",
    },
    {"channel": "sms", "to": "+12025550123", "text": "Your code is 314159.", "priority": "urgent"},
    {"channel": "whatsapp", "to": "+12025550124", "text": "Your parcel is on its way."},
    {"channel": "push", "to": "device-of-ann", "subject": "New comment", "text": "Bob answered you."},
    {"channel": "telegram", "to": "@ann_example", "text": "The build is green."},
    {"channel": "onsite", "to": "ann", "subject": "Invoice", "text": "Your invoice is ready."},
    {"channel": "webhook", "to": "https://example.com/hook", "subject": "order.paid", "text": '{"order": 7}'},
    {"channel": "direct", "text": "Shall we talk at three?"},
)
"""A direct message goes to an avatar of the workspace: here to that of whoever sends it."""


@dataclass(kw_only=True, eq=False)
class Walk:
    """A message on its way, as the API tells of it."""

    id: str
    label: str
    status: str = "QUEUED"
    provider: str = ""
    error: str = ""
    steps: list[tuple[str, float]] = field(default_factory=list)
    """Event types in order, each with the milliseconds since the message was accepted."""
    shown: int = 0
    ends: str = ""
    """The state that it should come to, where that is known."""

    @property
    def arrived(self) -> bool:
        """Whether a receipt told so, or its provider took it and sends no receipts, as SMTP does."""
        if self.ends:
            return self.status == self.ends
        if self.status == Status.SENT:
            return reports_delivery(self.provider) is False
        return self.status in ARRIVED

    @property
    def over(self) -> bool:
        return self.arrived or self.status in ENDED_BADLY

    def learn(self, message: dict[str, Any], events: Sequence[dict[str, Any]]) -> None:
        begun = _seconds(message["created_at"])
        self.status = message["status"]
        self.provider = message["provider"] or ""
        self.error = (message["error"] or {}).get("code") or ""
        self.steps = [(event["type"], (_seconds(event["at"]) - begun) * 1000) for event in events]

    def news(self) -> Iterator[tuple[str, float]]:
        """The steps that were not told of yet."""
        fresh = self.steps[self.shown :]
        self.shown = len(self.steps)
        yield from fresh

    def reached(self, step: str) -> str:
        """The milliseconds at which a step was first reached."""
        times = [ms for kind, ms in self.steps if kind == step.lower()]
        return f"{times[0]:.0f}" if times else "-"


class Command(BaseCommand):
    help = "Send one message on every channel and a batch of e-mails, and show each of them walk its states."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base-url", default=None, help="of the API; by default that of the running stack")
        parser.add_argument("--api-key", default=None, help="by default the one in credentials.json")
        parser.add_argument(
            "--peers", type=Path, default=None, metavar="FILE", help="what loopback providers told of themselves"
        )
        parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="for all of it")

    def handle(self, *args: Any, **options: Any) -> None:
        base_url, api_key = _credentials(options["base_url"], options["api_key"])
        ends = time.monotonic() + options["timeout"]
        screen = console(self.stdout)
        with ApiClient(base_url, api_key, timeout=options["timeout"]) as client:
            walks = [*_send_singles(client, options["peers"]), *_send_batch(client)]
            if options["peers"]:
                for walk in walks:
                    walk.ends = peers.ENDS[walk.label.partition(" ")[0]]
            screen.print(f"{len(walks)} messages accepted by {escape(base_url)}")
            if screen.is_terminal:
                with Live(_table(walks), console=screen, refresh_per_second=10) as live:
                    for _ in _follow(client, walks, ends):
                        live.update(_table(walks))
            else:
                for walk in _follow(client, walks, ends):
                    _print_news(screen, walk)
                screen.print(_table(walks))
        late = [walk for walk in walks if not walk.arrived]
        if late:
            listed = ", ".join(f"{walk.label} {walk.id} is {walk.status} {walk.error}".rstrip() for walk in late)
            raise CommandError(f"{len(late)} of {len(walks)} messages did not arrive: {listed}")
        screen.print(f"all {len(walks)} messages arrived")


def _credentials(base_url: str | None, api_key: str | None) -> tuple[str, str]:
    if base_url and api_key:
        return base_url, api_key
    path = settings.HOME / "credentials.json"
    try:
        kept = json.loads(path.read_text("utf-8"))
        return base_url or kept["base_url"], api_key or kept["api_key"]
    except (OSError, ValueError, KeyError, TypeError):
        raise CommandError(f"{path} tells no base_url and api_key: is the stack up? (./dispatch up)") from None


def _send_singles(client: ApiClient, told: Path | None) -> list[Walk]:
    own: dict[str, dict[str, Any]] = {"direct": {"to": client.get("/api/v1/me")["avatar_id"]}}
    if told is not None:
        own |= peers.recipients(client, peers.read(told))
    sent = [(message["channel"], {**message, **own.get(message["channel"], {})}) for message in MESSAGES]
    if told is not None:
        sent.append(("apprise", dict(peers.ALARM)))
    return [Walk(id=client.post("/api/v1/messages", message)["id"], label=label) for label, message in sent]


def _send_batch(client: ApiClient) -> list[Walk]:
    shared = {"channel": "email", "subject": "Number {{ number }}", "text": "You are number {{ number }}."}
    recipients = [{"to": f"reader{number}@example.com", "data": {"number": number}} for number in range(1, BATCH + 1)]
    answer = client.post("/api/v1/messages/batch", {**shared, "recipients": recipients})
    return [Walk(id=key, label=f"batch {place}") for place, key in enumerate(answer["ids"], start=1)]


def _follow(client: ApiClient, walks: Sequence[Walk], ends: float) -> Iterator[Walk]:
    """Look at the messages that are still under way, in turn, until none is or time is up."""
    while waiting := [walk for walk in walks if not walk.over]:
        for walk in waiting:
            if time.monotonic() >= ends:
                return
            message = client.get(f"/api/v1/messages/{walk.id}")
            walk.learn(message, client.get(f"/api/v1/messages/{walk.id}/events")["results"])
            yield walk
        time.sleep(_LOOK)


def _print_news(screen: Console, walk: Walk) -> None:
    for step, ms in walk.news():
        screen.print(f"{ms:8.0f} ms  {walk.label:<9} {walk.id}  {escape(step)}")


def _table(walks: Sequence[Walk]) -> Table:
    table = Table("message", "id", "status", box=None, pad_edge=False)
    for step in STEPS[1:]:
        table.add_column(f"{step.lower()}, ms", justify="right")
    table.add_column("error")
    for walk in walks:
        times = [walk.reached(step) for step in STEPS[1:]]
        table.add_row(walk.label, walk.id, coloured(walk.status), *times, escape(walk.error))
    return table


def _seconds(text: str) -> float:
    moment = parse_datetime(text)
    if moment is None:
        raise CommandError(f"the API told of a time that is none: {text}")
    return moment.timestamp()
