"""What endpoints are told: the type, when it happened, and the message or contact as the canonical API shows it now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from messaging.content.templates import Origin
from messaging.dispatch.selectors import due_at
from messaging.models import Contact, Message, MessageEvent, WebhookDelivery
from messaging.people.consent import by_channel
from messaging.state import Priority, Status
from messaging.webhooks.subjects import Subjects
from messaging.webhooks.types import TEST

_STAMPS = tuple(status.stamp for status in Status if status.stamp is not None)


def document(delivery: WebhookDelivery, subjects: Subjects) -> str | None:
    """The body of a delivery; None where what it tells of is there no more."""
    data = _data(delivery, subjects)
    if data is None:
        return None
    return msgspec.json.encode({"type": delivery.type, "timestamp": moment(delivery.at), "data": data}).decode()


def moment(at: datetime | None) -> str | None:
    """A moment as every surface writes it."""
    if at is None:
        return None
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _data(delivery: WebhookDelivery, subjects: Subjects) -> Mapping[str, Any] | None:
    if delivery.type == TEST:
        return {"endpoint_id": delivery.endpoint_id}
    if delivery.message_id is not None:
        row, event = subjects.messages.get(delivery.message_id), subjects.events.get(delivery.event_id)
        if row is None or event is None:
            return None
        return {"message": message(row, subjects.origins.get(row.content_id)), "event": told(event)}
    person = subjects.contact(delivery.contact_id)
    return None if person is None else {"contact": contact(person), **delivery.detail}


def message(row: Message, origin: Origin | None) -> dict[str, Any]:
    """A message as the canonical API's lists show it."""
    made_from = {"key": origin.key, "version": origin.version, "language": origin.language} if origin else None
    error = {"code": row.error_code, "detail": row.error_detail or None} if row.error_code else None
    return {
        "id": row.id,
        "workspace_id": row.workspace_id,
        "channel": row.channel,
        "status": row.status,
        "to": row.recipient,
        "name": row.name or None,
        "contact_id": row.contact_id,
        "subject": row.subject or None,
        "template": made_from,
        "batch_id": row.batch_id,
        "campaign_id": row.campaign_id,
        "priority": Priority(row.priority).word,
        "category": row.category,
        "action_type": row.action_type,
        "attempts": row.attempts,
        "max_attempts": row.max_attempts,
        "provider": row.provider or None,
        "provider_message_id": row.provider_message_id or None,
        "error": error,
        "metadata": row.metadata,
        "test": row.test,
        "created_at": moment(row.created_at),
        "scheduled_at": moment(row.scheduled_at),
        "expires_at": moment(row.expires_at),
        "next_attempt_at": moment(due_at(row)),
        **{name: moment(getattr(row, name)) for name in _STAMPS},
    }


def told(event: MessageEvent) -> dict[str, Any]:
    """An event as the canonical API shows it."""
    return {
        "id": event.id,
        "type": event.type,
        "status": event.status or None,
        "at": moment(event.at),
        "cause": event.cause,
        "attempt": event.attempt,
        "provider": event.provider or None,
        "detail": event.detail,
    }


def contact(row: Contact) -> dict[str, Any]:
    """A contact as the canonical API shows it."""
    texts: dict[str, str | UUID | None] = {
        name: getattr(row, name) or None
        for name in ("external_id", "name", "email", "phone", "telegram_chat_id", "avatar_id", "locale", "time_zone")
    }
    return {
        "id": row.id,
        **texts,
        "attributes": row.attributes,
        "tags": row.tags,
        "consent": by_channel(row.consents.all()),
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
    }
