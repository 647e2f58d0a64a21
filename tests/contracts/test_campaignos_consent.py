"""Opting out and choosing by signed links, without an account."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client, override_settings
from django.utils import timezone

from channels_app.types import Channel
from messaging.content import exits, links
from messaging.content.links import Link, Purpose
from messaging.models import Consent, Contact, ContactEvent, Message, MessageEvent, Suppression, WebhookDelivery
from messaging.models.keys import uuid7
from messaging.state import Status
from messaging.webhooks import feeding
from tests.contracts.campaignos import STRANGER, home, make_contact, refused
from tests.factories import accept_message, message
from tests.messaging.api.callers import Caller, make_caller, nobody, read
from tests.messaging.people.rows import accept_to, said

OPERATIONS = {
    ("GET", "/api/unsubscribe"),
    ("POST", "/api/unsubscribe"),
    ("GET", "/api/preferences"),
    ("PUT", "/api/preferences"),
    ("POST", "/api/preferences"),
}
UNSUBSCRIBE, PREFERENCES = "/api/unsubscribe", "/api/preferences"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def contact(caller: Caller) -> Contact:
    # Read again, so that what it says is looked up each time.
    return Contact.objects.get(id=make_contact(caller, first_name="Ann", last_name="Smith").id)


def link(contact: Contact, **fields: Any) -> Link:
    known = {
        "purpose": Purpose.UNSUBSCRIBE,
        "workspace_id": contact.workspace_id,
        "contact_id": contact.id,
        "channel": Channel.EMAIL,
    }
    return Link(**{**known, **fields})


def token(contact: Contact, **fields: Any) -> str:
    return links.write(link(contact, **fields))


def choice(contact: Contact) -> str:
    """A token for the contact's preferences."""
    return token(contact, purpose=Purpose.PREFERENCES, channel=None)


def at(path: str, token: str, **parameters: str) -> str:
    return f"{path}?{urlencode({'token': token, **parameters})}"


def relative(url: str) -> str:
    parts = urlsplit(url)
    assert url.startswith(f"{settings.PUBLIC_BASE_URL}/")
    return f"{parts.path}?{parts.query}"


# Opting out


def test_get_tells_and_changes_nothing_and_post_opts_out(contact: Contact) -> None:
    address, visitor = at(UNSUBSCRIBE, token(contact)), nobody()
    assert read(visitor.get(address)) == {
        "success": False,
        "message": "You still get email messages. Send POST to this address to stop them.",
    }
    assert said(contact) == {}
    done = {"success": True, "message": "You get no more email messages."}
    assert read(visitor.post(address, b"List-Unsubscribe=One-Click", Content_Type=FORM)) == done
    assert said(contact) == {("email", "*"): "opted_out"}
    assert read(visitor.get(address)) == done


def test_who_opted_out_gets_nothing_at_once(caller: Caller, contact: Contact) -> None:
    nobody().post(at(UNSUBSCRIBE, token(contact)))
    refused_one = accept_to(caller.workspace, contact, category="news")
    assert (refused_one.status, refused_one.error_code) == (Status.FAILED, "suppressed")
    assert accept_to(caller.workspace, contact).status == Status.QUEUED


def test_opting_out_is_on_record_once(contact: Contact) -> None:
    address = at(UNSUBSCRIBE, token(contact, category="news"))
    for _ in range(2):
        read(nobody().post(address))
    (event,) = ContactEvent.objects.all()
    assert (event.contact_id, event.type) == (contact.id, "consent.opted_out")
    assert event.metadata == {"channel": "email", "category": "news", "status": "opted_out", "via": "link"}
    (consent,) = Consent.objects.all()
    assert (consent.author, consent.message_id) == (None, None)


