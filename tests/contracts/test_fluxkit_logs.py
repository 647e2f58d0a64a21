"""The logs and the health of /messaging."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.utils import timezone

from analytics import health
from channels_app.types import Channel
from messaging.api.fluxkit.serializers import health_out
from messaging.dispatch import queue, selectors
from messaging.dispatch.limits import Answers, ChannelState, Probe, ProviderState
from messaging.models import Message
from messaging.state import Status
from tests.contracts.test_fluxkit import refused
from tests.factories import accept_message
from tests.messaging.api.callers import Caller, make_caller, nobody, read

LOGS, HEALTH = "/messaging/logs", "/messaging/health"
SANDBOX = {"provider": "sandbox", "status": "connected"}


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


def put(caller: Caller, channel: Channel = Channel.EMAIL, status: Status = Status.QUEUED, **fields: Any) -> str:
    """A message of this channel in this state; give its id."""
    to = {Channel.EMAIL: "user@example.com", Channel.ONSITE: "reader"}.get(channel, "+1234567890")
    carried = channel in (Channel.EMAIL, Channel.ONSITE)
    said = {"to": to, "subject": "Hello" if carried else "", "text": "Hi", "channel": channel}
    columns = {name: fields.pop(name) for name in ("provider_message_id", "attempts") if name in fields}
    key = accept_message(caller.workspace, **{**said, **fields})
    Message.objects.filter(id=key).update(status=status.value, **columns)
    return str(key)


def ids(caller: Caller, query: str = "") -> list[str]:
    return [row["_id"] for row in read(caller.get(f"{LOGS}?{query}"))["logs"]]


def test_the_example_is_shown_as_in_the_document(caller: Caller) -> None:
    key = put(caller, status=Status.SENT, provider_message_id="abc123")
    body = read(caller.get(f"{LOGS}?channel=email&limit=20"))
    (row,) = body["logs"]
    assert body == {
        "logs": [
            {
                "_id": key,
                "channel": "email",
                "to": "user@example.com",
                "subject": "Hello",
                "status": "sent",
                "messageId": "abc123",
                "createdAt": row["createdAt"],
            }
        ],
        "total": 1,
        "limit": 20,
        "offset": 0,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["createdAt"])
    assert read(caller.get(f"{LOGS}/?channel=email")) == body


def test_what_the_provider_has_not_named_has_our_id_and_sms_has_no_subject(caller: Caller) -> None:
    key = put(caller, Channel.SMS)
    (row,) = read(caller.get(LOGS))["logs"]
    assert row == {
        "_id": key,
        "channel": "sms",
        "to": "+1234567890",
        "subject": None,
        "status": "queued",
        "messageId": key,
        "createdAt": row["createdAt"],
    }


def test_nothing_is_an_empty_page(caller: Caller) -> None:
    assert read(caller.get(LOGS)) == {"logs": [], "total": 0, "limit": 20, "offset": 0}


def test_the_newest_come_first_in_pages(caller: Caller) -> None:
    keys = [put(caller) for _ in range(25)][::-1]
    first = read(caller.get(LOGS))
    assert [row["_id"] for row in first["logs"]] == keys[:20]
    assert (first["total"], first["limit"], first["offset"]) == (25, 20, 0)
    last = read(caller.get(f"{LOGS}?limit=10&offset=20"))
    assert [row["_id"] for row in last["logs"]] == keys[20:]
    assert (last["total"], last["limit"], last["offset"]) == (25, 10, 20)
    beyond = read(caller.get(f"{LOGS}?offset=10000000"))
    assert (beyond["logs"], beyond["total"]) == ([], 25)


def test_channels_are_told_apart_and_others_are_left_out(caller: Caller) -> None:
    email, sms, whatsapp = (put(caller, channel) for channel in (Channel.EMAIL, Channel.SMS, Channel.WHATSAPP))
    put(caller, Channel.ONSITE)
    assert ids(caller) == ids(caller, "channel=all") == ids(caller, "channel=") == [whatsapp, sms, email]
    assert read(caller.get(LOGS))["total"] == 3
    assert ids(caller, "channel=email") == [email]
    assert ids(caller, "channel=sms") == [sms]
    assert ids(caller, "channel=whatsapp") == [whatsapp]


@pytest.mark.parametrize(
    ("word", "stands"),
    [
        ("queued", {Status.SCHEDULED, Status.QUEUED, Status.SENDING}),
        ("sent", {Status.SENT, Status.DELIVERED, Status.OPENED, Status.CLICKED, Status.UNSUBSCRIBED}),
        ("failed", {Status.BOUNCED, Status.FAILED, Status.CANCELLED}),
    ],
)
def test_a_status_finds_what_it_is_shown_for(caller: Caller, word: str, stands: set[Status]) -> None:
    keys = {status: put(caller, status=status) for status in Status}
    retrying = put(caller, status=Status.QUEUED, attempts=1)
    body = read(caller.get(f"{LOGS}?status={word}"))
    wanted = {keys[status] for status in stands} | ({retrying} if word == "queued" else set())
    assert {row["_id"] for row in body["logs"]} == wanted
    assert {row["status"] for row in body["logs"]} == {word}
    assert body["total"] == len(wanted)


def test_a_recipient_is_found_in_any_spelling(caller: Caller) -> None:
    email, sms = put(caller, to="Ann@example.com"), put(caller, Channel.SMS)
    put(caller, to="bob@example.com")
    assert ids(caller, "to=Ann@EXAMPLE.com") == [email]
    assert ids(caller, "to=%2B1%20234%20567%20890") == [sms]
    assert ids(caller, "to=ann&channel=email") == []
    assert ids(caller, "to=%2B1234567890&channel=whatsapp") == []
    assert ids(caller, "to=%2B1234567890&channel=sms&status=queued") == [sms]


def test_an_address_is_found_in_any_case(caller: Caller) -> None:
    upper, lower = put(caller, to="Ann@example.com"), put(caller, to="ann@example.com")
    for spelled in ("ann@example.com", "Ann@example.com", "ANN@EXAMPLE.COM"):
        assert ids(caller, f"to={spelled}") == [lower, upper]
    assert read(caller.get(f"{LOGS}?to=ann@example.com"))["total"] == 2


def test_a_plus_that_was_not_encoded_is_a_plus(caller: Caller) -> None:
    sms, tagged = put(caller, Channel.SMS), put(caller, to="ann+news@example.com")
    assert ids(caller, "to=+1234567890") == [sms]
    assert ids(caller, "to=ann+news@example.com") == [tagged]


def test_another_workspace_sees_nothing_of_it(caller: Caller) -> None:
    put(caller)
    assert ids(make_caller()) == []


def test_a_total_beyond_the_bound_is_an_estimate_and_says_so(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    put(caller)
    monkeypatch.setattr(selectors, "total", lambda **_: selectors.Total(number=123_456, estimated=True))
    body = read(caller.get(LOGS))
    assert (body["total"], body["totalIsEstimate"]) == (123_456, True)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("channel=fax", "channel"),
        ("channel=push", "channel"),
        ("status=delivered", "status"),
        ("status=SENT", "status"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.5", "limit"),
        ("offset=-1", "offset"),
        ("offset=10000001", "offset"),
        ("offset=99999999999999999999", "offset"),
        ("page=2", "page"),
        ("limit=1&limit=2", "limit"),
        ("to=" + "a" * 2049, "to"),
        ("to=%00", "to"),
    ],
)
def test_a_bad_parameter_is_told_by_its_name(caller: Caller, query: str, field: str) -> None:
    answer = caller.get(f"{LOGS}?{query}")
    error = json.loads(answer.content)["error"]
    (told,) = error["details"]["fields"][field]
    refused(answer, 400, "VALIDATION_ERROR", error["message"], {"fields": {field: [told]}})
    assert told


# Health


@pytest.mark.django_db
def test_health_is_open_to_everybody_and_shows_no_more_than_the_document() -> None:
    queue.valkey().flushdb()
    health.look(workers=())
    body = read(nobody().get(HEALTH))
    assert body == {"status": "healthy", "providers": {"email": SANDBOX, "sms": SANDBOX, "whatsapp": SANDBOX}}
    assert read(make_caller().get(f"{HEALTH}/")) == body


@pytest.mark.django_db
def test_a_wrong_token_does_not_keep_health_from_answering() -> None:
    assert read(nobody().get(HEALTH, Authorization="Bearer wrong"))["status"]


@pytest.mark.django_db
def test_before_anybody_looked_nothing_is_known_to_be_well() -> None:
    queue.valkey().flushdb()
    unknown = {"provider": None, "status": "unknown"}
    body = read(nobody().get(HEALTH))
    assert body == {"status": "degraded", "providers": {"email": unknown, "sms": unknown, "whatsapp": unknown}}


def _state(channel: Channel, *, ok: bool = True, configured: bool = True) -> Any:
    probe = Probe(provider="smtp", ok=ok, detail="secret", took=0.1, at=1.0)
    known = (ProviderState(name="smtp", sandbox=False, answers=Answers(), probe=probe),) if configured else ()
    return ChannelState(channel=channel, configured=configured, sandbox=False, providers=known)


def test_what_is_down_or_missing_is_said_in_the_words_of_the_surface() -> None:
    found = health.Health(
        condition=health.Condition.UNHEALTHY,
        health=0.0,
        channels=(_state(Channel.EMAIL), _state(Channel.SMS, ok=False), _state(Channel.WHATSAPP, configured=False)),
        checks=(),
        alerts=(),
        as_of=timezone.now(),
    )
    shown = health_out(found)
    assert shown.status == "unhealthy"
    assert (shown.providers.email.provider, shown.providers.email.status) == ("smtp", "connected")
    assert (shown.providers.sms.provider, shown.providers.sms.status) == ("smtp", "disconnected")
    assert (shown.providers.whatsapp.provider, shown.providers.whatsapp.status) == (None, "not_configured")
