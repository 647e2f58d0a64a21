"""Moves messages from state to state, each move with its event in the same statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection, transaction

from messaging.dispatch import storable, tally
from messaging.models.keys import key_time, lowest_key, uuid7, uuid7_many
from messaging.people import refusals
from messaging.state import IMPLIED, LATER, MOVES, RETRIES, Cause, Status


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One message's change. Without `to` it is a fact that moves nothing."""

    id: UUID
    to: Status | None = None
    type: str = ""
    """The event's type; the state entered where it is left out."""
    due: float | None = None
    """Seconds from now until the message is due again."""
    refund: bool = False
    """The attempt was not made and is given back."""
    throttled: bool = False
    ends_awaited: bool = False
    """Under a claim: it ends FAILED instead where a request waits for the outcome, at the moment of the change."""
    provider: str = ""
    provider_message_id: str = ""
    code: str = ""
    error: str = ""
    detail: Mapping[str, Any] = {}


def suppression(message_id: UUID, refusal: Mapping[str, Any], *, refund: bool = False) -> Move:
    """The end of a message whose recipient must not be written to; its event keeps where the refusal came from."""
    return Move(
        id=message_id,
        to=Status.FAILED,
        refund=refund,
        code=refusals.CODE,
        error=refusals.sentence(refusal),
        detail=refusals.read(refusal),
    )


HELD: Final = timedelta(days=36_500)
"""A message that is held back is due in a hundred years: no claim ever meets it, and none has to look for it."""
FAR: Final = timedelta(days=18_250)
"""What is due later than this is held back."""


def _legal(moves: Mapping[Status, Iterable[Status]]) -> str:
    pairs = ", ".join(f"('{source}', '{to}')" for source, targets in moves.items() for to in sorted(targets))
    return f'(m.status, v."to") IN ({pairs})'


def _stamps() -> str:
    """The SET clauses of all timestamp columns: the state entered, and those that it implies."""
    clauses = []
    for status in Status:
        if status.stamp is None:
            continue
        implied_by = [f"'{to}'" for to, passed in IMPLIED.items() if status in passed]
        implied = (
            f'WHEN v."to" IN ({", ".join(implied_by)}) AND m.{status.stamp} IS NULL THEN s.at' if implied_by else ""
        )
        clauses.append(
            f"{status.stamp} = CASE WHEN v.\"to\" = '{status}' THEN s.at {implied} ELSE m.{status.stamp} END"
        )
    return ",\n           ".join(clauses)


_TOLD = """ AS MATERIALIZED (
    SELECT *, (SELECT id FROM held) AS claim, 'SENDING' AS source FROM jsonb_to_recordset(%(moves)s::jsonb) AS v(
        id uuid, event uuid, "to" text, type text, due float8, refund int, throttled int, provider text,
        provider_message_id text, code text, error text, detail jsonb)
)"""
# Rows that a request waits for are locked before it is decided, so that whoever stops waiting comes before or after.
_AWAITED = f"""told{_TOLD}, waited AS MATERIALIZED (
    SELECT m.id FROM messaging_message m
     WHERE EXISTS (SELECT FROM held) AND m.id = ANY(%(awaited)s) AND m.id >= %(low)s AND m.id < %(high)s
       AND m.awaited_until > clock_timestamp() FOR UPDATE
), v AS MATERIALIZED (
    SELECT id, event, CASE WHEN waits THEN 'FAILED' ELSE "to" END AS "to",
           CASE WHEN waits THEN 'failed' ELSE type END AS type, CASE WHEN NOT waits THEN due END AS due,
           refund, throttled, provider, provider_message_id, code, error, detail, claim, source
      FROM (SELECT told.*, told.id IN (SELECT id FROM waited) AS waits FROM told) AS judged
)"""
# The clock is read before rows are locked. Only a deletion meets a message that a worker holds; where the statement had
# to wait for one, what it writes comes after it.
_AT = "GREATEST(s.at, m.deleted_at + interval '1 microsecond')"
_ADVANCE = f"""
WITH held AS (%(held)s), %(v)s, s AS MATERIALIZED (SELECT clock_timestamp() AS at), moved AS (
    UPDATE messaging_message m
       SET status = COALESCE(v."to", m.status),
           claim_id = CASE WHEN v."to" IS NULL AND v.due IS NULL THEN m.claim_id END,
           next_attempt_at = CASE WHEN v.due IS NOT NULL THEN s.at + v.due * interval '1 second'
                                  WHEN v."to" = 'QUEUED' THEN s.at
                                  WHEN v."to" IS NULL THEN m.next_attempt_at END,
           attempts = m.attempts - v.refund,
           throttles = m.throttles + v.throttled,
           provider = COALESCE(NULLIF(v.provider, ''), m.provider),
           provider_message_id = COALESCE(NULLIF(v.provider_message_id, ''), m.provider_message_id),
           error_code = CASE WHEN v."to" IS NULL AND v.code = '' THEN m.error_code ELSE v.code END,
           error_detail = CASE WHEN v."to" IS NULL AND v.code = '' THEN m.error_detail ELSE v.error END,
           complained_at = CASE WHEN v.type = 'complained' THEN COALESCE(m.complained_at, s.at)
                                ELSE m.complained_at END,
           {_stamps()}
      FROM v, s
     WHERE m.id = v.id AND m.id >= %(low)s AND m.id < %(high)s AND %(guard)s
 RETURNING m.id, m.workspace_id, m.status, m.attempts + v.refund AS attempt, v.event, v.type, s.at AS at, m.provider,
           v.code, v.error, v.detail, {tally.of_move()} AS tally, {tally.took()} AS took
), events AS (
    INSERT INTO messaging_messageevent
           (id, message_id, workspace_id, type, status, at, cause, attempt, provider, tally, took, detail)
    SELECT event, id, workspace_id, type, status, at, %(cause)s, attempt, provider, tally, took,
           detail || CASE WHEN code = '' THEN '{{}}'::jsonb ELSE jsonb_build_object('code', code, 'error', error) END
      FROM moved
)
SELECT moved.id FROM held LEFT JOIN moved ON true
""".replace("s.at", _AT)