@pytest.mark.parametrize("content_type", [FORM, "multipart/form-data; boundary=x", "text/plain", ""])
def test_the_one_click_post_of_mail_programs_has_any_body(contact: Contact, content_type: str) -> None:
    answer = nobody().post(at(UNSUBSCRIBE, token(contact)), b"List-Unsubscribe=One-Click", Content_Type=content_type)
    assert read(answer)["success"] is True
    assert said(contact) == {("email", "*"): "opted_out"}


def test_the_token_may_stand_in_a_json_body(contact: Contact) -> None:
    answer = nobody().post(f"{UNSUBSCRIBE}/", {"token": token(contact), "channel": "EMAIL"})
    assert read(answer) == {"success": True, "message": "You get no more email messages."}
    assert said(contact) == {("email", "*"): "opted_out"}


def test_a_message_becomes_unsubscribed_at_once_by_its_own_link(caller: Caller, contact: Contact) -> None:
    sent = accept_to(caller.workspace, contact, category="news")
    Message.objects.filter(id=sent.id).update(
        status=Status.OPENED.value, provider="smtp", provider_message_id="x1", opened_at=timezone.now()
    )
    url = links.unsubscribe_url(workspace_id=contact.workspace_id, channel=Channel.EMAIL, message_id=sent.id)
    assert read(nobody().post(relative(url)))["success"] is True
    row = message(sent.id)
    assert (row.status, row.provider, row.provider_message_id) == (Status.UNSUBSCRIBED, "smtp", "x1")
    assert said(contact) == {("email", "*"): "opted_out", ("email", "news"): "opted_out"}
    assert set(Consent.objects.values_list("message_id", flat=True)) == {sent.id}
    read(nobody().post(relative(url)))
    assert message(sent.id).unsubscribed_at == row.unsubscribed_at


@pytest.mark.parametrize("status", [Status.SENT, Status.DELIVERED, Status.OPENED, Status.CLICKED])
def test_the_link_in_what_a_message_says_is_that_messages_own(caller: Caller, contact: Contact, status: Status) -> None:
    asked = {
        "contactId": f"ct_{contact.id.hex}",
        "channel": "EMAIL",
        "subject": "News",
        "body": "{{ unsubscribeUrl }}",
        "metadata": {"category": "news"},
    }
    sent = read(caller.post(f"{home(caller)}/messages", asked, Prefer="respond-async"))["message"]["id"]
    key = Message.objects.get().id
    Message.objects.filter(id=key).update(status=status.value, provider="smtp", sent_at=timezone.now())
    url = read(caller.get(f"{home(caller)}/messages/{sent}"))["body"]
    assert read(nobody().post(relative(url)))["message"] == "You get no more email messages of the category news."
    assert said(contact) == {("email", "news"): "opted_out"}
    row = message(key)
    assert (row.status, Consent.objects.get().message_id) == (Status.UNSUBSCRIBED, key)
    (event,) = MessageEvent.objects.filter(message_id=key, type="unsubscribed")
    assert (event.at, event.cause) == (row.unsubscribed_at, "receipt")
    words = {
        f"/api/v1/messages/{key}": ("status", "UNSUBSCRIBED"),
        f"{home(caller)}/messages/{sent}": ("status", "UNSUBSCRIBED"),
        f"/messages/{key}": ("status", "delivered"),
    }
    for path, (name, word) in words.items():
        assert read(caller.get(path))[name] == word
    assert read(caller.get(f"/api/messaging/messages/{key}"))["result"]["data"]["status"] == "Read"
    assert [row["status"] for row in read(caller.get("/messaging/logs"))["logs"]] == ["sent"]


@pytest.mark.usefixtures("transactional_db")
def test_webhooks_are_told_who_opted_out_through_a_message(caller: Caller, contact: Contact) -> None:
    hook = {"url": "https://shop.example/hook", "events": ["message.unsubscribed"]}
    read(caller.post(f"{home(caller)}/webhooks", hook), 201)
    sent = accept_to(caller.workspace, contact, category="news")
    Message.objects.filter(id=sent.id).update(status=Status.DELIVERED.value, provider="smtp")
    links_of = exits.of(sent, Channel.EMAIL, {"unsubscribeUrl"})
    read(nobody().post(relative(links_of["unsubscribeUrl"])))
    feeding.feed()
    assert [(told.type, told.message_id) for told in WebhookDelivery.objects.all()] == [
        ("message.unsubscribed", sent.id)
    ]


