"""SQL that the rollups and the tail of the log share: what an event adds to which row.

An event belongs where its message does: to the hour of the message's created_at, its channel, template and campaign,
and to the provider that the event names.
"""

from __future__ import annotations

from typing import Final

from analytics.histogram import bucket_of
from messaging.dispatch.tally import BIT, COUNTERS

KEYS: Final = ("workspace_id", "hour", "channel", "provider", "template_id", "campaign_id", "test")
"""What a rollup is of, beside its span."""

TIMED: Final = ("workspace_id", "hour", "channel", "test", "measure", "bucket")
"""What a timing is of, beside its span."""

PLACED: Final = """
    SELECT m.workspace_id, m.hour, m.channel, e.provider, m.template_id, m.campaign_id, m.test, e.tally, e.took
      FROM {events} e CROSS JOIN LATERAL (
        SELECT workspace_id, date_trunc('hour', created_at, 'UTC') AS hour, channel, template_id, campaign_id, test
          FROM messaging_message WHERE id = e.message_id LIMIT 1) AS m
"""
"""Events with the message of each. The LIMIT keeps the planner from reading whole months for a handful of events."""

COUNTED: Final = {
    name: f"sum(CASE WHEN tally < 0 THEN -(-tally >> {place} & 1) ELSE tally >> {place} & 1 END)::bigint"
    for place, name in enumerate(COUNTERS)
}
"""The sum of each counter over events."""

MEASURE: Final = (
    f"CASE WHEN tally & {BIT['sent']} > 0 THEN 'sending' WHEN tally & {BIT['opened']} > 0 THEN 'opening' "
    "ELSE 'delivery' END"
)
"""Which step a timed event ended."""

BUCKET: Final = bucket_of("took")


def of_day(key: str) -> str:
    """SQL: a key of an hour's row as the key of its day's."""
    return "date_trunc('day', hour, 'UTC')" if key == "hour" else key
