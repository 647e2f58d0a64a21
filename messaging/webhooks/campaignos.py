"""What endpoints of the campaignos surface are told, in that surface's words and under its signature."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from messaging.models import Contact, Message, WebhookDelivery
from messaging.people.names import names_of
from messaging.state import Status
from messaging.webhooks.documents import moment
from messaging.webhooks.subjects import Subjects
from messaging.webhooks.types import TEST

_STAMPS: Final = tuple(s.stamp for s in Status if s.stamp is not None and s is not Status.CANCELLED)
_STATUS: Final = {Status.SCHEDULED: "QUEUED", Status.CANCELLED: "FAILED"}
"""Statuses that the surface has another word for."""
_EVENT: Final = {"message.cancelled": "message.failed"}
"""Events that the surface has another word for."""


def event_name(type: str) -> str:
    """An event as the surface calls it."""
    return _EVENT.get(type, type)


def document(delivery: WebhookDelivery, subjects: Subjects) -> str | None:
    """The body of a delivery; None where what it tells of is there no more."""
    data = _data(delivery, subjects)
    if data is None:
        return None
    told = {"event": event_name(delivery.type), "timestamp": moment(delivery.at), "data": data}
    return msgspec.json.encode(told).decode()


def headers(delivery: WebhookDelivery, document: str, secrets: Sequence[str]) -> dict[str, str]:
    """What goes beside the body: the name of the event, the id of the delivery, the signature of the body; while a
    secret is replaced, a header of its own has the signature by the one before."""
    signed = [sign(document.encode(), secret) for secret in secrets]
    told = {
        "X-Webhook-Event": event_name(delivery.type),
        "X-Webhook-Delivery": f"evt_{delivery.event_id.hex}",
        "X-Webhook-Signature": signed[0],
    }
    return told if len(signed) == 1 else {**told, "X-Webhook-Signature-Previous": signed[1]}


def sign(body: bytes, secret: str) -> str:
    """The HMAC-SHA256 of a body under the text of a secret, in hexadecimal digits."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def _data(delivery: WebhookDelivery, subjects: Subjects) -> Mapping[str, Any] | None:
    if delivery.type == TEST:
        return {"webhookId": _id("wh", delivery.endpoint_id)}
    if delivery.message_id is not None:
        row = subjects.messages.get(delivery.message_id)
        return None if row is None else message(row)
    person = subjects.contact(delivery.contact_id)
    if person is None:
        return None
    detail = {**delivery.detail}
    if "channel" in detail:
        detail["channel"] = str(detail["channel"]).upper()
    return {**contact(person), **detail}


def message(row: Message) -> dict[str, Any]:
    """A message as the surface's list shows it."""
    status = Status(row.status)
    return {
        "id": _id("msg", row.id),
        "channel": row.channel.upper(),
        "status": _STATUS.get(status, status.value),
        "subject": row.subject or None,
        "contactId": _id("ct", row.contact_id),
        "campaignId": _id("cmp", row.campaign_id),
        "templateId": _id("tpl", row.template_id),
        "createdAt": moment(row.created_at),
        **{_camel(name): moment(getattr(row, name)) for name in _STAMPS},
        "failedAt": moment(row.failed_at or row.cancelled_at),
    }


def contact(row: Contact) -> dict[str, Any]:
    """A contact as the surface names it beside other things."""
    names = names_of(row)
    return {
        "id": _id("ct", row.id),
        "email": row.email or None,
        "phone": row.phone or None,
        "firstName": names.first or None,
        "lastName": names.last or None,
    }


def _id(kind: str, key: UUID | None) -> str | None:
    return None if key is None else f"{kind}_{key.hex}"


def _camel(name: str) -> str:
    head, *words = name.split("_")
    return head + "".join(word.capitalize() for word in words)
