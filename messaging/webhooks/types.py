"""What endpoints can be told of, by type."""

from __future__ import annotations

from typing import Final

from messaging.people.changes import Change
from messaging.state import Status

_MESSAGE: Final = "message."

COMPLAINED: Final = "complained"
"""The one fact that moves no status and is told all the same."""
TOLD: Final = (*(status.event for status in Status if status is not Status.SENDING), COMPLAINED)
"""The events of messages that endpoints are told of; SENDING is where a worker stands, and nothing happened."""

MESSAGES: Final = tuple(f"{_MESSAGE}{event}" for event in TOLD)
CONTACTS: Final = tuple(change.value for change in Change)
TYPES: Final = (*MESSAGES, *CONTACTS)
"""What an endpoint may ask for."""
TEST: Final = "endpoint.test"
"""What is sent to try an endpoint out, whatever it asked for."""
