"""How deep the lanes are, read from Postgres: the broker holds bells, not messages."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from messaging.dispatch.queue import LANES, Lane

BOUND = 10_000
"""Waiting messages that are counted exactly; a deeper lane is told as deeper."""

# All three parts read partial indexes or the few rows of claims, so that they cost the same whatever has been sent.
# The second walks from workspace to workspace, since due times are in order only within one.
_WAITING = """
SELECT lane.place, (SELECT count(*) FROM (
           SELECT 1 FROM messaging_message m
            WHERE m.channel = lane.channel AND m.priority = lane.priority AND m.status = 'QUEUED' LIMIT %s) AS rows)
  FROM unnest(%s::text[], %s::smallint[]) WITH ORDINALITY AS lane(channel, priority, place)
"""
_OLDEST = """
WITH RECURSIVE lane AS (
    SELECT * FROM unnest(%s::text[], %s::smallint[]) WITH ORDINALITY AS lane(channel, priority, place)
), active AS (
    SELECT lane.place, lane.channel, lane.priority, first.workspace_id
      FROM lane CROSS JOIN LATERAL (
        SELECT m.workspace_id FROM messaging_message m
         WHERE m.channel = lane.channel AND m.priority = lane.priority AND m.status = 'QUEUED'
         ORDER BY m.workspace_id LIMIT 1) AS first
    UNION ALL
    SELECT active.place, active.channel, active.priority, following.workspace_id
      FROM active CROSS JOIN LATERAL (
        SELECT m.workspace_id FROM messaging_message m
         WHERE m.channel = active.channel AND m.priority = active.priority AND m.status = 'QUEUED'
           AND m.workspace_id > active.workspace_id
         ORDER BY m.workspace_id LIMIT 1) AS following
)
SELECT active.place, GREATEST(EXTRACT(EPOCH FROM now() - min(oldest.next_attempt_at)), 0)::float8
  FROM active CROSS JOIN LATERAL (
    SELECT m.next_attempt_at FROM messaging_message m
     WHERE m.channel = active.channel AND m.priority = active.priority AND m.workspace_id = active.workspace_id
       AND m.status = 'QUEUED' AND m.next_attempt_at <= now()
     ORDER BY m.next_attempt_at LIMIT 1) AS oldest
 GROUP BY active.place
"""
_IN_FLIGHT = """
SELECT lane.place, count(*)
  FROM unnest(%s::text[], %s::smallint[]) WITH ORDINALITY AS lane(channel, priority, place)
  JOIN messaging_claim c ON c.channel = lane.channel AND c.priority = lane.priority
 CROSS JOIN LATERAL unnest(c.ids) AS held(id)
  JOIN messaging_message m ON m.id = held.id AND m.claim_id = c.id
 GROUP BY lane.place
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneDepth:
    """What a lane holds just now."""

    lane: Lane
    waiting: int
    """QUEUED messages, due or not, counted up to BOUND."""
    deeper: bool
    """Whether there are more than BOUND."""
    oldest: float | None
    """Seconds for which the oldest due message has been due; None where nothing is due."""
    in_flight: int
    """Messages that workers hold."""


def lanes() -> list[LaneDepth]:
    """Give the depth of every lane, by channel and priority."""
    channels = [lane.channel.value for lane in LANES]
    priorities = [lane.priority.value for lane in LANES]
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [BOUND + 1, channels, priorities])
        waiting: dict[int, int] = dict(cursor.fetchall())
        cursor.execute(_OLDEST, [channels, priorities])
        oldest: dict[int, float] = dict(cursor.fetchall())
        cursor.execute(_IN_FLIGHT, [channels, priorities])
        in_flight: dict[int, int] = dict(cursor.fetchall())
    return [
        LaneDepth(
            lane=lane,
            waiting=min(waiting[place], BOUND),
            deeper=waiting[place] > BOUND,
            oldest=oldest.get(place),
            in_flight=in_flight.get(place, 0),
        )
        for place, lane in enumerate(LANES, start=1)
    ]
