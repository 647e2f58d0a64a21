"""Reads messages by their ids, and what happened to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.utils import timezone

from messaging.content import sealing
from messaging.dispatch.transitions import FAR
from messaging.errors import NotFound
from messaging.models import Message, MessageEvent
from messaging.state import Standing, Status, standing

LIST_SECONDS = 5.0
"""A list that takes longer is given up."""

ALL_COLUMNS = tuple(field.attname for field in Message._meta.concrete_fields)
LISTED = tuple(name for name in ALL_COLUMNS if name != "data")
MOMENTS = (
    "created_at",
    *(status.stamp for status in Status if status.stamp is not None),
    "complained_at",
    "retried_at",
    "revised_at",
)
"""Columns that tell when a message changed; what its reader does to it in a feed changes the feed alone."""


def message(*, workspace_id: UUID, message_id: UUID, deleted: bool = False) -> Message:
    """Give one message; one that was deleted only where `deleted` says so.

    Raises:
        NotFound: the workspace has none of that id, or deleted it.
    """
    kept = "" if deleted else " AND deleted_at IS NULL"
    rows = read(ALL_COLUMNS, f"id = %s AND workspace_id = %s{kept}", [message_id, workspace_id])
    if not rows:
        raise NotFound("There is no such message.", code="message_not_found")
    return rows[0]


def events(*, workspace_id: UUID, message_id: UUID) -> list[MessageEvent]:
    """What happened to a message, in order.

    Raises:
        NotFound: the workspace has no such message, or deleted it.
    """
    if not Message.objects.filter(id=message_id, workspace_id=workspace_id, deleted_at=None).exists():
        raise NotFound("There is no such message.", code="message_not_found")
    return list(MessageEvent.objects.filter(workspace_id=workspace_id, message_id=message_id).order_by("at", "id"))


def standing_of(row: Message) -> Standing:
    """Where a message stands."""
    return standing(Status(row.status), attempts=row.attempts)


def due_at(row: Message) -> datetime | None:
    """When a message is due again; None for one that waits for nothing, or is held back until somebody lets it go."""
    due: datetime | None = row.next_attempt_at
    return None if due is None or due > timezone.now() + FAR else due


def modified_at(row: Message) -> datetime:
    """When a message changed last: entered a state, was complained about, retried or revised."""
    moments: list[datetime | None] = [getattr(row, name) for name in MOMENTS]
    return max(moment for moment in moments if moment is not None)


def read(columns: tuple[str, ...], condition: str, parameters: list[Any]) -> list[Message]:
    """Rows, opened where they are sealed. Plain SQL: with this many columns the ORM takes longer to phrase the query
    than Postgres to answer it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM messaging_message WHERE {condition}", parameters)
        return opened(columns, cursor.fetchall())


def opened(columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> list[Message]:
    """Rows as messages, opened where they are sealed."""
    json = [place for place, name in enumerate(columns) if name in {"data", "metadata"}]
    found = []
    for row in rows:
        values = list(row)
        for place in json:
            # Django's cursors hand JSON out as text.
            values[place] = msgspec.json.decode(values[place]) if values[place] is not None else None
        found.append(Message.from_db(connection.alias, columns, values))
    sealing.reveal(found)
    return found


@contextmanager
def bounded(seconds: float | None = None) -> Iterator[None]:
    """Give the statements within so much time and no more."""
    with transaction.atomic(durable=False):
        with connection.cursor() as cursor:
            milliseconds = int((LIST_SECONDS if seconds is None else seconds) * 1000)
            # Compiling a plan over many partitions takes longer than it saves.
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true), set_config('jit', 'off', true)",
                [f"{milliseconds}ms"],
            )
        yield
