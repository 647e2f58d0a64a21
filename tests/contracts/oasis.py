"""Callers of /api/messaging, and the shapes around its answers."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework_simplejwt.tokens import AccessToken

from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.models import Role, Workspace
from messaging.state import Cause, Status
from tests.contracts.forms import MOMENT, SENTENCE
from tests.factories import make_member
from tests.messaging.api.callers import JSON, Caller, make_caller, read

BASE = "/api/messaging"
NOBODY = "Unauthorized. Log in first, and send the token as Authorization: Bearer."
EMAIL: dict[str, Any] = {
    "recipient": {"email": "ann@example.com", "name": "Ann"},
    "subject": "Hello",
    "content": "Good day",
}
CREATED: dict[str, Any] = {"type": "Email", **EMAIL}
DELIVERY = {"attempts": 0, "maxAttempts": 3, "nextRetry": None, "error": None}
TRACKING = {"opened": False, "clicked": False, "bounced": False, "complained": False}
PLAIN = {"priority": "Normal", "encryption": False}


def person(workspace: Workspace, role: Role = Role.MEMBER) -> Caller:
    """A member who signed in."""
    member = make_member(workspace, role)
    caller = Caller(workspace, member)
    caller.headers = {"Authorization": f"Bearer {AccessToken.for_user(member.user)}"}
    return caller


def done(answer: HttpResponse, message: str = "Success", status: int = 200) -> Any:
    """What a management operation gave."""
    body = read(answer, status)
    assert body == {
        "result": {"success": True, "data": body["result"]["data"], "message": message},
        "isError": False,
        "message": "Success",
    }
    return body["result"]["data"]


def results(answer: HttpResponse) -> list[Any]:
    """What a list between avatars gave."""
    body = read(answer)
    rows: list[Any] = body["result"]
    assert body == {
        "result": rows,
        "resultsCount": len(rows),
        "isError": False,
        "isWarning": False,
        "message": "Success",
    }
    return rows


def failed(
    answer: HttpResponse,
    status: int,
    code: str,
    message: str,
    exception: str,
    *fields: str,
    result: bool | None = None,
    **about: Any,
) -> None:
    """The answer is exactly this refusal, with these fields named."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == JSON
    body = json.loads(answer.content)
    errors = {"errors": [{"field": field, "message": SENTENCE} for field in fields]} if fields else {}
    assert body == {
        "result": result,
        "isError": True,
        "isWarning": False,
        "message": message,
        "exception": exception,
        "errorCode": code,
        **errors,
        "metadata": {"requestId": answer["X-Request-ID"], "timestamp": MOMENT, **about},
    }


def avatar(caller: Caller) -> UUID:
    """The avatar that a caller is."""
    assert caller.member
    return caller.member.user.avatar_id


def sender(caller: Caller) -> dict[str, str]:
    """A caller as the author of a message."""
    assert caller.member
    return {"id": str(avatar(caller)), "name": caller.member.user.username}


def create(caller: Caller, **fields: Any) -> dict[str, Any]:
    """A message over HTTP."""
    made: dict[str, Any] = done(caller.post(f"{BASE}/messages", {**CREATED, **fields}), "Message created", 201)
    return made


def move(message_id: str | UUID, *to: Status, **fields: Any) -> None:
    """Let a message go from state to state."""
    for status in to:
        cause = Cause.WORKER
        moved = transitions.advance_many([Move(id=UUID(str(message_id)), to=status, **fields)], cause=cause)
        assert moved, status


__all__ = ["Caller", "make_caller", "read"]
