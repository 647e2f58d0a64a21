"""Signing in with a browser, writing with the CSRF token, signing out; and what the platform says to everybody."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken

from messaging.models import Member, Role
from messaging.tenancy import attempts
from tests.contracts.campaignos import home, refused
from tests.contracts.forms import Form
from tests.factories import make_member, make_user, make_workspace
from tests.messaging.api.callers import JSON, Caller, make_caller, nobody, read

PASSWORD = "correct horse"


class Browser:
    """Somebody with a cookie jar, whom Django's CSRF checks do not spare."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = b"" if body is None else json.dumps(body).encode()
        answer: Any = self.client.generic(method, path, data, content_type=JSON, headers=sent)
        return answer  # type: ignore[no-any-return]

    def sign_in(self, username: str) -> str:
        """Begin a session and give its CSRF token."""
        answer = self.ask("POST", "/api/auth/login", {"username": username, "password": PASSWORD})
        return str(read(answer)["csrfToken"])


@pytest.fixture
def member(db: None) -> Member:
    cache.clear()
    return make_member(make_workspace(), Role.OWNER, username="ann", email="ann@example.com")


@pytest.fixture
def browser(db: None) -> Browser:
    return Browser()


@pytest.mark.parametrize("named", [{"username": "ann"}, {"email": "Ann@Example.com"}])
def test_a_person_signs_in_by_username_or_address(member: Member, browser: Browser, named: dict[str, str]) -> None:
    answer = browser.ask("POST", "/api/auth/login", {**named, "password": PASSWORD})
    body = read(answer)
    assert body == {
        "success": True,
        "user": {"avatarId": str(member.user.avatar_id), "username": "ann", "email": "ann@example.com"},
        "csrfToken": Form("a token", r"[A-Za-z0-9]{64}"),
    }
    assert {"sessionid", "csrftoken"} <= set(answer.cookies)
    assert answer.cookies["sessionid"]["httponly"]
    assert read(browser.ask("GET", f"{home(member.workspace)}/messages"))["data"] == []


def test_writing_needs_the_token_that_the_answer_gave(member: Member, browser: Browser) -> None:
    token = browser.sign_in("ann")
    path, wanted = home(member.workspace), {"name": "Acme Inc"}
    answer = browser.ask("PATCH", path, wanted)
    refused(answer, 403, "FORBIDDEN", message="CSRF Failed: CSRF token missing.", reason="csrf_failed")
    answer = browser.ask("PATCH", path, wanted, X_CSRFToken="x" * 64)
    refused(answer, 403, "FORBIDDEN", reason="csrf_failed")
    assert read(browser.ask("PATCH", path, wanted, X_CSRFToken=token))["name"] == "Acme Inc"
    # The cookie holds a token too, as scripts of the page read it.
    cookie = browser.client.cookies["csrftoken"].value
    assert read(browser.ask("PATCH", path, {"name": "Acme"}, X_CSRFToken=cookie))["name"] == "Acme"


