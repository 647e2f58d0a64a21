"""The words of /api/v1: the domain's own, written as the API promises them."""

from __future__ import annotations

from typing import Literal

from channels_app.types import Channel
from messaging.state import Priority, Status

PriorityWord = Literal["urgent", "normal", "bulk"]
UnknownWord = Literal["resend", "fail"]

PRIORITY_IN: dict[PriorityWord, Priority] = {
    "urgent": Priority.URGENT,
    "normal": Priority.NORMAL,
    "bulk": Priority.BULK,
}
PRIORITY_OUT: dict[Priority, PriorityWord] = {priority: word for word, priority in PRIORITY_IN.items()}
STATUS_OUT: dict[Status, str] = {status: status.value for status in Status}
CHANNEL_OUT: dict[Channel, str] = {channel: channel.value for channel in Channel}
