"""The only writer of a message's status: guarded, set-wise changes, each with its event in the same statement.

A move that the state table does not allow, or whose claim is not held any more, changes nothing; the caller learns
which messages moved. Times come from the database's clock. Whoever may meet another writer locks the rows first,
in key order, so that an event is stamped after the change that it follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection, transaction

from channels_app.types import Channel
from messaging.dispatch import storable, tally
from messaging.models.keys import key_time, lowest_key, uuid7
from messaging.people import refusals
from messaging.state import IMPLIED, LATER, MOVES, RETRIES, Cause, Priority, Status


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
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
    provider: str = ""
    provider_message_id: str = ""
    code: str = ""
    error: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """What a worker needs to know of a message that it holds."""

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
    refusal: dict[str, Any] | None = None
    """Why it must not be sent after all: what its recipient said, or a suppression."""


HELD: Final = timedelta(days=36_500)
"""A message that is held back is due in a hundred years: no claim ever meets it, and none has to look for it."""
FAR: Final = timedelta(days=18_250)
"""What is due later than this is held back."""

_OWN = (
    "id, workspace_id, content_id, batch_id, author_id, contact_id, template_id, campaign_id, channel, priority, "
    "recipient, name, subject, data, metadata, category, action_type, language, test, on_unknown, max_attempts, "
    "scheduled_at, expires_at, sealed, status"
)
_TIMES = "created_at, queued_at, next_attempt_at"
_VARYING = "id, contact_id, recipient, name, subject, data, metadata, sealed"
"""What differs within one accept."""
_COMMON = (
    "workspace_id, content_id, batch_id, author_id, template_id, campaign_id, channel, priority, category, "
    "action_type, language, test, on_unknown, max_attempts, scheduled_at, expires_at, status"
)
_common = attrgetter(*_COMMON.removesuffix(", status").split(", "))
_ESCAPES = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}
_EVENT = "id, message_id, workspace_id, type, status, at, cause, tally"

# One message in one round trip; from two on COPY is quicker.
_BEGIN_ONE = f"""
WITH m AS (
    INSERT INTO messaging_message ({_OWN}, {_TIMES})
    VALUES ({", ".join(["%s"] * len(_OWN.split(",")))},
            now(), CASE WHEN %s::timestamptz IS NULL THEN now() END, COALESCE(%s, now()))
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
            cursor.execute(_BEGIN_ONE, [*_own(messages[0]), due, due, uuid7(), cause.value])
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
                times = (now, None if m.scheduled_at else now, m.scheduled_at or now)
                tails[common] = "\t".join(map(_field, (*common, _first_status(m), *times)))
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


_CLAIM = """
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
       SET status = 'SENDING', claim_id = %(claim)s, attempts = m.attempts + 1, sending_at = now(),
           next_attempt_at = NULL
      FROM numbered WHERE m.id = numbered.id
 RETURNING numbered.n, m.id, m.workspace_id, m.content_id, m.recipient, m.name, m.subject, m.data, m.metadata, m.test,
           m.attempts, m.max_attempts, m.throttles, m.on_unknown, m.sending_at, m.sealed, m.contact_id, m.category
), events AS (
    INSERT INTO messaging_messageevent (id, message_id, workspace_id, type, status, at, cause, attempt)
    SELECT (%(events)s::uuid[])[n], id, workspace_id, 'sending', 'SENDING', now(), 'worker', attempts FROM moved
)
SELECT id, workspace_id, content_id, recipient, name, subject, data, metadata, test, attempts, max_attempts,
       throttles, on_unknown, sending_at, sealed, refusal.told AS refusal
  FROM moved r LEFT JOIN {probe} ON true ORDER BY n
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
    events = [uuid7() for _ in range(sum(shares.values()))]
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM.replace("{probe}", refusals.probe(Channel(channel))),
            {
                "workspaces": list(shares),
                "shares": list(shares.values()),
                "channel": channel,
                "priority": priority.value,
                "claim": claim_id,
                "worker": worker,
                "group": group,
                "lease": lease,
                "events": events,
            },
        )
        names = [column.name for column in cursor.description]
        return [Claimed(**dict(zip(names, _parsed(row), strict=True))) for row in cursor.fetchall()]


def _parsed(row: Sequence[Any]) -> list[Any]:
    """The row with its JSON columns read; Django's cursors hand JSON out as text."""
    values = list(row)
    for place in (6, 7, -1):
        if isinstance(values[place], str):
            values[place] = msgspec.json.decode(values[place])
    return values


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


_ADVANCE = f"""
WITH held AS (%(held)s), v AS MATERIALIZED (
    SELECT *, (SELECT id FROM held) AS claim, 'SENDING' AS source FROM jsonb_to_recordset(%(moves)s::jsonb) AS v(
        id uuid, event uuid, "to" text, type text, due float8, refund int, throttled int, provider text,
        provider_message_id text, code text, error text, detail jsonb)
), s AS MATERIALIZED (SELECT clock_timestamp() AS at), moved AS (
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
 RETURNING m.id, m.workspace_id, m.status, m.attempts + v.refund AS attempt, v.event, v.type, s.at, m.provider,
           v.code, v.error, v.detail, {tally.of_move()} AS tally, {tally.took()} AS took
), events AS (
    INSERT INTO messaging_messageevent
           (id, message_id, workspace_id, type, status, at, cause, attempt, provider, tally, took, detail)
    SELECT event, id, workspace_id, type, status, at, %(cause)s, attempt, provider, tally, took,
           detail || CASE WHEN code = '' THEN '{{}}'::jsonb ELSE jsonb_build_object('code', code, 'error', error) END
      FROM moved
)
SELECT moved.id FROM held LEFT JOIN moved ON true
"""

_HELD = """
    UPDATE messaging_claim SET handed_over = GREATEST(handed_over, %(mark)s)
     WHERE id = %(claim)s AND expires_at > clock_timestamp() RETURNING id
"""
_MAY = f'(v."to" IS NULL OR {_legal(MOVES)})'
# Written as conditions of the join, so that the planner cannot take the few rows that meet them for a good place to
# begin: it would compare each of them with each move, where a probe of the primary key for each move is enough.
_UNDER_CLAIM = f"m.claim_id = v.claim AND m.status = v.source AND {_MAY}"
_FREELY = f"m.claim_id IS NULL AND {_MAY}"

_FLUSH = _ADVANCE.replace("%(held)s", _HELD).replace("%(guard)s", _UNDER_CLAIM)
_MOVE = _ADVANCE.replace("%(held)s", "SELECT NULL::uuid AS id").replace("%(guard)s", _FREELY)
_RETURN = _ADVANCE.replace("%(held)s", "SELECT %(claim)s::uuid AS id").replace("%(guard)s", _UNDER_CLAIM)


def _run(sql: str, moves: Sequence[Move], **params: Any) -> set[UUID] | None:
    """Make the moves in key order; give the messages that moved, None where the claim is not held any more."""
    moves = sorted(moves, key=lambda move: move.id)
    rows = [
        {
            "id": move.id,
            "event": uuid7(),
            "to": move.to,
            "type": move.type or (move.to.event if move.to else ""),
            "due": move.due,
            "refund": int(move.refund),
            "throttled": int(move.throttled),
            "provider": move.provider,
            "provider_message_id": move.provider_message_id,
            "code": move.code,
            "error": move.error,
            "detail": move.detail,
        }
        for move in moves
    ]
    # Whole months tell which partitions to leave out, and invite no walk from key to key as closer bounds would.
    bounds = {"low": _month(moves[0].id), "high": _month(moves[-1].id, ahead=1)}
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
    return _run(_FLUSH, moves, claim=claim_id, mark=mark, cause=Cause.WORKER.value)


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
