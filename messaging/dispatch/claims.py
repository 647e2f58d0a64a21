"""Claims: which workspaces' rows a worker takes, the lease that it holds on them, and how they come back."""

from __future__ import annotations

import os
import socket
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from operator import itemgetter
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error, close_old_connections, connection, transaction

from channels_app.types import Channel
from messaging.dispatch import buckets, providers, queue, retry, transitions
from messaging.dispatch.buckets import Want
from messaging.dispatch.queue import Lane
from messaging.dispatch.retry import Again, Fail, Hold
from messaging.dispatch.transitions import Claimed, Move
from messaging.models.keys import uuid7
from messaging.models.statements import prepared
from messaging.state import Priority, Status
from messaging.tenancy import quota

log = structlog.get_logger(__name__)

_MARGIN = 1.0
"""Seconds before the end of a lease at which nothing further is begun."""

_REST = 1.0
"""Seconds for which sweeps pass a lane by at the most where its workspaces are at their rates."""

_ACTIVE = """
WITH RECURSIVE active AS (
    (SELECT workspace_id FROM messaging_message
      WHERE channel = %(channel)s AND priority = %(priority)s AND status = 'QUEUED' ORDER BY workspace_id LIMIT 1)
    UNION ALL
    SELECT (SELECT m.workspace_id FROM messaging_message m
             WHERE m.channel = %(channel)s AND m.priority = %(priority)s AND m.status = 'QUEUED'
               AND m.workspace_id > active.workspace_id ORDER BY m.workspace_id LIMIT 1)
      FROM active WHERE active.workspace_id IS NOT NULL
)
SELECT workspace_id FROM active WHERE workspace_id IS NOT NULL AND EXISTS (
    SELECT 1 FROM messaging_message m
     WHERE m.channel = %(channel)s AND m.priority = %(priority)s AND m.workspace_id = active.workspace_id
       AND m.status = 'QUEUED' AND m.next_attempt_at <= now())
 ORDER BY workspace_id
"""
_COUNT = """
SELECT workspace_id, (
    SELECT count(*) FROM (
        SELECT 1 FROM messaging_message m
         WHERE m.channel = %(channel)s AND m.priority = %(priority)s AND m.workspace_id = w.workspace_id
           AND m.status = 'QUEUED' AND m.next_attempt_at <= now() LIMIT %(limit)s) AS rows)
  FROM unnest(%(workspaces)s::uuid[]) AS w(workspace_id)
"""
_COUNTS = 4
"""Times that what some workspaces leave is offered to the others; beyond that a claim may be a little short."""


