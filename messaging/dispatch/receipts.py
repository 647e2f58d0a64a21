"""What providers report afterwards: kept raw, matched to its message, applied or kept as late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import QuerySet

from channels_app.types import Receipt, ReceiptKind
from messaging.dispatch import steps, storable, transitions
from messaging.dispatch.transitions import Move
from messaging.models import ReceiptRecord
from messaging.models.keys import lowest_key, uuid7
from messaging.people import suppressions
from messaging.people.suppressions import Report
from messaging.state import MOVES, Cause, Status

log = structlog.get_logger(__name__)

BATCH = 500
KEPT_FOR = timedelta(days=1)
"""How long a report waits for its message before it counts as unmatched."""

_STATUS: dict[ReceiptKind, Status] = {
    kind: Status[kind.name] for kind in ReceiptKind if kind is not ReceiptKind.COMPLAINED
}

_KEEP = """
INSERT INTO messaging_receiptrecord
       (id, provider, key, message_id, provider_message_id, kind, code, detail, due_at)
SELECT id, %(provider)s, key, message, provider_message, kind, code, detail::jsonb, now() + after * interval '1 second'
  FROM unnest(%(ids)s::uuid[], %(keys)s::text[], %(messages)s::uuid[], %(provider_messages)s::text[],
              %(kinds)s::text[], %(codes)s::text[], %(details)s::text[], %(afters)s::float8[])
       AS r(id, key, message, provider_message, kind, code, detail, after)
