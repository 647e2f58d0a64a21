"""What a workspace's accepts and sends are bound by, and the count of its messages of the day.

The count is a row that the accept itself raises as the last thing in its transaction: it holds exactly what was
committed, whatever is rolled back, and accepts of one workspace wait for each other only while they commit.
Workspaces without a quota are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

from django.db import connection

from messaging.errors import QuotaExceeded

_LOOK = """
SELECT w.encrypted, w.daily_quota,
       CASE WHEN u.day = (now() AT TIME ZONE 'UTC')::date THEN u.accepted ELSE 0 END
  FROM messaging_workspace w LEFT JOIN messaging_usage u ON u.workspace_id = w.id
 WHERE w.id = %s
"""
# The quota is read again, so that a change of it counts at once. A transaction that began before midnight and comes
# after one of the new day counts for the new day.
_SPEND = """
INSERT INTO messaging_usage AS u (workspace_id, day, accepted)
SELECT id, (now() AT TIME ZONE 'UTC')::date, %(number)s FROM messaging_workspace
 WHERE id = %(workspace)s AND COALESCE(daily_quota, %(number)s) >= %(number)s
ON CONFLICT (workspace_id) DO UPDATE
   SET day = GREATEST(u.day, EXCLUDED.day),
       accepted = EXCLUDED.accepted + CASE WHEN u.day >= EXCLUDED.day THEN u.accepted ELSE 0 END
 WHERE EXCLUDED.accepted + CASE WHEN u.day >= EXCLUDED.day THEN u.accepted ELSE 0 END
       <= (SELECT COALESCE(daily_quota, 9223372036854775807) FROM messaging_workspace WHERE id = %(workspace)s)
"""
_RATES = "SELECT id, send_rate FROM messaging_workspace WHERE id = ANY(%s) AND send_rate > 0"
_MIDNIGHT = """
SELECT ceil(extract(epoch FROM
       (date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day') - (now() AT TIME ZONE 'UTC')))::int
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a workspace's accepts are bound by."""

    encrypted: bool
    """Everything is encrypted, asked for or not."""
    daily_quota: int | None
    accepted: int
    """Messages of today, where there is a quota."""

    @property
    def left(self) -> int | None:
        """Messages that are left of today's; None where there is no quota."""
        return None if self.daily_quota is None else max(0, self.daily_quota - self.accepted)

    def check(self, number: int) -> None:
        """Refuse early what cannot fit; `spend` decides.

        Raises:
            QuotaExceeded: so many more messages are above the quota.
        """
        if self.daily_quota is not None and self.accepted + number > self.daily_quota:
            _refuse(self.daily_quota)


def terms_of(workspace_id: UUID) -> Terms:
    """What this workspace's accepts are bound by just now."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [workspace_id])
        row = cursor.fetchone() or (False, None, 0)
    return Terms(encrypted=row[0], daily_quota=row[1], accepted=row[2] or 0)


def rates_of(workspaces: Sequence[UUID]) -> dict[UUID, float]:
    """Messages a second that workspaces may send, of those that have a rate."""
    if not workspaces:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_RATES, [list(workspaces)])
        return {workspace: rate / 60 for workspace, rate in cursor.fetchall()}


def spend(*, workspace_id: UUID, number: int, quota: int) -> None:
    """Count messages of a workspace that has a quota, all of them or none, in the caller's transaction.

    Raises:
        QuotaExceeded: they do not fit into what is left of the day.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SPEND, {"workspace": workspace_id, "number": number})
        counted = cursor.rowcount
    if not counted:
        _refuse(quota)


def _refuse(quota: int) -> NoReturn:
    with connection.cursor() as cursor:
        cursor.execute(_MIDNIGHT)
        wait = int(cursor.fetchone()[0])
    raise QuotaExceeded(f"The workspace may send {quota} messages a day (UTC), and too few are left.", retry_after=wait)
