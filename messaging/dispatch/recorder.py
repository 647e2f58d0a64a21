"""Writes down what becomes of a claim's messages, in groups, beside the thread that sends them.

A hand-over is one claim on its way through an adapter. No group of it goes to the adapter before its mark is
stored under a live lease; marks travel with the outcomes of the group before, so that they cost nothing.
"""

from __future__ import annotations

import os
import threading
import time
from functools import cache

import structlog
from django.db import DatabaseError, close_old_connections, transaction

from channels_app.types import Receipt
from messaging.dispatch import receipts, transitions
from messaging.dispatch.claims import Lease
from messaging.dispatch.transitions import Move

log = structlog.get_logger(__name__)

GROUP = 100
"""Outcomes that are written together at the most."""
SOON = 0.05
"""Seconds that an outcome waits for others at the most."""
_PAUSE = 0.2


class HandOver:
    """One claim's progress: what is marked, what is known, what is written. Shared by sender and recorder."""

    def __init__(self, lease: Lease, *, size: int, group: int) -> None:
        self.lease = lease
        self.size = size
        self.group = group
        self.provider = ""
        self.written = 0
        self._marked = min(group, size)
        self._wanted = self._marked
        self._waited_for = False
        self._pending: list[tuple[Move, tuple[Receipt, ...]]] = []
        self._oldest = 0.0
        self._stalled = False
        self._changed = threading.Condition()

    # The sender's side

    def may_send(self) -> bool:
        """Whether the next message may be begun: the lease lives and outcomes can be recorded."""
        return not self._stalled and self.lease.alive()

    def reach(self, position: int) -> bool:
        """Wait until the message at `position` (from 0) is marked; false where the lease ended first."""
        with self._changed:
            if position % self.group == 0:
                self._wanted = min(max(self._wanted, position + 2 * self.group), self.size)
            while not (position < self._marked and not self._stalled):
                self._waited_for = True
                recorder().wake()
                if not self.lease.alive():
                    return False
                self._changed.wait(_PAUSE)
            return self.lease.alive()

    def put(self, move: Move, reports: tuple[Receipt, ...] = ()) -> None:
        """Note an outcome; it is written soon."""
        self.lease.progressed()
        with self._changed:
            if not self._pending:
                self._oldest = time.monotonic()
            self._pending.append((move, reports))
            full = len(self._pending) >= GROUP
        if full:
            recorder().wake()

    def finish(self) -> None:
        """Wait until every outcome is written, or the lease has ended and none can be."""
        with self._changed:
            while self._pending and self.lease.alive():
                self._waited_for = True
                recorder().wake()
                self._changed.wait(_PAUSE)

    # The recorder's side

    def ripe_in(self) -> float | None:
        """Seconds until something should be written; None while there is nothing."""
        with self._changed:
            wants_mark = self._waited_for and self._wanted > self._marked
            if wants_mark or len(self._pending) >= GROUP or (self._pending and self._waited_for):
                return 0.0
            return max(0.0, self._oldest + SOON - time.monotonic()) if self._pending else None

    def flush(self) -> None:
        """Write a group of outcomes and the mark that is wanted, in one transaction.

        A database that does not take them stops the sending until it does; once the lease is over they are
        dropped, since whoever returns the claim decides then.
        """
        with self._changed:
            group, mark = self._pending[:GROUP], self._wanted
        try:
            written = write(self.lease, group, mark=mark, provider=self.provider)
        except DatabaseError as error:
            log.warning("outcomes_not_recorded", count=len(group), error=type(error).__name__)
            close_old_connections()
            with self._changed:
                self._stalled = True
                if not self.lease.alive():
                    self._pending.clear()
                self._changed.notify_all()
            time.sleep(_PAUSE)
            return
        with self._changed:
            del self._pending[: len(group)]
            self.written += written
            self._oldest = time.monotonic()
            self._marked = mark
            self._stalled = False
            self._waited_for = False
            self._changed.notify_all()


def write(lease: Lease, group: list[tuple[Move, tuple[Receipt, ...]]], *, mark: int, provider: str) -> int:
    """Write outcomes and mark in one transaction; gives how many messages moved."""
    if not group:
        transitions.mark_handed_over(claim_id=lease.claim_id, mark=mark)
        return 0
    moves = [move for move, _ in group]
    reports = [report for _, some in group for report in some]
    if not reports:
        return len(transitions.flush_many(moves, claim_id=lease.claim_id, mark=mark))
    with transaction.atomic():
        moved = transitions.flush_many(moves, claim_id=lease.claim_id, mark=mark)
        receipts.keep(provider, [report for report in reports if report.message_id in moved])
    return len(moved)


class Recorder:
    """The thread of a process that writes for all hand-overs under way."""

    def __init__(self) -> None:
        self._active: list[HandOver] = []
        self._awake = threading.Condition()
        self._called = False
        threading.Thread(target=self._run, name="recorder", daemon=True).start()

    def add(self, hand_over: HandOver) -> None:
        with self._awake:
            self._active.append(hand_over)
            self._called = True
            self._awake.notify()

    def remove(self, hand_over: HandOver) -> None:
        with self._awake:
            self._active.remove(hand_over)

    def wake(self) -> None:
        with self._awake:
            self._called = True
            self._awake.notify()

    def _run(self) -> None:
        while True:
            for hand_over in self._next():
                hand_over.flush()

    def _next(self) -> list[HandOver]:
        """Wait for hand-overs with something to write."""
        while True:
            with self._awake:
                self._called = False
                active = list(self._active)
            times = [(hand_over, hand_over.ripe_in()) for hand_over in active]
            ripe = [hand_over for hand_over, wait in times if wait == 0.0]
            if ripe:
                return ripe
            # Single outcomes do not wake this thread: it looks for them while any hand-over is under way.
            patience = min([SOON, *(wait for _, wait in times if wait is not None)]) if active else None
            with self._awake:
                if not self._called:
                    self._awake.wait(patience)


@cache
def _recorder(process: int) -> Recorder:
    return Recorder()


def recorder() -> Recorder:
    return _recorder(os.getpid())
