"""What must hold of every message, read from the database alone.

The events of a message, in order, are a legal path of the state table, and its status and timestamps are what the
path says. Every message that has not ended waits for something. Tests, journeys and the chaos runs use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import connection

from messaging.state import IMPLIED, LATER, MOVES, RETRIES, WAITING, Status

STAMPED = tuple(status for status in Status if status.stamp is not None)
FIRST = frozenset({Status.SCHEDULED, Status.QUEUED})

_EVENTS = """
SELECT message_id, type, status, at, cause, attempt, detail ? 'retry'
  FROM messaging_messageevent
 WHERE %(workspace)s::uuid IS NULL OR workspace_id = %(workspace)s
 ORDER BY message_id, at, id
"""
_MESSAGES = f"""
SELECT m.id, m.status, m.claim_id, m.next_attempt_at, m.attempts, m.max_attempts, m.error_code, m.complained_at,
       m.scheduled_at, c.id IS NOT NULL AND m.id = ANY (c.ids),
       {", ".join(f"m.{status.stamp}" for status in STAMPED)}
  FROM messaging_message m LEFT JOIN messaging_claim c ON c.id = m.claim_id
 WHERE %(workspace)s::uuid IS NULL OR m.workspace_id = %(workspace)s
 ORDER BY m.id
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Event:
    type: str
    status: str
    at: datetime
    cause: str
    attempt: int
    retry: bool

    @property
    def entered(self) -> Status | None:
        """The state that this event entered; None for a fact that moved nothing."""
        return Status(self.status) if self.status and self.type == Status(self.status).event else None


@dataclass(slots=True)
class Fold:
    """What the events of one message amount to."""

    status: Status | None = None
    stamps: dict[Status, datetime | None] = field(default_factory=lambda: dict.fromkeys(STAMPED))
    complained_at: datetime | None = None
    illegal: list[str] = field(default_factory=list)

    def add(self, event: Event) -> None:
        to = event.entered
        if to is None:
            if event.status != self.status:
                self.illegal.append(f"the fact {event.type} was noted in {event.status} while in {self.status}")
            if event.type == "complained" and self.complained_at is None:
                self.complained_at = event.at
            return
        by_person = event.retry and self.status is not None and to in RETRIES.get(self.status, ())
        legal = to in FIRST if self.status is None else to in MOVES[self.status] or by_person
        if not legal:
            self.illegal.append(f"{self.status} → {to} by {event.cause}")
        if by_person:
            self.stamps.update(dict.fromkeys(LATER))
        self.status = to
        if to in self.stamps:
            self.stamps[to] = event.at
        for passed in IMPLIED.get(to, ()):
            if self.stamps[passed] is None:
                self.stamps[passed] = event.at


def fold(events: list[Event]) -> Fold:
    folded = Fold()
    for event in events:
        folded.add(event)
    return folded


def check_all() -> list[str]:
    """Check every message; give a sentence for each violation."""
    return list(_violations(None))


def check_workspace(workspace_id: UUID) -> list[str]:
    """Check the messages of one workspace; give a sentence for each violation."""
    return list(_violations(workspace_id))


def _violations(workspace_id: UUID | None) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, {"workspace": workspace_id})
        rows = groupby(cursor.fetchall(), key=lambda row: row[0])
        folds = {message_id: fold([Event(*row[1:]) for row in some]) for message_id, some in rows}
        cursor.execute(_MESSAGES, {"workspace": workspace_id})
        for row in cursor.fetchall():
            folded = folds.pop(row[0], None)
            if folded is None:
                yield f"{row[0]}: has no event"
            else:
                yield from (f"{row[0]}: {problem}" for problem in _compare(row, folded))
    yield from (f"{message_id}: has events and no row" for message_id in folds)


def _compare(row: tuple[Any, ...], folded: Fold) -> Iterator[str]:
    status = Status(row[1])
    yield from folded.illegal
    if folded.status is not status:
        yield f"is {status}, its events say {folded.status}"
    for stamped, at in zip(STAMPED, row[10:], strict=True):
        if folded.stamps[stamped] != at:
            yield f"{stamped.stamp} is {at}, its events say {folded.stamps[stamped]}"
    if folded.complained_at != row[7]:
        yield f"complained_at is {row[7]}, its events say {folded.complained_at}"
    yield from _waiting(status, *row[2:10])


def _waiting(
    status: Status,
    claim_id: UUID | None,
    due: datetime | None,
    attempts: int,
    max_attempts: int,
    code: str,
    complained_at: datetime | None,
    scheduled_at: datetime | None,
    claimed: bool,
) -> Iterator[str]:
    """Each state waits for exactly one thing, and what has ended for nothing."""
    if not 0 <= attempts <= max_attempts:
        yield f"was attempted {attempts} times of {max_attempts}"
    if claim_id is not None and status is not Status.SENDING:
        yield f"is {status} under a claim"
    if claim_id is not None and not claimed:
        yield "is held by a claim that does not exist or does not name it"
    if claim_id is not None and due is not None:
        yield "is held by a claim and due as well"
    if status in WAITING and claim_id is None and due is None:
        yield f"is {status} and waits for nothing"
    if status not in WAITING and due is not None:
        yield f"is {status} and still due"
    if status is Status.QUEUED and attempts >= max_attempts:
        yield "is queued without an attempt left"
    if status is Status.SCHEDULED and scheduled_at != due:
        yield "is scheduled for another time than it is due"
    if status is Status.FAILED and not code:
        yield "is FAILED without a code"