def test_a_person_is_told_on_a_page_why_a_link_does_not_work(contact: Contact) -> None:
    old = links.write(link(contact), expires_at=timezone.now() - timedelta(seconds=1))
    gone = token(contact, contact_id=STRANGER)
    for text, status, words in (
        ("x" * 60, 400, "The token is not one of ours, or was changed."),
        (old, 400, "The link is too old."),
        (gone, 404, "There is no such contact."),
    ):
        for method in ("get", "post"):
            page = getattr(Client(), method)(at(UNSUBSCRIBE, text), headers={"Accept": "text/html"})
            assert "<title>This link does not work</title>" in page.content.decode()
            assert (page.status_code, page["Content-Type"]) == (status, "text/html; charset=utf-8")
            assert words in page.content.decode()
            assert "<form" not in page.content.decode()
    assert said(contact) == {}


def test_a_message_that_bounced_stays_so_although_its_recipient_opts_out(caller: Caller, contact: Contact) -> None:
    sent = accept_to(caller.workspace, contact)
    Message.objects.filter(id=sent.id).update(status=Status.BOUNCED.value)
    url = links.unsubscribe_url(workspace_id=contact.workspace_id, channel=Channel.EMAIL, message_id=sent.id)
    read(nobody().post(relative(url)))
    assert message(sent.id).status == Status.BOUNCED
    assert ("email", "*") in said(contact)


def test_an_address_that_is_no_contact_opts_out_too(caller: Caller) -> None:
    key = accept_message(caller.workspace, "bob@example.com", category="news")
    url = relative(
        links.unsubscribe_url(workspace_id=caller.workspace.id, channel=Channel.EMAIL, message_id=key, category="news")
    )
    words = "email messages of the category news"
    assert read(nobody().get(url))["message"] == f"You still get {words}. Send POST to this address to stop them."
    for _ in range(2):
        assert read(nobody().post(url)) == {"success": True, "message": f"You get no more {words}."}
    row = Suppression.objects.get()
    assert (row.address, row.category, row.reason, row.message_id) == ("bob@example.com", "news", "opted_out", key)
    event = ContactEvent.objects.get()
    assert (event.contact, event.metadata["message_id"]) == (None, str(key))
    again = message(accept_message(caller.workspace, "bob@example.com", category="news"))
    assert again.error_code == "suppressed"


def test_a_browser_gets_a_page_with_a_button(contact: Contact) -> None:
    address = at(UNSUBSCRIBE, token(contact, category="<b>news</b>"))
    page = Client().get(address, headers={"Accept": "text/html,application/xhtml+xml"})
    text = page.content.decode()
    assert page["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page["Content-Security-Policy"]
    assert '<form method="post">' in text
    assert "&lt;b&gt;news" in text
    assert "<b>news" not in text
    assert said(contact) == {}
    done = Client().post(address, headers={"Accept": "text/html"}).content.decode()
    assert "You get no more" in done
    assert "<form" not in done
    assert said(contact) == {("email", "<b>news</b>"): "opted_out"}


def test_the_cookie_of_somebody_who_is_signed_in_is_no_matter(contact: Contact, caller: Caller) -> None:
    client = Client(enforce_csrf_checks=True)
    assert caller.member is not None
    client.force_login(caller.member.user)
    assert client.post(at(UNSUBSCRIBE, token(contact))).status_code == 200


# Tokens


def altered(text: str) -> list[str]:
    """The token with each of some characters replaced, cut, and made longer."""
    places = range(0, len(text), 7)
    other = [text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :] for place in places]
    last = text[:-1] + chr(ord(text[-1]) + 1 if text[-1] not in "zZ9_" else ord("A"))
    return [*other, last, text[:-1], text + "A", text + "=", text + " ", f" {text}", text.swapcase(), "", "x", "é" * 60]


