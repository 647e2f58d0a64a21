"""Whether somebody waits for a message's outcome, and until when.

`awaited_until` says that a request waits for it, and ends by itself; `next_attempt_at` when its provider is
asked again.
"""

from __future__ import annotations

from uuid import UUID

from django.db import connection

# A worker may have taken it already.
_AWAITS = """
SELECT 1 FROM messaging_message WHERE id = %s AND status IN ('QUEUED', 'SENDING') AND awaited_until > now()
"""
# A worker that records the outcome holds the row: this waits for it, and changes nothing where the message has ended.
_GIVE_UP = """
UPDATE messaging_message SET awaited_until = NULL
 WHERE id = %s AND awaited_until IS NOT NULL AND status IN ('SCHEDULED', 'QUEUED', 'SENDING')
"""
_POSTPONE = """
UPDATE messaging_message SET next_attempt_at = clock_timestamp() + %s * interval '1 second'
 WHERE id = %s AND status = 'SENDING' AND claim_id IS NULL
"""


def awaits(message_id: UUID) -> bool:
    """Whether there is an outcome to wait for: the message is awaited, and has not ended."""
    with connection.cursor() as cursor:
        cursor.execute(_AWAITS, [message_id])
        return cursor.fetchone() is not None


def give_up(message_id: UUID) -> None:
    """Stop waiting for a message that has no outcome yet: from now on it is tried again as any other."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_UP, [message_id])


def postpone(message_id: UUID, *, seconds: float) -> None:
    """Look again later at a message whose outcome is unknown, which the caller has locked."""
    with connection.cursor() as cursor:
        cursor.execute(_POSTPONE, [seconds, message_id])
