"""Suppressions and push subscriptions over HTTP."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from messaging.models import PushSubscription, Suppression
from messaging.models.keys import uuid7
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read
from tests.messaging.people.rows import make_contact, suppress

SUPPRESSIONS, SUBSCRIPTIONS = "/api/v1/suppressions", "/api/v1/push-subscriptions"
SEND = {"channel": "email", "to": "ann@example.com", "subject": "Hi", "text": "Hi"}


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


POINT = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
KEYS = {"p256dh": POINT, "auth": encoded(b"a" * 16)}
ENDPOINT = "https://push.example.com/send/1"


def test_an_address_is_put_on_the_list_and_taken_off_it(caller: Caller) -> None:
    made = read(caller.post(SUPPRESSIONS, {"channel": "email", "address": "ann@EXAMPLE.com"}), 201)
    assert caller.member
    avatar = str(caller.member.user.avatar_id)
    assert made == {
        "id": made["id"],
        "channel": "email",
        "address": "ann@example.com",
        "category": "*",
        "reason": "manual",
        "message_id": None,
        "contact_id": None,
        "created_at": made["created_at"],
        "created_by": avatar,
        "lifted_at": None,
        "lifted_by": None,
    }
    assert read(caller.post("/api/v1/messages", SEND), 202)["error"]["code"] == "suppressed"
    assert read(caller.get(SUPPRESSIONS))["results"] == [made]

    other = make_caller(workspace=caller.workspace)
    for who in (caller, other):
        assert who.ask("DELETE", f"{SUPPRESSIONS}/{made['id']}").status_code == 204
    lifted = read(caller.get(f"{SUPPRESSIONS}/{made['id']}"))
    assert lifted == {**made, "lifted_at": lifted["lifted_at"], "lifted_by": avatar}
    assert lifted["lifted_at"] >= made["created_at"]
    assert read(caller.get(SUPPRESSIONS))["results"] == []
    assert read(caller.get(f"{SUPPRESSIONS}?active=false"))["results"] == [lifted]
    assert read(caller.post("/api/v1/messages", SEND), 202)["status"] == "QUEUED"
    again = read(caller.post(SUPPRESSIONS, {"channel": "email", "address": "ann@example.com"}), 201)
    assert again["id"] != made["id"]


def test_an_address_that_stands_there_already_is_given_as_it_is(caller: Caller) -> None:
    body = {"channel": "sms", "address": "+12025550111", "category": "news", "reason": "opted_out"}
    made = read(caller.post(SUPPRESSIONS, body), 201)
    assert read(caller.post(SUPPRESSIONS, {**body, "address": "+1 (202) 555-0111"}), 200) == made
    assert Suppression.objects.count() == 1


def test_a_contact_is_suppressed_by_its_address(caller: Caller) -> None:
    contact = make_contact(caller.workspace, external_id="crm-1")
    made = read(caller.post(SUPPRESSIONS, {"channel": "email", "contact_id": "crm-1"}), 201)
    assert (made["address"], made["contact_id"]) == ("ann@example.com", str(contact.id))


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        ({"channel": "email"}, "required", ("/address", "required")),
        ({"channel": "email", "address": "x"}, "invalid_recipient", ("/address", "invalid_recipient")),
        ({"channel": "pigeon", "address": "x"}, "validation_error", ("/channel", "invalid_choice")),
        (
            {"channel": "email", "address": "a@example.com", "reason": "mood"},
            "validation_error",
            ("/reason", "invalid_choice"),
        ),
        (
            {"channel": "email", "address": "a@example.com", "category": "a\nb"},
            "control_character",
            ("/category", "control_character"),
        ),
        ({"channel": "email", "contact_id": "nobody"}, "contact_not_found", ("/contact_id", "contact_not_found")),
        ({"channel": "sms", "contact_id": "crm-1"}, "contact_unreachable", ("/contact_id", "contact_unreachable")),
    ],
)
def test_a_bad_suppression_is_refused(caller: Caller, body: dict[str, Any], code: str, place: tuple[str, str]) -> None:
    make_contact(caller.workspace, external_id="crm-1")
    assert_problem(caller.post(SUPPRESSIONS, body), 422, code, place)
    assert not Suppression.objects.exists()


def test_the_list_is_narrowed_and_paged_newest_first(caller: Caller, stranger: Caller) -> None:
    first = suppress(caller.workspace)
    second = suppress(caller.workspace, reason="manual", channel="sms", address="+12025550111")
    third = suppress(caller.workspace, "news", "opted_out")
    suppress(stranger.workspace)

    def listed(query: str) -> list[str]:
        return [each["id"] for each in read(caller.get(f"{SUPPRESSIONS}?{query}"))["results"]]

    assert listed("") == [str(row.id) for row in (third, second, first)]
    assert listed("channel=sms") == [str(second.id)]
    assert listed("reason=bounced") == [str(first.id)]
    assert listed("address=ann@Example.com") == [str(third.id), str(first.id)]
    assert listed("address=%2B1-202-555-0111&channel=sms") == [str(second.id)]
    assert listed("active=false") == []
    page = read(caller.get(f"{SUPPRESSIONS}?limit=2"))
    assert [each["id"] for each in read(caller.get(page["next"]))["results"]] == [str(first.id)]
    assert_problem(caller.get(f"{SUPPRESSIONS}?active=maybe"), 422, "validation_error", ("/active", "invalid_choice"))


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_suppression_of_others_is_not_found(caller: Caller, stranger: Caller, method: str) -> None:
    row = suppress(stranger.workspace)
    for key in (row.id, uuid7()):
        assert_problem(caller.ask(method, f"{SUPPRESSIONS}/{key}"), 404, "suppression_not_found")
    row.refresh_from_db()
    assert row.lifted_at is None


def test_a_subscription_is_registered_taken_over_listed_and_removed(caller: Caller) -> None:
    ann, bob = make_contact(caller.workspace, external_id="crm-1"), make_contact(caller.workspace, name="Bob")
    body = {"contact_id": "crm-1", "endpoint": ENDPOINT, "keys": KEYS, "topic": "orders"}
    made = read(caller.post(SUBSCRIPTIONS, body), 201)
    assert made == {
        "id": made["id"],
        "contact_id": str(ann.id),
        "endpoint": ENDPOINT,
        "topic": "orders",
        "active": True,
        "created_at": made["created_at"],
    }
    assert read(caller.get(f"{SUBSCRIPTIONS}/{made['id']}")) == made
    PushSubscription.objects.update(active=False)
    taken = read(caller.post(SUBSCRIPTIONS, {**body, "contact_id": str(bob.id), "topic": None}), 200)
    assert taken == {**made, "contact_id": str(bob.id), "topic": None}
    second = read(caller.post(SUBSCRIPTIONS, {**body, "endpoint": f"{ENDPOINT}2"}), 201)
    assert read(caller.get(SUBSCRIPTIONS))["results"] == [second, taken]
    assert read(caller.get(f"{SUBSCRIPTIONS}?contact=crm-1"))["results"] == [second]
    assert caller.ask("DELETE", f"{SUBSCRIPTIONS}/{taken['id']}").status_code == 204
    assert read(caller.get(SUBSCRIPTIONS))["results"] == [second]
    assert_problem(caller.ask("DELETE", f"{SUBSCRIPTIONS}/{taken['id']}"), 404, "subscription_not_found")


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"contact_id": "nobody"}, "contact_not_found", ("/contact_id", "contact_not_found")),
        ({"endpoint": "http://push.example.com/1"}, "invalid_recipient", ("/endpoint", "invalid_recipient")),
        ({"endpoint": "device"}, "invalid_recipient", ("/endpoint", "invalid_recipient")),
        ({"keys": {**KEYS, "auth": "short"}}, "invalid_key", ("/keys/auth", "invalid_key")),
        ({"keys": {**KEYS, "auth": "!"}}, "invalid_key", ("/keys/auth", "invalid_key")),
        ({"keys": {**KEYS, "p256dh": encoded(b"\x05" * 65)}}, "invalid_key", ("/keys/p256dh", "invalid_key")),
        ({"keys": {**KEYS, "p256dh": encoded(b"\x04" * 65)}}, "invalid_key", ("/keys/p256dh", "invalid_key")),
        ({"keys": {"p256dh": KEYS["p256dh"]}}, "validation_error", ("/keys/auth", "required")),
    ],
)
def test_a_bad_subscription_is_refused(
    caller: Caller, change: dict[str, Any], code: str, place: tuple[str, str]
) -> None:
    make_contact(caller.workspace, external_id="crm-1")
    body = {"contact_id": "crm-1", "endpoint": ENDPOINT, "keys": KEYS, **change}
    assert_problem(caller.post(SUBSCRIPTIONS, body), 422, code, place)
    assert not PushSubscription.objects.exists()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_subscription_of_others_is_not_found(caller: Caller, stranger: Caller, method: str) -> None:
    make_contact(stranger.workspace, external_id="crm-1")
    body = {"contact_id": "crm-1", "endpoint": ENDPOINT, "keys": KEYS}
    made = read(stranger.post(SUBSCRIPTIONS, body), 201)
    assert_problem(caller.ask(method, f"{SUBSCRIPTIONS}/{made['id']}"), 404, "subscription_not_found")
    assert read(caller.get(SUBSCRIPTIONS))["results"] == []
    assert_problem(caller.post(SUBSCRIPTIONS, body), 422, "contact_not_found", ("/contact_id", "contact_not_found"))
