"""What the demo sends where every provider is a peer on loopback, and where each message should end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from messaging.management.client import ApiClient
from messaging.state import Status

ENDS: Mapping[str, Status] = {
    "email": Status.SENT,
    "batch": Status.SENT,
    "sms": Status.DELIVERED,
    "whatsapp": Status.OPENED,
    "push": Status.SENT,
    "telegram": Status.SENT,
    "onsite": Status.DELIVERED,
    "webhook": Status.DELIVERED,
    "direct": Status.DELIVERED,
    "apprise": Status.SENT,
}
"""By the label of a message: the last that its provider tells of."""


def read(path: Path) -> Mapping[str, Any]:
    """Read what the peers told of themselves.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        parts: Mapping[str, Any] = json.loads(path.read_text("utf-8"))["parts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} tells of no peers: {error}") from None
    return parts


def recipients(client: ApiClient, parts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Where the peers are reached: by channel, what differs from the demo's own messages. Ann subscribes for it."""
    ann = client.post("/api/v1/contacts", {"name": "Ann", "email": "ann@example.com"})
    client.post("/api/v1/push-subscriptions", {"contact_id": ann["id"], **parts["subscription"]})
    return {
        "push": {"to": parts["subscription"]["endpoint"]},
        "telegram": {"to": "4711"},
        "webhook": {"to": parts["webhook"]},
    }


ALARM: Mapping[str, Any] = {"channel": "webhook", "to": "ops", "subject": "Disk", "text": "90 % of the disk is full."}
"""A message to a destination that the settings name."""
