"""Writes down what becomes of a claim's messages, in groups, beside the thread that sends them.

A hand-over is one claim on its way through an adapter. No group of it goes to the adapter before its mark is
stored under a live lease; marks travel with the outcomes of the group before, so that they cost nothing.
"""

from __future__ import annotations

import os
import threading
import time
from functools import cache
from uuid import UUID

import structlog
from django.db import DataError, Error, IntegrityError, close_old_connections, transaction

from channels_app.types import Receipt
from messaging.dispatch import receipts, transitions, wake
from messaging.dispatch.claims import Lease
from messaging.dispatch.transitions import Move
from messaging.state import Status

log = structlog.get_logger(__name__)

GROUP = 100
"""Outcomes that are written together at the most."""
SOON = 0.05
"""Seconds that an outcome waits for others at the most."""
_PAUSE = 0.2


class HandOver:
    """One claim's progress: what is marked, what is known, what is written. Shared by sender and recorder.

    The mark is never more than two groups beyond what is written, so that no crash leaves more in doubt. A session
    may therefore have at most one group drawn and unanswered; one that waits for more waits until its lease ends.
    """

    def __init__(self, lease: Lease, *, size: int, group: int, awaited: frozenset[UUID] = frozenset()) -> None:
        self.lease = lease
        self.awaited = awaited
        """Messages for whose outcome a request waits."""
        self.size = size
        self.group = group
        self.written = 0
        self.drawn = 0
        """Messages that were given to the session, or failed on the way to it: the others nobody ever saw."""
        self._settled = 0
        self._marked = min(group, size)
        self._waited_for = False
        self._pending: list[tuple[Move, tuple[Receipt, ...]]] = []
        self._oldest = 0.0
        self._stalled = False
        self._careful = False
        self._over = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    # The sender's side

    def may_send(self) -> bool:
        """Whether the next message may be begun: the lease lives and outcomes can be recorded."""
        return not (self._stalled or self._over) and self.lease.alive()

    def reach(self, position: int) -> bool:
        """Wait until the message at `position` (from 0) is marked; false where the lease ended first."""
        with self._lock:
            while position >= self._marked or self._stalled:
                if self._over or not self.lease.alive():
                    return False
                self._waited_for = True
                recorder().wake()
                self._changed.wait(_PAUSE)
            if self._over or not self.lease.alive():
                return False
            self.drawn = position + 1
            return True

    def put(self, move: Move, reports: tuple[Receipt, ...] = ()) -> None:
        """Note an outcome; it is written soon."""
        self.lease.progressed()
        with self._lock:
            if not self._pending:
                self._oldest = time.monotonic()
            self._pending.append((move, reports))
            urgent = len(self._pending) >= GROUP
            if move.id in self.awaited:
                self._waited_for = urgent = True
        if urgent:
            recorder().wake()

    def finish(self) -> None:
        """Wait until every outcome is written, or the lease has ended and none can be."""
        with self._lock:
            while self._pending and not self._over:
                if self.lease.ended():
                    self._end()
                    return
                self._waited_for = True
                recorder().wake()
                self._changed.wait(_PAUSE)

    # The recorder's side

    def ripe_in(self) -> float | None:
        """Seconds until something should be written; None while there is nothing."""
        with self._lock:
            if self._over:
                return None
            if self._waited_for and (self._pending or self._next_mark(self._settled) > self._marked):
                return 0.0
            if len(self._pending) >= GROUP:
                return 0.0
            return max(0.0, self._oldest + SOON - time.monotonic()) if self._pending else None

    def flush(self) -> None:
        """Write a group of outcomes and the mark that follows from them, in one transaction.

        While the database does not take them nothing further is sent. Once the lease is over they are dropped, since
        whoever returns the claim decides then. An outcome that can never be written is dropped alone.
        """
        with self._lock:
            if self._over:
                return
            group = self._pending[: 1 if self._careful else GROUP]
            mark = self._next_mark(self._settled + len(group))
        try:
            written = write(self.lease, group, mark=mark)
        except Error as error:
            if isinstance(error, DataError | IntegrityError):
                self._refused(group)
            else:
                self._stall(error)
        except Exception:
            self._refused(group)
        else:
            self._wrote(group, written, mark)

    def _next_mark(self, settled: int) -> int:
        return min((settled // self.group + 2) * self.group, self.size)

    def _wrote(self, group: list[tuple[Move, tuple[Receipt, ...]]], written: int | None, mark: int) -> None:
        with self._lock:
            if written is None:
                self._end()
                return
            del self._pending[: len(group)]
            self.written += written
            self._settled += written
            self._oldest = time.monotonic()
            self._marked = mark
            self._stalled = False
            self._waited_for = False
            self._changed.notify_all()
        if self.awaited and (told := [move.id for move, _ in group if move.id in self.awaited and _tells(move)]):
            wake.wake(told)

    def _stall(self, error: Error) -> None:
        """Send nothing further until the database takes what is known."""
        log.warning("outcomes_not_recorded", claim=str(self.lease.claim_id), error=type(error).__name__)
        close_old_connections()
        with self._lock:
            self._stalled = True
            if self.lease.ended():
                self._end()
            self._changed.notify_all()
        time.sleep(_PAUSE)

    def _refused(self, group: list[tuple[Move, tuple[Receipt, ...]]]) -> None:
        """Write one outcome at a time from now on, and drop the one that is at fault: its message is in doubt."""
        log.exception("outcomes_refused", messages=[str(move.id) for move, _ in group])
        with self._lock:
            if len(group) == 1:
                self._pending.pop(0)
            self._careful = True
            self._stalled = False
            self._changed.notify_all()
        if not group:
            time.sleep(_PAUSE)

    def _end(self) -> None:
        """Nothing further can be written under this claim. Called with the lock held."""
        self._over = True
        self._pending.clear()
        self._changed.notify_all()


def _tells(move: Move) -> bool:
    """Whether a move is an outcome that a request may wait for."""
    return move.ends_awaited or move.to in {Status.SENT, Status.FAILED}


def write(lease: Lease, group: list[tuple[Move, tuple[Receipt, ...]]], *, mark: int) -> int | None:
    """Write outcomes and mark in one transaction; gives how many messages moved, None where the lease has ended."""
    if not group:
        return 0 if transitions.mark_handed_over(claim_id=lease.claim_id, mark=mark) else None
    moves = [move for move, _ in group]
    reporting = sorted({move.provider for move, some in group if some})
    if not reporting:
        moved = transitions.flush_many(moves, claim_id=lease.claim_id, mark=mark)
        return None if moved is None else len(moved)
    with transaction.atomic():
        moved = transitions.flush_many(moves, claim_id=lease.claim_id, mark=mark)
        if moved is None:
            return None
        for provider in reporting:
            told = [report for move, some in group if move.provider == provider for report in some]
            receipts.keep(provider, [report for report in told if report.message_id in moved])
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
                try:
                    hand_over.flush()
                except Exception:
                    # This thread writes for every claim of the process: whatever happens, it goes on.
                    log.exception("recorder_failed")
                    time.sleep(_PAUSE)

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


_one_recorder = threading.Lock()


def recorder() -> Recorder:
    # A cache alone lets two threads make one each.
    with _one_recorder:
        return _recorder(os.getpid())
