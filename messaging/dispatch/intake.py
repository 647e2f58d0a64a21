"""Accepts messages: checks them, renders their subjects, writes them in one transaction, then rings the lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from channels_app.types import Attachment, Channel
from messaging.state import Priority


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What all messages of one accept share. Times carry a time zone."""

    channel: Channel
    subject: str = ""
    body: str = field(default="", repr=False)
    text: str = field(default="", repr=False)
    sender: str = ""
    reply_to: str = ""
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    priority: Priority = Priority.NORMAL
    category: str = "transactional"
    action_type: str = "custom"
    language: str = "en"
    on_unknown: str = ""
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipient:
    """One message's own part."""

    to: str
    name: str = ""
    data: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """A recipient that was not taken; `index` is its place in the request, from 0."""

    index: int
    code: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """What was committed."""

    batch_id: UUID | None
    ids: list[UUID]
    rejected: list[Rejected]
