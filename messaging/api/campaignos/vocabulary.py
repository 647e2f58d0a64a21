"""The words of this surface, and what they mean to the domain."""

from __future__ import annotations

from typing import Literal

from channels_app.types import Channel
from messaging.models import CampaignStatus, Mode, Role
from messaging.state import Standing

ChannelWord = Literal["EMAIL", "PUSH", "TELEGRAM", "ONSITE", "WEBHOOK"]
StatusWord = Literal["QUEUED", "SENDING", "SENT", "DELIVERED", "OPENED", "CLICKED", "BOUNCED", "FAILED", "UNSUBSCRIBED"]
CampaignWord = Literal["DRAFT", "SCHEDULED", "ACTIVE", "PAUSED", "COMPLETED", "ARCHIVED"]
FailureWord = Literal[
    "CONTACT_UNREACHABLE",
    "CONTACT_OPTED_OUT",
    "CHANNEL_NOT_CONFIGURED",
    "TEMPLATE_NOT_FOUND",
    "PROVIDER_ERROR",
    "RENDER_ERROR",
    "FREQUENCY_CAPPED",
    "QUIET_HOURS",
    "CANCELLED",
]
ModeWord = Literal["live", "test"]
RoleWord = Literal["OWNER", "ADMIN", "OPERATOR", "MEMBER", "VIEWER"]

CHANNEL_OUT: dict[Channel, ChannelWord | None] = {
    Channel.EMAIL: "EMAIL",
    Channel.SMS: None,
    Channel.WHATSAPP: None,
    Channel.PUSH: "PUSH",
    Channel.TELEGRAM: "TELEGRAM",
    Channel.ONSITE: "ONSITE",
    Channel.WEBHOOK: "WEBHOOK",
    Channel.DIRECT: None,
}
"""None is a channel that this surface does not show."""

STATUS_OUT: dict[Standing, StatusWord] = {
    Standing.SCHEDULED: "QUEUED",
    Standing.QUEUED: "QUEUED",
    Standing.RETRYING: "QUEUED",
    Standing.SENDING: "SENDING",
    Standing.SENT: "SENT",
    Standing.DELIVERED: "DELIVERED",
    Standing.OPENED: "OPENED",
    Standing.CLICKED: "CLICKED",
    Standing.BOUNCED: "BOUNCED",
    Standing.FAILED: "FAILED",
    Standing.UNSUBSCRIBED: "UNSUBSCRIBED",
    Standing.CANCELLED: "FAILED",
}

CAMPAIGN_OUT: dict[CampaignStatus, CampaignWord] = {
    CampaignStatus.DRAFT: "DRAFT",
    CampaignStatus.SCHEDULED: "SCHEDULED",
    CampaignStatus.RUNNING: "ACTIVE",
    CampaignStatus.PAUSED: "PAUSED",
    CampaignStatus.COMPLETED: "COMPLETED",
    CampaignStatus.PARTLY_FAILED: "COMPLETED",
    CampaignStatus.CANCELLED: "ARCHIVED",
}

PROVIDER_ERROR: FailureWord = "PROVIDER_ERROR"
FAILURE_OUT: dict[str, FailureWord] = {
    "contact_unreachable": "CONTACT_UNREACHABLE",
    "invalid_recipient": "CONTACT_UNREACHABLE",
    "suppressed": "CONTACT_OPTED_OUT",
    "recipient_opted_out": "CONTACT_OPTED_OUT",
    "provider_not_configured": "CHANNEL_NOT_CONFIGURED",
    "template_not_found": "TEMPLATE_NOT_FOUND",
    "missing_variables": "RENDER_ERROR",
    "render_failed": "RENDER_ERROR",
    "frequency_capped": "FREQUENCY_CAPPED",
    "quiet_hours": "QUIET_HOURS",
}
"""Why a message does not go out, by the domain's code; what a message ended with and is not here is the provider's."""

ROLE_OUT: dict[Role, RoleWord] = {
    Role.OWNER: "OWNER",
    Role.ADMIN: "ADMIN",
    Role.OPERATOR: "OPERATOR",
    Role.MEMBER: "MEMBER",
    Role.VIEWER: "VIEWER",
}

CHANNEL_IN: dict[ChannelWord, Channel] = {word: channel for channel, word in CHANNEL_OUT.items() if word is not None}
CHANNELS = frozenset(CHANNEL_IN.values())
"""The channels that this surface shows."""
STATUS_IN: dict[StatusWord, frozenset[Standing]] = {
    word: frozenset(standing for standing, shown in STATUS_OUT.items() if shown == word) for word in STATUS_OUT.values()
}
ROLE_IN: dict[RoleWord, Role] = {word: role for role, word in ROLE_OUT.items()}
MODE_OUT: dict[Mode, ModeWord] = {Mode.LIVE: "live", Mode.TEST: "test"}
