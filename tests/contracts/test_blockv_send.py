"""The document of /messages: what is sent, by which system, from which template, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_django import Settings

from channels_app.types import Channel
from messaging.api.blockv import sending
from messaging.api.blockv.envelope import Error
from messaging.api.blockv.serializers.messages import Outcome
from messaging.dispatch import providers, selectors
from messaging.dispatch.sending import Sent
from messaging.models import Contact, Message, Mode, Workspace
from messaging.models.keys import uuid7
from messaging.people import push
from messaging.state import Priority, Status
from tests.contracts.blockv import refused, send, shown
from tests.factories import make_template
from tests.messaging.api.callers import Caller, make_caller, read
from tests.messaging.people.rows import make_contact, suppress

WALLET = "SP318Q55DEKHRXJK696033DQN5C54D9K2EE6DHRWP"
SEND = {"action_type": "custom", "to": "ann@example.com", "title": "Hello", "content": "Good day"}
PATH = "/messages/send"

waited = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


def without(*names: str, **fields: Any) -> dict[str, Any]:
    """The send without some of its fields, and with others."""
    return {**{name: value for name, value in SEND.items() if name not in names}, **fields}


def sent(caller: Caller, body: dict[str, Any]) -> Message:
    """Send, and give the message."""
    answer = read(caller.post(PATH, body))
    assert set(answer) == {"id"}
    return selectors.message(workspace_id=caller.workspace.id, message_id=answer["id"])


def said(row: Message) -> tuple[str, str, str]:
    """Subject, body and text as the recipient gets them."""
    content = selectors.rendered(message=row)
    return row.subject, content.body, content.text


def subscribe(contact: Contact) -> str:
    """Give the contact a push subscription, and its endpoint."""
    endpoint = f"https://push.example.com/{uuid7().hex}"
    push.register(
        workspace_id=contact.workspace_id,
        contact=str(contact.id),
        endpoint=endpoint,
        p256dh="BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        auth="BTBZMqHH6r4Tts7J_aSIgg",
        topic="",
    )
    return endpoint


# Content of its own


def test_a_send_answers_with_the_id_and_is_shown(caller: Caller) -> None:
    key = send(caller, action_type="internal", language="fr")
    row = shown(caller, key)
    assert row == {
        "id": key,
        "action_type": "internal",
        "to": "ann@example.com",
        "system": "email",
        "language": "fr",
        "status": "pending",
        "when_modified": row["when_created"],
        "when_created": row["when_created"],
    }


def test_text_is_the_default_and_html_is_for_email(caller: Caller) -> None:
    assert said(sent(caller, SEND)) == ("Hello", "", "Good day")
    assert said(sent(caller, without(content="<b>Hi</b>", content_type="html"))) == ("Hello", "<b>Hi</b>", "")
    body = without("title", to="+12025550100", content="<b>Hi</b>", content_type="html")
    refused(caller.post(PATH, body), 400, "not_carried", ("content_type", "not_carried"))


def test_values_fill_in_title_and_content(caller: Caller) -> None:
    row = sent(caller, without(title="For {{ who }}", content="{{ n }} left", values={"who": "Ann", "n": 3}))
    assert said(row) == ("For Ann", "", "3 left")


def test_an_empty_member_counts_as_left_out(caller: Caller) -> None:
    optional = ("template_id", "values", "is_push", "sync", "scheduled_at", "language", "content_type", "org_id")
    for empty in ("", None):
        assert sent(caller, {**SEND, **dict.fromkeys(optional, empty), "when_created": empty}).recipient


def test_it_is_sent_when_it_is_scheduled_for(caller: Caller) -> None:
    key = send(caller, scheduled_at="2999-01-01T01:00:00.123456+01:00")
    row = shown(caller, key)
    assert (row["status"], row["scheduled_at"]) == ("scheduled", "2999-01-01T00:00:00.123Z")


def test_the_time_of_creation_is_the_servers(caller: Caller) -> None:
    row = sent(caller, without(when_created="2001-01-01T00:00:00Z"))
    assert row.created_at > datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("action", "lane"),
    [
        ("otp", Priority.URGENT),
        ("login", Priority.URGENT),
        ("custom", Priority.NORMAL),
        ("org_invite", Priority.NORMAL),
    ],
)
def test_what_somebody_waits_for_is_urgent(caller: Caller, action: str, lane: Priority) -> None:
    assert sent(caller, without(action_type=action)).priority == lane


# Which system `to` means


@pytest.mark.parametrize(
    ("to", "system", "address"),
    [
        ("ann@example.com", "email", "ann@example.com"),
        ("ANN@Example.COM", "email", "ANN@example.com"),
        ("+12025550100", "sms", "+12025550100"),
        ("+1 (202) 555-0100", "sms", "+12025550100"),
    ],
)
def test_an_address_tells_its_system(caller: Caller, to: str, system: str, address: str) -> None:
    fields = {} if system == "email" else {"title": ""}
    row = sent(caller, without(to=to, **fields))
    assert (row.channel, row.recipient, row.contact_id) == (system, address, None)


@pytest.mark.parametrize(
    ("fields", "system"),
    [
        ({"email": "ann@example.com", "phone": "+12025550100"}, "email"),
        ({"phone": "+12025550100"}, "sms"),
        ({}, "push"),
    ],
)
def test_an_id_is_a_contacts_and_the_first_system_that_reaches_them(
    caller: Caller, fields: dict[str, str], system: str
) -> None:
    contact = make_contact(caller.workspace, external_id=WALLET, **{"email": "", **fields})
    subscribe(contact)
    for to in (WALLET, str(contact.id), contact.id.hex, f"ct_{contact.id.hex}"):
        row = sent(caller, without(to=to, title="" if system == "sms" else "Hello"))
        assert (row.channel, row.contact_id) == (system, contact.id)
        assert shown(caller, row.id)["to"] == fields.get({"sms": "phone"}.get(system, system), str(contact.id))


def test_is_push_forces_a_push(caller: Caller) -> None:
    contact = make_contact(caller.workspace, external_id=WALLET, email="ann@example.com", phone="+12025550100")
    endpoint = subscribe(contact)
    for to in (WALLET, str(contact.id), "ann@example.com", "+1 202 555 0100", endpoint):
        row = sent(caller, without(to=to, is_push=True))
        assert (row.channel, row.contact_id) == ("push", contact.id)


def test_a_subscription_is_pushed_to(caller: Caller) -> None:
    endpoint = subscribe(make_contact(caller.workspace))
    row = sent(caller, without(to=endpoint))
    assert (row.channel, row.recipient) == ("push", endpoint)


@pytest.mark.parametrize("is_push", [False, True])
@pytest.mark.parametrize("to", [WALLET, "nobody", "ann@", "12345", "https://push.example.com/x", "unreached"])
def test_what_reaches_nobody_is_refused(caller: Caller, to: str, is_push: bool) -> None:
    make_contact(caller.workspace, external_id="unreached", email="")
    make_contact(make_caller().workspace, external_id=WALLET, email="ann@example.com")
    answer = caller.post(PATH, without(to=to, is_push=is_push))
    refused(answer, 400, "invalid_recipient", ("to", "invalid_recipient"))
    assert not Message.objects.exists()


def test_a_push_to_an_address_that_two_contacts_share_is_refused(caller: Caller) -> None:
    for _ in range(2):
        subscribe(make_contact(caller.workspace, email="ann@example.com"))
    refused(caller.post(PATH, without(is_push=True)), 400, "invalid_recipient", ("to", "invalid_recipient"))


# Templates


def choice(workspace: Workspace, action: str = "otp", **fields: Any) -> str:
    made = make_template(workspace, **{"key": f"t{uuid7().hex}", "action_type": action, **fields})
    return str(made.id)


def test_a_template_is_named_by_id_or_key(caller: Caller) -> None:
    template = make_template(caller.workspace, text="Code {{ code }}")
    for name in (str(template.id), f"tpl_{template.id.hex}", "welcome"):
        row = sent(caller, without("title", "content", template_id=name, values={"code": 7}))
        assert said(row) == ("Welcome", "", "Code 7")
        assert shown(caller, row.id)["template_id"] == str(template.id)


def test_without_one_the_kind_of_action_the_system_and_the_language_choose(caller: Caller) -> None:
    mails = {
        language: choice(caller.workspace, language=language, text=f"In {language}") for language in ("de", "en", "fr")
    }
    text = choice(caller.workspace, channel=Channel.SMS, subject="", text="By text")
    choice(caller.workspace, "login", text="Another")
    bare = without("title", "content", action_type="otp")
    for language, wanted in (("fr", "fr"), ("de", "de"), ("en", "en"), ("it", "en"), (None, "en")):
        row = sent(caller, {**bare, "language": language})
        assert (str(row.template_id), row.language) == (mails[wanted], wanted)
    row = sent(caller, {**bare, "to": "+12025550100", "language": "fr"})
    assert (str(row.template_id), row.language) == (text, "en")


def test_english_comes_before_the_workspaces_own_language(caller: Caller) -> None:
    Workspace.objects.update(language="de")
    choice(caller.workspace, language="de")
    english = choice(caller.workspace, language="en")
    row = sent(caller, without("title", "content", action_type="otp", language="fr"))
    assert str(row.template_id) == english


def test_of_several_templates_for_one_purpose_the_newest_is_taken(caller: Caller) -> None:
    choice(caller.workspace)
    newest = choice(caller.workspace)
    assert str(sent(caller, without("title", "content", action_type="otp")).template_id) == newest


def test_the_system_follows_the_template_that_there_is(caller: Caller) -> None:
    contact = make_contact(
        caller.workspace, external_id=WALLET, email="ann@example.com", phone="+12025550100", locale="fr-CH"
    )
    choice(caller.workspace, channel=Channel.SMS, subject="", language="en")
    french = choice(caller.workspace, channel=Channel.SMS, subject="", language="fr")
    row = sent(caller, without("title", "content", to=WALLET, action_type="otp"))
    assert (row.channel, row.contact_id, str(row.template_id)) == ("sms", contact.id, french)


def test_a_title_replaces_the_templates(caller: Caller) -> None:
    make_template(caller.workspace, text="Code")
    row = sent(caller, without("content", title="Another", template_id="welcome"))
    assert said(row) == ("Another", "", "Code")
    assert row.template_id is not None


def test_content_replaces_all_that_the_template_says(caller: Caller) -> None:
    make_template(caller.workspace, body="<p>Code</p>", text="Code", language="fr")
    row = sent(caller, without("title", content="Mine", template_id="welcome"))
    assert said(row) == ("Welcome", "", "Mine")
    assert (row.template_id, row.language) == (None, "fr")


@pytest.mark.parametrize("name", ["nothing", str(uuid7())])
def test_a_template_that_is_not_there_is_refused(caller: Caller, name: str) -> None:
    make_template(make_caller().workspace, key="nothing")
    answer = caller.post(PATH, without("title", "content", template_id=name))
    refused(answer, 400, "template_not_found", ("template_id", "template_not_found"))


def test_a_template_for_another_system_is_refused(caller: Caller) -> None:
    template = make_template(caller.workspace)
    answer = caller.post(PATH, without("title", "content", to="+12025550100", template_id=str(template.id)))
    refused(answer, 400, "template_not_found", ("template_id", "template_not_found"))


def test_with_neither_template_nor_content_it_is_refused(caller: Caller) -> None:
    choice(caller.workspace, "login")
    answer = caller.post(PATH, without("title", "content", action_type="otp"))
    refused(answer, 400, "template_not_found", ("template_id", "required"), ("content", "required"))


def test_values_that_the_template_needs_are_named(caller: Caller) -> None:
    make_template(caller.workspace, text="Code {{ code }}")
    answer = caller.post(PATH, without("title", "content", template_id="welcome"))
    body = refused(answer, 400, "missing_variables", ("values", "missing_variables"))
    assert "code" in body["message"]


# What cannot be sent


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"to": None}, "to", "required"),
        ({"to": ""}, "to", "required"),
        ({"to": 7}, "to", "wrong_type"),
        ({"action_type": None}, "action_type", "required"),
        ({"action_type": "party"}, "action_type", "invalid_choice"),
        ({"language": "xx"}, "language", "invalid_choice"),
        ({"content_type": "markdown"}, "content_type", "invalid_choice"),
        ({"values": []}, "values", "wrong_type"),
        ({"sync": "yes"}, "sync", "wrong_type"),
        ({"is_push": 1}, "is_push", "wrong_type"),
        ({"scheduled_at": "2999-01-01T00:00:00"}, "scheduled_at", "time_zone_required"),
        ({"scheduled_at": "tomorrow"}, "scheduled_at", "invalid_value"),
        ({"scheduled_at": "2001-01-01T00:00:00Z"}, "scheduled_at", "in_the_past"),
        ({"when_created": "yesterday"}, "when_created", "invalid_value"),
        ({"title": None}, "title", "required"),
        ({"title": "a\r\nBcc: eve@example.com"}, "title", "control_character"),
        ({"content": "{% if a %}"}, "content", "template_refused"),
        ({"subject": "Hello"}, "subject", "unknown_field"),
        ({"title": "Hello", "to": "+12025550100"}, "title", "not_carried"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(caller: Caller, fields: dict[str, Any], field: str, code: str) -> None:
    refused(caller.post(PATH, {**SEND, **fields}), 400, "validation_error", (field, code))
    assert not Message.objects.exists()


@pytest.mark.parametrize(("body", "reason"), [(b"", "malformed_json"), (b"{", "malformed_json")])
def test_what_is_no_json_is_refused(caller: Caller, body: bytes, reason: str) -> None:
    refused(caller.post(PATH, body), 400, reason, ("", reason))


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"null", b"7"])
def test_what_is_no_object_is_refused(caller: Caller, body: bytes) -> None:
    refused(caller.post(PATH, body), 400, "validation_error", ("", "wrong_type"))


def test_the_organisation_is_the_callers(caller: Caller) -> None:
    workspace = caller.workspace.id
    for spelled in (str(workspace), f"ws_{workspace.hex}"):
        assert sent(caller, without(org_id=spelled)).workspace_id == workspace
    for other in (str(make_caller().workspace.id), "acme"):
        refused(caller.post(PATH, without(org_id=other)), 403, "another_organisation")


@pytest.fixture
def without_texts(settings: Settings) -> Iterator[None]:
    """The channel sms has no provider."""
    settings.CHANNELS = {**settings.CHANNELS, "sms": []}
    providers.registry.cache_clear()
    yield
    providers.registry.cache_clear()


def test_a_channel_without_a_provider_is_a_fault_of_ours(without_texts: None, caller: Caller) -> None:
    answer = caller.post(PATH, without("title", to="+12025550100"))
    refused(answer, 500, "provider_not_configured", ("system", "provider_not_configured"))


def test_a_quota_that_is_used_up_is_told(caller: Caller) -> None:
    Workspace.objects.update(daily_quota=1)
    send(caller)
    answer = caller.post(PATH, SEND)
    refused(answer, 429, "quota_exceeded")
    assert int(answer["Retry-After"]) >= 1


def test_the_same_key_sends_once(caller: Caller) -> None:
    first = caller.post(PATH, SEND, Idempotency_Key="one")
    again = caller.post(PATH, SEND, Idempotency_Key="one")
    assert read(again) == read(first)
    assert again["Idempotency-Replayed"] == "true"
    refused(caller.post(PATH, {**SEND, "title": "Other"}, Idempotency_Key="one"), 400, "idempotency_mismatch")
    assert Message.objects.count() == 1


def test_a_recipient_who_wants_none_is_a_message_that_failed(caller: Caller) -> None:
    suppress(caller.workspace, address="ann@example.com", channel="email")
    error = {"code": 403, "message": "a message to this address bounced", "details": {"reason": "suppressed"}}
    row = shown(caller, send(caller))
    assert row["status"] == "failed"
    assert row["error"] == error
    answer = read(caller.post(PATH, {**SEND, "sync": True}))
    assert answer == {"id": answer["id"], "status": "failed", "error": error}


def test_whoever_told_the_provider_to_stop_wants_none_too(caller: Caller) -> None:
    key = send(caller)
    Message.objects.update(status=Status.FAILED, error_code="recipient_opted_out", error_detail="told to stop")
    row = Message.objects.get(pk=key)
    status, answer = sending.shown(Sent(message=row, ids=(row.id,), waited=True), sync=True)
    assert isinstance(answer, Outcome)
    assert isinstance(answer.error, Error)
    assert (status, answer.status, answer.error.code) == (200, "failed", 403)


# sync: true, by a real worker


@waited
@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.TEST])
def test_a_send_that_is_waited_for_tells_that_it_went_out(worker: object, mode: Mode) -> None:
    caller = make_caller(mode=mode)
    answer = read(caller.post(PATH, {**SEND, "sync": True}))
    assert answer == {"id": answer["id"], "status": "delivered"}
    assert shown(caller, answer["id"])["status"] == "delivered"


@waited
@pytest.mark.parametrize(
    ("to", "reason"), [("permanent@example.com", "sandbox_permanent"), ("transient@example.com", "sandbox_transient")]
)
def test_a_send_that_fails_is_an_error_of_its_own_and_the_message_says_so(worker: object, to: str, reason: str) -> None:
    caller = make_caller()
    answer = caller.post(PATH, {**SEND, "to": to, "sync": True}, Idempotency_Key="k")
    row = Message.objects.get()
    body = json.loads(answer.content)
    details = {"reason": reason, "provider": "sandbox"}
    assert answer.status_code == 500
    assert body == {"code": 500, "message": row.error_detail, "details": {**details, "id": str(row.id)}}
    shown_row = shown(caller, row.id)
    assert shown_row["status"] == "failed"
    assert shown_row["error"] == {"code": 500, "message": row.error_detail, "details": details}
    again = caller.post(PATH, {**SEND, "to": to, "sync": True}, Idempotency_Key="k")
    assert (again.status_code, json.loads(again.content)) == (500, body)


@waited
def test_a_message_that_failed_is_sent_after_a_retry(worker: object) -> None:
    caller = make_caller()
    assert caller.post(PATH, {**SEND, "to": "permanent@example.com", "sync": True}).status_code == 500
    key = Message.objects.get().id
    # The worker may have it in hand before the answer is written.
    assert read(caller.post(f"/messages/{key}/retry"))["status"] in {"retrying", "pending"}


@waited
def test_nobody_waits_for_what_is_sent_later_or_who_prefers_not_to(worker: object) -> None:
    caller = make_caller()
    later = read(caller.post(PATH, {**SEND, "sync": True, "scheduled_at": "2999-01-01T00:00:00Z"}))
    assert later == {"id": later["id"], "status": "scheduled"}
    answer = caller.post(PATH, {**SEND, "sync": True}, Prefer="respond-async")
    assert answer["Preference-Applied"] == "respond-async"
    assert read(answer)["status"] in {"pending", "delivered"}


@waited
def test_where_the_wait_ends_first_the_message_is_pending(worker: object, settings: Settings) -> None:
    settings.SYNC_WAIT_SECONDS = 0.2
    caller = make_caller()
    answer = read(caller.post(PATH, {**SEND, "to": "unknown@example.com", "sync": True}))
    assert answer == {"id": answer["id"], "status": "pending"}