def boottime() -> float:
    """Seconds on a clock that goes on while the machine or the process is stopped."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def worker_name() -> str:
    return f"{settings.PROCESS or 'command'}@{socket.gethostname()}"


def waiting(lane: Lane, *, limit: int) -> list[tuple[UUID, int]]:
    """The workspaces that have due rows in a lane, in their order, with how many of them may matter for a claim of
    `limit`: nobody's rows are counted beyond an equal part of what the others leave."""
    params: dict[str, Any] = {"channel": lane.channel.value, "priority": lane.priority.value}
    with prepared(_ACTIVE, params) as active:
        hungry = [row[0] for row in active.fetchall()]
    if not 1 < len(hungry) < limit:
        return [(workspace, limit if len(hungry) == 1 else 1) for workspace in hungry]
    with connection.cursor() as cursor:
        rows = dict.fromkeys(hungry, 0)
        left = limit
        for _ in range(_COUNTS):
            part = -(-left // len(hungry))
            cursor.execute(_COUNT, {**params, "workspaces": hungry, "limit": part})
            rows.update(cursor.fetchall())
            hungry = [workspace for workspace in hungry if rows[workspace] == part]
            left = limit - (sum(rows.values()) - part * len(hungry))
            if not hungry or sum(rows.values()) >= limit:
                break
    return [(workspace, count) for workspace, count in rows.items() if count]


def share_out(due: Sequence[tuple[UUID, int]], *, limit: int, after: UUID | None = None) -> dict[UUID, int]:
    """How many rows each workspace may have of a claim of `limit`: equal parts, what one leaves goes to the others.

    `due` is in the order of its workspaces; who follows `after` comes first. The last of the answer is the last
    one that was given something: to go on after it lets what is left over go round.
    """
    turn = 0 if after is None else bisect_right(due, after, key=itemgetter(0))
    hungry = [*due[turn:], *due[:turn]][:limit]
    shares: dict[UUID, int] = {}
    left = limit
    while left > 0 and hungry:
        part = max(1, left // len(hungry))
        for workspace, rows in hungry[:left]:
            had = shares.pop(workspace, 0)
            given = min(part, rows - had)
            shares[workspace] = had + given
            left -= given
        hungry = [(workspace, rows) for workspace, rows in hungry if shares.get(workspace, 0) < rows]
    return shares


class Lease:
    """A worker's time on a claim, counted on a clock that no stop of the process holds up."""

    def __init__(self, claim_id: UUID, *, seconds: float) -> None:
        self.claim_id = claim_id
        self.seconds = seconds
        self._ends = boottime() + seconds
        self._progress = boottime()

    def alive(self) -> bool:
        """Whether there is time left to begin a message."""
        return boottime() < self._ends - _MARGIN

    def ended(self) -> bool:
        """Whether the lease is over, so that nothing can be written under it."""
        return boottime() >= self._ends

    def progressed(self) -> None:
        """Note that a message was finished: a worker that finishes none for long is not renewed."""
        self._progress = boottime()

    def stuck(self) -> bool:
        return boottime() - self._progress > 2 * settings.PROVIDER_DEADLINE_SECONDS

    def renew(self) -> None:
        """Move the end on. The new end counts from before the request, so that it is never later than the row's."""
        asked = boottime()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE messaging_claim SET expires_at = clock_timestamp() + %s * interval '1 second' "
                "WHERE id = %s AND expires_at > clock_timestamp()",
                [self.seconds, self.claim_id],
            )
            self._ends = asked + self.seconds if cursor.rowcount else 0.0


class Keeper:
    """Renews the leases of this process from a thread and a connection of its own."""

    def __init__(self) -> None:
        self._leases: dict[UUID, Lease] = {}
        self._lock = threading.Lock()
        self._begun = threading.Event()
        threading.Thread(target=self._run, name="lease-keeper", daemon=True).start()

    def add(self, lease: Lease) -> None:
        with self._lock:
            self._leases[lease.claim_id] = lease
        self._begun.set()

    def remove(self, lease: Lease) -> None:
        with self._lock:
            self._leases.pop(lease.claim_id, None)

    def _run(self) -> None:
        while True:
            self._begun.wait()
            time.sleep(settings.RENEW_SECONDS)
            with self._lock:
                leases = list(self._leases.values())
                if not leases:
                    self._begun.clear()
            for lease in leases:
                try:
                    self._renew(lease)
                except Exception:
                    # This thread keeps every lease of the process: whatever happens, it goes on.
                    log.exception("lease_not_renewed", claim=str(lease.claim_id))

    def _renew(self, lease: Lease) -> None:
        if lease.stuck():
            log.error("lease_not_renewed", claim=str(lease.claim_id), reason="no message finished")
            return
        try:
            lease.renew()
        except Error as error:
            log.warning("lease_not_renewed", claim=str(lease.claim_id), error=type(error).__name__)
            close_old_connections()


@cache
def _keeper(process: int) -> Keeper:
    return Keeper()


_one_keeper = threading.Lock()


def keeper() -> Keeper:
    # A cache alone lets two threads make one each.
    with _one_keeper:
        return _keeper(os.getpid())


_last: dict[Lane, UUID] = {}
"""The workspace that each lane's latest claim of this process ended with."""


def take(lane: Lane, *, limit: int, group: int) -> tuple[Lease, list[Claimed]] | None:
    """Claim the lane's oldest due rows, each workspace its share; None where nothing is due."""
    due, grants = _allowed(lane, waiting(lane, limit=limit))
    shares = share_out(due, limit=limit, after=_last.get(lane))
    if not shares:
        return None
    _last[lane] = next(reversed(shares))
    lease = Lease(uuid7(), seconds=settings.LEASE_SECONDS)
    claimed = transitions.claim_many(
        claim_id=lease.claim_id,
        worker=worker_name(),
        channel=lane.channel.value,
        priority=lane.priority,
        shares=shares,
        group=group,
        lease=lease.seconds,
    )
    if grants:
        _give_back_tokens(grants, claimed)
    return (lease, claimed) if claimed else None


def _allowed(lane: Lane, due: list[tuple[UUID, int]]) -> tuple[list[tuple[UUID, int]], list[Want]]:
    """What is due, less what the rates of workspaces hold back, and the tokens that were taken for the rest."""
    rates = quota.rates_of([workspace for workspace, _ in due])
    if not rates:
        return due, []
    wants = [
        Want(key=buckets.of_workspace(workspace), rate=rates[workspace], number=rows)
        for workspace, rows in due
        if workspace in rates
    ]
    grants = buckets.take(wants)
    given = {want.key: grant.number for want, grant in zip(wants, grants, strict=True)}
    allowed = [(workspace, given.get(buckets.of_workspace(workspace), rows)) for workspace, rows in due]
    allowed = [(workspace, rows) for workspace, rows in allowed if rows]
    if waits := [grant.wait for grant in grants if grant.wait]:
        queue.ring_later(lane, min(waits))
        if not allowed:
            # Not for long: other workspaces may have messages that fall due meanwhile.
            buckets.rest(lane, min([*waits, _REST]))
    return allowed, [replace(want, number=given[want.key]) for want in wants]


def _give_back_tokens(taken: Sequence[Want], claimed: Sequence[Claimed]) -> None:
    used = Counter(buckets.of_workspace(message.workspace_id) for message in claimed)
    buckets.give_back([replace(want, number=want.number - used[want.key]) for want in taken])


def end(claim_id: UUID) -> None:
    """Forget a claim whose messages all have their outcome."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM messaging_claim WHERE id = %s", [claim_id])


def give_back(claim_id: UUID, *, reason: str, drawn: int | None = None, wait: float = 0.0) -> int:
    """End a claim of this worker: what its session drew is in doubt and judged by the adapter's policy, the rest is
    queued again, due in `wait` seconds, with its attempt given back. Gives how many messages came back."""
    return _give_back(claim_id, _OWN_CLAIM, reason=reason, drawn=drawn, wait=wait)


def reap(claim_id: UUID, *, reason: str) -> int:
    """End the claim of a worker whose lease has ended; what was handed over is in doubt. Gives how many messages
    came back; none where another did it already, or the lease lives after all."""
    return _give_back(claim_id, _EXPIRED_CLAIM, reason=reason, drawn=None, wait=0.0)


_FIND = "SELECT channel, ids, handed_over FROM messaging_claim WHERE id = %s"
_OWN_CLAIM = f"{_FIND} FOR UPDATE"
# A renewal may be on its way to its commit: whether the lease has ended is asked once more under the lock.
_EXPIRED_CLAIM = f"{_FIND} AND expires_at <= clock_timestamp() FOR UPDATE SKIP LOCKED"


def _give_back(claim_id: UUID, find: str, *, reason: str, drawn: int | None, wait: float) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(find, [claim_id])
        row = cursor.fetchone()
        if row is None:
            return 0
        channel, ids, handed_over = row
        cursor.execute(
            "SELECT id, priority, test, attempts, max_attempts, on_unknown FROM messaging_message "
            "WHERE id = ANY(%s) AND id BETWEEN %s AND %s AND claim_id = %s ORDER BY id FOR UPDATE",
            [ids, min(ids), max(ids), claim_id],
        )
        doubtful = set(ids[: handed_over if drawn is None else min(drawn, handed_over)])
        rows = cursor.fetchall()
        moves = [
            _judged(row, channel=channel, reason=reason)
            if row[0] in doubtful
            else Move(id=row[0], to=Status.QUEUED, due=wait, refund=True, detail={"reason": reason})
            for row in rows
        ]
        moved = transitions.return_many(moves, claim_id=claim_id)
        cursor.execute("DELETE FROM messaging_claim WHERE id = %s", [claim_id])
        lanes = {Lane(Channel(channel), Priority(row[1])) for row in rows}
        transaction.on_commit(lambda: queue.ring(*lanes))
        return len(moved)


def _judged(row: tuple[UUID, int, bool, int, int, str], *, channel: str, reason: str) -> Move:
    """What becomes of a message of which nobody knows whether the provider took it."""
    message_id, _, test, attempts, max_attempts, on_unknown = row
    adapter = providers.adapter(channel, test=test)
    decision = retry.after_doubt(
        attempts=attempts,
        max_attempts=max_attempts,
        policy=providers.policy(adapter),
        unknown=retry.wish(on_unknown, providers.on_unknown(channel, test=test)),
    )
    detail = {"reason": reason, "in_doubt": True}
    match decision:
        case Again(wait=wait):
            return Move(id=message_id, to=Status.QUEUED, due=wait, detail=detail)
        case Hold(wait=wait):
            return Move(id=message_id, type="outcome_unknown", due=wait, code="outcome_unknown", detail=detail)
        case Fail() | _:
            return Move(
                id=message_id,
                to=Status.FAILED,
                code="outcome_unknown",
                error="nobody can tell whether the provider took the message",
                detail=detail,
            )
