"""Who may ask what of /api/messaging, and every refusal that all its operations share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from jsonschema import Draft202012Validator
from pytest_django import Settings
from rest_framework_simplejwt.tokens import AccessToken

from messaging.models import ApiKey, Member, Message, User, Workspace
from messaging.models.keys import uuid7
from tests.contracts.oasis import BASE, CREATED, EMAIL, NOBODY, avatar, create, failed, person
from tests.contracts.test_oasis import OPERATIONS
from tests.messaging.api.callers import Caller, make_caller, read

AVATARS = {
    "/api/messaging/send-message-to-avatar/{avatar_id}",
    "/api/messaging/conversation/{avatar_id}",
    "/api/messaging/mark-messages-read",
    "/api/messaging/notifications",
    "/api/messaging/mark-notifications-read",
}
LISTS = {"/api/messaging/conversation/{avatar_id}", "/api/messaging/notifications"}
SHARED = ("GET", "/api/messaging/messages")
EACH = sorted(OPERATIONS)


def placed(path: str) -> str:
    """The path with ids that are nobody's."""
    return path.format(message_id=uuid7(), avatar_id=uuid7())


def stranded(method: str, path: str) -> bool | None:
    """What stands as `result` where nobody is recognised."""
    return False if path in AVATARS or (method, path) == SHARED else None


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


def with_token(token: str) -> Caller:
    nobody = Caller(Workspace(id=uuid7()))
    nobody.headers = {"Authorization": f"Bearer {token}"} if token else {}
    return nobody


@pytest.mark.parametrize(("method", "path"), EACH)
@pytest.mark.parametrize("strict", [False, True])
def test_nobody_is_told_to_log_in(caller: Caller, settings: Settings, method: str, path: str, strict: bool) -> None:
    settings.OASIS_HTTP_ERRORS = "strict" if strict else "200"
    expired = AccessToken.for_user(caller.member.user)
    expired.set_exp(from_time=timezone.now() - timedelta(days=1), lifetime=timedelta(hours=1))
    for token, code, exception in (
        ("", "UNAUTHORIZED", "This needs an API key, an access token or a session."),
        ("nonsense", "TOKEN_INVALID", "The token is invalid or has expired."),
        (str(expired), "TOKEN_EXPIRED", "The token is invalid or has expired."),
        ("dk_live_nonsense", "TOKEN_INVALID", "This is not a valid API key."),
    ):
        answer = with_token(token).ask(method, placed(path), {} if method in {"POST", "PUT"} else None)
        failed(answer, 401 if strict else 200, code, NOBODY, exception, result=stranded(method, path))
        assert ("WWW-Authenticate" in answer) is strict


@pytest.mark.parametrize(("method", "path"), EACH)
def test_each_path_answers_with_and_without_a_slash(caller: Caller, method: str, path: str) -> None:
    bare, slashed = (
        caller.ask(method, f"{placed(path)}{end}", {} if method in {"POST", "PUT"} else None) for end in ("", "/")
    )
    assert bare.status_code == slashed.status_code
    assert bare.status_code not in {301, 302, 500}


@pytest.mark.parametrize(("method", "path"), EACH)
def test_each_operation_needs_its_scope(caller: Caller, method: str, path: str) -> None:
    if path == f"{BASE}/health":
        return
    scoped = make_caller(workspace=caller.workspace, scopes=["templates:read"])
    answer = scoped.ask(method, placed(path), {} if method in {"POST", "PUT"} else None)
    subject = "analytics" if path.endswith(("stats", "performance")) else "messages"
    writes = method != "GET" and "mark-" not in path
    exception = f"This needs the scope {subject}:{'write' if writes else 'read'}."
    result = False if path in AVATARS - LISTS else None
    failed(answer, 403, "FORBIDDEN", "Forbidden", exception, result=result)


def test_other_workspaces_are_out_of_reach(caller: Caller) -> None:
    stranger = make_caller()
    made = create(stranger)
    assert read(caller.get(f"{BASE}/messages"))["result"] == []
    answer = caller.get(f"{BASE}/messages/{made['id']}")
    exception = f"There is no message with the id {made['id']}."
    failed(answer, 404, "MESSAGE_NOT_FOUND", "Message not found", exception)
    answer = person(caller.workspace).get(f"{BASE}/messages", X_Workspace=str(stranger.workspace.id))
    assert (answer.status_code, answer.json()["errorCode"], answer.json()["isError"]) == (404, "NOT_FOUND", True)


def test_a_person_names_one_of_several_workspaces(caller: Caller) -> None:
    member = person(caller.workspace)
    other = make_caller()
    Member.objects.create(workspace=other.workspace, user=member.member.user, role="owner")
    made = create(other)
    assert read(member.get(f"{BASE}/messages"))["result"] == []
    rows = read(member.get(f"{BASE}/messages", X_Workspace=other.workspace.slug))["result"]
    assert [row["id"] for row in rows] == [made["id"]]


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/messages/x/y", "/send/fax", "/send-message-to-avatar"])
def test_other_paths_are_not_found(caller: Caller, path: str) -> None:
    failed(caller.get(f"{BASE}{path}"), 404, "NOT_FOUND", "Not found", "There is nothing here.")


