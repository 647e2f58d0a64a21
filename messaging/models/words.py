"""The words that rows may hold, as choices."""

from __future__ import annotations

from channels_app.types import Channel
from messaging.state import Cause, Priority, Status

CHANNELS = [(channel.value, channel.value) for channel in Channel]
STATUSES = [(status.value, status.value) for status in Status]
PRIORITIES = [(priority.value, priority.word) for priority in Priority]
CAUSES = [(cause.value, cause.value) for cause in Cause]
UNKNOWNS = [("resend", "resend"), ("fail", "fail")]
