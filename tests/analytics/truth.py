"""What statistics must say, read from the messages themselves, and lives of messages to say it of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, connections, transaction

from analytics import counting
from analytics.counting import Counts, Key, Scope
from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.models import Workspace
from messaging.models.keys import uuid7
from messaging.state import Cause, Priority, Status

S = Status
T = TypeVar("T")

_COLUMNS = """
    count(*), count(sent_at), count(delivered_at), count(opened_at), count(clicked_at), count(bounced_at),
    count(*) FILTER (WHERE failed_at IS NOT NULL AND sent_at IS NULL), count(unsubscribed_at), count(cancelled_at),
    count(complained_at)
"""
_KEYS = {"hour": "date_trunc('hour', created_at, 'UTC')", "day": "date_trunc('day', created_at, 'UTC')"}
_ALL: tuple[Key, ...] = ("hour", "channel", "template_id", "campaign_id")


def truth(workspace: Workspace, *, by: Sequence[Key] = _ALL, test: bool = False) -> dict[tuple[Any, ...], Counts]:
    """Count the messages' own timestamps."""
    keys = [_KEYS.get(key, key) for key in by]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join([*keys, _COLUMNS])} FROM messaging_message WHERE workspace_id = %s AND test = %s"  # noqa: S608
            f" GROUP BY {', '.join(keys)}",
            [workspace.id, test],
        )
        return {row[: len(by)]: Counts(*row[len(by) :]) for row in cursor.fetchall()}


def told(workspace: Workspace, *, by: Sequence[Key] = _ALL, test: bool = False) -> dict[tuple[Any, ...], Counts]:
    """What the statistics say, without the rows in which everything was taken back."""
    found = counting.count(Scope(workspace_id=workspace.id, test=test), by=by)
    return {key: counts for key, counts in found.rows.items() if counts != Counts()}


def by_provider(workspace: Workspace) -> dict[str, Counts]:
    """Count the messages' own timestamps by the provider that each has now; total belongs to none."""
    found = {key[0]: counts for key, counts in truth(workspace, by=("provider",)).items()}
    whole = sum(counts.total for counts in found.values())
    return {
        provider: Counts(whole if provider == "" else 0, *[getattr(counts, name) for name in Counts.__slots__[1:]])
        for provider, counts in {"": Counts(), **found}.items()
    }


PATHS: tuple[tuple[Status, ...], ...] = (
    (S.QUEUED,),
    (S.SENDING,),
    (S.CANCELLED,),
    (S.SENDING, S.SENT),
    (S.SENDING, S.FAILED),
    (S.SENDING, S.QUEUED),
    (S.SENDING, S.SENT, S.FAILED),
    (S.SENDING, S.SENT, S.DELIVERED),
    (S.SENDING, S.SENT, S.OPENED),
    (S.SENDING, S.SENT, S.CLICKED),
    (S.SENDING, S.SENT, S.BOUNCED),
    (S.SENDING, S.SENT, S.DELIVERED, S.OPENED),
    (S.SENDING, S.SENT, S.DELIVERED, S.BOUNCED),
    (S.SENDING, S.SENT, S.OPENED, S.BOUNCED),
    (S.SENDING, S.SENT, S.OPENED, S.CLICKED, S.UNSUBSCRIBED),
    (S.SENDING, S.SENT, S.DELIVERED, S.CLICKED),
    (S.SENDING, S.SENT, S.UNSUBSCRIBED),
)
"""Ways that a message may go after it was accepted."""


def live(workspace: Workspace, ids: Sequence[UUID], *, seed: int, retried: float = 0.3) -> None:
    """Lead messages that wait in the e-mail lane each its own way, complaints and a person's retries included."""
    dice = random.Random(seed)
    ways = {key: dice.choice(PATHS) for key in ids}
    _cancel([key for key, way in ways.items() if way == (S.CANCELLED,)])
    held = _claim(workspace, [key for key, way in ways.items() if way[0] is S.SENDING])
    for place in range(1, 5):
        moves = [
            Move(id=key, to=ways[key][place], provider=dice.choice(("smtp", "smtp-2")) if place == 1 else "")
            for key in held
            if len(ways[key]) > place
        ]
        if place == 1:
            _leave(moves)
        else:
            transitions.advance_many(moves, cause=Cause.RECEIPT)
        # Providers repeat themselves: the second complaint of a message tells nothing new.
        angry = [move.id for move in moves if place > 1 and dice.random() < 0.2]
        transitions.advance_many([Move(id=key, type="complained") for key in angry], cause=Cause.RECEIPT)
    ended = [key for key, way in ways.items() if way[-1] in {S.FAILED, S.BOUNCED} and dice.random() < retried]
    if ended:
        moved = transitions.retry_many(ended, budget=3, cause=Cause.OPERATOR)
        assert moved == set(ended)
        live(workspace, ended, seed=seed + 1, retried=retried / 2)


def _cancel(ids: list[UUID]) -> None:
    transitions.advance_many([Move(id=key, to=S.CANCELLED) for key in ids], cause=Cause.API)


_claims: list[UUID] = []


def _claim(workspace: Workspace, ids: list[UUID]) -> list[UUID]:
    """Claim these messages and no other: the rest of the lane is put off meanwhile."""
    if not ids:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_message SET next_attempt_at = CASE WHEN id = ANY(%s) THEN now() ELSE "
            "now() + interval '1 day' END WHERE workspace_id = %s AND status = 'QUEUED'",
            [ids, workspace.id],
        )
        claim_id = uuid7()
        taken = transitions.claim_many(
            claim_id=claim_id,
            worker="test",
            channel="email",
            priority=Priority.NORMAL,
            shares={workspace.id: len(ids)},
            group=len(ids),
            lease=600.0,
        )
        _claims.append(claim_id)
        return [message.id for message in taken]


def _leave(moves: list[Move]) -> None:
    """Write down what became of the messages of the newest claim."""
    if moves:
        transitions.flush_many(moves, claim_id=_claims[-1], mark=len(moves))


def closing(work: Callable[[], T]) -> Callable[[], T]:
    """The work of a thread, whose connections go with it."""

    def run() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    return run
