"""POST /api/token and /api/token/refresh."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from pytest_django import Settings

from messaging.tenancy import attempts
from tests.messaging.api.callers import Caller, assert_problem, nobody, read

PASSWORD = "correct horse"


@pytest.fixture
def caller(caller: Caller, settings: Settings) -> Caller:
    """A member with a password, who has not tried to sign in before."""
    cache.clear()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    assert caller.member
    caller.member.user.set_password(PASSWORD)
    caller.member.user.save()
    return caller


def sign_in(username: str, password: str = PASSWORD) -> Any:
    return nobody().post("/api/token/", {"username": username, "password": password})


def name_of(caller: Caller) -> str:
    assert caller.member
    return caller.member.user.username


def test_a_person_signs_in_and_goes_on(caller: Caller) -> None:
    pair = read(sign_in(name_of(caller)))
    assert set(pair) == {"access", "refresh"}
    other = nobody()
    other.headers = {"Authorization": f"Bearer {pair['access']}"}
    assert read(other.get("/api/v1/me"))["username"] == name_of(caller)
    fresh = read(nobody().post("/api/token/refresh/", {"refresh": pair["refresh"]}))
    other.headers = {"Authorization": f"Bearer {fresh['access']}"}
    assert read(other.get("/api/v1/me"))["username"] == name_of(caller)


def test_a_wrong_password_and_an_unknown_name_look_alike(caller: Caller) -> None:
    first = assert_problem(sign_in(name_of(caller), "wrong"), 401, "invalid_credentials")
    second = assert_problem(sign_in("nobody"), 401, "invalid_credentials")
    assert first["detail"] == second["detail"]


def test_somebody_who_left_cannot_sign_in(caller: Caller) -> None:
    assert caller.member
    pair = read(sign_in(name_of(caller)))
    caller.member.user.is_active = False
    caller.member.user.save()
    assert_problem(sign_in(name_of(caller)), 401, "invalid_credentials")
    assert_problem(nobody().post("/api/token/refresh", {"refresh": pair["refresh"]}), 401, "invalid_token")


def test_a_changed_password_ends_refresh_tokens(caller: Caller) -> None:
    assert caller.member
    pair = read(sign_in(name_of(caller)))
    caller.member.user.set_password("another password")
    caller.member.user.save()
    assert_problem(nobody().post("/api/token/refresh", {"refresh": pair["refresh"]}), 401, "invalid_token")


def test_an_access_token_refreshes_nothing(caller: Caller) -> None:
    pair = read(sign_in(name_of(caller)))
    assert_problem(nobody().post("/api/token/refresh", {"refresh": pair["access"]}), 401, "invalid_token")
    assert_problem(nobody().post("/api/token/refresh", {"refresh": "x"}), 401, "invalid_token")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"username": "a"}, 422, "validation_error"),
        ({"username": "a", "password": "b", "c": "d"}, 422, "validation_error"),
        ({"username": "a\0", "password": "b"}, 422, "nul_character"),
        ({"username": "a", "password": 1}, 422, "validation_error"),
        (b"{", 400, "malformed_json"),
    ],
)
def test_bad_input_is_a_problem(body: Any, status: int, code: str) -> None:
    answer = nobody().post("/api/token", body)
    assert (answer.status_code, code in answer.content.decode()) == (status, True)


def test_guessing_is_slowed(caller: Caller) -> None:
    for _ in range(attempts.TRIES):
        assert sign_in(name_of(caller), "wrong").status_code == 401
    answer = sign_in(name_of(caller))
    assert_problem(answer, 429, "rate_limited")
    assert int(answer["Retry-After"]) > 0
    assert sign_in("somebody else", "wrong").status_code == 401


@pytest.mark.parametrize("trusted", [True, False])
def test_behind_a_proxy_that_is_trusted_nobody_locks_another_visitor_out(
    caller: Caller, settings: Settings, trusted: bool
) -> None:
    settings.TRUST_PROXY = trusted
    body = {"username": name_of(caller), "password": PASSWORD}
    for number in range(attempts.TRIES):
        # What stands before the proxy's own word is the visitor's.
        wrong = {**body, "password": "wrong"}
        assert nobody().post("/api/token", wrong, X_Forwarded_For=f"10.0.0.{number}, 198.51.100.1").status_code == 401
    assert_problem(nobody().post("/api/token", body, X_Forwarded_For="198.51.100.1"), 429, "rate_limited")
    elsewhere = nobody().post("/api/token", body, X_Forwarded_For="198.51.100.1, 198.51.100.2")
    assert elsewhere.status_code == (200 if trusted else 429)


def test_a_success_forgets_the_failures_before(caller: Caller) -> None:
    for _ in range(attempts.TRIES - 1):
        sign_in(name_of(caller), "wrong")
    read(sign_in(name_of(caller)))
    assert sign_in(name_of(caller), "wrong").status_code == 401


def test_without_the_cache_people_still_sign_in(caller: Caller, settings: Settings) -> None:
    away = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": away}
    read(sign_in(name_of(caller)))
