"""`manage tail`: events as they are written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from rich.console import Console
from rich.markup import escape

from channels_app.types import Channel
from messaging.management import terminal
from messaging.state import Status

_LOOK = 0.3
"""Seconds between two looks."""

# Transactions commit in another order than their events' times. So a look asks for what the snapshot of the look
# before did not see: that is exact, and an old transaction somewhere holds nothing up. The bound on `at` only keeps
# the search short.
_NEW = """
WITH moment AS (SELECT pg_current_snapshot()::text AS snapshot, clock_timestamp() AS at)
SELECT moment.snapshot, moment.at, e.at, e.type, e.status, e.cause, e.attempt, e.message_id, e.channel, e.recipient
  FROM moment LEFT JOIN LATERAL (
    SELECT event.*, message.channel, message.recipient
      FROM messaging_messageevent event JOIN messaging_message message ON message.id = event.message_id
     WHERE event.at >= %(since)s::timestamptz - interval '2 minutes' AND event.at >= %(floor)s
       AND (%(snapshot)s::text IS NULL OR NOT pg_visible_in_snapshot(event.xact, %(snapshot)s::pg_snapshot))
       AND (%(workspace)s::uuid IS NULL OR event.workspace_id = %(workspace)s)
       AND (%(channel)s::text IS NULL OR message.channel = %(channel)s)
       AND (%(status)s::text IS NULL OR event.status = %(status)s)) AS e ON true
 ORDER BY e.at, e.id
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which events are shown; what is left out narrows nothing."""

    workspace: UUID | None
    channel: str | None
    status: str | None


class Command(BaseCommand):
    help = "Print what happens to messages, live, until interrupted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workspace", default=None, help="id or slug")
        parser.add_argument("--channel", choices=[channel.value for channel in Channel], default=None)
        parser.add_argument("--status", type=str.upper, choices=[status.value for status in Status], default=None)
        parser.add_argument("--since", type=float, default=0.0, metavar="SECONDS", help="begin so long ago")
        parser.add_argument("--no-follow", dest="follow", action="store_false", help="end after the first look")

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = options["workspace"]
        wanted = Wanted(
            workspace=terminal.workspace(workspace).id if workspace else None,
            channel=options["channel"],
            status=options["status"],
        )
        screen = terminal.console(self.stdout)
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp() - %s * interval '1 second'", [options["since"]])
            floor: datetime = cursor.fetchone()[0]
        snapshot, since = None, floor
        try:
            while True:
                snapshot, since = _look(screen, wanted, snapshot=snapshot, since=since, floor=floor)
                if not options["follow"]:
                    return
                time.sleep(_LOOK)
        except KeyboardInterrupt:
            return


def _look(
    screen: Console, wanted: Wanted, *, snapshot: str | None, since: datetime, floor: datetime
) -> tuple[str, datetime]:
    """Print what is new since a snapshot; give the snapshot and the time of this look."""
    with connection.cursor() as cursor:
        cursor.execute(
            _NEW,
            {
                "snapshot": snapshot,
                "since": since,
                "floor": floor,
                "workspace": wanted.workspace,
                "channel": wanted.channel,
                "status": wanted.status,
            },
        )
        rows = cursor.fetchall()
    for row in rows:
        if row[2] is not None:
            screen.print(_line(row))
    return rows[0][0], rows[0][1]


def _line(row: tuple[Any, ...]) -> str:
    _, _, at, kind, status, cause, attempt, message_id, channel, recipient = row
    return (
        f"{terminal.clock(at)}  {message_id}  {channel:<8}  {terminal.coloured(status)}"
        f"{' ' * max(0, 12 - len(status))}  {escape(kind):<16}  by {cause:<8}  {attempt}  {escape(recipient)}"
    )
