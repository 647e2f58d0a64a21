"""The document of /messaging: its examples, as whole bodies, with the outcome in the same call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from pytest_django import Settings
from rest_framework_simplejwt.tokens import RefreshToken

from analytics.health import Condition
from channels_app.types import Channel
from messaging.api.fluxkit.vocabulary import CHANNEL_OUT, HEALTH_OUT, PROVIDER_OUT, STATUS_IN, STATUS_OUT
from messaging.content import encryption
from messaging.models import Content, IdempotencyRecord, Message, Mode
from messaging.state import Priority, Standing
from tests.factories import make_template
from tests.messaging.api.callers import JSON, Caller, make_caller, read
from tests.messaging.people.rows import suppress

OPERATIONS = {
    ("POST", "/messaging/email"),
    ("POST", "/messaging/email/template"),
    ("POST", "/messaging/sms"),
    ("POST", "/messaging/whatsapp"),
    ("GET", "/messaging/logs"),
    ("GET", "/messaging/health"),
}
"""Every operation that has cases here, or in the files beside."""

EMAIL: dict[str, Any] = {
    "to": "user@example.com",
    "subject": "Hello from FluxKit",
    "body": "<h1>Hello!</h1><p>This is a test email.</p>",
}
TEMPLATE: dict[str, Any] = {
    "to": "user@example.com",
    "template": "welcome",
    "data": {"name": "Alice", "appName": "My App"},
}
SMS: dict[str, Any] = {"to": "+1234567890", "body": "Your verification code is 482901"}
WHATSAPP: dict[str, Any] = {"to": "+1234567890", "body": "Your order has been shipped!"}
SENDS = [
    ("/messaging/email", EMAIL, "email"),
    ("/messaging/email/template", TEMPLATE, "email"),
    ("/messaging/sms", SMS, "sms"),
    ("/messaging/whatsapp", WHATSAPP, "whatsapp"),
]

waited = pytest.mark.usefixtures("transactional_db")


def refused(answer: HttpResponse, status: int, code: str, message: str, details: dict[str, Any]) -> None:
    """The answer is exactly this refusal."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == JSON
    assert json.loads(answer.content) == {"error": {"code": code, "message": message, "details": details}}


def welcome(caller: Caller, **fields: Any) -> None:
    """The template of the document's example."""
    make_template(
        caller.workspace, subject="Welcome to {{ appName }}", body="<p>Dear {{ name }}</p>", text="", **fields
    )


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


# The examples, sent by a real worker


@waited
@pytest.mark.parametrize(("path", "body", "channel"), SENDS)
def test_the_example_is_sent_and_answered_as_the_document_shows(
    worker: object, path: str, body: dict[str, Any], channel: str
) -> None:
    caller = make_caller()
    welcome(caller)
    answer = read(caller.post(path, body))
    row = Message.objects.get()
    template = {"template": "welcome"} if "template" in body else {}
    assert answer == {
        "messageId": f"sandbox-{row.id}",
        "status": "sent",
        "channel": channel,
        "to": body["to"],
        **template,
    }
    assert row.provider_message_id == answer["messageId"]
    assert (row.recipient, row.priority) == (body["to"], Priority.URGENT)


@waited
@pytest.mark.parametrize(
    ("path", "body", "channel", "spoken"),
    [
        ("/messaging/email", {**EMAIL, "to": "permanent@example.com"}, "email", "email"),
        ("/messaging/email/template", {**TEMPLATE, "to": "permanent@example.com"}, "email", "email"),
        ("/messaging/sms", {**SMS, "to": "+12025550105"}, "sms", "SMS"),
        ("/messaging/whatsapp", {**WHATSAPP, "to": "+12025550105"}, "whatsapp", "WhatsApp message"),
    ],
)
def test_what_the_provider_refuses_is_a_500_in_the_same_call(
    worker: object, path: str, body: dict[str, Any], channel: str, spoken: str
) -> None:
    caller = make_caller()
    welcome(caller)
    refused(
        caller.post(path, body),
        500,
        "SEND_FAILED",
        f"Failed to send {spoken}: refused for good in the sandbox",
        {"channel": channel, "provider": "sandbox"},
    )
    assert Message.objects.get().status == "FAILED"


@waited
def test_what_fails_for_now_is_not_tried_behind_the_callers_back(worker: object) -> None:
    caller = make_caller()
    refused(
        caller.post("/messaging/email", {**EMAIL, "to": "transient@example.com"}),
        500,
        "SEND_FAILED",
        "Failed to send email: attempt 1 fails in the sandbox",
        {"channel": "email", "provider": "sandbox"},
    )
    row = Message.objects.get()
    assert (row.status, row.attempts) == ("FAILED", 1)


@waited
def test_what_is_throttled_is_queued_when_the_time_is_up(worker: object, settings: Settings) -> None:
    settings.SYNC_WAIT_SECONDS = 0.3
    answer = read(make_caller().post("/messaging/email", {**EMAIL, "to": "throttled@example.com"}))
    row = Message.objects.get()
    assert answer == {"messageId": str(row.id), "status": "queued", "channel": "email", "to": "throttled@example.com"}


