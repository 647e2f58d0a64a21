"""Writes new messages, QUEUED or SCHEDULED, with their first events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from msgspec import Struct

from messaging.dispatch import tally
from messaging.models.keys import uuid7, uuid7_texts
from messaging.models.statements import prepared
from messaging.state import Cause, Priority, Status


class Common(Struct, frozen=True, kw_only=True):
    """What those of the new messages have in common that say the same."""

    workspace_id: UUID
    content_id: UUID
    batch_id: UUID | None
    author_id: UUID | None
    template_id: UUID | None
    campaign_id: UUID | None
    channel: str
    priority: Priority
    category: str
    action_type: str
    language: str
    test: bool
    on_unknown: str
    max_attempts: int
    scheduled_at: datetime | None
    expires_at: datetime | None
    awaited_for: float | None = None
    """Seconds for which a request waits for the outcome, at the longest."""

    @property
    def first_status(self) -> Status:
        return Status.QUEUED if self.scheduled_at is None else Status.SCHEDULED


class NewMessage(Struct, frozen=True, kw_only=True):
    """A message about to be accepted; `data` and `metadata` are JSON text. Where `sealed` is set, what it holds is
    empty elsewhere."""

    id: UUID
    common: Common
    contact_id: UUID | None
    recipient: str
    name: str
    subject: str
    data: str | None
    metadata: str
    sealed: bytes | None = None


_VARYING = "id, contact_id, recipient, name, subject, data, metadata, sealed"
"""What differs within one accept."""
_COMMON = (
    "workspace_id, content_id, batch_id, author_id, template_id, campaign_id, channel, priority, category, "
    "action_type, language, test, on_unknown, max_attempts, scheduled_at, expires_at, status"
)
_TIMES = "created_at, queued_at, next_attempt_at, awaited_until"
_EVENT = "id, message_id, workspace_id, type, status, at, cause, tally"
_ESCAPES = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}

# One message in one round trip; from two on COPY is quicker.
_BEGIN_ONE = f"""
WITH m AS (
    INSERT INTO messaging_message ({_VARYING}, {_COMMON}, {_TIMES})
    VALUES ({", ".join(f"%({name})s" for name in f"{_VARYING}, {_COMMON}".split(", "))},
            now(), CASE WHEN %(scheduled_at)s::timestamptz IS NULL THEN now() END, COALESCE(%(scheduled_at)s, now()),
            now() + %(awaited_for)s::float8 * interval '1 second')
    RETURNING id, workspace_id, status
)
INSERT INTO messaging_messageevent ({_EVENT})
SELECT %(event)s, id, workspace_id, lower(status), status, now(), %(cause)s, {tally.ACCEPTED} FROM m
"""


def begin_many(messages: Sequence[NewMessage], *, cause: Cause) -> None:
    """Write new messages and their first events. Runs inside the caller's transaction.

    A message with `scheduled_at` waits SCHEDULED, any other is QUEUED and due at once.
    """
    if len(messages) == 1:
        with prepared(_BEGIN_ONE, values(messages[0], cause=cause)):
            return
    # Django leaves the errors of a COPY as the driver's.
    with connection.wrap_database_errors, connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        messages_text, events_text = _lines(messages, cursor.fetchone()[0], cause)
        with cursor.copy(f"COPY messaging_message ({_VARYING}, {_COMMON}, {_TIMES}) FROM STDIN") as copy:
            copy.write(messages_text)
        with cursor.copy(f"COPY messaging_messageevent ({_EVENT}) FROM STDIN") as copy:
            copy.write(events_text)


def values(message: NewMessage, *, cause: Cause) -> dict[str, Any]:
    """What one message and its event are stored as."""
    common = message.common
    return {
        **{name: getattr(message, name) for name in _VARYING.split(", ")},
        **{name: getattr(common, name) for name in (*_COMMON.removesuffix(", status").split(", "), "awaited_for")},
        "priority": common.priority.value,
        "status": common.first_status.value,
        "event": uuid7(),
        "cause": cause.value,
    }


# The lines of COPY are put together here: psycopg converts value by value, which takes longer than the database needs
# to store them, and most values are those of the row before.


def _lines(messages: Sequence[NewMessage], now: datetime, cause: Cause) -> tuple[str, str]:
    """The messages and their events as COPY's text format has them."""
    rows: list[str] = []
    events: list[str] = []
    tails: dict[int, tuple[str, str]] = {}
    subject = told = ""
    for m, event in zip(messages, uuid7_texts(len(messages)), strict=True):
        tail = tails.get(id(m.common))
        if tail is None:
            tail = tails[id(m.common)] = _tails(m.common, now, cause)
        if m.subject is not subject:
            subject, told = m.subject, _text(m.subject)
        key = f"{m.id.int:032x}"
        contact = r"\N" if m.contact_id is None else f"{m.contact_id.int:032x}"
        data = r"\N" if m.data is None else _text(m.data)
        metadata = m.metadata if m.metadata == "{}" else _text(m.metadata)
        sealed = r"\N" if m.sealed is None else rf"\\x{m.sealed.hex()}"
        own = f"{_text(m.recipient)}\t{_text(m.name)}\t{told}\t{data}\t{metadata}\t{sealed}"
        rows.append(f"{key}\t{contact}\t{own}\t{tail[0]}\n")
        events.append(f"{event}\t{key}\t{tail[1]}\n")
    return "".join(rows), "".join(events)


def _tails(common: Common, now: datetime, cause: Cause) -> tuple[str, str]:
    """What the rows of messages and of events end with that have this in common."""
    status, due = common.first_status, common.scheduled_at
    awaited_until = None if common.awaited_for is None else now + timedelta(seconds=common.awaited_for)
    shared = [getattr(common, name) for name in _COMMON.removesuffix(", status").split(", ")]
    row = (*shared, status, now, None if due else now, due or now, awaited_until)
    event = (common.workspace_id, status.event, status, now, cause, tally.ACCEPTED)
    return "\t".join(map(_field, row)), "\t".join(map(_field, event))


def _field(value: object) -> str:
    """A value as COPY's text format writes it."""
    return r"\N" if value is None else _text(str(value))


def _text(text: str) -> str:
    return text if text.isprintable() and "\\" not in text else text.translate(_ESCAPES)