@pytest.mark.parametrize("kind", [JSON, "text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize("body", [b"{}", b"hello", b"\xff", b"csrfmiddlewaretoken="])
def test_the_token_is_not_looked_for_in_bodies_whatever_they_are(
    member: Member, browser: Browser, kind: str, body: bytes
) -> None:
    token = browser.sign_in("ann")
    if body.endswith(b"="):
        body += token.encode()
    for path in ("/api/auth/logout", f"{home(member.workspace)}/messages"):
        answer: Any = browser.client.generic("POST", path, body, content_type=kind)
        refused(answer, 403, "FORBIDDEN", message="CSRF Failed: CSRF token missing.", reason="csrf_failed")
    answer = browser.client.generic("POST", "/api/auth/logout", body, kind, headers={"X-CSRFToken": token})
    assert read(answer) == {"success": True}


def test_a_session_says_whose_it_is_and_gives_a_token(member: Member, browser: Browser) -> None:
    refused(browser.ask("GET", "/api/auth/session"), 401, "UNAUTHORIZED", message="There is no session.")
    browser.sign_in("ann")
    body = read(browser.ask("GET", "/api/auth/session"))
    assert body == {
        "success": True,
        "user": {"avatarId": str(member.user.avatar_id), "username": "ann", "email": "ann@example.com"},
        "csrfToken": Form("a token", r"[A-Za-z0-9]{64}"),
    }
    answer = browser.ask("PATCH", home(member.workspace), {"name": "Acme"}, X_CSRFToken=body["csrfToken"])
    assert answer.status_code == 200


def test_signing_out_ends_the_session(member: Member, browser: Browser) -> None:
    token = browser.sign_in("ann")
    refused(browser.ask("POST", "/api/auth/logout"), 403, "FORBIDDEN", reason="csrf_failed")
    assert read(browser.ask("POST", "/api/auth/logout/", X_CSRFToken=token)) == {"success": True}
    refused(browser.ask("GET", f"{home(member.workspace)}/messages"), 401, "UNAUTHORIZED")
    refused(browser.ask("POST", "/api/auth/logout", X_CSRFToken=token), 401, "UNAUTHORIZED")


def test_a_person_without_a_workspace_signs_in_and_out(browser: Browser) -> None:
    make_user("solo")
    token = browser.sign_in("solo")
    answer = browser.ask("GET", "/api/workspaces")
    refused(answer, 403, "FORBIDDEN", message="You are a member of no workspace.", reason="no_workspace")
    assert read(browser.ask("POST", "/api/auth/logout", X_CSRFToken=token)) == {"success": True}


@pytest.mark.parametrize(
    "given",
    [
        {"username": "ann", "password": "wrong"},
        {"username": "nobody", "password": PASSWORD},
        {"email": "nobody@example.com", "password": PASSWORD},
        {"email": "ann", "password": PASSWORD + "x"},
    ],
)
def test_a_wrong_name_or_password_is_not_told_apart(member: Member, browser: Browser, given: dict[str, str]) -> None:
    answer = browser.ask("POST", "/api/auth/login", given)
    refused(answer, 401, "UNAUTHORIZED", message="The username or the password is wrong.", reason="invalid_credentials")
    assert not answer.cookies


def test_an_address_of_two_people_names_neither(member: Member, browser: Browser) -> None:
    make_user("other", email="ann@example.com")
    answer = browser.ask("POST", "/api/auth/login", {"email": "ann@example.com", "password": PASSWORD})
    refused(answer, 401, "UNAUTHORIZED", reason="invalid_credentials")


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"password": "x"}, "username", "required"),
        ({"username": "ann", "email": "ann@example.com", "password": "x"}, "username", "required"),
        ({"username": "ann"}, "password", None),
        ({"username": "ann", "password": "x", "remember": True}, "remember", None),
    ],
)
def test_half_a_sign_in_is_refused(
    member: Member, browser: Browser, given: dict[str, Any], field: str, reason: str | None
) -> None:
    refused(browser.ask("POST", "/api/auth/login", given), 400, "VALIDATION_ERROR", reason=reason, fields=[field])


def test_after_too_many_tries_comes_a_pause_by_whichever_name(member: Member, browser: Browser) -> None:
    for number in range(attempts.TRIES):
        named = {"username": "ann"} if number % 2 else {"email": "ann@example.com"}
        assert browser.ask("POST", "/api/auth/login", {**named, "password": "wrong"}).status_code == 401
    answer = browser.ask("POST", "/api/auth/login", {"username": "ann", "password": PASSWORD})
    refused(answer, 429, "RATE_LIMITED", message="Too many tries to sign in.")
    assert answer["Retry-After"] == str(attempts.PAUSE_SECONDS)


def test_a_form_of_another_site_cannot_sign_in(member: Member, browser: Browser) -> None:
    answer: Any = browser.client.post("/api/auth/login", {"username": "ann", "password": PASSWORD})
    refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_token_that_has_expired_is_refused(member: Member) -> None:
    token = AccessToken.for_user(member.user)
    token.set_exp(from_time=datetime.now(UTC) - timedelta(days=2), lifetime=timedelta(minutes=1))
    caller = Caller(member.workspace)
    answer = caller.get(f"{home(caller)}/messages", Authorization=f"Bearer {token}")
    refused(answer, 401, "UNAUTHORIZED", message="The token is invalid or has expired.")


def test_a_key_is_never_read_from_the_address(db: None) -> None:
    caller = make_caller()
    answer = nobody().get(f"{home(caller)}/messages?key={caller.headers['X-API-Key']}")
    refused(answer, 401, "UNAUTHORIZED")


def test_everybody_may_ask_whether_the_server_answers(db: None) -> None:
    body = read(nobody().get("/api/health"))
    assert body == {"status": "ok", "timestamp": body["timestamp"], "version": "1"}
    assert abs(datetime.fromisoformat(body["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_everybody_may_read_the_description(db: None) -> None:
    body = read(nobody().get("/api/openapi/"))
    assert (body["openapi"], body["info"]["title"]) == ("3.1.0", "CampaignOS workspaces")
    assert body == read(nobody().get("/api/schema/campaignos/"))
    assert "requestBody" in body["paths"]["/api/workspaces/{workspace_id}/keys"]["delete"]
