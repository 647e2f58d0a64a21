"""Fallbacks as callers ask for them, and see them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from messaging.dispatch import delivery, fallback
from messaging.dispatch.queue import Lane
from messaging.models import FallbackStep, Message
from messaging.people import contacts
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read

PATH = "/api/v1/messages"
PHONE = "+12025550100"
SEND = {
    "channel": "email",
    "to": "permanent@example.com",
    "subject": "Hello",
    "text": "Good day",
    "fallback": [
        {"channel": "sms", "to": "+1 202 555 0100", "after_seconds": 60},
        {"channel": "whatsapp", "to": PHONE},
    ],
}


def step(**fields: Any) -> dict[str, Any]:
    known = {"channel": "sms", "to": PHONE, "after_seconds": 60, "state": "waiting", "message_id": None, "error": None}
    return {**known, **fields}


def test_a_send_tells_of_its_fallbacks(caller: Caller) -> None:
    body = read(caller.post(PATH, SEND), 202)
    assert body["fallback"] == [step(), step(channel="whatsapp", after_seconds=None)]
    assert body["fallback_of"] is None
    assert read(caller.get(f"{PATH}/{body['id']}")) == body


@pytest.mark.usefixtures("transactional_db")
def test_both_messages_tell_of_each_other() -> None:
    caller = make_caller()
    first = read(caller.post(PATH, SEND), 202)["id"]
    delivery.deliver(Lane.named("email.normal"))
    FallbackStep.objects.update(due_at=Now() - timedelta(seconds=1))
    fallback.fall_back()

    shown = read(caller.get(f"{PATH}/{first}"))
    (second,) = Message.objects.filter(channel="sms").values_list("id", flat=True)
    assert shown["status"] == "FAILED"
    assert shown["fallback"] == [
        step(state="taken", message_id=str(second)),
        step(channel="whatsapp", after_seconds=None),
    ]
    other = read(caller.get(f"{PATH}/{second}"))
    assert (other["fallback_of"], other["to"]) == (first, PHONE)
    assert other["fallback"] == [step(channel="whatsapp", after_seconds=None)]
    told = read(caller.get(f"{PATH}/{first}/explain"))
    assert told["next"].endswith(f"A message by sms took its place: {second}.")
    assert told["events"][-1]["detail"]["message_id"] == str(second)


def test_a_cancel_shows_what_it_called_off(caller: Caller) -> None:
    body = read(caller.post(PATH, SEND), 202)
    shown = read(caller.post(f"{PATH}/{body['id']}/cancel"))
    gone = {"state": "dropped", "error": {"code": "cancelled", "detail": None}}
    assert shown["fallback"] == [step(**gone), step(channel="whatsapp", after_seconds=None, **gone)]


def test_a_contact_needs_no_address_for_its_fallback(caller: Caller) -> None:
    fields = {"email": "ann@example.com", "phone": PHONE}
    ann = contacts.create(workspace_id=caller.workspace.id, fields=fields)
    body = read(
        caller.post(PATH, {**SEND, "to": None, "contact_id": str(ann.pk), "fallback": [{"channel": "sms"}]}), 202
    )
    assert body["fallback"] == [step(to=None, after_seconds=None)]


def test_a_batch_has_fallbacks_by_its_contacts(caller: Caller) -> None:
    fields = {"email": "ann@example.com", "phone": PHONE}
    ann = contacts.create(workspace_id=caller.workspace.id, fields=fields)
    shared = {name: value for name, value in SEND.items() if name != "to"}
    recipients = [{"contact_id": str(ann.pk)}, {"to": "ben@example.com"}]
    batch = {**shared, "recipients": recipients, "fallback": [{"channel": "sms"}]}
    body = read(caller.post(f"{PATH}/batch", batch), 202)
    assert [(each["index"], each["code"]) for each in body["rejected"]] == [(1, "required")]
    assert FallbackStep.objects.get().origin_id == Message.objects.get().id

    refused = caller.post(f"{PATH}/batch", {**batch, "fallback": [{"channel": "sms", "to": PHONE}]})
    assert_problem(refused, 422, "not_allowed", ("/fallback/0/to", "not_allowed"))


def test_a_dry_run_looks_at_the_fallbacks_too(caller: Caller) -> None:
    read(caller.post(PATH, {**SEND, "dry_run": True}))
    wrong = {**SEND, "dry_run": True, "fallback": [{"channel": "sms", "to": "nobody"}]}
    assert_problem(caller.post(PATH, wrong), 422, "invalid_recipient", ("/fallback/0/to", "invalid_recipient"))
    assert not FallbackStep.objects.exists()


def test_what_the_fallback_cannot_carry_is_named(caller: Caller) -> None:
    only_html = {**SEND, "text": None, "body": "<b>Hi</b>"}
    answer = caller.post(PATH, only_html)
    assert_problem(answer, 422, "validation_error", ("/fallback/0/channel", "text_required"))
