"""One message: reading it, its events and its explanation; cancelling and retrying it."""

from __future__ import annotations

import pytest

from channels_app.types import Channel
from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.models import Message
from messaging.models.keys import uuid7
from messaging.state import Cause, Status
from tests.factories import accept_message
from tests.messaging.api.callers import Caller, assert_problem, read


def path(key: object, rest: str = "") -> str:
    return f"/api/v1/messages/{key}{rest}"


def test_a_message_is_shown_with_its_own_content(caller: Caller) -> None:
    key = accept_message(
        caller.workspace, name="Ann", text="Dear {{ name }}, {{ n }}", body="<b>{{ n }}</b>", data={"n": "<1>"}
    )
    body = read(caller.get(path(key)))
    assert (body["text"], body["body"]) == ("Dear Ann, <1>", "<b>&lt;1&gt;</b>")
    assert (body["attachments"], body["fallback"]) == ([], [])


def test_an_id_may_be_written_in_capitals(caller: Caller) -> None:
    key = accept_message(caller.workspace)
    assert read(caller.get(path(str(key).upper())))["id"] == str(key)


def test_events_tell_what_happened_in_order(caller: Caller) -> None:
    key = accept_message(caller.workspace)
    read(caller.post(path(key, "/cancel")))
    page = read(caller.get(path(key, "/events")))
    assert (page["next"], page["previous"]) == (None, None)
    first, second = page["results"]
    assert first == {
        "id": first["id"],
        "type": "queued",
        "status": "QUEUED",
        "at": read(caller.get(path(key)))["queued_at"],
        "cause": "api",
        "attempt": 0,
        "provider": None,
        "detail": {},
    }
    assert (second["type"], second["status"], second["cause"]) == ("cancelled", "CANCELLED", "api")


def test_a_message_explains_itself(caller: Caller) -> None:
    key = accept_message(caller.workspace, "+12025550100", channel=Channel.SMS, subject="")
    body = read(caller.get(path(key, "/explain")))
    shown = read(caller.get(path(key)))
    assert body == {
        "id": str(key),
        "status": "QUEUED",
        "since": shown["queued_at"],
        "why": body["why"],
        "next": body["next"],
        "channel": "sms",
        "lane": "sms.normal",
        "attempts": 0,
        "max_attempts": 3,
        "next_attempt_at": shown["next_attempt_at"],
        "expires_at": None,
        "provider": None,
        "error": None,
        "can_cancel": True,
        "can_retry": False,
        "events": read(caller.get(path(key, "/events")))["results"],
    }
    assert body["why"]
    assert body["next"]


def test_a_waiting_message_is_cancelled(caller: Caller) -> None:
    key = accept_message(caller.workspace)
    body = read(caller.post(path(key, "/cancel/")))
    assert (body["status"], body["next_attempt_at"]) == ("CANCELLED", None)
    assert body["cancelled_at"]
    assert body == read(caller.get(path(key)))


def test_a_message_is_cancelled_once(caller: Caller) -> None:
    key = accept_message(caller.workspace)
    read(caller.post(path(key, "/cancel")))
    assert_problem(caller.post(path(key, "/cancel")), 409, "transition_refused")


def failed(caller: Caller) -> str:
    key = accept_message(caller.workspace)
    moved = transitions.advance_many(
        [Move(id=key, to=Status.FAILED, code="smtp_550", error="no such user")], cause=Cause.OPERATOR
    )
    assert moved == {key}
    return str(key)


def test_a_failed_message_is_retried(caller: Caller) -> None:
    key = failed(caller)
    before = read(caller.get(path(key)))
    assert (before["status"], before["error"]) == ("FAILED", {"code": "smtp_550", "detail": "no such user"})
    after = read(caller.post(path(key, "/retry")))
    assert (after["status"], after["error"], after["failed_at"]) == ("QUEUED", None, None)
    assert after["next_attempt_at"]


def test_a_message_that_has_not_failed_is_not_retried(caller: Caller) -> None:
    assert_problem(caller.post(path(accept_message(caller.workspace), "/retry")), 409, "transition_refused")


@pytest.mark.parametrize("rest", ["", "/events", "/explain", "/cancel", "/retry"])
def test_a_message_of_another_workspace_is_not_found(caller: Caller, stranger: Caller, rest: str) -> None:
    key = failed(caller) if rest == "/retry" else accept_message(caller.workspace)
    before = Message.objects.values().get(id=key)
    method = "POST" if rest in {"/cancel", "/retry"} else "GET"
    for asked in (key, uuid7()):
        assert_problem(stranger.ask(method, path(asked, rest)), 404, "message_not_found")
    assert Message.objects.values().get(id=key) == before


@pytest.mark.parametrize("name", ["x", "1", "..", "%00", "%ED%A0%80", "0" * 36, "\u0660" * 8, f"{uuid7()}%0A"])
def test_what_is_no_id_is_not_found(caller: Caller, name: str) -> None:
    assert_problem(caller.get(path(name)), 404, "not_found")
