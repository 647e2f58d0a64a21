"""Takes due messages for a worker: the claim, SENDING, the attempt and the event in one statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from channels_app.types import Channel
from messaging.models.keys import uuid7_texts
from messaging.models.statements import prepared
from messaging.people import refusals
from messaging.state import Priority


class Claimed(msgspec.Struct, frozen=True):
    """What a worker needs to know of a message that it holds, in the order of the claim's columns."""

    id: UUID
    workspace_id: UUID
    content_id: UUID
    recipient: str
    name: str
    subject: str
    data: dict[str, Any] | None
    metadata: dict[str, Any]
    test: bool
    attempts: int
    max_attempts: int
    throttles: int
    on_unknown: str
    sending_at: datetime
    sealed: bytes | None = None
    contact_id: UUID | None = None
    category: str = ""
    expires_at: datetime | None = None
    awaited: bool = False
    """Whether a request waits for the outcome."""
    refusal: dict[str, Any] | None = None
    """Why it must not be sent after all: what its recipient said, or a suppression."""


_CLAIM = f"""
WITH wanted AS (
    SELECT * FROM unnest(%(workspaces)s::uuid[], %(shares)s::int[]) WITH ORDINALITY AS w(workspace_id, share, turn)
), picked AS MATERIALIZED (
    SELECT m.id, m.test, w.turn, m.next_attempt_at
      FROM wanted w CROSS JOIN LATERAL (
        SELECT id, test, next_attempt_at FROM messaging_message
         WHERE channel = %(channel)s AND priority = %(priority)s AND workspace_id = w.workspace_id
           AND status = 'QUEUED' AND next_attempt_at <= now() AND (expires_at IS NULL OR expires_at > now())
         ORDER BY next_attempt_at, id LIMIT w.share FOR UPDATE SKIP LOCKED) m
), ranked AS (
    SELECT id, test, turn, row_number() OVER (PARTITION BY turn ORDER BY next_attempt_at, id) AS place FROM picked
), numbered AS (
    SELECT id, row_number() OVER (ORDER BY test, place, turn) AS n FROM ranked
), claim AS (
    INSERT INTO messaging_claim (id, worker, channel, priority, ids, handed_over, expires_at)
    SELECT %(claim)s, %(worker)s, %(channel)s, %(priority)s, array_agg(id ORDER BY n),
           LEAST(%(group)s, count(*)), clock_timestamp() + %(lease)s * interval '1 second'
      FROM numbered HAVING count(*) > 0
), moved AS (
    UPDATE messaging_message m
       SET status = 'SENDING', claim_id = %(claim)s, attempts = m.attempts + 1, sending_at = clock_timestamp(),
           next_attempt_at = NULL
      FROM numbered WHERE m.id = numbered.id
 RETURNING numbered.n, m.id, m.workspace_id, m.content_id, m.recipient, m.name, m.subject, m.data, m.metadata, m.test,
           m.attempts, m.max_attempts, m.throttles, m.on_unknown, m.sending_at, m.sealed, m.contact_id, m.category,
           m.expires_at, COALESCE(m.awaited_until > now(), false) AS awaited
), events AS (
    INSERT INTO messaging_messageevent (id, message_id, workspace_id, type, status, at, cause, attempt)
    SELECT (%(events)s::uuid[])[n], id, workspace_id, 'sending', 'SENDING', sending_at, 'worker', attempts FROM moved
)
SELECT {", ".join(Claimed.__struct_fields__[:-1])}, refusal.told
  FROM moved r LEFT JOIN {{probe}} ON true ORDER BY n
"""


def claim_many(
    *,
    claim_id: UUID,
    worker: str,
    channel: str,
    priority: Priority,
    shares: Mapping[UUID, int],
    group: int,
    lease: float,
) -> list[Claimed]:
    """Take the oldest due messages of a lane, each workspace up to its share, under a new claim.

    One statement: the claim, its first hand-over mark, SENDING, the attempt and the event, and a look at what the
    recipients said until now. Messages come in the order in which they are to be handed over, those of the sandbox
    last.
    """
    # Written as the server reads them: there are as many as may be claimed, also where one message waits.
    events = f"{{{','.join(uuid7_texts(sum(shares.values())))}}}"
    parameters = {
        "workspaces": list(shares),
        "shares": list(shares.values()),
        "channel": channel,
        "priority": priority.value,
        "claim": claim_id,
        "worker": worker,
        "group": group,
        "lease": lease,
        "events": events,
    }
    with prepared(_CLAIM.replace("{probe}", refusals.probe(Channel(channel))), parameters, binary=True) as cursor:
        return [Claimed(*row) for row in cursor.fetchall()]


def decoded(value: Any) -> Any:
    """A JSON column's value; Django's cursors hand JSON out as text."""
    return msgspec.json.decode(value) if isinstance(value, str) else value
