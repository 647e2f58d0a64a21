"""Asks providers what became of messages whose outcome is unknown, where the provider can tell.

A message that may have been taken is held, SENDING and without a claim. A few seconds on its provider is asked, outside
of any transaction; while that cannot tell it is asked again, the less often the longer it takes, until the time for
unknown outcomes is over and the sweep ends the message. One process asks at a time, and what it learns counts only for
the attempt that it asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import Error, connection, transaction
from django.utils import timezone

from channels_app.base import ChannelAdapter
from channels_app.types import Accepted, Channel, OutboundMessage, Outcome, Transient
from messaging.dispatch import carrying, providers, queue, receipts, retry, transitions
from messaging.dispatch.outbound import render
from messaging.dispatch.queue import Lane
from messaging.dispatch.retry import Again, Sent
from messaging.dispatch.transitions import Claimed, Move
from messaging.state import Cause, Priority, Status

log = structlog.get_logger(__name__)

BATCH: Final = 64
"""Messages that are asked about in one run."""
AT_ONCE: Final = 8
LONGEST_WAIT: Final = 300.0
"""Seconds between two questions about a message at the most."""
_LOCK: Final = 0x41534B
"""The advisory lock that whoever asks holds."""

_DUE = """
SELECT id, workspace_id, content_id, recipient, name, subject, data, metadata, test, attempts, max_attempts, throttles,
       on_unknown, sending_at, sealed, contact_id, category, expires_at, channel, priority
  FROM messaging_message
 WHERE status = 'SENDING' AND claim_id IS NULL AND next_attempt_at <= now()
   AND NOT test AND channel = ANY(%s) AND sending_at > now() - %s * interval '1 second'
 ORDER BY next_attempt_at LIMIT %s
"""
_SAME = """
SELECT id FROM messaging_message
 WHERE id = ANY(%(ids)s) AND id BETWEEN %(low)s AND %(high)s AND status = 'SENDING' AND claim_id IS NULL
   AND (id, attempts) IN (SELECT * FROM unnest(%(ids)s::uuid[], %(attempts)s::smallint[]))
 ORDER BY id FOR UPDATE
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A message that is asked about."""

    lane: Lane
    message: Claimed
    outbound: OutboundMessage


def ask_due() -> int:
    """Ask about the messages that are due; give how many were asked about. Nothing where another process does it."""
    asked = providers.asked()
    if not asked:
        return 0
    with _alone() as alone:
        return _ask(asked) if alone else 0


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether nobody else asks; a process that dies leaves the lock with its connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        got: bool = cursor.fetchone()[0]
    try:
        yield got
    finally:
        if got:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _ask(asked: Sequence[str]) -> int:
    messages = [found for row in _due(asked) if (found := _made(*row)) is not None]
    if not messages:
        return 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ask") as pool:
        outcomes = list(pool.map(_answer, messages))
    _settle([(each, adapter, outcome) for each, (adapter, outcome) in zip(messages, outcomes, strict=True)])
    return len(messages)


def _due(asked: Sequence[str]) -> list[tuple[Lane, Claimed]]:
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [list(asked), settings.UNKNOWN_SECONDS, BATCH])
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [(Lane(Channel(row.pop("channel")), Priority(row.pop("priority"))), _claimed(row)) for row in rows]


def _claimed(row: dict[str, Any]) -> Claimed:
    return Claimed(**{name: transitions.decoded(value) if name in _JSON else value for name, value in row.items()})


_JSON: Final = frozenset({"data", "metadata"})


def _made(lane: Lane, message: Claimed) -> _Asked | None:
    """The message as it went out; where it cannot be made any more nobody can be asked about it."""
    try:
        carried = carrying.load(lane.channel, [message])
        outbound = render(lane, message, carried.get(message.id, carrying.NOTHING))
    except Error:
        raise
    except Exception:
        log.exception("render_failed", message_id=str(message.id))
        return None
    return _Asked(lane=lane, message=message, outbound=outbound)


def _answer(asked: _Asked) -> tuple[ChannelAdapter | None, Outcome | None]:
    """What the providers of the channel say: one that has the message decides, and that none has it all must say."""
    missed: tuple[ChannelAdapter | None, Outcome | None] = (None, None)
    sure = True
    for choice in providers.choices(asked.lane.channel):
        try:
            outcome = choice.adapter.ask(asked.outbound, asked.message.sending_at)
        except Exception:
            log.exception("provider_not_asked", message_id=str(asked.message.id), provider=choice.name)
            outcome = None
        if isinstance(outcome, Accepted):
            return choice.adapter, outcome
        if isinstance(outcome, Transient):
            missed = choice.adapter, outcome
        else:
            sure = False
    return missed if sure else (None, None)


def _settle(answers: Sequence[tuple[_Asked, ChannelAdapter | None, Outcome | None]]) -> None:
    """Write down what was learned, of messages that still stand where they stood."""
    by_id = {asked.message.id: (asked, adapter, outcome) for asked, adapter, outcome in answers}
    ids = sorted(by_id)
    rung: set[Lane] = set()
    with transaction.atomic():
        with connection.cursor() as cursor:
            attempts = [by_id[key][0].message.attempts for key in ids]
            cursor.execute(_SAME, {"ids": ids, "attempts": attempts, "low": ids[0], "high": ids[-1]})
            same = [row[0] for row in cursor.fetchall()]
        moves: list[Move] = []
        for key in same:
            asked, adapter, outcome = by_id[key]
            if adapter is None or outcome is None:
                transitions.postpone(key, seconds=_again_in(asked.message.sending_at))
                continue
            moves.append(_move(asked, adapter, outcome))
            rung.add(asked.lane)
        transitions.advance_many(moves, cause=Cause.SWEEPER)
        for key in same:
            _, adapter, outcome = by_id[key]
            if adapter is not None and isinstance(outcome, Accepted):
                receipts.keep(adapter.provider, outcome.receipts)
    queue.ring(*rung)


def _move(asked: _Asked, adapter: ChannelAdapter, outcome: Outcome) -> Move:
    message = asked.message
    decision = retry.decide(
        outcome,
        attempts=message.attempts,
        max_attempts=message.max_attempts,
        policy=providers.policy(adapter),
        unknown=None,
    )
    common: dict[str, Any] = {"id": message.id, "provider": adapter.provider}
    if isinstance(decision, Sent) and isinstance(outcome, Accepted):
        detail = {**outcome.detail, "asked": True}
        return Move(to=Status.SENT, provider_message_id=outcome.provider_message_id, detail=detail, **common)
    code, error = getattr(outcome, "code", ""), str(getattr(outcome, "detail", ""))
    common |= {"code": code, "error": error, "detail": {"asked": True}}
    if isinstance(decision, Again):
        return Move(to=Status.QUEUED, due=decision.wait, **common)
    return Move(to=Status.FAILED, **common)


def _again_in(since: datetime) -> float:
    """Seconds until the next question: as long again as it has taken, within bounds."""
    age = (timezone.now() - since) / timedelta(seconds=1)
    return min(max(age, settings.ASK_SECONDS), LONGEST_WAIT)
