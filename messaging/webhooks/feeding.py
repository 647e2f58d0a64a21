"""Turns new events of messages into deliveries, for the endpoints of their workspaces.

The log is read as the rollups read it: a run takes the events of all transactions that have ended since the run before,
and remembers which were still open, so that nothing which commits late is passed by. An endpoint is told of what was
committed after it became active. Deliveries and the place in the log are written in one transaction; and since an
endpoint has one delivery of an event at the most, nothing is told twice. Where nobody listens, nothing is read.
"""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction

from messaging.models import WebhookEndpoint
from messaging.models.webhooks import NEW_ID
from messaging.webhooks.types import MESSAGES

PROGRESS: Final = 1
"""The key of the one row of WebhookProgress."""
STEP: Final = 20_000
"""Events that one transaction reads, or those of one transaction of the log where it has more."""
ROUNDS: Final = 50
"""Transactions in one run."""
_LOCK: Final = 0x6469_7377

# The oldest transaction that any listener may not have seen the end of.
_FLOOR = f"""
SELECT min(pg_snapshot_xmin(since::pg_snapshot)::text::bigint) FROM messaging_webhookendpoint
 WHERE active AND (types = '{{}}' OR types && ARRAY[{", ".join(f"'{word}'" for word in MESSAGES)}])
"""  # noqa: S608
_BOUNDS = """
SELECT pg_snapshot_xmax(now)::text::bigint,
       ARRAY(SELECT xip::text::bigint FROM pg_snapshot_xip(now) AS xip ORDER BY 1),
       (SELECT xact::text::bigint FROM messaging_messageevent
         WHERE xact >= %(since)s::text::xid8 AND tally <> 0 ORDER BY xact OFFSET %(step)s LIMIT 1)
  FROM pg_current_snapshot() AS now
"""
_COLUMNS = "id, message_id, workspace_id, type, at, xact"
_NEW = "xact >= %(since)s::text::xid8 AND xact < %(until)s::text::xid8 AND xact <> ALL(%(open)s::text[]::xid8[])"
_ENDED = "xact = ANY(%(ended)s::text[]::xid8[])"
# Each of the two has an index of its own.
_COUNTED = "tally <> 0"
_UNCOUNTED = "tally = 0 AND type IN ('queued', 'failed')"
_NEWS = "\n     UNION ALL ".join(
    f"SELECT {_COLUMNS} FROM messaging_messageevent WHERE {when} AND {what}"  # noqa: S608
    for when in (_NEW, _ENDED)
    for what in (_COUNTED, _UNCOUNTED)
)
# Surfaces that show some channels only tell of no others. The LIMIT keeps the planner from reading whole months.
_FEED = f"""
WITH news AS MATERIALIZED ({_NEWS}),
heard AS MATERIALIZED (
    SELECT n.*, 'message.' || n.type AS told, e.id AS endpoint_id, e.test, e.format
      FROM news n JOIN messaging_webhookendpoint e ON e.workspace_id = n.workspace_id
     WHERE e.active AND NOT pg_visible_in_snapshot(n.xact, e.since::pg_snapshot)
       AND 'message.' || n.type = ANY(%(types)s) AND (e.types = '{{}}' OR 'message.' || n.type = ANY(e.types))
), fed AS (
    INSERT INTO messaging_webhookdelivery (id, endpoint_id, event_id, type, at, message_id)
    SELECT {NEW_ID}, h.endpoint_id, h.id, h.told, h.at, h.message_id
      FROM heard h CROSS JOIN LATERAL (
        SELECT test, channel FROM messaging_message WHERE id = h.message_id LIMIT 1) AS m
     WHERE m.test = h.test AND (h.format <> 'campaignos' OR m.channel NOT IN ('sms', 'whatsapp', 'direct'))
     ORDER BY h.at, h.id
        ON CONFLICT (endpoint_id, event_id) DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM fed
"""  # noqa: S608
_ADVANCE = """
INSERT INTO messaging_webhookprogress (id, xact, open, read_at) VALUES (%(id)s, %(xact)s, %(open)s, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET xact = EXCLUDED.xact, open = EXCLUDED.open, read_at = EXCLUDED.read_at
"""


def feed(*, step: int = STEP) -> int:
    """Make deliveries of everything that was committed by now; give how many were made.

    Two runs at once are harmless: the second one leaves the work to the first.
    """
    if not WebhookEndpoint.objects.filter(active=True).exists():
        return 0
    fed = 0
    for _ in range(ROUNDS):
        some, more = _step(step)
        fed += some
        if not more:
            break
    return fed


def _step(step: int) -> tuple[int, bool]:
    """Read some events and move the place on; tell whether there was more to read when this began."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0, False
        cursor.execute(_FLOOR)
        floor = cursor.fetchone()[0]
        if floor is None:
            return 0, False
        cursor.execute("SELECT xact, open FROM messaging_webhookprogress WHERE id = %s", [PROGRESS])
        reached, waited_for = cursor.fetchone() or (0, [])
        # Nobody is told of what ended before: while nobody listened, nothing was read.
        since = max(reached, floor)
        cursor.execute(_BOUNDS, {"since": since, "step": step})
        end, running, far = cursor.fetchone()
        until = end if far is None else min(end, max(far, since + 1))
        ended = [xact for xact in waited_for if xact not in running]
        still_open = [xact for xact in running if xact in waited_for or since <= xact < until]
        if until <= since and not ended:
            return 0, False
        bounds = {"since": since, "until": until, "open": list(map(str, running)), "ended": list(map(str, ended))}
        cursor.execute(_FEED, {**bounds, "types": list(MESSAGES)})
        fed: int = cursor.fetchone()[0]
        cursor.execute(_ADVANCE, {"id": PROGRESS, "xact": max(since, until), "open": still_open})
        return fed, until < end
