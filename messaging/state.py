"""The states of a message and the moves between them: pure, and the only table of them.

docs/states.md draws the same table; a test holds the two together.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Status(StrEnum):
    """Where a message stands."""

    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    SENDING = "SENDING"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    OPENED = "OPENED"
    CLICKED = "CLICKED"
    BOUNCED = "BOUNCED"
    FAILED = "FAILED"
    UNSUBSCRIBED = "UNSUBSCRIBED"
    CANCELLED = "CANCELLED"

    @property
    def event(self) -> str:
        """The type of the event that entering this state leaves behind."""
        return self.value.lower()

    @property
    def stamp(self) -> str | None:
        """The message's column that keeps when this state was entered; SCHEDULED has none, created_at tells."""
        return None if self is Status.SCHEDULED else f"{self.value.lower()}_at"


class Standing(StrEnum):
    """Where a message stands for those who look on: its status, and whether what waits was tried before."""

    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    RETRYING = "RETRYING"
    """QUEUED after an attempt."""
    SENDING = "SENDING"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    OPENED = "OPENED"
    CLICKED = "CLICKED"
    BOUNCED = "BOUNCED"
    FAILED = "FAILED"
    UNSUBSCRIBED = "UNSUBSCRIBED"
    CANCELLED = "CANCELLED"


class Cause(StrEnum):
    """Who moved a message."""

    API = "api"
    WORKER = "worker"
    RECEIPT = "receipt"
    OPERATOR = "operator"
    SWEEPER = "sweeper"


class Priority(IntEnum):
    """Which lane of its channel a message takes; the lower the number, the sooner."""

    URGENT = 0
    NORMAL = 1
    BULK = 2

    @property
    def word(self) -> str:
        return self.name.lower()


S = Status

MOVES: dict[Status, frozenset[Status]] = {
    S.SCHEDULED: frozenset({S.QUEUED, S.CANCELLED, S.FAILED}),
    S.QUEUED: frozenset({S.SENDING, S.CANCELLED, S.FAILED}),
    S.SENDING: frozenset({S.SENT, S.QUEUED, S.FAILED}),
    S.SENT: frozenset({S.DELIVERED, S.OPENED, S.CLICKED, S.BOUNCED, S.FAILED, S.UNSUBSCRIBED}),
    S.DELIVERED: frozenset({S.OPENED, S.CLICKED, S.BOUNCED, S.UNSUBSCRIBED}),
    S.OPENED: frozenset({S.CLICKED, S.BOUNCED, S.UNSUBSCRIBED}),
    S.CLICKED: frozenset({S.UNSUBSCRIBED}),
    S.BOUNCED: frozenset(),
    S.FAILED: frozenset(),
    S.UNSUBSCRIBED: frozenset(),
    S.CANCELLED: frozenset(),
}
"""What workers, receipts, sweeps and callers may do."""

RETRIES: dict[Status, frozenset[Status]] = {S.FAILED: frozenset({S.QUEUED}), S.BOUNCED: frozenset({S.QUEUED})}
"""What a person may do beyond MOVES: grant a message that ended badly a fresh budget."""

IMPLIED: dict[Status, tuple[Status, ...]] = {
    S.OPENED: (S.DELIVERED,),
    S.CLICKED: (S.DELIVERED, S.OPENED),
    S.UNSUBSCRIBED: (S.DELIVERED, S.OPENED),
}
"""States that must have been passed although nobody reported them; their timestamps are filled in."""

WAITING = frozenset({S.SCHEDULED, S.QUEUED, S.SENDING})
"""States in which a message still has something to wait for before it has gone out or ended."""

CANCELLABLE = frozenset(source for source, targets in MOVES.items() if S.CANCELLED in targets)
RETRYABLE = frozenset(RETRIES)
LATER = tuple(status for status in Status if status not in {S.SCHEDULED, S.QUEUED})
"""States whose timestamps a person's retry clears."""


def standing(status: Status, *, attempts: int) -> Standing:
    """Where a message stands that has this status after so many attempts."""
    return Standing.RETRYING if status is S.QUEUED and attempts else Standing(status.value)
