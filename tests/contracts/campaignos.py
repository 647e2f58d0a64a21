"""What the tests of the campaignos surface share: paths of a workspace, and the shape of a refusal."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse

from messaging.models import Contact, Workspace
from messaging.models.keys import uuid7
from messaging.people import contacts
from tests.contracts.forms import SENTENCE
from tests.messaging.api.callers import JSON, Caller

STRANGER = uuid7()
"""The key of nothing at all."""


def home(place: Caller | Workspace) -> str:
    """The path below which everything of a workspace is."""
    workspace = place.workspace if isinstance(place, Caller) else place
    return f"/api/workspaces/ws_{workspace.id.hex}"


def make_contact(place: Caller | Workspace, **fields: Any) -> Contact:
    """A contact of the workspace, with an e-mail address unless something else is said."""
    workspace = place.workspace if isinstance(place, Caller) else place
    return contacts.create(workspace_id=workspace.id, fields={"email": "ann@example.com", **fields})


def refused(
    answer: HttpResponse,
    status: int,
    code: str,
    *,
    message: str | None = None,
    reason: str | None = None,
    fields: list[str] | None = None,
) -> dict[str, Any]:
    """The answer is exactly such a refusal; its fields are named, and what is wrong with them is said."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == JSON
    body: dict[str, Any] = json.loads(answer.content)
    error: dict[str, Any] = {"code": code, "message": SENTENCE if message is None else message}
    details: dict[str, Any] = {}
    if reason is not None:
        details["reason"] = reason
    if fields is not None:
        said = body["error"]["details"]["fields"]
        details["fields"] = {name: [SENTENCE] * max(len(said.get(name, ())), 1) for name in fields}
    assert body == {"error": {**error, **({"details": details} if details else {})}}
    return body