def test_no_altered_token_is_taken(contact: Contact) -> None:
    visitor = nobody()
    for text in altered(token(contact)):
        answer = visitor.post(at(UNSUBSCRIBE, text))
        assert answer.status_code == 400, text
    refused(
        visitor.post(at(UNSUBSCRIBE, "x" * 60)),
        400,
        "VALIDATION_ERROR",
        message="The token is not one of ours, or was changed.",
        reason="invalid_token",
        fields=["token"],
    )
    assert said(contact) == {}


def test_a_token_is_for_one_purpose(contact: Contact) -> None:
    visitor, wrong = nobody(), {"reason": "invalid_token", "fields": ["token"]}
    refused(visitor.post(at(UNSUBSCRIBE, choice(contact))), 400, "VALIDATION_ERROR", **wrong)
    refused(visitor.get(at(PREFERENCES, token(contact))), 400, "VALIDATION_ERROR", **wrong)
    refused(visitor.post(at(UNSUBSCRIBE, token(contact, channel=None))), 400, "VALIDATION_ERROR", **wrong)
    nameless = token(contact, purpose=Purpose.PREFERENCES, contact_id=None)
    refused(visitor.get(at(PREFERENCES, nameless)), 400, "VALIDATION_ERROR", **wrong)


def test_a_token_is_for_one_channel(contact: Contact) -> None:
    answer = nobody().post(at(UNSUBSCRIBE, token(contact), channel="PUSH"))
    refused(answer, 400, "VALIDATION_ERROR", reason="other_channel", fields=["channel"])
    assert said(contact) == {}


def test_a_token_ends(contact: Contact) -> None:
    soon = timezone.now() + timedelta(seconds=60)
    old = links.write(link(contact), expires_at=timezone.now() - timedelta(seconds=1))
    assert read(nobody().get(at(UNSUBSCRIBE, links.write(link(contact), expires_at=soon))))["success"] is False
    answer = nobody().post(at(UNSUBSCRIBE, old))
    refused(answer, 400, "VALIDATION_ERROR", message="The link is too old.", reason="token_expired", fields=["token"])


