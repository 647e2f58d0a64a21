"""Contacts of the campaignos surface: kept, searched, taken in, merged, exported; what sites show to them."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from channels_app.types import Channel
from messaging.api.campaignos.serializers.contacts import CONSENT_OUT, tag_id, tag_name
from messaging.errors import Invalid
from messaging.models import ConsentStatus, Contact, ContactEvent, Message, Mode
from messaging.people.imports import LARGEST
from messaging.state import Status
from tests.contracts.campaignos import STRANGER, home, make_contact, refused
from tests.contracts.forms import moment_of
from tests.factories import accept_message
from tests.messaging.api.callers import Caller, make_caller, nobody, read
from tests.messaging.people.rows import accept_to, say, suppress

OPERATIONS = {
    ("GET", "/api/workspaces/{workspace_id}/contacts"),
    ("POST", "/api/workspaces/{workspace_id}/contacts"),
    ("POST", "/api/workspaces/{workspace_id}/contacts/import"),
    ("GET", "/api/workspaces/{workspace_id}/contacts/{contact_id}"),
    ("PATCH", "/api/workspaces/{workspace_id}/contacts/{contact_id}"),
    ("DELETE", "/api/workspaces/{workspace_id}/contacts/{contact_id}"),
    ("POST", "/api/workspaces/{workspace_id}/contacts/{contact_id}/merge"),
    ("GET", "/api/workspaces/{workspace_id}/contacts/{contact_id}/export"),
    ("GET", "/api/workspaces/{workspace_id}/contacts/{contact_id}/onsite"),
    ("POST", "/api/workspaces/{workspace_id}/messages/{message_id}/read"),
}
ANN: dict[str, Any] = {
    "email": "ann@example.com",
    "phone": "+1 202 555 0123",
    "telegramChatId": "12345",
    "firstName": "Ann Maria",
    "lastName": "Smith",
    "externalId": "crm-1",
    "attributes": {"plan": "gold"},
    "tags": ["vip", "news", "vip"],
}


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def stranger(db: None) -> Caller:
    return make_caller()


def created(caller: Caller, **fields: Any) -> dict[str, Any]:
    return dict(read(caller.post(f"{home(caller)}/contacts", {"email": "ann@example.com", **fields}), 201))


def path(caller: Caller, contact: dict[str, Any] | Contact, rest: str = "") -> str:
    key = contact["id"] if isinstance(contact, dict) else f"ct_{contact.id.hex}"
    return f"{home(caller)}/contacts/{key}{rest}"


def page(rows: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    place = {"page": 1, "limit": 50, "total": len(rows), "totalPages": 1 if rows else 0, **fields}
    return {"data": rows, "pagination": place}


def ids(caller: Caller, query: str) -> list[str]:
    return [row["id"] for row in read(caller.get(f"{home(caller)}/contacts?{query}"))["data"]]


# Kept and listed


def test_a_contact_is_kept_and_listed(caller: Caller) -> None:
    made = created(caller, **ANN)
    assert made == {
        "id": made["id"],
        "email": "ann@example.com",
        "phone": "+12025550123",
        "firstName": "Ann Maria",
        "lastName": "Smith",
        "externalId": "crm-1",
        "telegramChatId": "12345",
        "attributes": {"plan": "gold"},
        "tags": [{"id": "tag_dmlw", "name": "vip"}, {"id": "tag_bmV3cw", "name": "news"}],
        "createdAt": made["createdAt"],
        "updatedAt": made["updatedAt"],
    }
    assert made["id"].startswith("ct_")
    assert read(caller.get(f"{home(caller)}/contacts")) == page([made])
    assert read(caller.get(f"{home(caller)}/contacts/")) == page([made])


def test_the_whole_name_of_a_contact_is_that_of_both_parts(caller: Caller) -> None:
    made = created(caller, firstName="Ann Maria", lastName="Smith")
    contact = Contact.objects.get()
    assert contact.name == "Ann Maria Smith"
    caller.ask("PATCH", f"/api/v1/contacts/{contact.id}", {"name": "Ann van Dyke"})
    changed = read(caller.get(path(caller, made)))
    assert (changed["firstName"], changed["lastName"]) == ("Ann van", "Dyke")
    patched = read(caller.ask("PATCH", path(caller, made), {"lastName": "van Dyke", "firstName": "Ann"}))
    assert (patched["firstName"], patched["lastName"]) == ("Ann", "van Dyke")
    assert read(caller.get(f"/api/v1/contacts/{contact.id}"))["name"] == "Ann van Dyke"
    alone = read(caller.ask("PATCH", path(caller, made), {"lastName": None}))
    assert (alone["firstName"], alone["lastName"]) == ("Ann", None)


@pytest.mark.parametrize(
    ("fields", "reason", "places"),
    [
        ({"email": None}, "no_address", ["email"]),
        ({"email": "nobody"}, None, ["email"]),
        ({"firstName": "a\nb"}, None, ["firstName"]),
        ({"telegramChatId": "x"}, None, ["telegramChatId"]),
        ({"tags": [" "]}, None, ["tags.0"]),
        ({"attributes": {"a": "b" * 33_000}}, None, ["attributes"]),
        ({"score": 5}, None, ["score"]),
    ],
)
def test_a_bad_contact_is_refused(
    caller: Caller, fields: dict[str, Any], reason: str | None, places: list[str]
) -> None:
    body = {"email": "ann@example.com", **fields}
    refused(caller.post(f"{home(caller)}/contacts", body), 400, "VALIDATION_ERROR", reason=reason, fields=places)
    assert not Contact.objects.exists()


def test_an_external_id_belongs_to_one_contact(caller: Caller) -> None:
    created(caller, externalId="crm-1")
    again = caller.post(f"{home(caller)}/contacts", {"externalId": "crm-1"})
    told = "Another contact has this external id."
    refused(again, 409, "CONFLICT", message=told, reason="external_id_taken", fields=["externalId"])


def test_contacts_are_searched_by_what_names_them(caller: Caller) -> None:
    ann, bob = created(caller, **ANN), created(caller, email="bob@example.com", firstName="Bob")
    for words in ("ann", "ANN%20maria", "ann@ex", "crm-1", "%2B12025550123", "+12025550123", ann["id"]):
        assert ids(caller, f"search={words}") == [ann["id"]], words
    assert ids(caller, "search=nobody") == []
    assert ids(caller, "") == [bob["id"], ann["id"]]


def test_contacts_are_found_by_a_tag(caller: Caller) -> None:
    ann = created(caller, tags=["vip", "Zürich & co"])
    created(caller, tags=["news"])
    for tag in ann["tags"]:
        assert ids(caller, f"tagId={tag['id']}") == [ann["id"]]
    answer = caller.get(f"{home(caller)}/contacts?tagId=vip")
    refused(answer, 400, "VALIDATION_ERROR", reason="invalid_value", fields=["tagId"])


@pytest.mark.parametrize("name", ["vip", "Zürich", "tag_x", "a" * 100, "é" * 100])
def test_the_id_of_a_tag_leads_back_to_its_name(name: str) -> None:
    assert tag_name(tag_id(name)) == name


@pytest.mark.parametrize("text", ["", "tag_", "vip", "tag_dmlx*", "tag_dmly=", "tag_gA"])
def test_what_is_no_id_of_a_tag_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        tag_name(text)


def test_contacts_are_sorted_and_paged(caller: Caller) -> None:
    rows = {
        name: created(caller, email=f"{mail}@example.com", firstName=name)["id"]
        for name, mail in (("Bea", "z"), ("ann", "y"), ("Cid", "x"))
    }
    by_name = [rows["ann"], rows["Bea"], rows["Cid"]]
    assert ids(caller, "sortBy=firstName&sortOrder=asc") == by_name
    assert ids(caller, "sortBy=name") == by_name[::-1]
    assert ids(caller, "sortBy=email&sortOrder=asc") == [rows["Cid"], rows["ann"], rows["Bea"]]
    assert ids(caller, "sortBy=createdAt&sortOrder=asc") == list(rows.values())
    read(caller.ask("PATCH", f"{home(caller)}/contacts/{rows['Bea']}", {"tags": ["x"]}))
    assert ids(caller, "sortBy=updatedAt")[0] == rows["Bea"]
    second = read(caller.get(f"{home(caller)}/contacts?sortBy=name&sortOrder=asc&page=2&limit=2"))
    assert [row["id"] for row in second["data"]] == [rows["Cid"]]
    assert second["pagination"] == {"page": 2, "limit": 2, "total": 3, "totalPages": 2}


@pytest.mark.parametrize(
    "query", ["page=0", "limit=201", "sortBy=score", "sortOrder=up", "segmentId=x", "limit=1&limit=2"]
)
def test_a_bad_parameter_is_refused_by_name(caller: Caller, query: str) -> None:
    body = read(caller.get(f"{home(caller)}/contacts?{query}"), 400)
    assert body["error"]["code"] == "VALIDATION_ERROR"
    assert list(body["error"]["details"]["fields"]) == [query.partition("=")[0]]


# The profile


def test_the_profile_has_everything_that_hangs_on_a_contact(caller: Caller) -> None:
    made = created(caller, **ANN)
    contact = Contact.objects.get()
    said = say(contact, "*", ConsentStatus.OPTED_OUT)
    say(contact, "news", ConsentStatus.OPTED_IN, channel="sms")
    device = contact.push_subscriptions.create(
        workspace=caller.workspace, endpoint="https://push.example.com/1", p256dh="p", auth="a", topic="deals"
    )
    event = read(
        caller.post(f"{home(caller)}/events", {"type": "page_view", "contactId": made["id"], "pageUrl": "/x"}), 201
    )
    sent = accept_to(caller.workspace, contact)
    message = read(caller.get(f"{home(caller)}/messages"))["data"][0]
    body = read(caller.get(path(caller, made)))
    assert body == {
        **made,
        "identities": [
            {"type": "EMAIL", "value": "ann@example.com"},
            {"type": "PHONE", "value": "+12025550123"},
            {"type": "TELEGRAM", "value": "12345"},
            {"type": "EXTERNAL", "value": "crm-1"},
        ],
        "consents": [
            {
                "channel": "EMAIL",
                "category": "*",
                "status": "OPTED_OUT",
                "updatedAt": body["consents"][0]["updatedAt"],
            }
        ],
        "pushSubscriptions": [
            {
                "id": f"ps_{device.id.hex}",
                "topic": "deals",
                "active": True,
                "createdAt": body["pushSubscriptions"][0]["createdAt"],
            }
        ],
        "events": [{name: value for name, value in event.items() if name != "contact"}],
        "messages": [message],
        "links": body["links"],
    }
    assert message["id"] == f"msg_{sent.id.hex}"
    assert said.channel == "email"
    assert set(body["links"]) == {"preferences", "unsubscribe"}
    assert set(body["links"]["unsubscribe"]) == {"EMAIL", "PUSH", "TELEGRAM", "ONSITE"}
    choose, visitor = body["links"]["preferences"].removeprefix(settings.PUBLIC_BASE_URL), nobody()
    assert read(visitor.get(choose))["contact"]["id"] == made["id"]
    for word, url in body["links"]["unsubscribe"].items():
        told = read(visitor.get(url.removeprefix(settings.PUBLIC_BASE_URL)))["message"]
        assert told.split()[:4] in (["You", "still", "get", word.lower()], ["You", "get", "no", "more"])


def test_a_profile_shows_no_more_than_the_caller_may_see(caller: Caller) -> None:
    made = created(caller)
    accept_to(caller.workspace, Contact.objects.get())
    reader = make_caller(workspace=caller.workspace, scopes=["contacts:read"])
    body = read(reader.get(path(caller, made)))
    assert (body["messages"], body["links"]) == ([], None)


def test_the_words_of_consent_are_total() -> None:
    assert set(CONSENT_OUT) == set(ConsentStatus)


# Changed, forgotten, merged


def test_a_change_touches_what_it_names(caller: Caller) -> None:
    made = created(caller, **ANN)
    changed = read(caller.ask("PATCH", path(caller, made), {"phone": None, "tags": ["x"], "attributes": {"a": 1}}))
    assert changed == {
        **made,
        "phone": None,
        "tags": [{"id": tag_id("x"), "name": "x"}],
        "attributes": {"a": 1},
        "updatedAt": changed["updatedAt"],
    }
    nothing = caller.ask("PATCH", path(caller, made), {"email": None, "telegramChatId": None, "externalId": None})
    refused(nothing, 400, "VALIDATION_ERROR", reason="no_address", fields=["email"])


def test_a_contact_is_forgotten_with_what_it_did(caller: Caller) -> None:
    made = created(caller)
    read(caller.post(f"{home(caller)}/events", {"type": "seen", "contactId": made["id"]}), 201)
    assert read(caller.ask("DELETE", path(caller, made))) == {"success": True}
    assert not ContactEvent.objects.exists()
    refused(caller.get(path(caller, made)), 404, "NOT_FOUND", reason="contact_not_found")
    refused(caller.ask("DELETE", path(caller, made)), 404, "NOT_FOUND", reason="contact_not_found")


def test_two_contacts_become_one_that_has_the_events_of_both(caller: Caller) -> None:
    ann, other = created(caller, firstName="Ann", tags=["a"]), created(caller, phone="+12025550123", tags=["b"])
    read(caller.post(f"{home(caller)}/events", {"type": "seen", "contactId": other["id"]}), 201)
    merged = read(caller.post(path(caller, ann, "/merge"), {"contactId": other["id"]}))
    assert merged == {
        **ann,
        "phone": "+12025550123",
        "tags": [*ann["tags"], *other["tags"]],
        "updatedAt": merged["updatedAt"],
    }
    assert [each["type"] for each in read(caller.get(path(caller, other)))["events"]] == ["seen"]
    assert [each["type"] for each in read(caller.get(f"{home(caller)}/events?contactId={other['id']}"))] == ["seen"]


def test_a_merge_needs_another_contact_of_the_workspace(caller: Caller, stranger: Caller) -> None:
    ann, foreign = created(caller), created(stranger)
    itself = caller.post(path(caller, ann, "/merge"), {"contactId": ann["id"]})
    refused(itself, 400, "VALIDATION_ERROR", reason="same_contact")
    for key in (foreign["id"], "ct_1", f"ct_{STRANGER.hex}"):
        answer = caller.post(path(caller, ann, "/merge"), {"contactId": key})
        refused(answer, 404, "NOT_FOUND", reason="contact_not_found")


# Import


NO_ADDRESS = "not an e-mail address: An email address must have an @-sign."
NO_WAY = "A contact has an e-mail address, a phone number, a Telegram chat, an external id or an avatar."


def test_an_import_keeps_each_row_by_itself(caller: Caller) -> None:
    known = created(caller, externalId="crm-1", tags=["old"], attributes={"a": 1, "b": 1})
    rows = [
        {"externalId": "crm-1", "firstName": "Ann", "tags": ["new"], "attributes": {"b": 2}},
        {"email": "bob@example.com", "lastName": "Jones"},
        {"email": "nobody"},
        {"email": "cid@example.com", "nickname": "C"},
        {"firstName": "Dan"},
        {"email": "bob@example.com", "phone": "+12025550123"},
    ]
    body = read(caller.post(f"{home(caller)}/contacts/import", {"contacts": rows}))
    assert body == {
        "created": 1,
        "updated": 2,
        "failed": 3,
        "errors": [
            {
                "row": 2,
                "message": NO_ADDRESS,
                "reason": "invalid_recipient",
                "fields": {"email": [NO_ADDRESS]},
            },
            {
                "row": 3,
                "message": "There is no such field.",
                "reason": "unknown_field",
                "fields": {"nickname": ["There is no such field."]},
            },
            {
                "row": 4,
                "message": NO_WAY,
                "reason": "no_address",
                "fields": {"email": [NO_WAY]},
            },
        ],
    }
    ann = read(caller.get(path(caller, known)))
    assert (ann["firstName"], ann["attributes"]) == ("Ann", {"a": 1, "b": 2})
    assert [tag["name"] for tag in ann["tags"]] == ["old", "new"]
    bob = Contact.objects.get(email="bob@example.com")
    assert (bob.name, bob.phone) == ("Jones", "+12025550123")


def test_an_import_is_bounded(caller: Caller) -> None:
    for rows in ([], [{"email": "a@example.com"}] * (LARGEST + 1), {"email": "x"}):
        answer = caller.post(f"{home(caller)}/contacts/import", {"contacts": rows})
        refused(answer, 400, "VALIDATION_ERROR", fields=["contacts"])
    assert not Contact.objects.exists()


# Export


def test_an_export_has_all_that_is_kept(caller: Caller) -> None:
    made, other = created(caller, **ANN), created(caller, email="old@example.com")
    read(caller.post(path(caller, made, "/merge"), {"contactId": other["id"]}))
    shown = read(caller.get(path(caller, made)))
    contact = Contact.objects.get()
    say(contact, "news", ConsentStatus.OPTED_IN, channel="sms")
    suppress(caller.workspace, "*", "bounced", address="ann@example.com")
    device = contact.push_subscriptions.create(
        workspace=caller.workspace, endpoint="https://push.example.com/1", p256dh="p", auth="a"
    )
    event = read(caller.post(f"{home(caller)}/events", {"type": "seen", "contactId": made["id"]}), 201)
    sent = accept_to(caller.workspace, contact, text="Hello {{ word }}", data={"word": "Ann"})
    body = read(caller.get(path(caller, made, "/export")))
    row = {name: shown[name] for name in made}
    assert body == {
        "contact": {**row, "updatedAt": body["contact"]["updatedAt"]},
        "name": "Ann Maria Smith",
        "locale": None,
        "timeZone": None,
        "mergedContactIds": [other["id"]],
        "identities": shown["identities"],
        "consents": [
            {
                "channel": "sms",
                "category": "news",
                "status": "opted_in",
                "updatedAt": body["consents"][0]["updatedAt"],
            }
        ],
        "suppressions": [
            {
                "channel": "email",
                "address": "ann@example.com",
                "category": "*",
                "reason": "bounced",
                "createdAt": body["suppressions"][0]["createdAt"],
                "liftedAt": None,
            }
        ],
        "pushSubscriptions": [
            {
                "id": f"ps_{device.id.hex}",
                "endpoint": "https://push.example.com/1",
                "topic": None,
                "active": True,
                "createdAt": body["pushSubscriptions"][0]["createdAt"],
            }
        ],
        "campaignIds": [],
        "events": [{name: value for name, value in event.items() if name != "contact"}],
        "messages": [
            {
                "id": f"msg_{sent.id.hex}",
                "channel": "email",
                "status": "FAILED",
                "recipient": "ann@example.com",
                "subject": "Hello",
                "body": "Hello Ann",
                "data": {"word": "Ann"},
                "metadata": {},
                "category": "transactional",
                "campaignId": None,
                "createdAt": moment_of(sent.created_at),
                "events": [{"type": each.type, "timestamp": moment_of(each.at)} for each in sent.events.all()],
            }
        ],
        "complete": True,
    }
    assert [each["type"] for each in body["messages"][0]["events"]] == ["queued", "failed"]


def test_an_export_holds_messages_and_needs_that_scope_too(caller: Caller) -> None:
    made = created(caller)
    writer = make_caller(workspace=caller.workspace, scopes=["contacts:write"])
    refused(writer.get(path(caller, made, "/export")), 403, "FORBIDDEN", reason="missing_scope")


# What a site shows


def arrived(caller: Caller, contact: Contact, **fields: Any) -> Message:
    """An on-site message that has arrived."""
    sent = accept_to(caller.workspace, contact, channel=Channel.ONSITE, subject="News", text="Come in", **fields)
    Message.objects.filter(id=sent.id).update(status=Status.SENT.value, sent_at=timezone.now())
    return sent


def test_a_site_shows_what_was_not_read_until_it_is(caller: Caller) -> None:
    contact = make_contact(caller)
    first, second = arrived(caller, contact), arrived(caller, contact, metadata={"a": 1})
    accept_to(caller.workspace, contact, channel=Channel.ONSITE, text="Waits")
    accept_to(caller.workspace, contact)
    rows = read(caller.get(path(caller, contact, "/onsite")))
    assert rows == [
        {
            "id": f"msg_{sent.id.hex}",
            "subject": "News",
            "body": "Come in",
            "metadata": sent.metadata,
            "campaignId": None,
            "sentAt": rows[place]["sentAt"],
            "readAt": None,
        }
        for place, sent in enumerate((second, first))
    ]
    done = read(caller.post(f"{home(caller)}/messages/{rows[0]['id']}/read"))
    assert done == {**rows[0], "readAt": done["readAt"]}
    assert done["readAt"]
    assert Message.objects.get(id=second.id).status == Status.OPENED
    assert read(caller.post(f"{home(caller)}/messages/{rows[0]['id']}/read")) == done
    assert read(caller.get(path(caller, contact, "/onsite"))) == rows[1:]


def test_only_what_arrived_on_a_site_is_read(caller: Caller, stranger: Caller) -> None:
    contact = make_contact(caller)
    waits = accept_to(caller.workspace, contact, channel=Channel.ONSITE, text="Waits")
    mail = accept_message(caller.workspace)
    answer = caller.post(f"{home(caller)}/messages/msg_{waits.id.hex}/read")
    refused(answer, 409, "INVALID_STATE", reason="not_arrived")
    for key in (mail, STRANGER):
        answer = caller.post(f"{home(caller)}/messages/msg_{key.hex}/read")
        refused(answer, 404, "NOT_FOUND", reason="message_not_found")
    answer = stranger.post(f"{home(stranger)}/messages/msg_{waits.id.hex}/read")
    refused(answer, 404, "NOT_FOUND", reason="message_not_found")


def test_what_was_sent_in_test_mode_is_shown_to_test_keys_alone(caller: Caller) -> None:
    contact = make_contact(caller)
    sent = arrived(caller, contact)
    tester = make_caller(workspace=caller.workspace, mode=Mode.TEST)
    assert read(tester.get(path(caller, contact, "/onsite"))) == []
    answer = tester.post(f"{home(caller)}/messages/msg_{sent.id.hex}/read")
    refused(answer, 404, "NOT_FOUND", reason="message_not_found")


# Who may

REQUESTS = [
    ("GET", "/contacts", "contacts:read"),
    ("POST", "/contacts", "contacts:write"),
    ("POST", "/contacts/import", "contacts:write"),
    ("GET", "/contacts/{key}", "contacts:read"),
    ("PATCH", "/contacts/{key}", "contacts:write"),
    ("DELETE", "/contacts/{key}", "contacts:write"),
    ("POST", "/contacts/{key}/merge", "contacts:write"),
    ("GET", "/contacts/{key}/export", "contacts:write"),
    ("GET", "/contacts/{key}/onsite", "messages:read"),
    ("POST", "/messages/{message}/read", "messages:write"),
]


@pytest.mark.parametrize(("method", "rest", "scope"), REQUESTS)
def test_a_stranger_a_foreign_workspace_and_a_lacking_scope_are_refused(
    caller: Caller, stranger: Caller, method: str, rest: str, scope: str
) -> None:
    contact = make_contact(caller)
    names = {"key": f"ct_{contact.id.hex}", "message": f"msg_{STRANGER.hex}"}
    below = rest.format(**names)
    refused(nobody().ask(method, home(caller) + below, {}), 401, "UNAUTHORIZED")
    refused(stranger.ask(method, home(caller) + below, {}), 404, "NOT_FOUND", reason="workspace_not_found")
    others = [each for each in ("contacts:read", "contacts:write", "messages:read", "messages:write") if each != scope]
    lacking = make_caller(workspace=caller.workspace, scopes=others)
    refused(lacking.ask(method, home(caller) + below, {}), 403, "FORBIDDEN", reason="missing_scope")
    if "{key}" in rest:
        foreign = stranger.ask(method, home(stranger) + below, {"contactId": names["key"]} if "merge" in rest else {})
        refused(foreign, 404, "NOT_FOUND", reason="contact_not_found")
