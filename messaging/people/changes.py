"""Tells the endpoints of a workspace that its contacts changed: rows that are committed with the change itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection

from channels_app.types import Channel
from messaging.models.keys import uuid7
from messaging.models.webhooks import NEW_ID


class Change(StrEnum):
    """What endpoints are told of contacts."""

    CREATED = "contact.created"
    UPDATED = "contact.updated"
    OPTED_OUT = "contact.opted_out"


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A contact that changed, and what is told beside the contact itself."""

    workspace_id: UUID
    contact_id: UUID
    detail: Mapping[str, Any] = field(default_factory=dict)


# Endpoints of test mode hear of messages in test mode alone; contacts have no such mode.
_TELL: Final = f"""
INSERT INTO messaging_webhookdelivery (id, endpoint_id, event_id, type, at, contact_id, detail)
SELECT {NEW_ID}, e.id, given.event, %(type)s, now(), given.contact, given.detail
  FROM unnest(%(workspaces)s::uuid[], %(events)s::uuid[], %(contacts)s::uuid[], %(details)s::jsonb[])
       AS given(workspace, event, contact, detail)
  JOIN messaging_webhookendpoint e ON e.workspace_id = given.workspace
 WHERE e.active AND NOT e.test AND (e.types = '{{}}' OR %(type)s = ANY(e.types))
"""


def tell(change: Change, *changed: Changed) -> None:
    """Note a change for every endpoint that wants to know, in the caller's transaction."""
    if not changed:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _TELL,
            {
                "type": change.value,
                "workspaces": [each.workspace_id for each in changed],
                "events": [uuid7() for _ in changed],
                "contacts": [each.contact_id for each in changed],
                "details": [msgspec.json.encode(each.detail).decode() for each in changed],
            },
        )


def opted_out(*several: tuple[UUID, UUID, Channel, str]) -> None:
    """Note that contacts opted out: the workspace, the contact, the channel and the category of each."""
    changed: Sequence[Changed] = [
        Changed(
            workspace_id=workspace_id,
            contact_id=contact_id,
            detail={"channel": channel.value, "category": category},
        )
        for workspace_id, contact_id, channel, category in several
    ]
    tell(Change.OPTED_OUT, *changed)
