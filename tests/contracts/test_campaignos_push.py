"""Push subscriptions of the campaignos surface."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.models import PushSubscription
from tests.contracts.campaignos import STRANGER, home, make_contact, refused
from tests.messaging.api.callers import Caller, make_caller, nobody, read

OPERATIONS = {
    ("GET", "/api/workspaces/{workspace_id}/push"),
    ("POST", "/api/workspaces/{workspace_id}/push"),
}
KEYS = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}
"""A browser's, from RFC 8291."""
ENDPOINT = "https://push.example.com/1"


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def stranger(db: None) -> Caller:
    return make_caller()


def given(caller: Caller, **fields: Any) -> dict[str, Any]:
    known = {} if "contactId" in fields else {"contactId": f"ct_{make_contact(caller).id.hex}"}
    return {**known, "endpoint": ENDPOINT, **KEYS, **fields}


def test_a_subscription_is_kept_and_listed_without_its_keys(caller: Caller) -> None:
    wanted = given(caller, topic="deals")
    body = read(caller.post(f"{home(caller)}/push", wanted), 201)
    assert body == {
        "id": f"ps_{PushSubscription.objects.get().id.hex}",
        "topic": "deals",
        "active": True,
        "createdAt": body["createdAt"],
        "contact": {
            "id": wanted["contactId"],
            "email": "ann@example.com",
            "phone": None,
            "firstName": None,
            "lastName": None,
        },
    }
    assert read(caller.get(f"{home(caller)}/push")) == [body]
    assert read(caller.get(f"{home(caller)}/push/?contactId={wanted['contactId']}")) == [body]
    assert read(caller.get(f"{home(caller)}/push?contactId=ct_{STRANGER.hex}")) == []


def test_an_endpoint_that_is_known_is_taken_over(caller: Caller) -> None:
    first = read(caller.post(f"{home(caller)}/push", given(caller)), 201)
    wanted = given(caller)
    second = read(caller.post(f"{home(caller)}/push", wanted))
    assert second == {**first, "contact": {**first["contact"], "id": wanted["contactId"]}}


def test_subscriptions_are_listed_newest_first_in_pages(caller: Caller) -> None:
    rows = [read(caller.post(f"{home(caller)}/push", given(caller, endpoint=f"{ENDPOINT}{n}")), 201) for n in range(3)]
    assert read(caller.get(f"{home(caller)}/push")) == rows[::-1]
    assert read(caller.get(f"{home(caller)}/push?page=2&limit=2")) == rows[:1]


@pytest.mark.parametrize(
    ("fields", "reason", "places"),
    [
        ({"endpoint": "http://push.example.com"}, "invalid_recipient", ["endpoint"]),
        ({"endpoint": "x"}, "invalid_recipient", ["endpoint"]),
        ({"p256dh": "AAAA"}, "invalid_key", ["p256dh"]),
        ({"p256dh": "B" + "A" * 86}, "invalid_key", ["p256dh"]),
        ({"auth": "AAAA"}, "invalid_key", ["auth"]),
        ({"auth": ""}, None, ["auth"]),
        ({"topic": "x" * 101}, None, ["topic"]),
        ({"keys": {}}, None, ["keys"]),
    ],
)
def test_a_bad_subscription_is_refused(
    caller: Caller, fields: dict[str, Any], reason: str | None, places: list[str]
) -> None:
    answer = caller.post(f"{home(caller)}/push", given(caller, **fields))
    refused(answer, 400, "VALIDATION_ERROR", reason=reason, fields=places)
    assert not PushSubscription.objects.exists()


def test_what_is_missing_is_named(caller: Caller) -> None:
    for name in ("contactId", "endpoint", "p256dh", "auth"):
        body = {key: value for key, value in given(caller).items() if key != name}
        refused(caller.post(f"{home(caller)}/push", body), 400, "VALIDATION_ERROR", fields=[name])


def test_a_subscription_of_a_contact_elsewhere_is_refused(caller: Caller, stranger: Caller) -> None:
    for key in (f"ct_{make_contact(stranger).id.hex}", f"ct_{STRANGER.hex}", "x"):
        answer = caller.post(f"{home(caller)}/push", given(caller, contactId=key))
        refused(answer, 404, "NOT_FOUND", reason="contact_not_found")


@pytest.mark.parametrize("query", ["limit=201", "contactId=x", "topic=a"])
def test_a_bad_parameter_is_refused_by_name(caller: Caller, query: str) -> None:
    body = read(caller.get(f"{home(caller)}/push?{query}"), 400)
    assert list(body["error"]["details"]["fields"]) == [query.partition("=")[0]]


@pytest.mark.parametrize(("method", "scope"), [("GET", "contacts:read"), ("POST", "contacts:write")])
def test_a_stranger_a_foreign_workspace_and_a_lacking_scope_are_refused(
    caller: Caller, stranger: Caller, method: str, scope: str
) -> None:
    path = f"{home(caller)}/push"
    refused(nobody().ask(method, path, {}), 401, "UNAUTHORIZED")
    refused(stranger.ask(method, path, {}), 404, "NOT_FOUND", reason="workspace_not_found")
    other = "contacts:write" if scope == "contacts:read" else "contacts:read"
    lacking = make_caller(workspace=caller.workspace, scopes=[other])
    refused(lacking.ask(method, path, {}), 403, "FORBIDDEN", reason="missing_scope")
