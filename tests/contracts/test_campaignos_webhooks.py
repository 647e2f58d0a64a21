"""Webhooks of the campaignos surface: kept, told, and posted to."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse

from channels_app.types import Channel
from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.models import Contact, ContactEvent, Mode, WebhookDelivery, WebhookEndpoint
from messaging.people import contacts
from messaging.state import Cause, Status
from messaging.webhooks import feeding, sending
from messaging.webhooks.deliveries import Lane
from tests.contracts.campaignos import STRANGER, home, make_contact, refused
from tests.factories import accept_message
from tests.messaging.api.callers import Caller, make_caller, nobody, read
from tests.messaging.dispatch.test_claims import at_once
from tests.peers.http import Asked, Peer, running

OPERATIONS = {
    ("GET", "/api/workspaces/{workspace_id}/webhooks"),
    ("POST", "/api/workspaces/{workspace_id}/webhooks"),
    ("GET", "/api/workspaces/{workspace_id}/webhooks/{webhook_id}"),
    ("PATCH", "/api/workspaces/{workspace_id}/webhooks/{webhook_id}"),
    ("DELETE", "/api/workspaces/{workspace_id}/webhooks/{webhook_id}"),
    ("POST", "/api/webhooks/inbound/{webhook_id}"),
}
URL = "https://hooks.example.com/told"
EVENTS = [
    *("message.queued", "message.sent", "message.delivered", "message.opened", "message.clicked", "message.bounced"),
    *("message.failed", "message.unsubscribed", "contact.created", "contact.updated", "contact.opted_out"),
]


@pytest.fixture
def caller(transactional_db: None) -> Caller:
    return make_caller()


@pytest.fixture
def stranger(transactional_db: None) -> Caller:
    return make_caller()


@pytest.fixture
def peer(settings: Any) -> Iterator[Peer]:
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    sending._adapter.cache_clear()
    with running() as peer:
        yield peer
    sending._adapter.cache_clear()


def made(caller: Caller, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = read(caller.post(f"{home(caller)}/webhooks", {"url": URL, **fields}), 201)
    return found


def tell() -> None:
    feeding.feed()
    sending.send(Lane.STEADY)


def signed(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def post(caller: Caller, hook: dict[str, Any], said: Any, signature: str | None = None) -> HttpResponse:
    body = json.dumps(said).encode()
    signature = signed(body, hook["secret"]) if signature is None else signature
    return nobody().ask("POST", f"/api/webhooks/inbound/{hook['id']}", body, X_Webhook_Signature=signature)


# Kept


def test_a_webhook_is_kept_and_its_secret_shown_once(caller: Caller) -> None:
    hook = made(caller, events=["message.failed", "contact.created"], description="CRM")
    assert hook.pop("secret").startswith("whsec_")
    assert hook == {
        "id": f"wh_{WebhookEndpoint.objects.get().id.hex}",
        "url": URL,
        "events": ["message.failed", "contact.created"],
        "description": "CRM",
        "active": True,
        "createdAt": hook["createdAt"],
        "updatedAt": hook["updatedAt"],
    }
    assert read(caller.get(f"{home(caller)}/webhooks/{hook['id']}/")) == hook
    assert read(caller.get(f"{home(caller)}/webhooks")) == {
        "data": [hook],
        "pagination": {"page": 1, "limit": 50, "total": 1, "totalPages": 1},
    }


def test_without_events_it_is_all_of_this_surface(caller: Caller) -> None:
    assert made(caller)["events"] == EVENTS


def test_a_webhook_is_changed_in_parts_and_deleted(caller: Caller) -> None:
    path = f"{home(caller)}/webhooks/{made(caller)['id']}"
    changed = read(caller.ask("PATCH", path, {"events": ["contact.updated"], "active": False, "description": None}))
    assert (changed["events"], changed["active"], changed["description"]) == (["contact.updated"], False, None)
    assert read(caller.ask("DELETE", path)) == {"success": True}
    refused(caller.get(path), 404, "NOT_FOUND", reason="webhook_endpoint_not_found")


def test_webhooks_of_others_and_endpoints_of_another_shape_are_not_here(caller: Caller, stranger: Caller) -> None:
    other = made(stranger)["id"]
    plain = json.loads(caller.post("/api/v1/webhook-endpoints", {"url": URL}).content)["id"]
    for key in (other, plain, f"wh_{STRANGER.hex}"):
        for method in ("GET", "DELETE"):
            path = f"{home(caller)}/webhooks/{key}"
            refused(caller.ask(method, path), 404, "NOT_FOUND", reason="webhook_endpoint_not_found")
    assert read(caller.get(f"{home(caller)}/webhooks"))["data"] == []


@pytest.mark.parametrize(
    ("fields", "reason", "places"),
    [
        ({"url": "http://127.0.0.1/"}, "url_refused", ["url"]),
        ({"url": "http://localhost/"}, "url_refused", ["url"]),
        ({"url": "x"}, "invalid_url", ["url"]),
        ({"events": ["message.sending"]}, None, ["events.0"]),
        ({"events": ["message.cancelled"]}, None, ["events.0"]),
        ({"secret": "mine"}, None, ["secret"]),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(
    caller: Caller, fields: dict[str, Any], reason: str | None, places: list[str]
) -> None:
    answer = caller.post(f"{home(caller)}/webhooks", {"url": URL, **fields})
    assert answer.status_code == 400, answer.content
    error = json.loads(answer.content)["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert sorted(error["details"]["fields"]) in (places, ["events"])
    assert error["details"].get("reason") == reason


def test_a_scope_is_needed_for_what_is_told(caller: Caller) -> None:
    path = f"{home(caller)}/webhooks"
    for scopes in (["webhooks:read"], ["webhooks:write"], ["webhooks:write", "contacts:read", "contacts:write"]):
        other = make_caller(workspace=caller.workspace, scopes=scopes)
        refused(other.post(path, {"url": URL}), 403, "FORBIDDEN", reason="missing_scope")
    refused(nobody().get(path), 401, "UNAUTHORIZED")


# Told


def told(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asked.body)
    return found


def test_a_message_is_told_in_the_words_of_this_surface(caller: Caller, peer: Peer) -> None:
    hook = made(caller, url=peer.url("/told"))
    key = accept_message(caller.workspace)
    tell()
    (asked,) = peer.requests
    body = told(asked)
    row = read(caller.get(f"{home(caller)}/messages"))["data"][0]
    assert body == {"event": "message.queued", "timestamp": body["timestamp"], "data": row}
    assert row["id"] == f"msg_{key.hex}"
    assert asked.header("x-webhook-event") == "message.queued"
    assert asked.header("x-webhook-delivery") == f"evt_{WebhookDelivery.objects.get().event_id.hex}"
    assert asked.header("x-webhook-signature") == signed(asked.body, hook["secret"])


def test_what_was_cancelled_has_failed(caller: Caller, peer: Peer) -> None:
    made(caller, url=peer.url(), events=["message.failed"])
    transitions.advance_many([Move(id=accept_message(caller.workspace), to=Status.CANCELLED)], cause=Cause.API)
    tell()
    (asked,) = peer.requests
    assert (told(asked)["event"], told(asked)["data"]["status"]) == ("message.failed", "FAILED")


def test_messages_on_channels_that_are_not_shown_here_are_not_told(caller: Caller, peer: Peer) -> None:
    made(caller, url=peer.url())
    accept_message(caller.workspace, "+41791234567", channel=Channel.SMS, subject="")
    tell()
    assert peer.requests == []


def test_contacts_are_told_of_as_they_change(caller: Caller, peer: Peer) -> None:
    made(caller, url=peer.url(), events=["contact.created", "contact.updated", "contact.opted_out"])
    person = make_contact(caller, first_name="Ann")
    contacts.update(workspace_id=caller.workspace.id, contact_id=person.id, fields={"last_name": "Lee"})
    for _ in range(2):
        caller.ask("PUT", f"/api/v1/contacts/{person.id}/consent", {"channel": "email", "status": "opted_out"})
    tell()
    found = {told(each)["event"]: told(each)["data"] for each in peer.requests}
    assert len(peer.requests) == 3
    whole = {
        "id": f"ct_{person.id.hex}",
        "email": "ann@example.com",
        "phone": None,
        "firstName": "Ann",
        "lastName": "Lee",
    }
    assert found == {
        "contact.created": whole,
        "contact.updated": whole,
        "contact.opted_out": {**whole, "channel": "EMAIL", "category": "*"},
    }


def test_contacts_of_others_are_not_told_of(caller: Caller, stranger: Caller, peer: Peer) -> None:
    made(caller, url=peer.url())
    make_contact(stranger)
    tell()
    assert peer.requests == []


# Posted to


def test_what_another_system_says_becomes_an_event_of_a_contact(caller: Caller) -> None:
    hook = made(caller)
    said = {"type": "order.paid", "email": "Ann@Example.com", "firstName": "Ann", "metadata": {"total": 7}}
    body = read(post(caller, hook, said), 201)
    person, event = Contact.objects.get(), ContactEvent.objects.get(type="order.paid")
    assert body == {"success": True, "eventId": f"evt_{event.id.hex}", "contactId": f"ct_{person.id.hex}"}
    assert (person.email, person.first_name, event.metadata) == ("Ann@example.com", "Ann", {"total": 7})
    again = read(post(caller, hook, {"type": "order.sent", "email": person.email, "lastName": "Lee"}), 201)
    assert again["contactId"] == body["contactId"]
    assert Contact.objects.get().name == "Ann Lee"
    unknown = read(post(caller, hook, {"type": "page.seen"}), 201)
    assert unknown["contactId"] is None


@pytest.mark.usefixtures("transactional_db")
def test_what_is_said_of_one_person_at_once_makes_one_contact() -> None:
    caller = make_caller()
    hook, people = made(caller), f"{home(caller)}/contacts"
    said = {"type": "order.paid", "email": "ann@example.com", "phone": "+12025550123"}
    row = {"email": "ANN@example.com", "firstName": "Ann"}
    answers = at_once(
        *[lambda: post(caller, hook, said)] * 4,
        *[lambda: caller.post(f"{people}/import", {"contacts": [row]})] * 4,
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [201] * 4
    assert Contact.objects.count() == 1
    assert ContactEvent.objects.filter(type="order.paid").count() == 4


def test_what_is_not_signed_by_the_secret_is_refused(caller: Caller, stranger: Caller) -> None:
    hook, other = made(caller), made(stranger)
    said = {"type": "order.paid", "email": "ann@example.com"}
    body = json.dumps(said).encode()
    for signature in ("", "0" * 64, "\xff", signed(body, other["secret"]), signed(body + b" ", hook["secret"])):
        refused(post(caller, hook, said, signature), 401, "UNAUTHORIZED", reason="invalid_signature")
    refused(post(caller, {**hook, "id": f"wh_{STRANGER.hex}"}, said), 404, "NOT_FOUND", reason="webhook_not_found")
    caller.ask("PATCH", f"{home(caller)}/webhooks/{hook['id']}", {"active": False})
    refused(post(caller, hook, said), 404, "NOT_FOUND", reason="webhook_not_found")
    assert not Contact.objects.exists()


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"type": ""},
        {"type": "a b"},
        {"type": "consent.opted_in"},
        {"type": "x", "email": "nobody"},
        {"type": "x", "a": 1},
        [],
    ],
)
def test_what_cannot_be_noted_is_refused(caller: Caller, said: Any) -> None:
    answer = post(caller, made(caller), said)
    assert answer.status_code == 400, answer.content
    assert not Contact.objects.exists()


def test_a_test_key_makes_webhooks_of_test_mode(caller: Caller) -> None:
    made(make_caller(workspace=caller.workspace, mode=Mode.TEST))
    assert WebhookEndpoint.objects.get().test
