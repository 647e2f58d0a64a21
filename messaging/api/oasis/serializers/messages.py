"""Messages as those who manage them see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from channels_app.types import Channel
from messaging import models
from messaging.api.common.rendering import stamp
from messaging.api.oasis.envelope import Moment
from messaging.api.oasis.vocabulary import (
    STATUS_OUT,
    Own,
    PriorityWord,
    StatusWord,
    TypeWord,
    priority_out,
    type_out,
)
from messaging.content.templates import Origin
from messaging.dispatch.selectors import Rendered, due_at, standing_of
from messaging.state import Standing

_HIDDEN = frozenset({Own.PRIORITY, Own.MESSAGE_TYPE, "template", "variables", "encryption"})
_CONTACT = "contact"
"""What a template reads of the recipient's contact stands under this name among the data."""


class Recipient(Struct, kw_only=True, frozen=True, rename="camel"):
    """Who was written to; what does not apply is absent."""

    id: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    device_token: str | UnsetType = UNSET
    name: str | UnsetType = UNSET


class Sender(Struct, kw_only=True, frozen=True):
    """Whoever sent it: an avatar."""

    id: UUID
    name: str


class Delivery(Struct, kw_only=True, frozen=True, rename="camel"):
    """How sending goes."""

    attempts: int
    max_attempts: int
    next_retry: Moment | None
    error: str | None


class Tracking(Struct, kw_only=True, frozen=True):
    """What came back of it."""

    opened: bool
    clicked: bool
    bounced: bool
    complained: bool


class Schedule(Struct, kw_only=True, frozen=True, rename="camel"):
    """When it is sent."""

    send_at: Moment
    timezone: str = "UTC"


class AttachmentOut(Struct, kw_only=True, frozen=True):
    """A file that goes with it; its content is not given back."""

    filename: str
    type: str
    size: int


class MessageRow(Struct, kw_only=True, frozen=True, rename="camel"):
    """A message among others."""

    id: UUID
    type: TypeWord
    status: StatusWord
    recipient: Recipient
    subject: str | None
    content: str
    sender: Sender | None
    created_at: Moment
    sent_at: Moment | None
    delivered_at: Moment | None
    read_at: Moment | None


class Message(MessageRow, kw_only=True, frozen=True, rename="camel"):
    """A message by itself. `metadata` has template, variables, priority and encryption, and what the sender put there;
    `data` is there for a Push alone."""

    html_content: str | None
    attachments: list[AttachmentOut]
    data: dict[str, Any] | UnsetType = UNSET
    metadata: dict[str, Any]
    schedule: Schedule | None
    delivery: Delivery
    tracking: Tracking


def row_fields(row: models.Message, content: Rendered, senders: Mapping[UUID, Sender]) -> dict[str, Any]:
    """What a list shows of a message."""
    return {
        "id": row.id,
        "type": type_out(row.channel),
        "status": STATUS_OUT[standing_of(row)],
        "recipient": recipient(row),
        "subject": row.subject or None,
        "content": content.text or content.body,
        "sender": senders.get(row.author_id) if row.author_id else None,
        "created_at": stamp(row.created_at),
        "sent_at": stamp(row.sent_at),
        "delivered_at": stamp(row.delivered_at),
        "read_at": stamp(row.opened_at),
    }


def message(row: models.Message, content: Rendered, origin: Origin | None, senders: Mapping[UUID, Sender]) -> Message:
    """A message as it is shown by itself."""
    data = {name: value for name, value in (row.data or {}).items() if name != _CONTACT}
    is_push = row.channel == Channel.PUSH
    return Message(
        **row_fields(row, content, senders),
        html_content=content.body or None if row.channel == Channel.EMAIL else None,
        attachments=[
            AttachmentOut(filename=file.filename, type=file.content_type, size=file.size)
            for file in content.attachments
        ],
        data=data if is_push else UNSET,
        metadata=metadata(row, origin, variables=data, encrypted=content.encrypted),
        schedule=Schedule(send_at=stamp(row.scheduled_at)) if row.scheduled_at else None,
        delivery=delivery(row),
        tracking=tracking(row),
    )


def metadata(
    row: models.Message, origin: Origin | None, *, variables: dict[str, Any], encrypted: bool
) -> dict[str, Any]:
    """How a message is sent, and what its sender put beside that."""
    shown: dict[str, Any] = {name: value for name, value in row.metadata.items() if name not in _HIDDEN}
    if origin is not None:
        shown["template"] = origin.key
    if variables and row.channel != Channel.DIRECT and (origin is not None or row.channel != Channel.PUSH):
        shown["variables"] = variables
    priority: PriorityWord = priority_out(row.priority, row.metadata)
    return {**shown, "priority": priority, "encryption": encrypted}


def recipient(row: models.Message) -> Recipient:
    """Who was written to, by the words of its channel."""
    id_ = str(row.contact_id) if row.contact_id else UNSET
    name = row.name or UNSET
    match Channel(row.channel):
        case Channel.EMAIL:
            return Recipient(id=id_, email=row.recipient, name=name)
        case Channel.SMS:
            return Recipient(id=id_, phone=row.recipient, name=name)
        case Channel.PUSH if row.recipient != id_:
            return Recipient(id=id_, device_token=row.recipient, name=name)
        case _:
            return Recipient(id=row.recipient, name=name)


def delivery(row: models.Message) -> Delivery:
    """How sending goes."""
    waits = standing_of(row) is Standing.RETRYING
    return Delivery(
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        next_retry=stamp(due_at(row)) if waits else None,
        error=(row.error_detail or row.error_code) or None,
    )


def tracking(row: models.Message) -> Tracking:
    """What came back of it."""
    return Tracking(
        opened=row.opened_at is not None,
        clicked=row.clicked_at is not None,
        bounced=row.bounced_at is not None,
        complained=row.complained_at is not None,
    )