@waited
def test_several_recipients_get_a_message_each_and_the_first_one_answers(worker: object) -> None:
    caller = make_caller()
    to = ["ann@example.com", "Bob@Example.com", "ann@EXAMPLE.com"]
    send = {**EMAIL, "to": to, "cc": "cc@example.com", "bcc": ["bcc@example.com"], "replyTo": "help@example.com"}
    answer = read(caller.post("/messaging/email", send))
    first, second = Message.objects.order_by("id")
    assert answer == {
        "messageId": f"sandbox-{first.id}",
        "status": "sent",
        "channel": "email",
        "to": to,
        "messageIds": [str(first.id), str(second.id)],
    }
    logs = {each["_id"]: each for each in read(caller.get("/messaging/logs"))["logs"]}
    assert sorted(logs) == sorted(answer["messageIds"])
    told = logs[answer["messageIds"][0]]
    assert {name: told[name] for name in ("messageId", "status", "channel")} == {
        name: answer[name] for name in ("messageId", "status", "channel")
    }
    assert [first.recipient, second.recipient] == ["ann@example.com", "Bob@example.com"]
    contents = [Content.objects.get(id=row.content_id) for row in (first, second)]
    assert [(each.cc, each.bcc) for each in contents] == [(["cc@example.com"], ["bcc@example.com"]), ([], [])]
    assert {each.reply_to for each in contents} == {"help@example.com"}


@waited
def test_where_the_first_of_several_fails_the_ids_of_all_are_told(worker: object) -> None:
    caller = make_caller()
    answer = caller.post("/messaging/email", {**EMAIL, "to": ["permanent@example.com", "ann@example.com"]})
    refused(
        answer,
        500,
        "SEND_FAILED",
        "Failed to send email: refused for good in the sandbox",
        {
            "channel": "email",
            "provider": "sandbox",
            "messageIds": [str(row.id) for row in Message.objects.order_by("id")],
        },
    )
    told = {each["to"]: each["status"] for each in read(caller.get("/messaging/logs"))["logs"]}
    assert told["permanent@example.com"] == "failed"


@waited
def test_a_repeat_under_a_key_gets_the_same_outcome_and_sends_nothing(worker: object) -> None:
    caller = make_caller()
    for to, status in (("ann@example.com", 200), ("permanent@example.com", 500)):
        first = caller.post("/messaging/email", {**EMAIL, "to": to}, Idempotency_Key=to)
        again = caller.post("/messaging/email/", {**EMAIL, "to": to}, Idempotency_Key=to)
        assert first.status_code == again.status_code == status
        assert first.content == again.content
        assert again["Idempotency-Replayed"] == "true"
    assert Message.objects.count() == 2


@waited
def test_a_token_of_a_person_sends_as_the_document_shows(worker: object) -> None:
    caller = make_caller()
    assert caller.member
    access = RefreshToken.for_user(caller.member.user).access_token
    caller.headers = {"Authorization": f"Bearer {access}"}
    assert read(caller.post("/messaging/sms", SMS))["status"] == "sent"


@waited
def test_a_key_of_test_mode_sends_by_the_sandbox(worker: object) -> None:
    assert read(make_caller(mode=Mode.TEST).post("/messaging/sms", SMS))["status"] == "sent"
    assert Message.objects.get().test is True


# What needs no worker


def test_a_caller_who_does_not_wait_is_answered_queued(caller: Caller) -> None:
    answer = caller.post("/messaging/sms", SMS, Prefer="respond-async")
    row = Message.objects.get()
    assert read(answer) == {"messageId": str(row.id), "status": "queued", "channel": "sms", "to": "+1234567890"}
    assert answer["Preference-Applied"] == "respond-async"
    assert row.awaited_until is None


def test_a_list_of_one_is_echoed_as_a_list_without_further_ids(caller: Caller) -> None:
    answer = read(caller.post("/messaging/email", {**EMAIL, "to": ["ann@example.com"]}))
    assert answer["to"] == ["ann@example.com"]
    assert "messageIds" not in answer


def test_every_field_of_an_email_reaches_the_core(caller: Caller) -> None:
    send = {**EMAIL, "text": "Hello!", "cc": ["a@example.com", "b@example.com"], "bcc": "c@example.com"}
    read(caller.post("/messaging/email", {**send, "replyTo": "help@example.com"}))
    content = Content.objects.get()
    assert (content.subject, content.body, content.text) == (EMAIL["subject"], EMAIL["body"], "Hello!")
    assert (content.cc, content.bcc) == (["a@example.com", "b@example.com"], ["c@example.com"])
    assert content.reply_to == "help@example.com"
    row = Message.objects.get()
    assert caller.member
    assert (row.channel, row.author_id, row.workspace_id) == ("email", caller.member.user_id, caller.workspace.id)


@pytest.mark.parametrize(("path", "body", "channel"), [send for send in SENDS if "template" not in send[1]])
def test_texts_are_sent_as_they_are_braces_and_all(
    caller: Caller, path: str, body: dict[str, Any], channel: str
) -> None:
    text = "{{ name }} {% if %} {% endraw %} }}"
    said = {name: text for name in ("subject", "body", "text") if name in body or channel == "email"}
    row = Message.objects.get(id=read(caller.post(path, {**body, **said}))["messageId"])
    shown = read(caller.get(f"/api/v1/messages/{row.id}"))
    told = {"subject": shown["subject"], "body": shown["body"], "text": shown["text"]}
    if channel == "email":
        assert told == {"subject": text, "body": text, "text": text}
    else:
        assert told == {"subject": None, "body": None, "text": text}


def test_optional_fields_may_be_null(caller: Caller) -> None:
    nothing = dict.fromkeys(("text", "cc", "bcc", "replyTo"))
    assert read(caller.post("/messaging/email", {**EMAIL, **nothing}))["status"] == "queued"
    assert read(caller.post("/messaging/sms", {**SMS, "from": None}))["status"] == "queued"
    assert read(caller.post("/messaging/whatsapp", {**WHATSAPP, "media": None}))["status"] == "queued"


def test_a_template_is_filled_in_and_its_subject_can_be_replaced(caller: Caller) -> None:
    welcome(caller)
    send = {**TEMPLATE, "cc": "cc@example.com", "bcc": "bcc@example.com", "replyTo": "help@example.com"}
    read(caller.post("/messaging/email/template", send))
    read(caller.post("/messaging/email/template", {**send, "subject": "Hi {{ name }}"}))
    assert [row.subject for row in Message.objects.order_by("id")] == ["Welcome to My App", "Hi Alice"]
    content = Content.objects.first()
    assert content
    assert (content.cc, content.bcc, content.reply_to) == (["cc@example.com"], ["bcc@example.com"], "help@example.com")


def test_a_template_without_variables_needs_no_data(caller: Caller) -> None:
    make_template(caller.workspace, "plain")
    answer = read(caller.post("/messaging/email/template", {"to": "ann@example.com", "template": "plain"}))
    assert answer == {
        "messageId": str(Message.objects.get().id),
        "status": "queued",
        "channel": "email",
        "to": "ann@example.com",
        "template": "plain",
    }


def test_an_sms_may_name_its_sender_and_have_1600_characters(caller: Caller) -> None:
    read(caller.post("/messaging/sms", {"to": "+1 (234) 567-890", "body": "a" * 1600, "from": "+12025550199"}))
    row, content = Message.objects.get(), Content.objects.get()
    assert (row.recipient, content.sender, content.text) == ("+1234567890", "+12025550199", "a" * 1600)


def test_whatsapp_carries_media(caller: Caller) -> None:
    media = {"url": "https://files.example/label.pdf", "type": "document", "caption": "Label", "filename": "label.pdf"}
    for given in (media, {"url": media["url"]}):
        answer = read(caller.post("/messaging/whatsapp", {**WHATSAPP, "media": given}))
        row = Message.objects.get(id=answer["messageId"])
        assert Content.objects.get(id=row.content_id).media == given


def test_a_suppressed_recipient_is_a_500_at_once(caller: Caller) -> None:
    suppress(caller.workspace)
    refused(
        caller.post("/messaging/email", {**EMAIL, "to": "ann@example.com"}),
        500,
        "SEND_FAILED",
        "Failed to send email: a message to this address bounced",
        {"channel": "email"},
    )
    row = Message.objects.get()
    assert (row.status, row.error_code) == ("FAILED", "suppressed")


@pytest.mark.parametrize(("path", "body", "channel"), SENDS)
def test_a_path_answers_with_a_slash_too(caller: Caller, path: str, body: dict[str, Any], channel: str) -> None:
    welcome(caller)
    assert read(caller.post(f"{path}/", body))["channel"] == channel


@pytest.fixture
def keys(settings: Settings) -> Iterator[None]:
    settings.DISPATCH_KEYS = {"k1": bytes(range(32))}
    encryption.forget()
    yield
    encryption.forget()


@pytest.mark.usefixtures("keys")
def test_answers_under_a_key_are_kept_encrypted_where_the_workspace_encrypts(caller: Caller) -> None:
    caller.workspace.encrypted = True
    caller.workspace.save()
    read(caller.post("/messaging/sms", SMS, Idempotency_Key="k"))
    assert b"+1234567890" not in bytes(IdempotencyRecord.objects.get().body)
    assert Content.objects.get().text == ""


# The vocabulary


def test_the_vocabulary_is_total() -> None:
    assert set(CHANNEL_OUT) == set(Channel)
    assert set(STATUS_OUT) == set(Standing)
    assert set(HEALTH_OUT) == set(PROVIDER_OUT) == set(Condition)
    assert {standing for found in STATUS_IN.values() for standing in found} == set(Standing)
