"""Events of the campaignos surface: what contacts and visitors did."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.models import ContactEvent
from tests.contracts.campaignos import STRANGER, home, make_contact, refused
from tests.messaging.api.callers import Caller, make_caller, nobody, read

OPERATIONS = {
    ("GET", "/api/workspaces/{workspace_id}/events"),
    ("POST", "/api/workspaces/{workspace_id}/events"),
}


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def stranger(db: None) -> Caller:
    return make_caller()


def track(caller: Caller, **fields: Any) -> dict[str, Any]:
    return dict(read(caller.post(f"{home(caller)}/events", {"type": "page_view", **fields}), 201))


def events(caller: Caller, query: str = "") -> list[Any]:
    return list(read(caller.get(f"{home(caller)}/events{query}")))


def test_an_event_of_a_contact_is_noted(caller: Caller) -> None:
    contact = make_contact(caller, first_name="Ann", last_name="Smith", phone="+12025550123")
    given = {
        "type": "purchase",
        "metadata": {"total": 12.5},
        "sessionId": "s1",
        "pageUrl": "https://shop.example.com/x",
        "referrer": "https://example.com",
        "utmSource": "news",
        "utmMedium": "email",
        "utmCampaign": "spring",
    }
    body = track(caller, **given, contactId=f"ct_{contact.id.hex}")
    assert body == {
        **given,
        "id": f"evt_{ContactEvent.objects.get().id.hex}",
        "timestamp": body["timestamp"],
        "contact": {
            "id": f"ct_{contact.id.hex}",
            "email": "ann@example.com",
            "phone": "+12025550123",
            "firstName": "Ann",
            "lastName": "Smith",
        },
    }
    assert events(caller) == [body]
    assert read(caller.get(f"{home(caller)}/events/")) == [body]


def test_an_event_of_nobody_who_is_known_is_noted(caller: Caller) -> None:
    body = track(caller)
    assert body == {
        "id": body["id"],
        "type": "page_view",
        "metadata": {},
        "timestamp": body["timestamp"],
        **dict.fromkeys(("sessionId", "pageUrl", "referrer", "utmSource", "utmMedium", "utmCampaign")),
        "contact": None,
    }


def test_events_are_listed_newest_first_by_contact_and_type(caller: Caller, stranger: Caller) -> None:
    contact = f"ct_{make_contact(caller).id.hex}"
    first, second, third = (
        track(caller, contactId=contact),
        track(caller, type="purchase", contactId=contact),
        track(caller),
    )
    track(stranger)
    assert events(caller) == [third, second, first]
    assert events(caller, f"?contactId={contact}") == [second, first]
    assert events(caller, f"?contactId={contact}&type=page_view") == [first]
    assert events(caller, "?limit=1") == [third]
    assert events(caller, f"?contactId=ct_{STRANGER.hex}") == []


@pytest.mark.parametrize("query", ["limit=201", "limit=0", "limit=x", "contactId=x", "page=1"])
def test_a_bad_parameter_is_refused_by_name(caller: Caller, query: str) -> None:
    body = read(caller.get(f"{home(caller)}/events?{query}"), 400)
    assert body["error"]["code"] == "VALIDATION_ERROR"
    assert list(body["error"]["details"]["fields"]) == [query.partition("=")[0]]


@pytest.mark.parametrize(
    ("fields", "reason", "places"),
    [
        ({"type": None}, None, ["type"]),
        ({"type": ""}, None, ["type"]),
        ({"type": "a b"}, "invalid_value", ["type"]),
        ({"type": "consent.opted_in"}, "reserved", ["type"]),
        ({"metadata": []}, None, ["metadata"]),
        ({"metadata": {"a": "b" * 33_000}}, "too_long", ["metadata"]),
        ({"pageUrl": "a\nb"}, "control_character", ["pageUrl"]),
        ({"utmSource": "x" * 2049}, None, ["utmSource"]),
        ({"score": 1}, None, ["score"]),
    ],
)
def test_a_bad_event_is_refused(caller: Caller, fields: dict[str, Any], reason: str | None, places: list[str]) -> None:
    answer = caller.post(f"{home(caller)}/events", {"type": "page_view", **fields})
    refused(answer, 400, "VALIDATION_ERROR", reason=reason, fields=places)
    assert not ContactEvent.objects.exists()


def test_an_event_without_a_type_is_refused(caller: Caller) -> None:
    refused(caller.post(f"{home(caller)}/events", {}), 400, "VALIDATION_ERROR", fields=["type"])


def test_an_event_of_a_contact_elsewhere_is_refused(caller: Caller, stranger: Caller) -> None:
    for key in (f"ct_{make_contact(stranger).id.hex}", f"ct_{STRANGER.hex}", "x"):
        answer = caller.post(f"{home(caller)}/events", {"type": "seen", "contactId": key})
        refused(answer, 404, "NOT_FOUND", reason="contact_not_found")


@pytest.mark.parametrize(("method", "scope"), [("GET", "contacts:read"), ("POST", "contacts:write")])
def test_a_stranger_a_foreign_workspace_and_a_lacking_scope_are_refused(
    caller: Caller, stranger: Caller, method: str, scope: str
) -> None:
    path = f"{home(caller)}/events"
    refused(nobody().ask(method, path, {}), 401, "UNAUTHORIZED")
    refused(stranger.ask(method, path, {}), 404, "NOT_FOUND", reason="workspace_not_found")
    other = "contacts:write" if scope == "contacts:read" else "contacts:read"
    lacking = make_caller(workspace=caller.workspace, scopes=[other])
    refused(lacking.ask(method, path, {}), 403, "FORBIDDEN", reason="missing_scope")