def test_another_method_is_refused(caller: Caller) -> None:
    answer = caller.ask("DELETE", f"{BASE}/messages")
    exception = 'Method "DELETE" not allowed.'
    failed(answer, 405, "METHOD_NOT_ALLOWED", "Method not allowed", exception)
    assert answer["Allow"] == "GET, POST, HEAD"


def test_answers_are_json_alone(caller: Caller) -> None:
    answer = caller.get(f"{BASE}/messages", Accept="text/html")
    failed(answer, 406, "NOT_ACCEPTABLE", "Not acceptable", "The answer is application/json.")


def test_bodies_are_json_alone_where_they_are_objects(caller: Caller) -> None:
    answer = caller.ask("POST", f"{BASE}/messages", b"a=1", Content_Type="application/x-www-form-urlencoded")
    code = ("UNSUPPORTED_MEDIA_TYPE", "Unsupported media type")
    failed(answer, 415, *code, "The body must be application/json in UTF-8.")


def test_bodies_have_a_bound(caller: Caller, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 10
    code = ("PAYLOAD_TOO_LARGE", "Payload too large")
    failed(caller.post(f"{BASE}/send/email", EMAIL), 413, *code, "A request body has at most 10 bytes.", "")


@pytest.mark.parametrize("path", ["messages", "stats", "notifications"])
def test_limits_are_told_in_every_answer(caller: Caller, path: str) -> None:
    ApiKey.objects.update(rate_limit=1)
    first, second = caller.get(f"{BASE}/{path}"), caller.get(f"{BASE}/{path}")
    assert (first.status_code, first["X-RateLimit-Limit"], first["X-RateLimit-Remaining"]) == (200, "1", "0")
    wait, reset = int(second["Retry-After"]), int(second["X-RateLimit-Reset"])
    exception = "There may be 1 requests in a minute."
    about = {"rateLimitReset": reset, "retryAfter": wait}
    failed(second, 429, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded", exception, **about)
    assert 0 < wait <= 60


def test_a_quota_is_a_limit(caller: Caller) -> None:
    Workspace.objects.update(daily_quota=0)
    answer = caller.post(f"{BASE}/messages", CREATED)
    about = {name: answer.json()["metadata"][name] for name in ("rateLimitReset", "retryAfter")}
    exception = answer.json()["exception"]
    failed(answer, 429, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded", exception, **about)
    assert about["retryAfter"] == int(answer["Retry-After"])
    assert not Message.objects.exists()


def test_a_request_that_is_broken_in_itself_is_refused_in_this_shape(caller: Caller) -> None:
    answer = Client().get(f"{BASE}/messages", headers={"Host": "evil.example"})
    failed(answer, 400, "VALIDATION_ERROR", "Validation failed", "The request is malformed.")


def test_a_session_writes_with_its_token_alone(caller: Caller) -> None:
    client = Client(enforce_csrf_checks=True)
    user: User = caller.member.user
    client.force_login(user)
    assert client.get(f"{BASE}/messages").status_code == 200
    answer = client.post(f"{BASE}/messages", CREATED, content_type="application/json")
    body = answer.json()
    assert (answer.status_code, body["errorCode"], body["isError"]) == (403, "FORBIDDEN", True)


# The description of it all


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(Client().get("/api/schema/oasis/").json())


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == OPERATIONS


def test_answers_are_what_the_document_says(document: dict[str, Any], caller: Caller) -> None:
    made = create(caller)
    friend = person(caller.workspace)
    caller.post(f"{BASE}/send-message-to-avatar/{avatar(friend)}", b'"Hi"')
    answers = {
        "Done_Message_": caller.get(f"{BASE}/messages/{made['id']}"),
        "Done_MessageStatus_": caller.get(f"{BASE}/messages/{made['id']}/status"),
        "Done_MessageTracking_": caller.get(f"{BASE}/messages/{made['id']}/tracking"),
        "Listing_ListedMessage_": caller.get(f"{BASE}/messages"),
        "Results_AvatarMessage_": caller.get(f"{BASE}/conversation/{avatar(friend)}"),
        "Results_Notification_": caller.get(f"{BASE}/notifications"),
        "Done_Statistics_": caller.get(f"{BASE}/stats"),
        "Done_Performance_": caller.get(f"{BASE}/performance"),
        "Done_Health_": caller.get(f"{BASE}/health"),
        "Done_Cancelled_": caller.post(f"{BASE}/messages/{made['id']}/cancel"),
        "Done_Deleted_": caller.ask("DELETE", f"{BASE}/messages/{made['id']}"),
        "Failure": caller.get(f"{BASE}/messages/{made['id']}"),
    }
    for name, answer in answers.items():
        Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"}).validate(answer.json())
