"""What an event changes in the counts of messages, written into the event by the move that makes it.

Each counter is a bit of the event's column `tally`. A person's retry takes back what it clears, so its tally is
negative. The sum of a counter's bits over the events of some messages is therefore what counting those messages'
own timestamps gives, and whoever sums need not know how a message came to be where it is.

`took` is what the step lasted, in seconds: to SENT from the accept (or the time it was scheduled for, or a person's
retry), to DELIVERED from SENT, to OPENED from DELIVERED, or from SENT where nobody reported the delivery.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from messaging.state import IMPLIED, LATER, Status

S = Status

STAMPS: Final[Mapping[str, Status]] = {
    "sent": S.SENT,
    "delivered": S.DELIVERED,
    "opened": S.OPENED,
    "clicked": S.CLICKED,
    "bounced": S.BOUNCED,
    "failed": S.FAILED,
    "unsubscribed": S.UNSUBSCRIBED,
    "cancelled": S.CANCELLED,
}
"""Counters that are a state's timestamp. `failed` counts only where the message was never sent."""

COUNTERS: Final = ("total", *STAMPS, "complained")
"""Every counter; its place is its bit. The order is stored with each event: new ones go to the end."""

BIT: Final[Mapping[str, int]] = {name: 1 << place for place, name in enumerate(COUNTERS)}
ACCEPTED: Final = BIT["total"]
"""The tally of a message's first event."""

_BIT_OF: Final[Mapping[Status, int]] = {status: BIT[name] for name, status in STAMPS.items()}


def of_move() -> str:
    """SQL: the tally of a move, from the message as it became (m), the move (v) and its time (s.at)."""
    cases = []
    for status, bit in _BIT_OF.items():
        if status is S.FAILED:
            worth = f"CASE WHEN m.sent_at IS NULL THEN {bit} ELSE 0 END"
        else:
            # A state that this move implied has the move's own time.
            implied = "".join(
                f" + CASE WHEN m.{passed.stamp} = s.at THEN {_BIT_OF[passed]} ELSE 0 END"
                for passed in IMPLIED.get(status, ())
            )
            worth = f"{bit}{implied}"
        cases.append(f"WHEN '{status}' THEN {worth}")
    complaint = f"CASE WHEN v.type = 'complained' AND m.complained_at = s.at THEN {BIT['complained']} ELSE 0 END"
    return f'CASE v."to" {" ".join(cases)} ELSE {complaint} END'


def of_retry() -> str:
    """SQL: the tally of a person's retry, from the message as it was."""
    cleared = [
        f"CASE WHEN was.{status.stamp} IS NULL THEN 0 ELSE {bit} END"
        for status, bit in _BIT_OF.items()
        if status in LATER and status is not S.FAILED
    ]
    failed = f"CASE WHEN was.failed_at IS NOT NULL AND was.sent_at IS NULL THEN {_BIT_OF[S.FAILED]} ELSE 0 END"
    return f"-({' + '.join([*cleared, failed])})"


def took() -> str:
    """SQL: the seconds that a move's step lasted, NULL where it is no step that is timed."""
    return """CASE v."to"
                WHEN 'SENT' THEN GREATEST(0, EXTRACT(EPOCH FROM
                    s.at - GREATEST(m.created_at, m.scheduled_at, m.retried_at)))
                WHEN 'DELIVERED' THEN EXTRACT(EPOCH FROM s.at - m.sent_at)
                WHEN 'OPENED' THEN EXTRACT(EPOCH FROM
                    s.at - CASE WHEN m.delivered_at < s.at THEN m.delivered_at ELSE m.sent_at END)
              END::real"""
