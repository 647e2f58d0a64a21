"""Sending a message to a contact: the outcome in the same call, and every reason why there is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from pytest_django import Settings

from channels_app.types import Channel
from messaging.api.campaignos.vocabulary import FAILURE_OUT, PROVIDER_ERROR
from messaging.campaigns import pace
from messaging.models import Campaign, Contact, Content, Message, Mode, PushSubscription, Workspace
from messaging.state import Priority
from tests.contracts.campaignos import STRANGER, home, make_contact, refused
from tests.contracts.test_campaignos import shown
from tests.factories import make_template
from tests.messaging.api.callers import Caller, make_caller, read
from tests.messaging.people.rows import say, suppress

waited = pytest.mark.usefixtures("transactional_db")

BODY = "<h1>Hello {{firstName}}</h1><p>Here is your update...</p>"


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


def make_campaign(workspace: Workspace, **fields: Any) -> Campaign:
    return Campaign.objects.create(workspace=workspace, **{"name": "Digest", "channel": "email", **fields})


def asked(contact: Contact, **fields: Any) -> dict[str, Any]:
    """A message as it is asked for, by e-mail unless something else is said."""
    wanted = {
        "contactId": f"ct_{contact.id.hex}",
        "channel": "EMAIL",
        "subject": "Your weekly digest",
        "body": "<h1>Hello</h1>",
        **fields,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def undone(answer: HttpResponse, code: str, message: str | None = None, message_id: str | None = None) -> None:
    """The answer says exactly that the message does not go out, and why."""
    assert answer.status_code == 422, answer.content
    body = json.loads(answer.content)
    known = {"messageId": message_id} if message_id else {}
    said = body["error"]["message"] if message is None else message
    assert body == {"success": False, **known, "status": "FAILED", "error": {"code": code, "message": said}}
    assert said


# Sent by a real worker


@waited
def test_the_example_is_sent_and_shown(worker: object) -> None:
    caller = make_caller()
    contact = make_contact(caller, first_name="Ann", last_name="Lee")
    edition = make_template(caller.workspace, "digest", subject="From the template", body="<p>Template</p>", text="")
    campaign = make_campaign(caller.workspace, status="running")
    answer = caller.post(
        f"{home(caller)}/messages",
        {
            "contactId": f"ct_{contact.id.hex}",
            "channel": "EMAIL",
            "subject": "Your weekly digest",
            "body": BODY,
            "templateId": f"tpl_{edition.template.id.hex}",
            "campaignId": f"cmp_{campaign.id.hex}",
            "metadata": {"category": "digest"},
        },
    )
    row = Message.objects.get()
    ids = {
        "contactId": f"ct_{contact.id.hex}",
        "campaignId": f"cmp_{campaign.id.hex}",
        "templateId": f"tpl_{edition.template.id.hex}",
    }
    body = read(answer)
    assert body == {
        "success": True,
        "messageId": f"msg_{row.id.hex}",
        "status": "SENT",
        "channel": "EMAIL",
        "providerMessageId": f"sandbox-{row.id}",
        "message": shown(row, status="SENT", subject="Your weekly digest", **ids) | {"deliveredAt": None},
    }
    assert (row.category, row.priority, row.metadata) == ("digest", Priority.URGENT, {"category": "digest"})
    detail = read(caller.get(f"{home(caller)}/messages/{body['messageId']}"))
    assert detail["body"] == "<h1>Hello Ann</h1><p>Here is your update...</p>"
    assert detail["template"] == {"id": ids["templateId"], "name": "digest", "channel": "EMAIL"}
    assert detail["campaign"] == {"id": ids["campaignId"], "name": "Digest", "status": "ACTIVE"}
    assert [each["type"] for each in detail["events"][:3]] == ["message.queued", "message.sending", "message.sent"]


@waited
@pytest.mark.parametrize(
    ("channel", "fields"),
    [
        ("EMAIL", {"subject": "Hi"}),
        ("PUSH", {"subject": "Hi"}),
        ("TELEGRAM", {"subject": None}),
        ("ONSITE", {"subject": None}),
        ("WEBHOOK", {"subject": None}),
    ],
)
def test_each_channel_goes_out(worker: object, channel: str, fields: dict[str, Any]) -> None:
    caller = make_caller()
    contact = make_contact(caller, telegram_chat_id="4711", attributes={"webhookUrl": "https://example.com/hook"})
    PushSubscription.objects.create(
        workspace=caller.workspace, contact=contact, endpoint="https://push.example.com/1", p256dh="p", auth="a"
    )
    body = read(caller.post(f"{home(caller)}/messages", asked(contact, channel=channel, body="Hello", **fields)))
    assert (body["status"], body["channel"], body["message"]["contactId"]) == ("SENT", channel, f"ct_{contact.id.hex}")
    assert Message.objects.get().channel == channel.lower()


@waited
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("permanent@example.com", "refused for good in the sandbox"),
        ("transient@example.com", "attempt 1 fails in the sandbox"),
    ],
)
def test_what_the_provider_refuses_is_a_422_in_the_same_call(worker: object, address: str, message: str) -> None:
    caller = make_caller()
    answer = caller.post(f"{home(caller)}/messages", asked(make_contact(caller, email=address)))
    row = Message.objects.get()
    undone(answer, "PROVIDER_ERROR", message, f"msg_{row.id.hex}")
    assert (row.status, row.attempts) == ("FAILED", 1)


@waited
def test_a_message_is_queued_when_the_wait_is_over(worker: object, settings: Settings) -> None:
    settings.SYNC_WAIT_SECONDS = 0.3
    caller = make_caller()
    body = read(caller.post(f"{home(caller)}/messages", asked(make_contact(caller, email="throttled@example.com"))))
    assert body["success"] is True
    assert body["status"] in {"QUEUED", "SENDING"}, "the worker may just have it in hand"
    assert "providerMessageId" not in body


@waited
def test_a_repeat_under_a_key_gets_the_same_outcome_and_sends_nothing(worker: object) -> None:
    caller = make_caller()
    for address, status in (("ann@example.com", 200), ("permanent@example.com", 422)):
        wanted = asked(make_contact(caller, email=address))
        first = caller.post(f"{home(caller)}/messages", wanted, Idempotency_Key=address)
        again = caller.post(f"{home(caller)}/messages/", wanted, Idempotency_Key=address)
        assert (first.status_code, again.status_code) == (status, status)
        assert first.content == again.content
        assert again["Idempotency-Replayed"] == "true"
    assert Message.objects.count() == 2


# Without waiting


def test_a_repeat_gets_its_answer_though_the_contact_is_gone(caller: Caller) -> None:
    contact = make_contact(caller)
    wanted, headers = asked(contact), {"Idempotency_Key": "once", "Prefer": "respond-async"}
    first = caller.post(f"{home(caller)}/messages", wanted, **headers)
    contact.delete()
    again = caller.post(f"{home(caller)}/messages", wanted, **headers)
    assert (first.status_code, again.content) == (200, first.content)


def test_who_does_not_wait_is_told_that_it_is_queued(caller: Caller) -> None:
    contact = make_contact(caller)
    answer = caller.post(f"{home(caller)}/messages", asked(contact), Prefer="respond-async")
    row = Message.objects.get()
    assert read(answer) == {
        "success": True,
        "messageId": f"msg_{row.id.hex}",
        "status": "QUEUED",
        "channel": "EMAIL",
        "message": shown(row, subject="Your weekly digest", contactId=f"ct_{contact.id.hex}"),
    }
    assert answer["Preference-Applied"] == "respond-async"


def send(caller: Caller, contact: Contact, **fields: Any) -> HttpResponse:
    return caller.post(f"{home(caller)}/messages", asked(contact, **fields), Prefer="respond-async")


def said(caller: Caller, answer: HttpResponse) -> tuple[str, str]:
    """Subject and body of the message that was accepted."""
    detail = read(caller.get(f"{home(caller)}/messages/{read(answer)['messageId']}"))
    return detail["subject"], detail["body"]


def test_contact_fields_come_before_attributes_and_those_before_variables(caller: Caller) -> None:
    contact = make_contact(
        caller, first_name="Ann", last_name="Lee", attributes={"firstName": "Attribute", "plan": "gold"}
    )
    variables = {"firstName": "Variable", "plan": "tin", "city": "Oslo"}
    answer = send(
        caller,
        contact,
        subject="{{firstName}} {{lastName}}",
        body="{{plan}} {{city}} {{email}}",
        metadata={"variables": variables, "source": "test"},
    )
    assert said(caller, answer) == ("Ann Lee", "gold Oslo ann@example.com")
    row = Message.objects.get()
    assert row.metadata == {"source": "test"}
    # Of the contact only what is read is kept with the message.
    assert row.data == {**variables, "firstName": "Ann", "lastName": "Lee", "plan": "gold", "email": "ann@example.com"}


def test_a_body_may_name_the_links_of_its_contact(caller: Caller, settings: Settings) -> None:
    _, body = said(caller, send(caller, make_contact(caller), body='<a href="{{unsubscribeUrl}}">no more</a>'))
    assert body.startswith(f'<a href="{settings.PUBLIC_BASE_URL}/api/unsubscribe?token=')


def test_the_template_is_the_base_and_explicit_parts_win(caller: Caller) -> None:
    template = make_template(caller.workspace, subject="Hi {{firstName}}", body="<p>{{firstName}}</p>", text="")
    contact = make_contact(caller, first_name="Ann")
    key = f"tpl_{template.template.id.hex}"
    for fields, expected in (
        ({"subject": None, "body": None}, ("Hi Ann", "<p>Ann</p>")),
        ({"subject": "Own", "body": None}, ("Own", "<p>Ann</p>")),
        ({"subject": None, "body": "<b>own</b>"}, ("Hi Ann", "<b>own</b>")),
    ):
        assert said(caller, send(caller, contact, templateId=key, **fields)) == expected


def test_a_missing_variable_cannot_be_rendered(caller: Caller) -> None:
    answer = send(caller, make_contact(caller), body="Hello {{firstName}}, {{order.total}}")
    undone(answer, "RENDER_ERROR", "the template needs: firstName, order.total")
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("channel", "detail"),
    [
        ("EMAIL", "the contact has no address for email"),
        ("PUSH", "the contact has no subscription for push"),
        ("TELEGRAM", "the contact has no address for telegram"),
        ("WEBHOOK", "the contact has no address for webhook"),
    ],
)
def test_a_contact_without_an_address_is_unreachable(caller: Caller, channel: str, detail: str) -> None:
    contact = make_contact(caller, email="", phone="+12025550100")
    undone(send(caller, contact, channel=channel), "CONTACT_UNREACHABLE", detail)


def test_a_webhook_url_that_is_none_is_unreachable(caller: Caller) -> None:
    contact = make_contact(caller, attributes={"webhookUrl": "nowhere"})
    undone(send(caller, contact, channel="WEBHOOK", subject=None), "CONTACT_UNREACHABLE")


def test_everybody_is_reached_on_site(caller: Caller) -> None:
    assert read(send(caller, make_contact(caller), channel="ONSITE"))["status"] == "QUEUED"


def test_who_opted_out_of_the_category_is_not_written_to(caller: Caller) -> None:
    contact = make_contact(caller)
    say(contact, "digest", "opted_out")
    answer = send(caller, contact, metadata={"category": "digest"})
    row = Message.objects.get()
    undone(answer, "CONTACT_OPTED_OUT", "the recipient opted out (digest)", f"msg_{row.id.hex}")
    assert read(send(caller, contact, metadata={"category": "news"}))["status"] == "QUEUED"
    assert read(send(caller, contact))["status"] == "QUEUED"


def test_a_campaign_lends_its_category(caller: Caller) -> None:
    contact, campaign = make_contact(caller), make_campaign(caller.workspace, category="promo")
    say(contact, "promo", "opted_out")
    answer = send(caller, contact, campaignId=f"cmp_{campaign.id.hex}")
    row = Message.objects.get()
    undone(answer, "CONTACT_OPTED_OUT", "the recipient opted out (promo)", f"msg_{row.id.hex}")


def test_a_suppressed_address_is_not_written_to(caller: Caller) -> None:
    suppress(caller.workspace)
    answer = send(caller, make_contact(caller))
    row = Message.objects.get()
    undone(answer, "CONTACT_OPTED_OUT", "a message to this address bounced", f"msg_{row.id.hex}")


def test_a_channel_without_a_provider_is_not_configured(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.dispatch.providers.adapter", lambda *_, **__: None)
    undone(send(caller, make_contact(caller)), "CHANNEL_NOT_CONFIGURED", "the channel email has no provider")


@pytest.mark.parametrize("spelled", [f"tpl_{STRANGER.hex}", "tpl_abc123"])
def test_an_unknown_template_is_not_found(caller: Caller, spelled: str) -> None:
    undone(send(caller, make_contact(caller), templateId=spelled), "TEMPLATE_NOT_FOUND")


def test_a_template_of_another_channel_or_workspace_is_not_found(caller: Caller) -> None:
    contact = make_contact(caller)
    onsite = make_template(caller.workspace, channel=Channel.ONSITE, subject="", text="Hi")
    foreign = make_template(make_caller().workspace)
    for edition in (onsite, foreign):
        answer = send(caller, contact, templateId=f"tpl_{edition.template.id.hex}")
        undone(answer, "TEMPLATE_NOT_FOUND")


def test_a_campaign_writes_to_a_contact_so_often_and_no_more(caller: Caller) -> None:
    contact = make_contact(caller)
    campaign = make_campaign(caller.workspace, settings={"frequencyCap": {"max": 2, "hours": 48}})
    key = f"cmp_{campaign.id.hex}"
    for _ in range(2):
        assert read(send(caller, contact, campaignId=key))["success"]
    answer = send(caller, contact, campaignId=key)
    undone(answer, "FREQUENCY_CAPPED", "The campaign may send 2 in 48 hours to a contact.")
    assert Message.objects.count() == 2
    # Others are written to, and so is this one by no campaign.
    assert read(send(caller, make_contact(caller, email="bob@example.com"), campaignId=key))["success"]
    assert read(send(caller, contact))["success"]


def test_what_was_never_sent_or_is_long_past_does_not_count_for_the_cap(caller: Caller) -> None:
    contact, campaign = make_contact(caller), make_campaign(caller.workspace, settings={"frequencyCap": 1})
    key = f"cmp_{campaign.id.hex}"
    for change in (
        {"status": "FAILED"},
        {"status": "CANCELLED"},
        {"created_at": datetime.now(UTC) - timedelta(days=2)},
    ):
        assert read(send(caller, contact, campaignId=key))["success"]
        Message.objects.filter(created_at__gte=datetime.now(UTC) - timedelta(days=1)).update(**change)


def test_a_campaign_is_quiet_while_it_is_told_to(caller: Caller) -> None:
    contact = make_contact(caller)
    always = {"quietHours": {"start": "00:00", "end": "24:00"}}
    assert list(pace.problems(always))
    campaign = make_campaign(caller.workspace, settings={"quietHours": {"start": "00:00", "end": "23:59"}})
    now = datetime.now(UTC)
    if f"{now:%H:%M}" == "23:59":
        campaign.settings = {"quietHours": {"start": "12:00", "end": "11:00"}}
        campaign.save()
    undone(send(caller, contact, campaignId=f"cmp_{campaign.id.hex}"), "QUIET_HOURS")


def test_every_reason_of_the_document_is_told() -> None:
    assert {*FAILURE_OUT.values(), PROVIDER_ERROR} == {
        "CONTACT_UNREACHABLE",
        "CONTACT_OPTED_OUT",
        "CHANNEL_NOT_CONFIGURED",
        "TEMPLATE_NOT_FOUND",
        "PROVIDER_ERROR",
        "RENDER_ERROR",
        "FREQUENCY_CAPPED",
        "QUIET_HOURS",
    }


def test_metadata_may_say_that_it_has_no_category_and_no_variables(caller: Caller) -> None:
    answer = send(caller, make_contact(caller), metadata={"category": None, "variables": None})
    row = Message.objects.get()
    assert read(answer)["messageId"] == f"msg_{row.id.hex}"
    assert row.category == "transactional"


# What is refused as a request


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"contactId": None}, "contactId", None),
        ({"channel": None}, "channel", None),
        ({"channel": "SMS"}, "channel", None),
        ({"channel": 1}, "channel", None),
        ({"body": None}, "body", "required"),
        ({"body": ""}, "body", "required"),
        ({"subject": None}, "subject", None),
        ({"subject": ""}, "subject", None),
        ({"body": "{{ unclosed"}, "body", None),
        ({"metadata": "digest"}, "metadata", None),
        ({"metadata": {"category": 1}}, "metadata.category", "invalid_value"),
        ({"metadata": {"category": ""}}, "metadata.category", "invalid_value"),
        ({"metadata": {"variables": []}}, "metadata.variables", "wrong_type"),
        ({"priority": "high"}, "priority", None),
    ],
)
def test_a_field_that_cannot_be_used_is_refused_by_name(
    caller: Caller, fields: dict[str, Any], field: str, reason: str | None
) -> None:
    refused(send(caller, make_contact(caller), **fields), 400, "VALIDATION_ERROR", reason=reason, fields=[field])
    assert not Message.objects.exists()


def test_a_message_by_e_mail_needs_a_subject_from_somewhere(caller: Caller) -> None:
    edition = make_template(caller.workspace, subject="Hi")
    contact, key = make_contact(caller), f"tpl_{edition.template.id.hex}"
    assert read(send(caller, contact, subject=None, templateId=key))["success"]
    refused(send(caller, contact, subject=None), 400, "VALIDATION_ERROR", fields=["subject"])


@pytest.mark.parametrize("spelled", [f"ct_{STRANGER.hex}", "ct_abc123", "someone"])
def test_an_unknown_contact_is_not_found(caller: Caller, spelled: str) -> None:
    answer = send(caller, make_contact(caller), contactId=spelled)
    refused(answer, 404, "NOT_FOUND", message="There is no such contact.", reason="contact_not_found")


@pytest.mark.parametrize("spelled", [f"cmp_{STRANGER.hex}", "cmp_abc123"])
def test_an_unknown_campaign_is_not_found(caller: Caller, spelled: str) -> None:
    answer = send(caller, make_contact(caller), campaignId=spelled)
    refused(answer, 404, "NOT_FOUND", message="There is no such campaign.", reason="campaign_not_found")


def test_contacts_and_campaigns_of_others_are_not_found(caller: Caller) -> None:
    stranger = make_caller()
    answer = send(caller, make_contact(stranger))
    refused(answer, 404, "NOT_FOUND", message="There is no such contact.", reason="contact_not_found")
    campaign = make_campaign(stranger.workspace)
    answer = send(caller, make_contact(caller), campaignId=f"cmp_{campaign.id.hex}")
    refused(answer, 404, "NOT_FOUND", message="There is no such campaign.", reason="campaign_not_found")


def test_a_contact_is_named_by_its_plain_id_or_one_merged_into_it(caller: Caller) -> None:
    kept = make_contact(caller)
    kept.aliases.create(id=STRANGER, workspace=caller.workspace)
    for spelled in (str(kept.id), kept.id.hex, f"ct_{STRANGER.hex}"):
        answer = read(send(caller, kept, contactId=spelled))
        assert answer["message"]["contactId"] == f"ct_{kept.id.hex}"


@pytest.mark.parametrize(
    ("body", "message", "reason"),
    [
        (b"{", "The body is not valid JSON: line 1, column 2.", None),
        (b"[]", "Expected object, got array", None),
        (b'{"channel": "EMAIL", "channel": "PUSH"}', "A name stands twice in one object.", "duplicate_name"),
    ],
)
def test_a_body_that_is_no_object_is_refused(caller: Caller, body: bytes, message: str, reason: str | None) -> None:
    answer = caller.post(f"{home(caller)}/messages", body)
    refused(answer, 400, "VALIDATION_ERROR", message=message, reason=reason)


def test_a_body_that_is_not_json_is_refused(caller: Caller) -> None:
    answer = caller.ask("POST", f"{home(caller)}/messages", b"a=b", Content_Type="application/x-www-form-urlencoded")
    refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE", message="The body must be application/json in UTF-8.")


def test_a_message_of_a_test_key_is_one_of_test_mode(db: None) -> None:
    caller = make_caller(mode=Mode.TEST)
    assert read(send(caller, make_contact(caller)))["success"]
    assert Message.objects.get().test


def test_the_body_is_kept_once(caller: Caller) -> None:
    send(caller, make_contact(caller), body=BODY, metadata={"variables": {"firstName": "you"}})
    assert Content.objects.get().body == BODY
