"""POST /messages."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messaging.models import Attachment, Batch, Content, Message, MessageEvent, Mode
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read

PATH = "/api/v1/messages"
SEND: dict[str, Any] = {"channel": "email", "to": "ann@example.com", "subject": "Hi", "text": "Good day"}
STAMPS = ("sending", "sent", "delivered", "opened", "clicked", "bounced", "failed", "unsubscribed", "cancelled")


def assert_nothing_stored() -> None:
    for model in (Message, MessageEvent, Content, Attachment, Batch):
        assert not model.objects.exists()


def test_a_message_is_accepted_and_answered_in_whole(caller: Caller) -> None:
    body = read(
        caller.post(
            PATH,
            {
                "channel": "email",
                "to": "Ann@Example.com",
                "name": "Ann",
                "from": "Shop <shop@example.org>",
                "subject": "Order {{ number }}",
                "body": "<p>Dear {{ name }}</p>",
                "text": "Dear {{ name }}",
                "language": "de",
                "data": {"number": 7},
                "attachments": [{"filename": "a.txt", "content": "aGVsbG8=", "content_type": "text/plain"}],
                "cc": ["cc@example.com"],
                "bcc": ["bcc@example.com"],
                "reply_to": "help@example.org",
                "headers": {"X-Order": "7"},
                "priority": "urgent",
                "category": "orders",
                "action_type": "order_placed",
                "metadata": {"order": 7},
                "on_unknown": "fail",
            },
        ),
        202,
    )
    assert body == {
        "id": body["id"],
        "workspace_id": str(caller.workspace.id),
        "channel": "email",
        "status": "QUEUED",
        "to": "Ann@example.com",
        "name": "Ann",
        "contact_id": None,
        "subject": "Order 7",
        "template": None,
        "batch_id": None,
        "campaign_id": None,
        "priority": "urgent",
        "category": "orders",
        "action_type": "order_placed",
        "attempts": 0,
        "max_attempts": 3,
        "provider": None,
        "provider_message_id": None,
        "error": None,
        "metadata": {"order": 7},
        "test": False,
        "created_at": body["created_at"],
        "scheduled_at": None,
        "expires_at": None,
        "next_attempt_at": body["created_at"],
        "queued_at": body["created_at"],
        **{f"{name}_at": None for name in STAMPS},
        "body": "<p>Dear Ann</p>",
        "text": "Dear Ann",
        "attachments": [{"filename": "a.txt", "content_type": "text/plain", "size": 5}],
        "media": None,
        "fallback": [],
        "fallback_of": None,
    }
    assert datetime.strptime(body["created_at"], "%Y-%m-%dT%H:%M:%S.%fZ").tzinfo is None
    assert len(body["created_at"]) == len("2026-01-01T00:00:00.000Z")
    row = Message.objects.get(id=body["id"])
    assert caller.member
    assert row.author_id == caller.member.user_id
    assert (row.language, row.on_unknown) == ("de", "fail")
    content = Content.objects.get(id=row.content_id)
    assert (content.sender, content.reply_to) == ("Shop <shop@example.org>", "help@example.org")
    assert (content.cc, content.bcc, content.headers) == (["cc@example.com"], ["bcc@example.com"], {"X-Order": "7"})
    assert read(caller.get(f"{PATH}/{body['id']}")) == body


@pytest.mark.django_db
def test_a_test_key_marks_its_messages() -> None:
    body = read(make_caller(mode=Mode.TEST).post(PATH, SEND), 202)
    assert body["test"] is True


def test_a_scheduled_message_waits(caller: Caller) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    body = read(caller.post(PATH, {**SEND, "scheduled_at": at.isoformat(), "expires_at": None}), 202)
    shown = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert (body["status"], body["scheduled_at"], body["next_attempt_at"]) == ("SCHEDULED", shown, shown)


def test_a_path_answers_with_a_slash_too(caller: Caller) -> None:
    read(caller.post(f"{PATH}/", SEND), 202)


def test_null_is_the_same_as_leaving_a_field_out(caller: Caller) -> None:
    nothing = dict.fromkeys(
        ["name", "from", "body", "attachments", "cc", "bcc", "reply_to", "headers", "priority", "category", "metadata"]
    )
    assert read(caller.post(PATH, {**SEND, **nothing}), 202)["priority"] == "normal"


def test_a_dry_run_explains_and_stores_nothing(caller: Caller) -> None:
    request = {**SEND, "subject": "Hi {{ name }}", "name": "Ann", "dry_run": True}
    assert read(caller.post(PATH, request)) == {
        "explain": {
            "channel": "email",
            "lane": "email.normal",
            "provider": "sandbox",
            "status": "QUEUED",
            "error": None,
            "to": "ann@example.com",
            "contact_id": None,
            "subject": "Hi Ann",
            "body": None,
            "text": "Good day",
            "scheduled_at": None,
            "expires_at": None,
            "max_attempts": 3,
            "warnings": [],
        }
    }
    assert_nothing_stored()


@pytest.mark.parametrize("channel", ["sms", "whatsapp"])
def test_a_dry_run_warns_of_a_number_that_no_plan_has_and_the_send_takes_it(caller: Caller, channel: str) -> None:
    request = {"channel": channel, "to": "+999 123 456 789", "text": "Hi"}
    told = read(caller.post(PATH, {**request, "dry_run": True}))["explain"]
    assert told["warnings"] == ["+999123456789 may reach nobody: no country's numbers begin like this."]
    assert read(caller.post(PATH, request), 202)["to"] == "+999123456789"


def test_a_dry_run_is_refused_as_the_send_would_be(caller: Caller) -> None:
    answer = caller.post(PATH, {**SEND, "to": "nobody", "dry_run": True})
    assert_problem(answer, 422, "invalid_recipient", ("/to", "invalid_recipient"))


def attachment(**fields: str) -> dict[str, Any]:
    return {"attachments": [{"filename": "a", "content": "aGk=", "content_type": "text/plain", **fields}]}


REFUSED: list[tuple[Any, ...]] = [
    ("an unknown field", {"workspace_id": "x"}, "/workspace_id", "unknown_field"),
    ("a status", {"status": "SENT"}, "/status", "unknown_field"),
    ("too many fallbacks", {"fallback": [{"channel": "sms"}] * 6}, "/fallback", "too_long"),
    ("a fallback by nothing", {"fallback": [{}]}, "/fallback/0/channel", "required"),
    ("a fallback by an unknown channel", {"fallback": [{"channel": "fax"}]}, "/fallback/0/channel", "invalid_choice"),
    ("a fallback with more", {"fallback": [{"channel": "sms", "text": "x"}]}, "/fallback/0/text", "unknown_field"),
    ("no time", {"fallback": [{"channel": "sms", "after_seconds": 0}]}, "/fallback/0/after_seconds", "out_of_range"),
    ("a fallback that is none", {"fallback": "sms"}, "/fallback", "wrong_type"),
    ("a fallback to nobody", {"fallback": [{"channel": "sms"}]}, "/fallback/0/to", "required", "required"),
    (
        "a fallback to no address",
        {"fallback": [{"channel": "sms", "to": "nobody"}]},
        "/fallback/0/to",
        "invalid_recipient",
        "invalid_recipient",
    ),
    ("an empty template", {"template": ""}, "/template", "too_short"),
    ("an unknown template", {"template": "welcome"}, "/template", "template_not_found", "template_not_found"),
    ("a key with a slash", {"a/b~c": 1}, "/a~1b~0c", "unknown_field"),
    ("no recipient", {"to": None}, "/to", "required", "required"),
    ("a number as recipient", {"to": 5}, "/to", "wrong_type"),
    ("an empty recipient", {"to": ""}, "/to", "too_short"),
    ("a bad recipient", {"to": "ann"}, "/to", "invalid_recipient", "invalid_recipient"),
    ("a line break in the recipient", {"to": "a@b.com\nX"}, "/to", "invalid_recipient", "invalid_recipient"),
    ("an unknown channel", {"channel": "fax"}, "/channel", "invalid_choice"),
    ("a line break in the subject", {"subject": "a\r\nBcc: x@y.z"}, "/subject", "control_character"),
    ("a line break in the name", {"name": "a\r\nb"}, "/name", "control_character", "control_character"),
    ("a long name", {"name": "x" * 501}, "/name", "too_long"),
    ("no content", {"text": ""}, "/body", "required"),
    ("an unclosed template", {"text": "{{ name"}, "/text", "template_refused"),
    ("a missing variable", {"text": "{{ code }}"}, "/data", "missing_variables", "missing_variables"),
    ("a date in the past", {"scheduled_at": "2020-01-01T00:00:00Z"}, "/scheduled_at", "in_the_past"),
    ("a date without a zone", {"scheduled_at": "2099-01-01T00:00"}, "/scheduled_at", "invalid_value"),
    ("a bare date and time", {"expires_at": "2099-01-01T00:00:00"}, "/expires_at", "time_zone_required"),
    ("a date beyond all", {"scheduled_at": "9999-12-31T23:59:59-10:00"}, "/scheduled_at", "out_of_range"),
    ("an unknown priority", {"priority": "high"}, "/priority", "invalid_choice"),
    ("metadata that is a list", {"metadata": []}, "/metadata", "wrong_type"),
    ("data that is text", {"data": "x"}, "/data", "wrong_type"),
    ("NUL", {"text": "a\0b"}, "/text", "nul_character", "nul_character"),
    ("NUL in a key", {"metadata": {"a\0": 1}}, "/metadata/a\ufffd", "nul_character", "nul_character"),
    ("a lone surrogate", {"metadata": {"a": ["\ud800"]}}, "/metadata/a/0", "lone_surrogate", "lone_surrogate"),
    ("a huge number", {"metadata": {"a": 10**30}}, "/metadata/a", "out_of_range", "out_of_range"),
    ("a cc that is text", {"cc": "a@example.com"}, "/cc", "wrong_type"),
    ("a bad cc", {"cc": [5]}, "/cc/0", "wrong_type"),
    ("a header that is a number", {"headers": {"X-A": 1}}, "/headers", "wrong_type"),
    ("content that is not base64", attachment(content="a?"), "/attachments/0/content", "invalid_base64"),
    ("a line break in a file's name", attachment(filename="a\r\nb"), "/attachments/0/filename", "control_character",
     "control_character"),
    ("an attachment's unknown field", attachment(url="x"), "/attachments/0/url", "unknown_field"),
    ("on_unknown", {"on_unknown": "hold"}, "/on_unknown", "invalid_choice"),
    ("dry_run as text", {"dry_run": "yes"}, "/dry_run", "wrong_type"),
    ("a subject where none is carried", {"channel": "sms", "to": "+12025550100"}, "/subject", "not_carried"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "pointer", "error", "code"), [
    pytest.param(*case[1:4], case[4] if len(case) > 4 else "validation_error", id=case[0]) for case in REFUSED
])  # fmt: skip
def test_it_refuses(caller: Caller, fields: dict[str, Any], pointer: str, error: str, code: str) -> None:
    assert_problem(caller.post(PATH, {**SEND, **fields}), 422, code, (pointer, error))
    assert_nothing_stored()


def test_every_wrong_place_is_told_at_once(caller: Caller) -> None:
    answer = caller.post(PATH, {**SEND, "text": "", "subject": "", "scheduled_at": "2020-01-01T00:00:00Z"})
    places = [("/subject", "required"), ("/body", "required"), ("/scheduled_at", "in_the_past")]
    assert_problem(answer, 422, "validation_error", *places)


def test_an_attachment_comes_back_byte_for_byte(caller: Caller) -> None:
    raw = bytes(range(256)) * 20
    read(caller.post(PATH, {**SEND, **attachment(content=base64.b64encode(raw).decode())}), 202)
    assert bytes(Attachment.objects.get().data) == raw