_HELD = """
    UPDATE messaging_claim SET handed_over = GREATEST(handed_over, %(mark)s)
     WHERE id = %(claim)s AND expires_at > clock_timestamp() RETURNING id
"""
_FROM_SENDING = ", ".join(f"'{to}'" for to in sorted(MOVES[Status.SENDING]))
# Written as conditions of the join, so that the planner cannot take the few rows that meet them for a good place to
# begin: it would compare each of them with each move, where a probe of the primary key for each move is enough.
_UNDER_CLAIM = f'm.claim_id = v.claim AND m.status = v.source AND (v."to" IS NULL OR v."to" IN ({_FROM_SENDING}))'
_FREELY = f'm.claim_id IS NULL AND (v."to" IS NULL OR {_legal(MOVES)})'


def _advance(held: str, guard: str, *, v: str = f"v{_TOLD}") -> str:
    return _ADVANCE.replace("%(held)s", held).replace("%(v)s", v).replace("%(guard)s", guard)


_FLUSH = _advance(_HELD, _UNDER_CLAIM)
_FLUSH_AWAITED = _advance(_HELD, _UNDER_CLAIM, v=_AWAITED)
_MOVE = _advance("SELECT NULL::uuid AS id", _FREELY)
_RETURN = _advance("SELECT %(claim)s::uuid AS id", _UNDER_CLAIM)


_key: Final = attrgetter("id")


def _run(sql: str, moves: Sequence[Move], **params: Any) -> set[UUID] | None:
    """Make the moves in key order; give the messages that moved, None where the claim is not held any more."""
    moves = sorted(moves, key=_key)
    rows = [
        {
            "id": move.id,
            "event": event,
            "to": move.to,
            "type": move.type or (move.to.event if move.to else ""),
            "due": move.due,
            "refund": int(move.refund),
            "throttled": int(move.throttled),
            "provider": move.provider,
            "provider_message_id": storable.name(move.provider_message_id),
            "code": move.code,
            "error": move.error,
            "detail": move.detail,
        }
        for move, event in zip(moves, uuid7_many(len(moves)), strict=True)
    ]
    # Whole months tell which partitions to leave out, and invite no walk from key to key as closer bounds would.
    bounds = {"low": _month(moves[0].id), "high": _month(moves[-1].id, ahead=1)}
    # Not prepared: under a plan that is kept, a renewal of the lease at the same moment makes the statement find its
    # claim and none of its messages.
    with connection.cursor() as cursor:
        cursor.execute(sql, {"moves": storable.json(rows), **bounds, **params})
        found = cursor.fetchall()
    return {row[0] for row in found if row[0] is not None} if found else None


