"""What contacts did, and what was noted of them: rows that are added and never changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db.models import QuerySet

from channels_app.types import Channel
from messaging.errors import Invalid
from messaging.models import Consent, ConsentStatus, ContactEvent
from messaging.models.keys import uuid7
from messaging.people import contacts
from messaging.people.lines import line

TYPE_LENGTH = 100
TEXT_LENGTH = 2048
METADATA_BYTES = 32_768
OWN: Final = "consent."
"""How the types begin that only the platform itself notes."""

_TYPE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*", re.ASCII)
_TEXTS = ("session_id", "page_url", "referrer", "utm_source", "utm_medium", "utm_campaign")


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """Something to note, of a contact or of nobody who is known."""

    type: str
    contact_id: UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    session_id: str = ""
    page_url: str = ""
    referrer: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""


def events_of(*, workspace_id: UUID) -> QuerySet[ContactEvent]:
    """A workspace's events with their contacts."""
    return ContactEvent.objects.filter(workspace_id=workspace_id).select_related("contact")


def latest(
    *, workspace_id: UUID, contact_id: UUID | None = None, type: str | None = None, limit: int
) -> list[ContactEvent]:
    """The newest events, of one contact or of one type where that is said; the id of a merged contact means the one
    that was kept."""
    rows = events_of(workspace_id=workspace_id)
    if contact_id is not None:
        rows = rows.filter(contact_id=contacts.kept_id(workspace_id=workspace_id, contact_id=contact_id))
    if type is not None:
        rows = rows.filter(type=type)
    return list(rows.order_by("-id")[:limit])


def note(*, workspace_id: UUID, happening: Happening) -> ContactEvent:
    """Note something that somebody did.

    Raises:
        NotFound: the workspace has no such contact.
        Invalid: a value is malformed, or the type is one that only the platform notes.
    """
    values = _cleaned(happening)
    if happening.contact_id is not None:
        values["contact_id"] = contacts.get(workspace_id=workspace_id, contact_id=happening.contact_id).id
    row = ContactEvent.objects.create(id=uuid7(), workspace_id=workspace_id, **values)
    return events_of(workspace_id=workspace_id).get(id=row.id)


def note_consent(
    *,
    workspace_id: UUID,
    contact_id: UUID | None,
    channel: Channel,
    category: str,
    status: ConsentStatus,
    via: str,
    before: Consent | None = None,
    message_id: UUID | None = None,
) -> None:
    """Keep on record that consent was given or taken back, by which way, and what was said before."""
    told = {
        "channel": channel.value,
        "category": category,
        "status": status.value,
        "before": str(before.status) if before else None,
        "via": via,
        "message_id": str(message_id) if message_id else None,
    }
    ContactEvent.objects.create(
        id=uuid7(),
        workspace_id=workspace_id,
        contact_id=contact_id,
        type=f"{OWN}{status.value}",
        metadata={name: value for name, value in told.items() if value is not None},
    )


def _cleaned(happening: Happening) -> dict[str, Any]:
    kind = line(happening.type, pointer="/type", longest=TYPE_LENGTH, shortest=1)
    if not _TYPE.fullmatch(kind):
        raise Invalid.at("/type", "invalid_value", "A type has letters, digits and _ . : - only.")
    if kind.startswith(OWN):
        raise Invalid.at("/type", "reserved", f"Types that begin with {OWN} are noted by the platform itself.")
    if len(msgspec.json.encode(happening.metadata)) > METADATA_BYTES:
        raise Invalid.at("/metadata", "too_long", f"Metadata has at most {METADATA_BYTES} bytes as JSON.")
    values = asdict(happening)
    texts = {name: line(values[name], pointer=f"/{name}", longest=TEXT_LENGTH) for name in _TEXTS}
    return {"type": kind, "metadata": dict(happening.metadata), **texts}
