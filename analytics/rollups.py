"""Counts the log of events into rows by the hour and by the day.

Events carry the transaction that wrote them. A run takes those of all transactions that have ended since the run
before, and remembers which were still open: those are taken once they have ended. So nothing that commits late is
passed by, and one transaction that stays open holds nothing else up. Counts and cursor are written in one transaction.
What lies beyond the cursor is read from the log itself (analytics.counting).
"""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction

from analytics.deltas import BUCKET, COUNTED, KEYS, MEASURE, PLACED, TIMED, of_day
from analytics.models import Span

PROGRESS: Final = 1
"""The key of the one row of Progress."""
STEP: Final = 50_000
"""Events that one transaction counts, or those of one transaction of the log where it has more."""
_LOCK: Final = 0x6469_7372

_BOUNDS = """
SELECT pg_snapshot_xmax(now)::text::bigint,
       ARRAY(SELECT xip::text::bigint FROM pg_snapshot_xip(now) AS xip ORDER BY 1),
       (SELECT xact::text::bigint FROM messaging_messageevent
         WHERE xact >= %(since)s::text::xid8 AND tally <> 0 ORDER BY xact OFFSET %(step)s LIMIT 1)
  FROM pg_current_snapshot() AS now
"""

_SUMS = ", ".join(f"sum({name})" for name in COUNTED)
_COUNT = f"""
WITH news AS MATERIALIZED (
    SELECT message_id, provider, tally, took FROM messaging_messageevent
     WHERE xact >= %(since)s::text::xid8 AND xact < %(until)s::text::xid8 AND tally <> 0
       AND xact <> ALL(%(open)s::text[]::xid8[])
     UNION ALL
    SELECT message_id, provider, tally, took FROM messaging_messageevent
     WHERE xact = ANY(%(ended)s::text[]::xid8[]) AND tally <> 0
), placed AS MATERIALIZED ({PLACED.format(events="news")}), known AS MATERIALIZED (
    SELECT * FROM placed WHERE EXISTS (SELECT 1 FROM messaging_workspace w WHERE w.id = workspace_id)
), hours AS MATERIALIZED (
    SELECT {", ".join(KEYS)}, {", ".join(f"{count} AS {name}" for name, count in COUNTED.items())}
      FROM known GROUP BY {", ".join(KEYS)}
), spans AS MATERIALIZED (
    SELECT {Span.HOUR} AS span, {", ".join((*KEYS, *COUNTED))} FROM hours
     UNION ALL
    SELECT {Span.DAY}, {", ".join(map(of_day, KEYS))}, {_SUMS} FROM hours GROUP BY {", ".join(map(of_day, KEYS))}
), counted AS (
    INSERT INTO analytics_rollup AS r (id, whole, span, {", ".join((*KEYS, *COUNTED))})
    SELECT gen_random_uuid(), false, span, {", ".join((*KEYS, *COUNTED))} FROM spans
     UNION ALL
    SELECT gen_random_uuid(), true, span, workspace_id, hour, channel, '', NULL, NULL, test, {_SUMS}
      FROM spans GROUP BY span, workspace_id, hour, channel, test
        ON CONFLICT (whole, span, {", ".join(KEYS)}) DO UPDATE
       SET {", ".join(f"{name} = r.{name} + EXCLUDED.{name}" for name in COUNTED)}
), steps AS MATERIALIZED (
    SELECT workspace_id, hour, channel, test, {MEASURE} AS measure, {BUCKET} AS bucket, count(*) AS count,
           sum(took::float8) AS seconds, max(took) AS longest
      FROM known WHERE took IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6
), timed AS (
    INSERT INTO analytics_timing AS t (id, span, {", ".join(TIMED)}, count, seconds, longest)
    SELECT gen_random_uuid(), {Span.HOUR}, {", ".join(TIMED)}, count, seconds, longest FROM steps
     UNION ALL
    SELECT gen_random_uuid(), {Span.DAY}, {", ".join(map(of_day, TIMED))}, sum(count), sum(seconds), max(longest)
      FROM steps GROUP BY {", ".join(map(of_day, TIMED))}
        ON CONFLICT (span, {", ".join(TIMED)}) DO UPDATE
       SET count = t.count + EXCLUDED.count, seconds = t.seconds + EXCLUDED.seconds,
           longest = GREATEST(t.longest, EXCLUDED.longest)
)
SELECT count(*) FROM news
"""

_ADVANCE = """
INSERT INTO analytics_progress (id, xact, open, counted_at) VALUES (%(id)s, %(xact)s, %(open)s, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET xact = EXCLUDED.xact, open = EXCLUDED.open, counted_at = EXCLUDED.counted_at
"""


def roll_up(*, step: int = STEP) -> int:
    """Count everything that was committed by now; give how many events were counted.

    Two runs at once are harmless: the second one leaves the work to the first.
    """
    counted, more = 0, True
    while more:
        some, more = _step(step)
        counted += some
    return counted


def _step(step: int) -> tuple[int, bool]:
    """Count some events and move the cursor on; tell whether there was more to count when this began."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0, False
        cursor.execute("SELECT xact, open FROM analytics_progress WHERE id = %s", [PROGRESS])
        since, waited_for = cursor.fetchone() or (0, [])
        cursor.execute(_BOUNDS, {"since": since, "step": step})
        end, running, far = cursor.fetchone()
        until = end if far is None else min(end, max(far, since + 1))
        ended = [xact for xact in waited_for if xact not in running]
        still_open = [xact for xact in running if xact in waited_for or since <= xact < until]
        if until <= since and not ended:
            return 0, False
        bounds = {"since": since, "until": until, "open": list(map(str, running)), "ended": list(map(str, ended))}
        cursor.execute(_COUNT, bounds)
        counted: int = cursor.fetchone()[0]
        cursor.execute(_ADVANCE, {"id": PROGRESS, "xact": max(since, until), "open": still_open})
        return counted, until < end
