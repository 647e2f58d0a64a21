"""The words of the OASIS messaging API, and what they are in the domain's. Every table is total."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any, Final, Literal

from analytics.health import Condition, Verdict
from analytics.windows import Timeframe
from channels_app.types import Channel
from messaging.dispatch.selectors import Sort
from messaging.state import Priority, Standing

TypeWord = Literal["Email", "SMS", "Push", "In-App"]
StatusWord = Literal["Scheduled", "Pending", "Retrying", "Sent", "Delivered", "Read", "Failed", "Cancelled"]
PriorityWord = Literal["Low", "Normal", "High", "Urgent"]
SeverityWord = Literal["info", "success", "warning", "error"]
ComponentWord = Literal["email", "sms", "push", "inapp"]
ConditionWord = Literal["Healthy", "Unknown", "Degraded", "Unhealthy", "NotConfigured"]
VerdictWord = Literal["Pass", "Warn", "Fail"]
NotificationWord = Literal["Message", "System", "Achievement", "Warning", "Info"]
MessagingWord = Literal["Direct", "Group", "System", "Notification"]
TimeframeWord = Literal["hour", "day", "week", "month"]

STATUS_OUT: Final[dict[Standing, StatusWord]] = {
    Standing.SCHEDULED: "Scheduled",
    Standing.QUEUED: "Pending",
    Standing.SENDING: "Pending",
    Standing.RETRYING: "Retrying",
    Standing.SENT: "Sent",
    Standing.DELIVERED: "Delivered",
    Standing.OPENED: "Read",
    Standing.CLICKED: "Read",
    Standing.UNSUBSCRIBED: "Read",
    Standing.BOUNCED: "Failed",
    Standing.FAILED: "Failed",
    Standing.CANCELLED: "Cancelled",
}
STATUS_IN: Final[dict[str, frozenset[Standing]]] = {
    word: frozenset(standing for standing, shown in STATUS_OUT.items() if shown == word) for word in STATUS_OUT.values()
}
IS_READ: Final[dict[Standing, bool]] = {standing: word == "Read" for standing, word in STATUS_OUT.items()}

CHANNEL_OUT: Final[dict[Channel, TypeWord | None]] = {
    Channel.EMAIL: "Email",
    Channel.SMS: "SMS",
    Channel.WHATSAPP: None,
    Channel.PUSH: "Push",
    Channel.TELEGRAM: None,
    Channel.ONSITE: "In-App",
    Channel.WEBHOOK: None,
    Channel.DIRECT: "In-App",
}
"""None is left out of this surface. What one avatar writes to another is In-App for whoever manages messages."""
CHANNEL_IN: Final[dict[TypeWord, Channel]] = {
    "Email": Channel.EMAIL,
    "SMS": Channel.SMS,
    "Push": Channel.PUSH,
    "In-App": Channel.ONSITE,
}
"""By which channel a message of each type goes out."""
TYPES: Final[dict[TypeWord, frozenset[Channel]]] = {
    word: frozenset(channel for channel, shown in CHANNEL_OUT.items() if shown == word) for word in CHANNEL_IN
}
"""Which channels a filter by type means."""
OFFERED: Final = frozenset(channel for channel, word in CHANNEL_OUT.items() if word is not None)
COMPONENTS: Final[dict[TypeWord, ComponentWord]] = {
    "Email": "email",
    "SMS": "sms",
    "Push": "push",
    "In-App": "inapp",
}
"""What each type is called among the parts of the platform."""

PRIORITY_IN: Final[dict[PriorityWord, Priority]] = {
    "Low": Priority.BULK,
    "Normal": Priority.NORMAL,
    "High": Priority.URGENT,
    "Urgent": Priority.URGENT,
}
PRIORITY_OUT: Final[dict[Priority, PriorityWord]] = {
    Priority.BULK: "Low",
    Priority.NORMAL: "Normal",
    Priority.URGENT: "High",
}

SORT_IN: Final[dict[str, Sort | None]] = {"createdAt": Sort.CREATED, "sentAt": Sort.SENT, "status": None}
"""What a list goes by. No column has the words of the statuses."""

TIMEFRAMES: Final[dict[TimeframeWord, Timeframe]] = {
    "hour": Timeframe.HOUR,
    "day": Timeframe.DAY,
    "week": Timeframe.WEEK,
    "month": Timeframe.MONTH,
}

CONDITION_OUT: Final[dict[Condition, ConditionWord]] = {
    Condition.HEALTHY: "Healthy",
    Condition.UNKNOWN: "Unknown",
    Condition.DEGRADED: "Degraded",
    Condition.UNHEALTHY: "Unhealthy",
    Condition.UNCONFIGURED: "NotConfigured",
}
VERDICT_OUT: Final[dict[Verdict, VerdictWord]] = {
    Verdict.FINE: "Pass",
    Verdict.WARN: "Warn",
    Verdict.FAIL: "Fail",
}

EVENT_OUT: Final[dict[str, str]] = {
    "outcome_unknown": "sending",
    "paused": "queued",
    "resumed": "queued",
}
"""Types of events that are called otherwise here; every other one is called as in the log: `sent`, `delivered`, …"""


class MessagingType(IntEnum):
    """What one avatar's message to another is; clients may send the number."""

    DIRECT = 0
    GROUP = 1
    SYSTEM = 2
    NOTIFICATION = 3


MESSAGING_OUT: Final[dict[MessagingType, MessagingWord]] = {
    MessagingType.DIRECT: "Direct",
    MessagingType.GROUP: "Group",
    MessagingType.SYSTEM: "System",
    MessagingType.NOTIFICATION: "Notification",
}
MESSAGING_IN: Final[dict[str, MessagingWord]] = {
    **{word.lower(): word for word in MESSAGING_OUT.values()},
    **{str(number.value): word for number, word in MESSAGING_OUT.items()},
}

NOTIFICATION_BY_TYPE: Final[dict[MessagingWord, NotificationWord]] = {
    "Direct": "Message",
    "Group": "Message",
    "System": "System",
    "Notification": "Info",
}
NOTIFICATION_BY_SEVERITY: Final[dict[SeverityWord, NotificationWord]] = {
    "info": "Info",
    "success": "Info",
    "warning": "Warning",
    "error": "Warning",
}


class Own(StrEnum):
    """What this surface keeps among a message's metadata, by name."""

    PRIORITY = "priority"
    SEVERITY = "severity"
    MESSAGE_TYPE = "messageType"


def type_out(channel: str) -> TypeWord:
    """What a message of a channel that this surface offers is called."""
    return CHANNEL_OUT[Channel(channel)] or "In-App"


def messaging_type(metadata: Mapping[str, Any]) -> MessagingWord:
    """What an avatar's message was said to be; direct, where it came in elsewhere."""
    return MESSAGING_IN.get(str(metadata.get(Own.MESSAGE_TYPE)).lower(), "Direct")


def priority_out(priority: int, metadata: Mapping[str, Any]) -> PriorityWord:
    """The priority as it was asked for, or as the lane tells it."""
    asked = metadata.get(Own.PRIORITY)
    return next((word for word in PRIORITY_IN if word == asked), PRIORITY_OUT[Priority(priority)])
