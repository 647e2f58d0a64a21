"""What a site shows to a contact."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from messaging import models
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers.messages import Moment
from messaging.api.common.rendering import stamp


class OnsiteMessage(Struct, rename="camel", kw_only=True, frozen=True):
    """A message for the site to show; it is unread as long as `readAt` is null."""

    id: str
    subject: str | None
    body: str | None
    metadata: dict[str, Any]
    campaign_id: str | None
    sent_at: Moment | None
    read_at: Moment | None


def onsite_message(message: models.Message, body: str) -> OnsiteMessage:
    """A message as the site gets it."""
    return OnsiteMessage(
        id=Kind.MESSAGE.show(message.id),
        subject=message.subject or None,
        body=body or None,
        metadata=message.metadata,
        campaign_id=Kind.CAMPAIGN.show(message.campaign_id),
        sent_at=stamp(message.sent_at),
        read_at=stamp(message.opened_at),
    )
