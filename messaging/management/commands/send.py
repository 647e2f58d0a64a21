"""`manage send`: one message from the command line."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.markup import escape

from channels_app.types import Channel
from messaging.dispatch import intake
from messaging.errors import DispatchError
from messaging.management import terminal
from messaging.models import Message
from messaging.state import WAITING, Priority, Status

_LOOK = 0.1
"""Seconds between two looks at a message that is waited for."""


class Command(BaseCommand):
    help = "Accept one message, as the API would, and print its id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("channel", choices=[channel.value for channel in Channel])
        parser.add_argument("to", help="the recipient's address on that channel")
        parser.add_argument("--subject", default="")
        parser.add_argument("--text", default="", help="the plain text")
        parser.add_argument("--body", default="", help="the HTML body")
        parser.add_argument("--from", dest="sender", default="")
        parser.add_argument("--name", default="", help="the recipient's name")
        parser.add_argument(
            "--data", action="append", default=[], metavar="KEY=VALUE", help="a template value; {…} and […] are JSON"
        )
        parser.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE")
        parser.add_argument("--at", default=None, metavar="TIME", help="send then, in ISO 8601; UTC without an offset")
        parser.add_argument("--expires", default=None, metavar="TIME", help="fail if it was not sent by then")
        parser.add_argument("--priority", choices=[priority.word for priority in Priority], default="normal")
        parser.add_argument("--workspace", default=None, help="id or slug; the first one by default")
        parser.add_argument("--test", action="store_true", help="use the sandbox, whatever is configured")
        parser.add_argument(
            "--wait", nargs="?", type=float, const=30.0, default=None, metavar="SECONDS", help="wait for the outcome"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = terminal.workspace(options["workspace"])
        try:
            accepted = intake.accept(
                workspace_id=workspace.id,
                author_id=None,
                test=options["test"],
                draft=_draft(options),
                recipients=[
                    intake.Recipient(
                        to=options["to"],
                        name=options["name"],
                        data=_pairs(options["data"]),
                        metadata=_pairs(options["metadata"]),
                    )
                ],
                batch=False,
            )
        except DispatchError as error:
            places = "".join(f"\n  {place.pointer}: {place.detail}" for place in error.errors)
            raise CommandError(f"not accepted: {error.detail}{places}") from error
        key = accepted.ids[0]
        self.stdout.write(str(key))
        if options["wait"] is not None:
            self._follow(key, patience=options["wait"])

    def _follow(self, key: UUID, *, patience: float) -> None:
        """Print the states that the message passes until it has gone out or ended.

        Raises:
            CommandError: it failed, or still waits when the patience is over.
        """
        screen = terminal.console(self.stdout)
        ends = time.monotonic() + patience
        seen: set[UUID] = set()
        while True:
            row = Message.objects.get(pk=key)
            for event in row.events.all():
                if event.id not in seen:
                    seen.add(event.id)
                    screen.print(f"{terminal.clock(event.at)}  {escape(event.type)}")
            if row.status not in WAITING:
                break
            if time.monotonic() >= ends:
                raise CommandError(f"still {row.status} after {patience:g} s")
            time.sleep(_LOOK)
        if row.status in {Status.FAILED, Status.BOUNCED, Status.CANCELLED}:
            raise CommandError(f"{row.status}: {row.error_code} {row.error_detail}".rstrip(": "))


def _draft(options: dict[str, Any]) -> intake.Draft:
    return intake.Draft(
        channel=Channel(options["channel"]),
        subject=options["subject"],
        body=options["body"],
        text=options["text"],
        sender=options["sender"],
        priority=Priority[options["priority"].upper()],
        scheduled_at=terminal.moment(options["at"]) if options["at"] else None,
        expires_at=terminal.moment(options["expires"]) if options["expires"] else None,
    )


def _pairs(given: list[str]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise CommandError(f"{pair} is not of the form key=value")
        pairs[key] = _value(key, value)
    return pairs


def _value(key: str, value: str) -> Any:
    if not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise CommandError(f"the value of {key} is not JSON") from None