def test_a_token_outlives_a_new_secret_that_knows_the_old_one(contact: Contact) -> None:
    address = at(UNSUBSCRIBE, token(contact))
    with override_settings(SECRET_KEY="another" * 8):
        assert nobody().get(address).status_code == 400
    with override_settings(SECRET_KEY="another" * 8, SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert nobody().get(address).status_code == 200


def test_without_a_token_nobody_is_known(contact: Contact) -> None:
    visitor = nobody()
    for answer in (
        visitor.get(UNSUBSCRIBE),
        visitor.post(UNSUBSCRIBE),
        visitor.get(PREFERENCES),
        visitor.ask("PUT", PREFERENCES, {"preferences": [{"channel": "EMAIL", "status": "OPTED_OUT"}]}),
    ):
        refused(answer, 400, "VALIDATION_ERROR", reason="required", fields=["token"])
    for name in ("contactId", "mid", "messageId"):
        answer = visitor.post(f"{UNSUBSCRIBE}?{name}=ct_{contact.id.hex}")
        refused(answer, 400, "VALIDATION_ERROR", fields=[name])


def test_who_is_gone_is_not_found(contact: Contact) -> None:
    gone = token(contact, contact_id=STRANGER)
    refused(nobody().post(at(UNSUBSCRIBE, gone)), 404, "NOT_FOUND", reason="contact_not_found")
    lost = token(contact, contact_id=None, message_id=STRANGER)
    refused(nobody().post(at(UNSUBSCRIBE, lost)), 404, "NOT_FOUND", reason="message_not_found")
    foreign = token(contact, workspace_id=uuid7())
    refused(nobody().post(at(UNSUBSCRIBE, foreign)), 404, "NOT_FOUND", reason="contact_not_found")
    other = token(contact, purpose=Purpose.PREFERENCES, contact_id=STRANGER)
    refused(nobody().get(at(PREFERENCES, other)), 404, "NOT_FOUND", reason="contact_not_found")


# Preferences


def preferences(contact: Contact, **said: str) -> dict[str, Any]:
    rows = [{"channel": word, "status": said.get(word, "PENDING")} for word in ("EMAIL", "PUSH", "TELEGRAM", "ONSITE")]
    return {
        "contact": {
            "id": f"ct_{contact.id.hex}",
            "email": "ann@example.com",
            "firstName": "Ann",
            "lastName": "Smith",
        },
        "preferences": rows,
    }


def put(address: str, rows: list[dict[str, str]], **fields: Any) -> HttpResponse:
    return nobody().ask("PUT", address, {"preferences": rows, **fields})


def test_a_contact_sees_and_changes_what_it_gets(caller: Caller, contact: Contact) -> None:
    address = at(PREFERENCES, choice(contact))
    assert read(nobody().get(address)) == preferences(contact)
    rows = [{"channel": "EMAIL", "status": "OPTED_OUT"}, {"channel": "PUSH", "status": "OPTED_IN"}]
    wanted = preferences(contact, EMAIL="OPTED_OUT", PUSH="OPTED_IN")
    assert read(put(address, rows)) == wanted
    assert read(nobody().get(f"{PREFERENCES}/?{address.partition('?')[2]}")) == wanted
    assert accept_to(caller.workspace, contact, category="news").error_code == "suppressed"
    back = read(put(PREFERENCES, [{"channel": "EMAIL", "status": "OPTED_IN"}], token=choice(contact)))
    assert back == preferences(contact, EMAIL="OPTED_IN", PUSH="OPTED_IN")
    assert accept_to(caller.workspace, contact, category="news").status == Status.QUEUED
    told = [event.metadata for event in ContactEvent.objects.order_by("id")]
    email = {"channel": "email", "category": "*", "via": "preferences"}
    assert told == [
        {**email, "status": "opted_out"},
        {**email, "channel": "push", "status": "opted_in"},
        {**email, "status": "opted_in", "before": "opted_out"},
    ]


def test_a_category_is_chosen_beside_its_channel(contact: Contact) -> None:
    address = at(PREFERENCES, choice(contact))
    body = read(put(address, [{"channel": "EMAIL", "status": "OPTED_OUT", "category": "news"}]))
    assert body["preferences"][0] == {"channel": "EMAIL", "status": "PENDING", "categories": {"news": "OPTED_OUT"}}


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        ([], ["preferences"]),
        ([{"channel": "EMAIL"}], ["preferences.0.status"]),
        ([{"channel": "SMS", "status": "OPTED_OUT"}], ["preferences.0.channel"]),
        ([{"channel": "WEBHOOK", "status": "OPTED_OUT"}], ["preferences.0.channel"]),
        ([{"channel": "EMAIL", "status": "PENDING"}], ["preferences.0.status"]),
        ([{"channel": "EMAIL", "status": "OPTED_OUT", "category": "a\nb"}], ["category"]),
    ],
)
def test_a_bad_choice_is_refused_whole(contact: Contact, rows: list[dict[str, str]], places: list[str]) -> None:
    good = {"channel": "PUSH", "status": "OPTED_OUT"}
    answer = put(at(PREFERENCES, choice(contact)), [*rows, good] if rows and "category" in rows[0] else rows)
    assert answer.status_code == 400
    assert list(read(answer, 400)["error"]["details"]["fields"]) == places
    assert said(contact) == {}


