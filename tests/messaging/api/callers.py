"""Callers of /api/v1 and what they get: a client for each way in, and the shape of a refusal."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client

from messaging.models import Member, Mode, Role, User, Workspace
from messaging.models.keys import uuid7
from messaging.tenancy import keys
from messaging.tenancy.access import ROLES
from tests.factories import make_workspace

JSON = "application/json"
PROBLEM = "application/problem+json"
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Caller:
    """Somebody with an API key; without one, nobody."""

    def __init__(self, workspace: Workspace, member: Member | None = None, raw: str | None = None) -> None:
        self.workspace = workspace
        self.member = member
        self.headers = {"X-API-Key": raw} if raw else {}
        self._client = Client()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        """Send a request; a body that is not bytes is sent as JSON."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": JSON, **self.headers, **named}
        answer: Any = self._client.generic(method, path, data, content_type=sent["Content-Type"], headers=sent)
        assert answer["X-Request-ID"]
        return answer  # type: ignore[no-any-return]

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.ask("POST", path, body, **headers)


def make_caller(
    role: Role = Role.OWNER,
    *,
    workspace: Workspace | None = None,
    scopes: list[str] | None = None,
    mode: Mode = Mode.LIVE,
) -> Caller:
    """A member with an API key that has all scopes of the role, or those that are named."""
    workspace = workspace or make_workspace()
    # Without a password: hashing one takes longer than most tests.
    user = User.objects.create(username=f"user-{uuid7().hex[-12:]}")
    member = Member.objects.create(workspace=workspace, user=user, role=role)
    made = keys.make(
        workspace_id=workspace.id,
        user_id=member.user_id,
        name="test",
        scopes=sorted(ROLES[role]) if scopes is None else scopes,
        mode=mode,
    )
    return Caller(workspace, member, made.raw)


def nobody() -> Caller:
    return Caller(make_workspace())


def read(answer: HttpResponse, status: int = 200) -> Any:
    """The body of an answer with this status."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == JSON
    return json.loads(answer.content)


def assert_problem(
    answer: HttpResponse, status: int, code: str, *places: tuple[str, str], detail: str | None = None
) -> dict[str, Any]:
    """The answer is exactly such a refusal, with errors at these places; give its body."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == PROBLEM
    body: dict[str, Any] = json.loads(answer.content)
    assert body == {
        "type": "about:blank",
        "title": TITLES[status],
        "status": status,
        "detail": body["detail"] if detail is None else detail,
        "code": code,
        "request_id": answer["X-Request-ID"],
        "errors": [
            {"pointer": pointer, "code": each, "detail": found["detail"]}
            for (pointer, each), found in zip(places, body["errors"], strict=False)
        ],
    }
    assert len(body["errors"]) == len(places), body["errors"]
    assert body["detail"]
    assert all(found["detail"] for found in body["errors"])
    return body
