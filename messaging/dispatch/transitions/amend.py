"""Changes of a message that leave its status: what it says, and whether it is shown; each with its event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from messaging.dispatch import storable
from messaging.dispatch.transitions.move import lock
from messaging.models.keys import uuid7
from messaging.state import CANCELLABLE, Cause


@dataclass(frozen=True, kw_only=True, slots=True)
class Amendment:
    """What a message says from now on; `data` and `metadata` are JSON text. Where `sealed` is set, what it holds is
    empty elsewhere."""

    id: UUID
    content_id: UUID
    template_id: UUID | None
    name: str
    subject: str
    data: str | None
    metadata: str
    priority: int
    sealed: bytes | None
    action_type: str
    language: str
    scheduled_at: datetime | None
    """A new time for a message that is SCHEDULED; None leaves the old one."""
    detail: Mapping[str, Any]


_WAITS = ", ".join(f"'{status}'" for status in sorted(CANCELLABLE))
_AMEND = f"""
WITH s AS MATERIALIZED (SELECT clock_timestamp() AS at), amended AS (
    UPDATE messaging_message m
       SET content_id = %s, template_id = %s, name = %s, subject = %s, data = %s, metadata = %s,
           priority = %s, sealed = %s, action_type = %s, language = %s, scheduled_at = COALESCE(v.due, m.scheduled_at),
           next_attempt_at = COALESCE(v.due, m.next_attempt_at), revised_at = s.at
      FROM s, (SELECT %s::timestamptz AS due) v
     WHERE m.id = %s AND m.claim_id IS NULL AND m.status IN ({_WAITS}) AND (v.due IS NULL OR m.status = 'SCHEDULED')
 RETURNING m.id, m.workspace_id, m.status, m.attempts, s.at
), events AS (
    INSERT INTO messaging_messageevent (id, message_id, workspace_id, type, status, at, cause, attempt, detail)
    SELECT %s, id, workspace_id, 'revised', status, at, %s, attempts, %s::jsonb FROM amended
)
SELECT id FROM amended
"""


def amend(change: Amendment, *, cause: Cause) -> bool:
    """Change what a message says that waits and that no worker holds; false where it does not any more."""
    values = [
        *(change.content_id, change.template_id, change.name, change.subject, change.data, change.metadata),
        *(change.priority, change.sealed, change.action_type, change.language, change.scheduled_at, change.id),
        *(uuid7(), cause.value, storable.json(change.detail)),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_AMEND, values)
        return cursor.fetchone() is not None


_HIDE = """
WITH s AS MATERIALIZED (SELECT clock_timestamp() AS at), hidden AS (
    UPDATE messaging_message m SET deleted_at = s.at
      FROM s WHERE m.id = ANY(%(ids)s) AND m.id BETWEEN %(low)s AND %(high)s AND m.deleted_at IS NULL
 RETURNING m.id, m.workspace_id, m.status, m.attempts, s.at
), events AS (
    INSERT INTO messaging_messageevent (id, message_id, workspace_id, type, status, at, cause, attempt)
    SELECT e.event, hidden.id, workspace_id, 'deleted', status, at, %(cause)s, attempts
      FROM hidden JOIN unnest(%(ids)s::uuid[], %(events)s::uuid[]) AS e(id, event) ON e.id = hidden.id
)
SELECT id FROM hidden
"""


def hide_many(ids: Sequence[UUID], *, cause: Cause) -> set[UUID]:
    """Take messages out of their workspace's lists, wherever they stand; give those that were shown until now."""
    if not ids:
        return set()
    with transaction.atomic():
        lock(ids)
        with connection.cursor() as cursor:
            bounds = {"low": min(ids), "high": max(ids)}
            events = [uuid7() for _ in ids]
            cursor.execute(_HIDE, {"ids": list(ids), **bounds, "events": events, "cause": cause.value})
            return {row[0] for row in cursor.fetchall()}
