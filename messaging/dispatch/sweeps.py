"""What must happen although nobody asks: rows that fell due, leases that ended, bells that were lost.

Every sweep is stateless, bounded and passes by what another holds, so that two at once are harmless.
"""

from __future__ import annotations

from uuid import UUID

import structlog
from django.db import connection, transaction

from channels_app.types import Channel
from messaging.dispatch import claims, idempotency, partitions, queue, transitions
from messaging.dispatch.queue import LANES, Lane
from messaging.dispatch.transitions import Move
from messaging.state import Cause, Priority, Status

log = structlog.get_logger(__name__)

BATCH = 1000
"""Rows that one transaction of a sweep takes."""

_DUE_SCHEDULED = "status = 'SCHEDULED' AND next_attempt_at <= now() AND (expires_at IS NULL OR expires_at > now())"
_EXPIRED = "status IN ('QUEUED', 'SCHEDULED') AND expires_at IS NOT NULL AND expires_at <= now()"
_UNKNOWN = "status = 'SENDING' AND claim_id IS NULL AND next_attempt_at <= now()"


def sweep_due() -> int:
    """Queue what was scheduled for now, fail what expired or stayed unknown, ring lanes with due rows."""
    moved = 0
    for condition, move in (
        (_DUE_SCHEDULED, _to_queue),
        (_EXPIRED, _to_expired),
        (_UNKNOWN, _to_unknown),
    ):
        while batch := _sweep(condition, move):
            moved += batch
    queue.ring(*_due_lanes())
    return moved


def _to_queue(message_id: UUID) -> Move:
    return Move(id=message_id, to=Status.QUEUED)


def _to_expired(message_id: UUID) -> Move:
    return Move(id=message_id, to=Status.FAILED, code="expired", error="it was not sent before it expired")


def _to_unknown(message_id: UUID) -> Move:
    return Move(id=message_id, to=Status.FAILED, code="outcome_unknown", error="no receipt came before the deadline")


def _sweep(condition: str, move: object) -> int:
    assert callable(move)  # noqa: S101
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM messaging_message WHERE {condition} ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED", [BATCH]
        )
        ids = [row[0] for row in cursor.fetchall()]
        return len(transitions.advance_many([move(message_id) for message_id in ids], cause=Cause.SWEEPER))


def _due_lanes() -> list[Lane]:
    """Lanes with a message that a worker could claim now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT channel, priority FROM unnest(%s::text[], %s::smallint[]) AS lane(channel, priority) "
            "WHERE EXISTS (SELECT 1 FROM messaging_message m WHERE m.channel = lane.channel "
            "AND m.priority = lane.priority AND m.status = 'QUEUED' AND m.next_attempt_at <= now())",
            [[lane.channel.value for lane in LANES], [lane.priority.value for lane in LANES]],
        )
        return [Lane(Channel(row[0]), Priority(row[1])) for row in cursor.fetchall()]


def reap() -> int:
    """Give back the claims whose lease has ended; one that cannot be treated does not hold up the others."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM messaging_claim WHERE expires_at <= clock_timestamp() ORDER BY expires_at LIMIT %s", [BATCH]
        )
        expired = [row[0] for row in cursor.fetchall()]
    returned = 0
    for claim_id in expired:
        try:
            count = claims.reap(claim_id, reason="lease_expired")
        except Exception:
            log.exception("claim_not_returned", claim=str(claim_id))
            continue
        log.info("claim_returned", claim=str(claim_id), messages=count)
        returned += count
    return returned


def maintain() -> None:
    """Make the partitions to come, forget old answers, and let the planner know the partitioned tables."""
    made = partitions.ensure()
    if made:
        log.info("partitions_made", names=made)
    while idempotency.forget_expired(limit=BATCH):
        pass
    with connection.cursor() as cursor:
        for parent in partitions.PARENTS:
            cursor.execute(f"ANALYZE {parent}")