ON CONFLICT (provider, key) DO NOTHING
RETURNING id
"""

_FORGET = """
DELETE FROM messaging_receiptrecord WHERE id IN (
    SELECT id FROM messaging_receiptrecord WHERE id < %s AND state <> 'pending'
     ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
"""


def keep(provider: str, reports: Sequence[Receipt]) -> list[UUID]:
    """Store reports as they came; one whose key is known already is left alone. Gives the keys of the new rows."""
    if not reports:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _KEEP,
            {
                "provider": provider,
                "ids": [uuid7() for _ in reports],
                "keys": [storable.name(report.key) for report in reports],
                "messages": [report.message_id for report in reports],
                "provider_messages": [storable.name(report.provider_message_id or "") for report in reports],
                "kinds": [report.kind.value for report in reports],
                "codes": [storable.text(report.code) for report in reports],
                "details": [storable.json(report.detail) for report in reports],
                "afters": [report.after for report in reports],
            },
        )
        return [row[0] for row in cursor.fetchall()]


def apply_due(*, limit: int = BATCH) -> int:
    """Apply the reports that are due; give how many were looked at. Rows that another holds are passed by."""
    with transaction.atomic():
        return _apply_all(_due().order_by("due_at", "id")[:limit])


def attempt(ids: Sequence[UUID]) -> None:
    """Apply these reports at once, as far as they are due and nobody else is at it; the sweep applies the others."""
    if not ids:
        return
    try:
        with transaction.atomic():
            _apply_all(_due().filter(pk__in=ids).order_by("due_at", "id"))
    except DatabaseError as error:
        log.warning("receipts_postponed", count=len(ids), error=type(error).__name__)


def _due() -> QuerySet[ReceiptRecord]:
    rows = ReceiptRecord.objects.select_for_update(skip_locked=True)
    return rows.filter(state=ReceiptRecord.State.PENDING, due_at__lte=_now())


def _apply_all(rows: QuerySet[ReceiptRecord]) -> int:
    due = list(rows)
    if due:
        try:
            with transaction.atomic():
                _apply(due)
        except OperationalError:
            raise
        except Exception:
            log.exception("receipts_not_applied", count=len(due))
            _apply_singly([record.id for record in due])
    return len(due)


def _apply_singly(ids: Sequence[UUID]) -> None:
    """Apply reports one by one, so that one that cannot be applied holds up nobody but itself."""
    for record in ReceiptRecord.objects.filter(pk__in=ids).order_by("due_at", "id"):
        try:
            with transaction.atomic():
                _apply([record])
        except OperationalError:
            raise
        except Exception:
            log.exception("receipt_not_applied", receipt=str(record.id), kind=record.kind)
            record.refresh_from_db()
            _postpone(record)
            _save([record])


def _apply(records: list[ReceiptRecord]) -> None:
    found = _match(records)
    standings = _standings(sorted(set(found.values())))
    todo = list(records)
    while todo:
        # One report a message in each round: a delivery and an opening may well be due together.
        taken: set[UUID] = set()
        this_round: list[ReceiptRecord] = []
        rest: list[ReceiptRecord] = []
        for record in todo:
            message = found.get(record.id)
            (rest if message in taken else this_round).append(record)
            if message is not None:
                taken.add(message)
        _apply_round(this_round, found, standings)
        todo = rest


def _apply_round(
    records: list[ReceiptRecord], found: dict[UUID, UUID], standings: dict[UUID, tuple[Status, bool]]
) -> None:
    moves: list[Move] = []
    reports: list[Report] = []
    for record in records:
        message = found.get(record.id)
        if message is None or message not in standings:
            _postpone(record)
            continue
        status, held = standings[message]
        if held or status in {Status.SCHEDULED, Status.QUEUED}:
            # Our own SENT is not written yet: the report waits for it.
            _postpone(record)
            continue
        move, to = _move(record, message, status)
        if status is Status.SENDING and to is not None and to not in MOVES[Status.SENDING]:
            transitions.advance_many([Move(id=message, to=Status.SENT, provider=record.provider)], cause=Cause.RECEIPT)
        moves.append(move)
        # A late word of the recipient counts as much as an early one.
        kind = ReceiptKind(record.kind)
        reports.append(Report(message_id=message, provider=record.provider, kind=kind, code=record.code))
        standings[message] = (to or status, False)
        late = to is None and record.kind != ReceiptKind.COMPLAINED
        record.state = ReceiptRecord.State.LATE if late else ReceiptRecord.State.APPLIED
        record.message_id = message
    moved = transitions.advance_many(moves, cause=Cause.RECEIPT)
    steps.recall(move.id for move in moves if move.id in moved and move.to in {Status.FAILED, Status.BOUNCED})
    suppressions.record(reports)
    _save(records)


def _save(records: list[ReceiptRecord]) -> None:
    rows = [
        {"id": record.id, "state": str(record.state), "due": record.due_at, "message": record.message_id}
        for record in records
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_receiptrecord r SET state = v.state, due_at = v.due, message_id = v.message "
            "FROM jsonb_to_recordset(%s::jsonb) AS v(id uuid, state text, due timestamptz, message uuid) "
            "WHERE r.id = v.id",
            [storable.json(rows)],
        )


def _move(record: ReceiptRecord, message: UUID, status: Status) -> tuple[Move, Status | None]:
    """What a report does to a message in `status`, and the state that it leads to, None where it moves nothing."""
    common: dict[str, Any] = {"id": message, "detail": {**record.detail, "receipt": str(record.id)}}
    if record.kind == ReceiptKind.COMPLAINED:
        return Move(type="complained", **common), None
    to = _STATUS[ReceiptKind(record.kind)]
    known: dict[str, Any] = {
        "provider": record.provider,
        "provider_message_id": record.provider_message_id,
        "code": record.code if to in {Status.FAILED, Status.BOUNCED} else "",
    }
    reachable = MOVES[status] | (MOVES[Status.SENT] if status is Status.SENDING else frozenset())
    if to not in reachable:
        common["detail"]["kind"] = record.kind
        return Move(type="late_receipt", **common), None
    return Move(to=to, **known, **common), to


def _match(records: list[ReceiptRecord]) -> dict[UUID, UUID]:
    """Report → message: by our own id where the report carries it, else by the provider's."""
    found = {record.id: record.message_id for record in records if record.message_id is not None}
    unknown = [record for record in records if record.message_id is None and record.provider_message_id]
    if unknown:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT provider, provider_message_id, id FROM messaging_message "
                "WHERE provider_message_id = ANY(%s) AND NOT (provider_message_id = '')",
                [[record.provider_message_id for record in unknown]],
            )
            by_provider = {(row[0], row[1]): row[2] for row in cursor.fetchall()}
        for record in unknown:
            message = by_provider.get((record.provider, record.provider_message_id))
            if message is not None:
                found[record.id] = message
    return found


def _standings(ids: list[UUID]) -> dict[UUID, tuple[Status, bool]]:
    """Lock messages and tell where each stands, and whether a worker holds it."""
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, status, claim_id IS NOT NULL FROM messaging_message "
            "WHERE id = ANY(%s) AND id BETWEEN %s AND %s ORDER BY id FOR UPDATE",
            [ids, ids[0], ids[-1]],
        )
        return {row[0]: (Status(row[1]), row[2]) for row in cursor.fetchall()}


def forget_settled(limit: int) -> int:
    """Delete reports that were kept long enough and wait for nothing, at most `limit`; give how many went."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [lowest_key(_now() - timedelta(days=settings.RECEIPT_DAYS)), limit])
        return int(cursor.rowcount)


def _postpone(record: ReceiptRecord) -> None:
    """Look again later, the less often the longer it waits; after a day give up."""
    now = _now()
    age = now - record.received_at
    if age > KEPT_FOR:
        record.state = ReceiptRecord.State.UNMATCHED
    else:
        record.due_at = now + max(timedelta(seconds=1), min(age / 4, timedelta(minutes=10)))


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment
