"""The four sends of /api/messaging, with the outcome in the same call."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from channels_app.types import Channel
from messaging.api.oasis import outcomes
from messaging.api.oasis.envelope import Done, Failure
from messaging.dispatch import providers
from messaging.dispatch.sending import Sent
from messaging.models import Message, Mode, Role
from messaging.state import Priority, Status
from messaging.tenancy import keys
from tests.contracts.forms import MOMENT
from tests.contracts.oasis import BASE, DELIVERY, EMAIL, PLAIN, TRACKING, avatar, done, failed, person, sender
from tests.factories import make_template
from tests.messaging.api.callers import Caller, make_caller, read
from tests.messaging.people.rows import suppress

FILE = {"filename": "a.txt", "content": base64.b64encode(b"file").decode(), "type": "text/plain"}
SMS: dict[str, Any] = {"recipient": {"phone": "+12025550100", "name": "Ann"}, "content": "Good day"}
PUSH: dict[str, Any] = {"title": "Hello", "body": "Good day", "data": {"screen": "home", "count": 3}}
IN_APP: dict[str, Any] = {"recipient": {"id": "reader-1"}, "title": "Hello", "content": "Good day", "type": "warning"}
ENDPOINT = "https://push.example.com/device-1"
P256DH = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
INVALID = ("VALIDATION_ERROR", "Validation failed")
SENT = "Message sent successfully"

waited = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def unconfigured(settings: Settings) -> Iterator[None]:
    """A server that has no provider for anything."""
    settings.CHANNELS = {}
    providers.registry.cache_clear()
    yield
    providers.registry.cache_clear()


def register(caller: Caller) -> tuple[str, str]:
    """A contact with a push subscription; their ids."""
    contact = read(caller.post("/api/v1/contacts", {"external_id": "user_123", "name": "Ann"}), 201)["id"]
    body = {"contact_id": contact, "endpoint": ENDPOINT, "keys": {"p256dh": P256DH, "auth": AUTH}}
    return contact, read(caller.post("/api/v1/push-subscriptions", body), 201)["id"]


def outcome(caller: Caller, shown: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What a message looks like that was just sent."""
    return {
        "id": shown["id"],
        "status": "Sent",
        "subject": "Hello",
        "content": "Good day",
        "htmlContent": None,
        "attachments": [],
        "sender": sender(caller),
        "metadata": PLAIN,
        "schedule": None,
        "delivery": {**DELIVERY, "attempts": 1},
        "tracking": TRACKING,
        "createdAt": MOMENT,
        "sentAt": MOMENT,
        "deliveredAt": None,
        "readAt": None,
        **fields,
    }


# The outcome, by a real worker


@waited
def test_an_email_is_sent(worker: object) -> None:
    caller = make_caller()
    body = {**EMAIL, "htmlContent": "<p>Good day</p>", "attachments": [FILE], "metadata": {"note": "x"}}
    shown = done(caller.post(f"{BASE}/send/email", body), SENT)
    assert shown == outcome(
        caller,
        shown,
        type="Email",
        recipient={"email": "ann@example.com", "name": "Ann"},
        htmlContent="<p>Good day</p>",
        attachments=[{"filename": "a.txt", "type": "text/plain", "size": 4}],
        metadata={"note": "x", **PLAIN},
    )
    assert shown["sentAt"]
    row = Message.objects.get()
    # Whoever waits is served first, whatever the message's own priority is.
    assert (row.priority, shown["metadata"]["priority"]) == (Priority.URGENT, "Normal")


@waited
def test_a_text_message_is_sent(worker: object) -> None:
    caller = make_caller()
    shown = done(caller.post(f"{BASE}/send/sms/", SMS), SENT)
    recipient = {"phone": "+12025550100", "name": "Ann"}
    assert shown == outcome(caller, shown, type="SMS", recipient=recipient, subject=None)


@waited
@pytest.mark.parametrize("named", ["id", "external_id", "endpoint", "subscription"])
def test_a_push_is_sent_with_its_data(worker: object, named: str) -> None:
    caller = make_caller()
    contact, subscription = register(caller)
    recipient = {
        "id": {"id": contact},
        "external_id": {"id": "user_123"},
        "endpoint": {"id": "user_123", "deviceToken": ENDPOINT},
        "subscription": {"deviceToken": subscription},
    }[named]
    shown = done(caller.post(f"{BASE}/send/push", {**PUSH, "recipient": recipient}), SENT)
    token = {"endpoint": {"deviceToken": ENDPOINT}, "subscription": {"deviceToken": subscription}}.get(named, {})
    name = {} if token else {"name": "Ann"}
    assert shown == outcome(caller, shown, type="Push", recipient={"id": contact, **token, **name}, data=PUSH["data"])
    assert Message.objects.get().data == PUSH["data"]


@waited
def test_an_in_app_message_is_sent_with_its_severity(worker: object) -> None:
    caller = make_caller()
    shown = done(caller.post(f"{BASE}/send/inapp", IN_APP), SENT)
    metadata = {"severity": "warning", **PLAIN}
    assert shown == outcome(caller, shown, type="In-App", recipient={"id": "reader-1"}, metadata=metadata)
    plain = {name: value for name, value in IN_APP.items() if name != "type"}
    assert done(caller.post(f"{BASE}/send/inapp", plain), SENT)["metadata"]["severity"] == "info"


@waited
def test_what_one_avatar_wrote_can_be_read_and_marked_once_it_is_answered(worker: object) -> None:
    """What is still on its way stands in no conversation of its reader, and to mark it is passed by."""
    caller = make_caller()
    friend = person(caller.workspace)
    path = f"{BASE}/send-message-to-avatar/{avatar(friend)}"
    assert read(caller.post(path, b'"Hi"'))["result"] is True
    (row,) = read(friend.get(f"{BASE}/conversation/{avatar(caller)}"))["result"]
    assert (row["content"], row["isRead"]) == ("Hi", False)
    assert read(friend.post(f"{BASE}/mark-messages-read", [row["id"]]))["result"] is True
    (row,) = read(caller.get(f"{BASE}/conversation/{avatar(friend)}"))["result"]
    assert row["isRead"] is True


@waited
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("email", {**EMAIL, "recipient": {"email": "permanent@example.com"}}),
        ("email", {**EMAIL, "recipient": {"email": "transient@example.com"}}),
        ("sms", {**SMS, "recipient": {"phone": "+12025550105"}}),
    ],
)
def test_what_the_provider_refuses_is_a_502_and_stays_so(worker: object, path: str, body: dict[str, Any]) -> None:
    caller = make_caller()
    answer = caller.post(f"{BASE}/send/{path}", body)
    row = Message.objects.get()
    failed(
        answer,
        502,
        "MESSAGE_SEND_FAILED",
        "Message send failed",
        row.error_detail,
        messageId=str(row.id),
    )
    shown = done(caller.get(f"{BASE}/messages/{row.id}"))
    assert (shown["status"], shown["delivery"]["error"]) == ("Failed", row.error_detail)


@waited
def test_what_is_not_decided_in_time_is_pending(worker: object, settings: Settings) -> None:
    settings.SYNC_WAIT_SECONDS = 1
    caller = make_caller()
    body = {**EMAIL, "recipient": {"email": "throttled@example.com"}}
    shown = done(caller.post(f"{BASE}/send/email", body), "Message queued", 202)
    assert shown["status"] in {"Pending", "Retrying"}


def test_what_is_cancelled_meanwhile_is_not_said_to_be_sent(caller: Caller, rf: RequestFactory) -> None:
    key = done(caller.post(f"{BASE}/send/email", EMAIL, Prefer="respond-async"), "Message queued", 202)["id"]
    assert caller.post(f"{BASE}/messages/{key}/cancel").status_code == 200
    row = Message.objects.get()
    somebody = keys.authenticate(caller.headers["X-API-Key"])
    status, answer = outcomes.told(rf.post(BASE), somebody, Sent(message=row, ids=(row.id,), waited=True))
    assert isinstance(answer, Done)
    assert (status, answer.message, answer.result.message, answer.result.data.status) == (
        200,
        "Success",
        "Message cancelled",
        "Cancelled",
    )


@waited
def test_a_repeat_under_the_same_key_gets_the_same_outcome(worker: object) -> None:
    caller = make_caller()
    first = caller.post(f"{BASE}/send/email", EMAIL, Idempotency_Key="k")
    again = caller.post(f"{BASE}/send/email", EMAIL, Idempotency_Key="k")
    assert done(first, SENT) == done(again, SENT)
    assert (again["Idempotency-Replayed"], Message.objects.count()) == ("true", 1)


# Without waiting


def test_whoever_does_not_wait_is_answered_at_once(caller: Caller) -> None:
    answer = caller.post(f"{BASE}/send/email", EMAIL, Prefer="respond-async")
    shown = done(answer, "Message queued", 202)
    assert answer["Preference-Applied"] == "respond-async"
    assert shown == outcome(
        caller,
        shown,
        type="Email",
        status="Pending",
        recipient={"email": "ann@example.com", "name": "Ann"},
        delivery=DELIVERY,
        sentAt=None,
    )
    assert Message.objects.get().priority == Priority.NORMAL


@pytest.mark.parametrize(
    ("word", "priority"),
    [
        ("Low", Priority.BULK),
        ("Normal", Priority.NORMAL),
        ("High", Priority.URGENT),
        ("Urgent", Priority.URGENT),
    ],
)
def test_a_priority_is_a_lane_and_is_shown_as_it_was_asked_for(caller: Caller, word: str, priority: Priority) -> None:
    body = {**EMAIL, "metadata": {"priority": word}}
    shown = done(caller.post(f"{BASE}/send/email", body, Prefer="respond-async"), "Message queued", 202)
    assert (shown["metadata"]["priority"], Message.objects.get().priority) == (word, priority)


def test_a_template_fills_a_send(caller: Caller) -> None:
    make_template(caller.workspace, subject="", text="Your code is {{ code }}", channel=Channel.SMS)
    body = {"recipient": SMS["recipient"], "metadata": {"template": "welcome", "variables": {"code": 482901}}}
    shown = done(caller.post(f"{BASE}/send/sms", body, Prefer="respond-async"), "Message queued", 202)
    assert (shown["content"], shown["metadata"]) == ("Your code is 482901", {**body["metadata"], **PLAIN})


# Refusals


def test_whoever_is_suppressed_is_an_invalid_recipient(caller: Caller) -> None:
    suppress(caller.workspace)
    answer = caller.post(f"{BASE}/send/email", EMAIL)
    row = Message.objects.get()
    assert (row.status, row.error_code) == (Status.FAILED, "suppressed")
    failed(answer, 400, "INVALID_RECIPIENT", "Invalid recipient", row.error_detail, messageId=str(row.id))


def test_whoever_told_the_provider_to_stop_is_an_invalid_recipient(caller: Caller, rf: RequestFactory) -> None:
    done(caller.post(f"{BASE}/send/sms", SMS, Prefer="respond-async"), "Message queued", 202)
    Message.objects.update(status=Status.FAILED, error_code="recipient_opted_out", error_detail="told to stop")
    row = Message.objects.get()
    somebody = keys.authenticate(caller.headers["X-API-Key"])
    status, answer = outcomes.told(rf.post(BASE), somebody, Sent(message=row, ids=(row.id,), waited=True))
    assert isinstance(answer, Failure)
    assert (status, answer.error_code, answer.exception) == (400, "INVALID_RECIPIENT", "told to stop")


@pytest.mark.parametrize(
    ("path", "body"), [("email", EMAIL), ("sms", SMS), ("inapp", IN_APP)], ids=["email", "sms", "inapp"]
)
@pytest.mark.usefixtures("unconfigured")
def test_a_channel_without_a_provider_is_not_available(caller: Caller, path: str, body: dict[str, Any]) -> None:
    answer = caller.post(f"{BASE}/send/{path}", body)
    code = ("PROVIDER_NOT_AVAILABLE", "Provider not available")
    failed(answer, 500, *code, answer.json()["exception"], "type")
    assert answer.json()["exception"].endswith("has no provider")


@pytest.mark.parametrize(
    ("path", "recipient", "field", "exception"),
    [
        ("email", {"email": "nobody"}, "recipient", "not an e-mail address: An email address must have an @-sign."),
        ("email", {"name": "Ann"}, "recipient.email", "The recipient has neither email nor id."),
        ("sms", {"phone": "12025550100"}, "recipient", "not a phone number in E.164 form: + and 7 to 15 digits"),
        ("sms", {"email": "ann@example.com"}, "recipient.phone", "The recipient has neither phone nor id."),
        ("push", {"deviceToken": "unknown"}, "recipient", "No push subscription is registered for this recipient."),
        ("push", {"id": "nobody"}, "recipient", "No push subscription is registered for this recipient."),
        ("push", {}, "recipient.deviceToken", "The recipient has neither deviceToken nor id."),
        ("inapp", {}, "recipient.id", "The recipient has no id."),
    ],
)
def test_a_recipient_without_an_address_is_refused(
    caller: Caller, path: str, recipient: dict[str, str], field: str, exception: str
) -> None:
    body = {"email": EMAIL, "sms": SMS, "push": PUSH, "inapp": IN_APP}[path]
    answer = caller.post(f"{BASE}/send/{path}", {**body, "recipient": recipient})
    failed(answer, 400, "INVALID_RECIPIENT", "Invalid recipient", exception, field)
    assert not Message.objects.exists()


def test_a_contact_without_a_subscription_is_refused(caller: Caller) -> None:
    read(caller.post("/api/v1/contacts", {"external_id": "user_123"}), 201)
    answer = caller.post(f"{BASE}/send/push", {**PUSH, "recipient": {"id": "user_123"}})
    exception = "the contact has no subscription for push"
    failed(answer, 400, "INVALID_RECIPIENT", "Invalid recipient", exception, "recipient.id")


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("email", {"recipient": EMAIL["recipient"]}, ["subject", "content"]),
        ("email", {"subject": "x", "content": "x"}, ["recipient"]),
        ("email", {**EMAIL, "cc": ["bob@example.com"]}, ["cc"]),
        ("email", {**EMAIL, "attachments": [{**FILE, "filename": "a\n"}]}, ["attachments.0.filename"]),
        ("sms", {"recipient": SMS["recipient"]}, ["content"]),
        ("sms", {**SMS, "subject": "x"}, ["subject"]),
        ("sms", {**SMS, "content": "{{ x }}"}, ["metadata.variables"]),
        ("push", {"recipient": {"id": "x"}}, ["title", "body"]),
        ("push", {**PUSH, "recipient": {"id": "x"}, "data": []}, ["data"]),
        ("inapp", {"recipient": {"id": "x"}}, ["title", "content"]),
        ("inapp", {**IN_APP, "type": "fatal"}, ["type"]),
        ("inapp", {**IN_APP, "title": "a\0b"}, ["title"]),
    ],
)
def test_a_bad_value_is_refused_by_name(caller: Caller, path: str, body: dict[str, Any], fields: list[str]) -> None:
    answer = caller.post(f"{BASE}/send/{path}", body)
    failed(answer, 400, *INVALID, answer.json()["exception"], *fields)
    assert not Message.objects.exists()


@pytest.mark.parametrize("path", ["email", "sms", "push", "inapp"])
def test_an_unknown_template_is_named(caller: Caller, path: str) -> None:
    contact, _ = register(caller)
    recipient = {"email": EMAIL["recipient"], "sms": SMS["recipient"]}.get(path, {"id": contact})
    body = {"recipient": recipient, "metadata": {"template": "nowhere"}}
    answer = caller.post(f"{BASE}/send/{path}", body)
    exception = answer.json()["exception"]
    failed(answer, 404, "TEMPLATE_NOT_FOUND", "Template not found", exception, "metadata.template")
    assert exception.startswith("there is no template nowhere for the channel")


@pytest.mark.parametrize("path", ["email", "sms", "push", "inapp"])
def test_whoever_may_not_write_is_forbidden(caller: Caller, path: str) -> None:
    for other in (person(caller.workspace, Role.VIEWER), make_caller(scopes=["messages:read"])):
        answer = other.post(f"{BASE}/send/{path}", EMAIL)
        failed(answer, 403, "FORBIDDEN", "Forbidden", "This needs the scope messages:write.")


@pytest.mark.usefixtures("unconfigured")
def test_a_test_key_sends_to_the_sandbox(caller: Caller) -> None:
    tester = make_caller(workspace=caller.workspace, mode=Mode.TEST)
    done(tester.post(f"{BASE}/send/email", EMAIL, Prefer="respond-async"), "Message queued", 202)
    assert Message.objects.get().test is True