def _month(key: UUID, *, ahead: int = 0) -> UUID:
    """The lowest key of the month in which a key was made, or of one ahead."""
    at = datetime.fromtimestamp(key_time(key), UTC)
    return lowest_key(datetime(at.year + (at.month - 1 + ahead) // 12, (at.month - 1 + ahead) % 12 + 1, 1, tzinfo=UTC))


def flush_many(moves: Sequence[Move], *, claim_id: UUID, mark: int) -> set[UUID] | None:
    """Record what became of messages under a claim, and move its hand-over mark on, in one statement.

    Gives the messages that moved; None where the lease has ended: then nothing was written.
    """
    awaited = [move.id for move in moves if move.ends_awaited]
    params = {"claim": claim_id, "mark": mark, "cause": Cause.WORKER.value}
    return _run(_FLUSH_AWAITED, moves, awaited=awaited, **params) if awaited else _run(_FLUSH, moves, **params)


def mark_handed_over(*, claim_id: UUID, mark: int) -> bool:
    """Move the hand-over mark on without an outcome; false where the lease has ended."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD, {"claim": claim_id, "mark": mark})
        return cursor.fetchone() is not None


def return_many(moves: Sequence[Move], *, claim_id: UUID) -> set[UUID]:
    """Move messages of an expired claim; the caller has locked and deletes the claim in the same transaction."""
    return _run(_RETURN, moves, claim=claim_id, cause=Cause.SWEEPER.value) or set() if moves else set()


def advance_many(moves: Sequence[Move], *, cause: Cause) -> set[UUID]:
    """Move messages that no worker holds. Gives those that moved; the others were not in a state that allows it."""
    if not moves:
        return set()
    with transaction.atomic():
        lock([move.id for move in moves])
        return _run(_MOVE, moves, cause=cause.value) or set()


def lock(ids: Sequence[UUID], *, skip_locked: bool = False) -> list[UUID]:
    """Lock messages in key order until the transaction ends; give those that were locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM messaging_message WHERE id = ANY(%s) AND id BETWEEN %s AND %s ORDER BY id FOR UPDATE"
            + (" SKIP LOCKED" if skip_locked else ""),
            [list(ids), min(ids), max(ids)],
        )
        return [row[0] for row in cursor.fetchall()]


_RETRY = f"""
WITH s AS MATERIALIZED (SELECT clock_timestamp() AS at), v AS (SELECT 'QUEUED'::text AS "to"), was AS MATERIALIZED (
    SELECT id, provider, {", ".join(str(status.stamp) for status in LATER)}
      FROM messaging_message WHERE id = ANY(%(ids)s) AND id BETWEEN %(low)s AND %(high)s
), moved AS (
    UPDATE messaging_message m
       SET status = 'QUEUED', queued_at = s.at, next_attempt_at = s.at, max_attempts = m.attempts + %(budget)s,
           throttles = 0, error_code = '', error_detail = '', provider = '', provider_message_id = '',
           awaited_until = NULL,
           expires_at = CASE WHEN m.expires_at > s.at THEN m.expires_at END, retried_at = s.at,
           {", ".join(f"{status.stamp} = NULL" for status in LATER)}
      FROM s, v, was
     WHERE m.id = was.id AND m.id BETWEEN %(low)s AND %(high)s AND {_legal(RETRIES)}
 RETURNING m.id, m.workspace_id, m.attempts, s.at, was.provider, {tally.of_retry()} AS tally
), events AS (
    INSERT INTO messaging_messageevent
           (id, message_id, workspace_id, type, status, at, cause, attempt, provider, tally, detail)
    SELECT e.event, moved.id, workspace_id, 'queued', 'QUEUED', at, %(cause)s, attempts, provider, tally,
           '{{"retry": true}}'
      FROM moved JOIN unnest(%(ids)s::uuid[], %(events)s::uuid[]) AS e(id, event) ON e.id = moved.id
)
SELECT id FROM moved
"""


def retry_many(ids: Sequence[UUID], *, budget: int, cause: Cause) -> set[UUID]:
    """Queue FAILED and BOUNCED messages again at a person's wish, with `budget` further attempts.

    Clears the error and the timestamps of later states; events keep them. Gives the messages that moved.
    """
    with transaction.atomic():
        lock(ids)
        with connection.cursor() as cursor:
            cursor.execute(
                _RETRY,
                {
                    "ids": list(ids),
                    "low": min(ids),
                    "high": max(ids),
                    "budget": budget,
                    "cause": cause.value,
                    "events": [uuid7() for _ in ids],
                },
            )
            return {row[0] for row in cursor.fetchall()}
