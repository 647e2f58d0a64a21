"""Writes new messages, QUEUED or SCHEDULED, with their first events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection

from messaging.dispatch import tally
from messaging.models.keys import uuid7
from messaging.state import Cause, Priority, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class NewMessage:
    """A message about to be accepted; `data` and `metadata` are JSON text. Where `sealed` is set, what it holds is
    empty elsewhere."""

    id: UUID
    workspace_id: UUID
    content_id: UUID
    batch_id: UUID | None
    author_id: UUID | None
    contact_id: UUID | None
    template_id: UUID | None
    campaign_id: UUID | None
    channel: str
    priority: Priority
    recipient: str
    name: str
    subject: str
    data: str | None
    metadata: str
    category: str
    action_type: str
    language: str
    test: bool
    on_unknown: str
    max_attempts: int
    scheduled_at: datetime | None
    expires_at: datetime | None
    sealed: bytes | None = None
    awaited_for: float | None = None
    """Seconds for which a request waits for the outcome, at the longest."""


_OWN = (
    "id, workspace_id, content_id, batch_id, author_id, contact_id, template_id, campaign_id, channel, priority, "
    "recipient, name, subject, data, metadata, category, action_type, language, test, on_unknown, max_attempts, "
    "scheduled_at, expires_at, sealed, status"
)
_TIMES = "created_at, queued_at, next_attempt_at, awaited_until"
_VARYING = "id, contact_id, recipient, name, subject, data, metadata, sealed"
"""What differs within one accept."""
_COMMON = (
    "workspace_id, content_id, batch_id, author_id, template_id, campaign_id, channel, priority, category, "
    "action_type, language, test, on_unknown, max_attempts, scheduled_at, expires_at, status"
)
_common = attrgetter(*_COMMON.removesuffix(", status").split(", "), "awaited_for")
_ESCAPES = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}
_EVENT = "id, message_id, workspace_id, type, status, at, cause, tally"

# One message in one round trip; from two on COPY is quicker.
_BEGIN_ONE = f"""
WITH m AS (
    INSERT INTO messaging_message ({_OWN}, {_TIMES})
    VALUES ({", ".join(["%s"] * len(_OWN.split(",")))},
            now(), CASE WHEN %s::timestamptz IS NULL THEN now() END, COALESCE(%s, now()),
            now() + %s::float8 * interval '1 second')
    RETURNING id, workspace_id, status
)
INSERT INTO messaging_messageevent ({_EVENT})
SELECT %s, id, workspace_id, lower(status), status, now(), %s, {tally.ACCEPTED} FROM m
"""


def begin_many(messages: Sequence[NewMessage], *, cause: Cause) -> None:
    """Write new messages and their first events. Runs inside the caller's transaction.

    A message with `scheduled_at` waits SCHEDULED, any other is QUEUED and due at once.
    """
    # Django leaves the errors of a COPY as the driver's.
    with connection.wrap_database_errors, connection.cursor() as cursor:
        if len(messages) == 1:
            due = messages[0].scheduled_at
            wait = messages[0].awaited_for
            cursor.execute(_BEGIN_ONE, [*_own(messages[0]), due, due, wait, uuid7(), cause.value])
            return
        cursor.execute("SELECT now()")
        now: datetime = cursor.fetchone()[0]
        with cursor.copy(f"COPY messaging_message ({_VARYING}, {_COMMON}, {_TIMES}) FROM STDIN") as copy:
            copy.write(_message_lines(messages, now))
        with cursor.copy(f"COPY messaging_messageevent ({_EVENT}) FROM STDIN") as copy:
            copy.write(_event_lines(messages, now, cause))


# The lines of COPY are put together here: psycopg converts value by value, which takes longer than the database needs
# to store them, and most values are those of the row before.


def _message_lines(messages: Sequence[NewMessage], now: datetime) -> str:
    lines: list[str] = []
    tails: dict[tuple[Any, ...], str] = {}
    common: tuple[Any, ...] = ()
    tail = ""
    for m in messages:
        if (these := _common(m)) != common:
            common = these
            if common not in tails:
                awaited_until = None if m.awaited_for is None else now + timedelta(seconds=m.awaited_for)
                times = (now, None if m.scheduled_at else now, m.scheduled_at or now, awaited_until)
                tails[common] = "\t".join(map(_field, (*common[:-1], _first_status(m), *times)))
            tail = tails[common]
        own = m.id, m.contact_id, m.recipient, m.name, m.subject, m.data, m.metadata, m.sealed
        varying = "\t".join(map(_field, own))
        lines.append(f"{varying}\t{tail}\n")
    return "".join(lines)


def _event_lines(messages: Sequence[NewMessage], now: datetime, cause: Cause) -> str:
    tails: dict[tuple[UUID, Status], str] = {}
    lines: list[str] = []
    for m in messages:
        key = m.workspace_id, _first_status(m)
        if key not in tails:
            tails[key] = "\t".join(map(_field, (m.workspace_id, key[1].event, key[1], now, cause, tally.ACCEPTED)))
        lines.append(f"{uuid7()}\t{m.id}\t{tails[key]}\n")
    return "".join(lines)


def _field(value: object) -> str:
    """A value as COPY's text format writes it."""
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        return f"\\\\x{value.hex()}"
    text = str(value)
    return text if text.isprintable() and "\\" not in text else text.translate(_ESCAPES)


def _own(m: NewMessage) -> tuple[Any, ...]:
    return (
        m.id, m.workspace_id, m.content_id, m.batch_id, m.author_id, m.contact_id, m.template_id, m.campaign_id,
        m.channel, m.priority.value, m.recipient, m.name, m.subject, m.data, m.metadata, m.category, m.action_type,
        m.language, m.test, m.on_unknown, m.max_attempts, m.scheduled_at, m.expires_at, m.sealed,
        _first_status(m).value,
    )  # fmt: skip


def _first_status(m: NewMessage) -> Status:
    return Status.QUEUED if m.scheduled_at is None else Status.SCHEDULED