def test_no_altered_token_chooses(contact: Contact) -> None:
    for text in altered(choice(contact)):
        answer = put(at(PREFERENCES, text), [{"channel": "EMAIL", "status": "OPTED_OUT"}])
        assert answer.status_code == 400, text
    assert said(contact) == {}


def test_a_browser_gets_a_page_of_what_can_be_chosen(contact: Contact) -> None:
    address, browser = at(PREFERENCES, choice(contact)), {"Accept": "text/html,application/xhtml+xml"}
    read(put(address, [{"channel": "PUSH", "status": "OPTED_OUT", "category": "<b>news</b>"}]))
    page = Client().get(address, headers=browser)
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page["Content-Security-Policy"]
    forms = re.findall(r'<form method="post">(.*?)</form>', page.content.decode(), re.DOTALL)
    chosen = [dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)) for form in forms]
    assert chosen == [
        {"channel": "EMAIL", "category": "*", "status": "OPTED_OUT"},
        {"channel": "PUSH", "category": "*", "status": "OPTED_OUT"},
        {"channel": "PUSH", "category": "&lt;b&gt;news&lt;/b&gt;", "status": "OPTED_IN"},
        {"channel": "TELEGRAM", "category": "*", "status": "OPTED_OUT"},
        {"channel": "ONSITE", "category": "*", "status": "OPTED_OUT"},
    ]
    after = Client().post(address, urlencode(chosen[0]), content_type=FORM, headers=browser).content.decode()
    assert '<input type="hidden" name="status" value="OPTED_IN">' in after.partition("</form>")[0]
    assert said(contact) == {("email", "*"): "opted_out", ("push", "<b>news</b>"): "opted_out"}
    assert ContactEvent.objects.latest("id").metadata["via"] == "preferences"


def test_what_a_form_chooses_is_told_to_programs_as_ever(contact: Contact) -> None:
    body = urlencode({"channel": "EMAIL", "status": "OPTED_OUT"}).encode()
    answer = nobody().post(at(PREFERENCES, choice(contact)), body, Content_Type=FORM)
    assert read(answer) == preferences(contact, EMAIL="OPTED_OUT")


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (b"category=news", ["channel"]),
        (b"channel=EMAIL", ["status"]),
        (b"channel=SMS&status=OPTED_OUT", ["channel"]),
        (b"channel=EMAIL&status=PENDING", ["status"]),
        (b"channel=EMAIL&status=OPTED_OUT&status=OPTED_IN", ["status"]),
        (b"channel=EMAIL&status=OPTED_OUT&more=1", ["more"]),
        (b"channel=EMAIL&status=OPTED_OUT&category=%00", ["category"]),
    ],
)
def test_a_bad_form_chooses_nothing(contact: Contact, body: bytes, places: list[str]) -> None:
    address = at(PREFERENCES, choice(contact))
    answer = nobody().post(address, body, Content_Type=FORM)
    assert list(read(answer, 400)["error"]["details"]["fields"]) == places
    page = Client().generic("POST", address, body, content_type=FORM, headers={"Accept": "text/html"})
    assert (page.status_code, page["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert said(contact) == {}


def test_preferences_are_posted_as_a_form_alone(contact: Contact) -> None:
    answer = nobody().post(at(PREFERENCES, choice(contact)), {"channel": "EMAIL", "status": "OPTED_OUT"})
    refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert said(contact) == {}


def test_the_links_of_a_profile_are_those_of_the_contact(caller: Caller, contact: Contact) -> None:
    shown = read(caller.get(f"{home(caller)}/contacts/ct_{contact.id.hex}"))["links"]
    assert read(nobody().get(relative(shown["preferences"]))) == preferences(contact)
    assert read(nobody().post(relative(shown["unsubscribe"]["PUSH"])))["message"] == "You get no more push messages."
    assert said(contact) == {("push", "*"): "opted_out"}
