"""Who may do what: every operation of /api/v1 × nobody, a bad key, a missing scope, each role; ways in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from messaging.api.v1.operations import View
from messaging.api.v1.urls import Nothing
from messaging.models import ApiKey, Member, Message, Mode, Role, User
from messaging.models.keys import uuid7
from messaging.tenancy.access import ROLES, SCOPES
from tests.factories import accept_message, make_member, make_workspace
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read

KEY = "0192f0c1-1111-7000-8000-000000000000"


@dataclass(frozen=True)
class Operation:
    """An operation and what it needs; None is open to every recognised caller, "" to everybody."""

    method: str
    path: str
    scope: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


OPERATIONS = [
    Operation("GET", "/api/v1/messages", "messages:read"),
    Operation("POST", "/api/v1/messages", "messages:write"),
    Operation("POST", "/api/v1/messages/batch", "messages:write"),
    Operation("GET", f"/api/v1/messages/{KEY}", "messages:read"),
    Operation("GET", f"/api/v1/messages/{KEY}/events", "messages:read"),
    Operation("GET", f"/api/v1/messages/{KEY}/explain", "messages:read"),
    Operation("POST", f"/api/v1/messages/{KEY}/cancel", "messages:write"),
    Operation("POST", f"/api/v1/messages/{KEY}/retry", "messages:write"),
    Operation("GET", f"/api/v1/batches/{KEY}", "messages:read"),
    Operation("GET", "/api/v1/stats", "analytics:read"),
    Operation("GET", "/api/v1/performance", "analytics:read"),
    Operation("GET", "/api/v1/health", ""),
    Operation("GET", "/api/v1/inbox", "messages:read"),
    Operation("GET", "/api/v1/inbox/counts", "messages:read"),
    Operation("POST", f"/api/v1/inbox/{KEY}/seen", "messages:read"),
    Operation("POST", f"/api/v1/inbox/{KEY}/read", "messages:read"),
    Operation("POST", f"/api/v1/inbox/{KEY}/archive", "messages:read"),
    Operation("GET", f"/api/v1/conversations/{KEY}", "messages:read"),
    Operation("GET", "/api/v1/campaigns", "campaigns:read"),
    Operation("POST", "/api/v1/campaigns", "campaigns:write"),
    Operation("GET", f"/api/v1/campaigns/{KEY}", "campaigns:read"),
    Operation("PUT", f"/api/v1/campaigns/{KEY}", "campaigns:write"),
    Operation("PATCH", f"/api/v1/campaigns/{KEY}", "campaigns:write"),
    Operation("DELETE", f"/api/v1/campaigns/{KEY}", "campaigns:write"),
    Operation("GET", f"/api/v1/campaigns/{KEY}/progress", "campaigns:read"),
    Operation("POST", f"/api/v1/campaigns/{KEY}/start", "campaigns:write"),
    Operation("POST", f"/api/v1/campaigns/{KEY}/pause", "campaigns:write"),
    Operation("POST", f"/api/v1/campaigns/{KEY}/resume", "campaigns:write"),
    Operation("POST", f"/api/v1/campaigns/{KEY}/cancel", "campaigns:write"),
    Operation("POST", f"/api/v1/campaigns/{KEY}/retry-failed", "campaigns:write"),
    Operation("GET", "/api/v1/contacts", "contacts:read"),
    Operation("POST", "/api/v1/contacts", "contacts:write"),
    Operation("GET", f"/api/v1/contacts/{KEY}", "contacts:read"),
    Operation("PUT", f"/api/v1/contacts/{KEY}", "contacts:write"),
    Operation("PATCH", f"/api/v1/contacts/{KEY}", "contacts:write"),
    Operation("DELETE", f"/api/v1/contacts/{KEY}", "contacts:write"),
    Operation("PUT", f"/api/v1/contacts/{KEY}/consent", "contacts:write"),
    Operation("GET", f"/api/v1/contacts/{KEY}/telegram-link", "contacts:write"),
    Operation("POST", f"/api/v1/contacts/{KEY}/merge", "contacts:write"),
    Operation("GET", "/api/v1/push-subscriptions", "contacts:read"),
    Operation("POST", "/api/v1/push-subscriptions", "contacts:write"),
    Operation("GET", f"/api/v1/push-subscriptions/{KEY}", "contacts:read"),
    Operation("DELETE", f"/api/v1/push-subscriptions/{KEY}", "contacts:write"),
    Operation("GET", "/api/v1/suppressions", "contacts:read"),
    Operation("POST", "/api/v1/suppressions", "contacts:write"),
    Operation("GET", f"/api/v1/suppressions/{KEY}", "contacts:read"),
    Operation("DELETE", f"/api/v1/suppressions/{KEY}", "contacts:write"),
    Operation("GET", "/api/v1/templates", "templates:read"),
    Operation("POST", "/api/v1/templates", "templates:write"),
    Operation("GET", f"/api/v1/templates/{KEY}", "templates:read"),
    Operation("PUT", f"/api/v1/templates/{KEY}", "templates:write"),
    Operation("PATCH", f"/api/v1/templates/{KEY}", "templates:write"),
    Operation("DELETE", f"/api/v1/templates/{KEY}", "templates:write"),
    Operation("GET", f"/api/v1/templates/{KEY}/versions", "templates:read"),
    Operation("POST", f"/api/v1/templates/{KEY}/preview", "templates:read"),
    Operation("GET", "/api/v1/webhook-endpoints", "webhooks:read"),
    Operation("POST", "/api/v1/webhook-endpoints", "webhooks:write"),
    Operation("GET", f"/api/v1/webhook-endpoints/{KEY}", "webhooks:read"),
    Operation("PATCH", f"/api/v1/webhook-endpoints/{KEY}", "webhooks:write"),
    Operation("DELETE", f"/api/v1/webhook-endpoints/{KEY}", "webhooks:write"),
    Operation("POST", f"/api/v1/webhook-endpoints/{KEY}/rotate", "webhooks:write"),
    Operation("POST", f"/api/v1/webhook-endpoints/{KEY}/test", "webhooks:write"),
    Operation("GET", f"/api/v1/webhook-endpoints/{KEY}/deliveries", "webhooks:read"),
    Operation("GET", f"/api/v1/webhook-endpoints/{KEY}/deliveries/{KEY}", "webhooks:read"),
    Operation("POST", f"/api/v1/webhook-endpoints/{KEY}/deliveries/{KEY}/resend", "webhooks:write"),
    Operation("GET", "/api/v1/webhook-secrets", "webhooks:write"),
    Operation("GET", "/api/v1/me", None),
    Operation("GET", "/api/v1/api-keys", "admin"),
    Operation("POST", "/api/v1/api-keys", "admin"),
    Operation("PATCH", f"/api/v1/api-keys/{KEY}", "admin"),
    Operation("DELETE", f"/api/v1/api-keys/{KEY}", "admin"),
    Operation("GET", "/api/v1/members", "admin"),
    Operation("POST", "/api/v1/members", "admin"),
    Operation("PATCH", f"/api/v1/members/{KEY}", "admin"),
    Operation("DELETE", f"/api/v1/members/{KEY}", "admin"),
    Operation("GET", "/api/v1/workspaces", None),
    Operation("POST", "/api/v1/workspaces", "admin"),
    Operation("GET", f"/api/v1/workspaces/{KEY}", None),
    Operation("POST", "/api/token", ""),
    Operation("POST", "/api/token/refresh", ""),
]
CLOSED = [operation for operation in OPERATIONS if operation.scope != ""]
SCOPED = [operation for operation in OPERATIONS if operation.scope]

each_closed = pytest.mark.parametrize("operation", CLOSED, ids=str)


def routes() -> Iterator[tuple[str, type[View]]]:
    """Every path of the canonical API and its view, from the URL map."""

    def walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, type[View]]]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern.url_patterns, route)
            else:
                view = getattr(pattern.callback, "cls", None)
                if isinstance(view, type) and issubclass(view, View) and view is not Nothing:
                    yield route, view

    yield from walk(get_resolver().url_patterns, "/")


def test_every_operation_has_a_case() -> None:
    served = {
        (method.upper(), route.rstrip("/").replace("<key:", "<"))
        for route, view in routes()
        for method in view.http_method_names
        if method != "head" and hasattr(view, method)
    }
    cases = set()
    for operation in OPERATIONS:
        match = get_resolver().resolve(operation.path)
        cases.add((operation.method, f"/{match.route}".replace("<key:", "<")))
    assert served == cases


def test_every_route_answers_with_and_without_a_slash() -> None:
    found = {route for route, _ in routes()}
    assert {route for route in found if not route.endswith("/")} == {r.rstrip("/") for r in found if r.endswith("/")}


@each_closed
@pytest.mark.django_db
def test_nobody_is_asked_to_say_who_they_are(operation: Operation) -> None:
    answer = Caller(make_workspace()).ask(operation.method, operation.path)
    assert_problem(answer, 401, "unauthenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


@each_closed
@pytest.mark.django_db
def test_an_unknown_key_is_refused(operation: Operation) -> None:
    answer = Caller(make_workspace(), None, f"dk_live_{'0' * 12}_{'x' * 43}").ask(operation.method, operation.path)
    assert_problem(answer, 401, "invalid_key")


@pytest.mark.parametrize("operation", SCOPED, ids=str)
@pytest.mark.django_db
def test_a_key_without_the_scope_is_refused(operation: Operation) -> None:
    caller = make_caller(scopes=sorted(SCOPES - {str(operation.scope)}))
    answer = caller.ask(operation.method, operation.path)
    assert_problem(answer, 403, "missing_scope", detail=f"This needs the scope {operation.scope}.")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.django_db
def test_each_role_reaches_what_its_scopes_say(role: Role) -> None:
    caller = make_caller(role, scopes=sorted(SCOPES))
    for operation in CLOSED:
        answer = caller.ask(operation.method, operation.path)
        refused = bool(operation.scope) and operation.scope not in ROLES[role]
        assert (answer.status_code == 403) is refused, operation
        assert answer.status_code < 500, operation


@each_closed
@pytest.mark.django_db
def test_other_methods_are_not_allowed(operation: Operation) -> None:
    caller = make_caller()
    allowed = {each.method for each in OPERATIONS if each.path == operation.path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"} - allowed:
        answer = caller.ask(method, operation.path)
        assert_problem(answer, 405, "method_not_allowed")
        assert set(answer["Allow"].split(", ")) - {"HEAD"} == allowed


@each_closed
@pytest.mark.django_db
def test_a_caller_who_takes_no_json_is_told_so(operation: Operation) -> None:
    caller = make_caller()
    assert_problem(caller.ask(operation.method, operation.path, Accept="text/html"), 406, "not_acceptable")
    for accept in ("*/*", "application/*;q=0.5", "text/html, application/problem+json", "application/json"):
        assert caller.ask(operation.method, operation.path, Accept=accept).status_code != 406


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/messages/x/y/z", "/api/token/x"])
@pytest.mark.django_db
def test_an_unknown_path_is_not_found(path: str) -> None:
    for caller in (make_caller(), Caller(make_workspace())):
        for method in ("GET", "POST"):
            assert_problem(caller.ask(method, path), 404, "not_found")


@pytest.mark.django_db
def test_a_host_that_is_not_ours_is_a_problem() -> None:
    answer = make_caller().get("/api/v1/me", Host="evil.example")
    assert_problem(answer, 400, "malformed_request")


def test_head_answers_as_get_does(caller: Caller) -> None:
    answer = caller.ask("HEAD", "/api/v1/me")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "dk_",
        "dk_live_x",
        "x" * 5000,
        "dk_live_\u00e9",
        "dk_live_000000000000_" + "x" * 42,
        "dk_prod_000000000000_" + "x" * 43,
    ],
)
@pytest.mark.django_db
def test_what_is_no_key_is_refused(raw: str) -> None:
    client = Client()
    assert client.get("/api/v1/me", headers={"X-API-Key": raw}).status_code == 401
    assert client.get("/api/v1/me", headers={"Authorization": f"Bearer {raw}"}).status_code == 401


def changed(caller: Caller) -> Caller:
    """The same key with one character of the secret replaced."""
    raw = caller.headers["X-API-Key"]
    last = "A" if raw[-1] != "A" else "B"
    return Caller(caller.workspace, caller.member, raw[:-1] + last)


def test_a_wrong_secret_is_refused(caller: Caller) -> None:
    assert_problem(changed(caller).get("/api/v1/me"), 401, "invalid_key")


@pytest.mark.parametrize(
    "change",
    [
        lambda caller: ApiKey.objects.update(revoked_at=timezone.now()),
        lambda caller: ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1)),
        lambda caller: Member.objects.all().delete(),
        lambda caller: User.objects.update(is_active=False),
    ],
    ids=["revoked", "expired", "member removed", "person inactive"],
)
def test_a_key_ends_at_once(caller: Caller, change: Any) -> None:
    read(caller.get("/api/v1/me"))
    change(caller)
    assert_problem(caller.get("/api/v1/me"), 401, "invalid_key")


def test_a_key_of_somebody_who_lost_a_role_loses_its_scopes(caller: Caller) -> None:
    Member.objects.update(role=Role.VIEWER)
    assert read(caller.get("/api/v1/me"))["scopes"] == sorted(ROLES[Role.VIEWER])
    assert_problem(caller.post("/api/v1/messages"), 403, "missing_scope")


def test_a_key_may_come_as_a_bearer_token(caller: Caller) -> None:
    answer = Client().get("/api/v1/me", headers={"Authorization": f"Bearer {caller.headers['X-API-Key']}"})
    assert answer.json()["workspace"]["id"] == str(caller.workspace.id)


def test_a_key_is_bound_to_its_workspace(caller: Caller, stranger: Caller) -> None:
    key = caller.workspace.id
    for name in (str(key), str(key).upper(), key.hex, f"ws_{key.hex}", caller.workspace.slug):
        read(caller.get("/api/v1/me", X_Workspace=name))
    for name in (str(stranger.workspace.id), stranger.workspace.slug, "nothing", ""):
        assert_problem(caller.get("/api/v1/me", X_Workspace=name), 404, "workspace_not_found")


def test_the_use_of_a_key_is_noted_once_a_minute(caller: Caller) -> None:
    read(caller.get("/api/v1/me"))
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    read(caller.get("/api/v1/me"))
    assert ApiKey.objects.get().last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
    read(caller.get("/api/v1/me"))
    assert ApiKey.objects.get().last_used_at == first


def person(token: object) -> Caller:
    caller = Caller(make_workspace())
    caller.headers = {"Authorization": f"Bearer {token}"}
    return caller


def test_a_person_enters_the_first_workspace_joined_or_the_one_named(caller: Caller) -> None:
    assert caller.member
    second = make_workspace("second")
    Member.objects.create(workspace=second, user=caller.member.user, role=Role.VIEWER)
    ann = person(AccessToken.for_user(caller.member.user))
    body = read(ann.get("/api/v1/me"))
    assert body == {
        "username": caller.member.user.username,
        "avatar_id": str(caller.member.user.avatar_id),
        "workspace": {**body["workspace"], "id": str(caller.workspace.id)},
        "role": "owner",
        "scopes": sorted(SCOPES),
        "mode": "live",
        "api_key_id": None,
    }
    for name in (str(second.id), f"ws_{second.id.hex}", second.slug):
        entered = read(ann.get("/api/v1/me", X_Workspace=name))
        assert (entered["workspace"]["slug"], entered["role"]) == (second.slug, "viewer")
    for name in (str(make_workspace().id), "nothing", str(uuid7())):
        assert_problem(ann.get("/api/v1/me", X_Workspace=name), 404, "workspace_not_found")


@pytest.mark.django_db
def test_a_person_without_a_workspace_may_do_nothing() -> None:
    user = User.objects.create_user(username="ann")
    assert_problem(person(AccessToken.for_user(user)).get("/api/v1/me"), 403, "no_workspace")


def test_tokens_that_prove_nothing_are_refused(caller: Caller) -> None:
    import jwt

    assert caller.member
    user = caller.member.user
    old = AccessToken.for_user(user)
    old.set_exp(lifetime=-timedelta(seconds=1))
    unsigned = jwt.encode(dict(AccessToken.for_user(user).payload), key="", algorithm="none")
    other = jwt.encode(dict(AccessToken.for_user(user).payload), key="x" * 40, algorithm="HS256")
    gone = AccessToken.for_user(make_member(caller.workspace).user)
    User.objects.exclude(id=user.id).delete()
    for token in (old, unsigned, other, gone, RefreshToken.for_user(user), "x", "a.b.c", "\u00e9", ""):
        assert person(token).get("/api/v1/me").status_code == 401, token
    good = AccessToken.for_user(user)
    read(person(good).get("/api/v1/me"))
    user.set_password("another password")
    user.save()
    assert_problem(person(good).get("/api/v1/me"), 401, "invalid_token")


def test_a_session_needs_the_csrf_token_to_write(caller: Caller) -> None:
    assert caller.member
    client = Client(enforce_csrf_checks=True)
    client.force_login(caller.member.user)
    assert client.get("/api/v1/me").status_code == 200
    body = {"channel": "email", "to": "a@example.com", "subject": "x", "text": "x"}
    refused = client.post("/api/v1/messages", body, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    token = "x" * 32
    client.cookies["csrftoken"] = token
    taken = client.post("/api/v1/messages", body, content_type="application/json", headers={"X-CSRFToken": token})
    assert taken.status_code == 202


@pytest.mark.django_db
def test_a_test_key_makes_no_way_to_real_providers() -> None:
    caller = make_caller(mode=Mode.TEST)
    assert caller.member
    live = {"name": "x", "scopes": ["admin"]}
    assert_problem(caller.post("/api/v1/api-keys", live), 403, "test_key")
    assert_problem(caller.post("/api/v1/workspaces", {"name": "x"}), 403, "test_key")
    member = {"username": "eve", "password": "correct horse battery", "role": "viewer"}
    assert_problem(caller.post("/api/v1/members", member), 403, "test_key")
    assert_problem(caller.ask("DELETE", f"/api/v1/members/{caller.member.id}"), 403, "test_key")
    assert read(caller.post("/api/v1/api-keys", {**live, "mode": "test"}), 201)["mode"] == "test"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/messages/{}/cancel"),
        ("POST", "/api/v1/messages/{}/retry"),
        ("PUT", "/api/messaging/messages/{}"),
        ("DELETE", "/api/messaging/messages/{}"),
        ("POST", "/api/messaging/messages/{}/cancel"),
        ("POST", "/api/messaging/messages/{}/retry"),
        ("POST", "/messages/{}/cancel"),
        ("POST", "/messages/{}/retry"),
    ],
)
def test_a_test_key_changes_messages_of_test_mode_alone(method: str, path: str) -> None:
    caller = make_caller(mode=Mode.TEST)
    live, test = (accept_message(caller.workspace, test=test) for test in (False, True))
    assert caller.ask(method, path.format(live), {}).status_code == 403
    assert Message.objects.get(id=live).status == "QUEUED"
    assert Message.objects.get(id=live).deleted_at is None
    assert caller.ask(method, path.format(test), {}).status_code in {200, 409}
