"""What must happen although nobody asks: rows that fell due, leases that ended, bells that were lost.

Every sweep is stateless, bounded and passes by what another holds, so that two at once are harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction

from channels_app.types import Channel
from messaging.dispatch import (
    buckets,
    callbacks,
    claims,
    idempotency,
    partitions,
    providers,
    queue,
    receipts,
    transitions,
)
from messaging.dispatch.queue import LANES, Lane
from messaging.dispatch.transitions import Move
from messaging.state import Cause, Priority, Status
from messaging.tenancy import sessions

log = structlog.get_logger(__name__)

BATCH = 1000
"""Rows that one transaction of a sweep takes."""
ROUNDS = 10
"""Transactions of one kind in one run, so that a flood holds up neither the other kinds nor the bells."""

_DUE_SCHEDULED = "status = 'SCHEDULED' AND next_attempt_at <= now() AND (expires_at IS NULL OR expires_at > now())"
_EXPIRED = "status IN ('QUEUED', 'SCHEDULED') AND expires_at IS NOT NULL AND expires_at <= now()"
_UNKNOWN = """
status = 'SENDING' AND claim_id IS NULL AND next_attempt_at <= now()
AND (test OR channel <> ALL(%(asked)s) OR sending_at <= now() - %(unknown)s * interval '1 second')
"""
"""Nobody is left to ask about it: what can be asked about is `asking`'s until its time is over."""


def sweep_due() -> int:
    """Queue what was scheduled for now, fail what expired or stayed unknown, ring lanes with due rows.

    Lanes that nothing may be claimed from yet are left out.
    """
    moved = 0
    for condition, order, move in (
        (_DUE_SCHEDULED, "next_attempt_at", _to_queue),
        (_EXPIRED, "expires_at", _to_expired),
        (_UNKNOWN, "next_attempt_at", _to_unknown),
    ):
        for _ in range(ROUNDS):
            batch = _sweep(condition, order, move)
            moved += batch
            if batch < BATCH:
                break
    lanes = _due_lanes()
    rests = buckets.resting(lanes)
    queue.ring(*(lane for lane in lanes if not rests[lane]))
    return moved


def _to_queue(message_id: UUID) -> Move:
    return Move(id=message_id, to=Status.QUEUED)


def _to_expired(message_id: UUID) -> Move:
    return Move(id=message_id, to=Status.FAILED, code="expired", error="it was not sent before it expired")


def _to_unknown(message_id: UUID) -> Move:
    return Move(id=message_id, to=Status.FAILED, code="outcome_unknown", error="no receipt came before the deadline")


def _sweep(condition: str, order: str, move: Callable[[UUID], Move]) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        # In the order of the partial index that knows them; in that of the keys it would walk through every message.
        # Rows in no order of keys are no danger of deadlock, since nobody is waited for.
        cursor.execute(
            f"SELECT id FROM messaging_message WHERE {condition} ORDER BY {order} LIMIT %(limit)s "
            "FOR UPDATE SKIP LOCKED",
            {"limit": BATCH, "asked": providers.asked(), "unknown": settings.UNKNOWN_SECONDS},
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


FORGOTTEN: tuple[Callable[[int], int], ...] = (
    idempotency.forget_expired,
    callbacks.forget_raw,
    receipts.forget_settled,
    sessions.forget_ended,
)
"""What is kept for a time: each deletes so many rows at the most, and gives how many went."""


def maintain() -> None:
    """Make the partitions to come, forget what was kept long enough, let the planner know the partitioned tables."""
    made = partitions.ensure()
    if made:
        log.info("partitions_made", names=made)
    for forget in FORGOTTEN:
        while forget(BATCH) == BATCH:
            pass
    with connection.cursor() as cursor:
        for parent in partitions.PARENTS:
            cursor.execute(f"ANALYZE {parent}")
