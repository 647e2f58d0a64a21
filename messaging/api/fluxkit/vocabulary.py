"""The words of /messaging: its channels, statuses and health, and what each stands for in the core."""

from __future__ import annotations

from typing import Literal, get_args

from analytics.health import Condition
from channels_app.types import Channel
from messaging.state import Standing

ChannelWord = Literal["email", "sms", "whatsapp"]
StatusWord = Literal["sent", "queued", "failed"]
HealthWord = Literal["healthy", "degraded", "unhealthy"]
ProviderWord = Literal["connected", "disconnected", "not_configured", "unknown"]

CHANNEL_OUT: dict[Channel, ChannelWord | None] = {
    Channel.EMAIL: "email",
    Channel.SMS: "sms",
    Channel.WHATSAPP: "whatsapp",
    Channel.PUSH: None,
    Channel.TELEGRAM: None,
    Channel.ONSITE: None,
    Channel.WEBHOOK: None,
    Channel.DIRECT: None,
}
"""None: messages of that channel are left out of this surface."""

CHANNEL_IN: dict[ChannelWord, Channel] = {word: channel for channel, word in CHANNEL_OUT.items() if word is not None}

CHANNEL_SPOKEN: dict[ChannelWord, str] = {"email": "email", "sms": "SMS", "whatsapp": "WhatsApp message"}
"""A channel's messages in a sentence."""

STATUS_OUT: dict[Standing, StatusWord] = {
    Standing.SCHEDULED: "queued",
    Standing.QUEUED: "queued",
    Standing.RETRYING: "queued",
    Standing.SENDING: "queued",
    Standing.SENT: "sent",
    Standing.DELIVERED: "sent",
    Standing.OPENED: "sent",
    Standing.CLICKED: "sent",
    Standing.UNSUBSCRIBED: "sent",
    Standing.BOUNCED: "failed",
    Standing.FAILED: "failed",
    Standing.CANCELLED: "failed",
}

STATUS_IN: dict[StatusWord, frozenset[Standing]] = {
    word: frozenset(standing for standing, shown in STATUS_OUT.items() if shown == word)
    for word in get_args(StatusWord)
}

HEALTH_OUT: dict[Condition, HealthWord] = {
    Condition.HEALTHY: "healthy",
    Condition.UNKNOWN: "degraded",
    Condition.DEGRADED: "degraded",
    Condition.UNHEALTHY: "unhealthy",
    Condition.UNCONFIGURED: "unhealthy",
}
"""The platform as a whole; what nobody has looked at yet is not known to be well."""

PROVIDER_OUT: dict[Condition, ProviderWord] = {
    Condition.HEALTHY: "connected",
    Condition.UNKNOWN: "unknown",
    Condition.DEGRADED: "connected",
    Condition.UNHEALTHY: "disconnected",
    Condition.UNCONFIGURED: "not_configured",
}
