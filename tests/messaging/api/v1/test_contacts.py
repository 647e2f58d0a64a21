"""Contacts over HTTP: kept, changed, searched, merged, and written to by their ids."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from messaging.models import Contact, ContactAlias, Message, Suppression
from messaging.models.keys import uuid7
from tests.messaging.api.callers import Caller, assert_problem, read
from tests.messaging.people.rows import make_contact, said, say, suppress

CONTACTS, MESSAGES, BATCH = "/api/v1/contacts", "/api/v1/messages", "/api/v1/messages/batch"
ANN = {
    "external_id": "crm-1",
    "name": "Ann Smith",
    "email": "Ann@Example.com",
    "phone": "+1 202 555 0123",
    "telegram_chat_id": "12345",
    "locale": "de_CH",
    "time_zone": "Europe/Zurich",
    "attributes": {"plan": "gold", "visits": 3},
    "tags": ["vip", "news", "vip"],
}


def test_a_contact_is_kept_shown_and_listed(caller: Caller) -> None:
    avatar = str(uuid4())
    made = read(caller.post(CONTACTS, {**ANN, "avatar_id": avatar}), 201)
    assert made == {
        "id": made["id"],
        "external_id": "crm-1",
        "name": "Ann Smith",
        "email": "Ann@example.com",
        "phone": "+12025550123",
        "telegram_chat_id": "12345",
        "avatar_id": avatar,
        "locale": "de-CH",
        "time_zone": "Europe/Zurich",
        "attributes": {"plan": "gold", "visits": 3},
        "tags": ["vip", "news"],
        "consent": {},
        "created_at": made["created_at"],
        "updated_at": made["updated_at"],
    }
    assert read(caller.get(f"{CONTACTS}/{made['id']}")) == made
    assert read(caller.get(CONTACTS)) == {"results": [made], "next": None, "previous": None}


def test_what_is_left_out_is_null(caller: Caller) -> None:
    made = read(caller.post(CONTACTS, {"email": "ann@example.com"}), 201)
    empty = {name for name, value in made.items() if value is None}
    assert empty == {"external_id", "name", "phone", "telegram_chat_id", "avatar_id", "locale", "time_zone"}
    assert (made["attributes"], made["tags"], made["consent"]) == ({}, [], {})


@pytest.mark.parametrize(
    ("fields", "code", "place"),
    [
        ({}, "no_address", ("/email", "no_address")),
        ({"name": "Ann"}, "no_address", ("/email", "no_address")),
        ({"email": "  "}, "validation_error", ("/email", "invalid_recipient")),
        ({"email": "nobody"}, "validation_error", ("/email", "invalid_recipient")),
        ({"phone": "12"}, "validation_error", ("/phone", "invalid_recipient")),
        ({"telegram_chat_id": "x"}, "validation_error", ("/telegram_chat_id", "invalid_recipient")),
        ({"external_id": ""}, "validation_error", ("/external_id", "too_short")),
        ({"external_id": "a\nb"}, "validation_error", ("/external_id", "control_character")),
        ({"name": "a\nb", "external_id": "x"}, "validation_error", ("/name", "control_character")),
        ({"external_id": "x", "locale": "!"}, "validation_error", ("/locale", "invalid_locale")),
        ({"external_id": "x", "time_zone": "../etc"}, "validation_error", ("/time_zone", "invalid_time_zone")),
        ({"external_id": "x", "tags": [" "]}, "validation_error", ("/tags/0", "too_short")),
        ({"external_id": "x", "avatar_id": "x"}, "validation_error", ("/avatar_id", "invalid_value")),
        ({"external_id": "x", "attributes": {"a": "b" * 33_000}}, "validation_error", ("/attributes", "too_long")),
        ({"external_id": "x", "workspace_id": "x"}, "validation_error", ("/workspace_id", "unknown_field")),
        ({"external_id": "x", "consent": {}}, "validation_error", ("/consent", "unknown_field")),
        ({"external_id": "\u0000"}, "nul_character", ("/external_id", "nul_character")),
    ],
)
def test_a_bad_contact_is_refused(caller: Caller, fields: dict[str, Any], code: str, place: tuple[str, str]) -> None:
    assert_problem(caller.post(CONTACTS, fields), 422, code, place)
    assert not Contact.objects.exists()


@pytest.mark.parametrize("field", ["external_id", "avatar_id"])
def test_what_belongs_to_another_contact_is_taken(caller: Caller, stranger: Caller, field: str) -> None:
    value = "crm-1" if field == "external_id" else str(uuid4())
    read(caller.post(CONTACTS, {field: value}), 201)
    read(stranger.post(CONTACTS, {field: value}), 201)
    assert_problem(caller.post(CONTACTS, {field: value}), 409, f"{field}_taken", (f"/{field}", f"{field}_taken"))
    other = read(caller.post(CONTACTS, {"email": "bob@example.com"}), 201)["id"]
    answer = caller.ask("PATCH", f"{CONTACTS}/{other}", {field: value})
    assert_problem(answer, 409, f"{field}_taken", (f"/{field}", f"{field}_taken"))


def test_two_contacts_may_share_an_address(caller: Caller) -> None:
    for _ in range(2):
        read(caller.post(CONTACTS, {"email": "family@example.com"}), 201)


def test_a_change_touches_what_it_names_and_a_replacement_everything(caller: Caller) -> None:
    made = read(caller.post(CONTACTS, ANN), 201)
    path = f"{CONTACTS}/{made['id']}"
    changed = read(caller.ask("PATCH", path, {"name": "Ann Jones", "phone": None, "tags": ["new"]}))
    assert changed == {
        **made,
        "name": "Ann Jones",
        "phone": None,
        "tags": ["new"],
        "updated_at": changed["updated_at"],
    }
    assert changed["updated_at"] > made["updated_at"]
    assert [each["id"] for each in read(caller.get(f"{CONTACTS}?q=ann%20jo"))["results"]] == [made["id"]]
    replaced = read(caller.ask("PUT", path, {"email": "ann@example.com"}))
    assert (replaced["email"], replaced["name"], replaced["external_id"], replaced["tags"]) == (
        "ann@example.com",
        None,
        None,
        [],
    )
    assert_problem(caller.ask("PATCH", path, {"email": None}), 422, "no_address", ("/email", "no_address"))
    assert read(caller.get(path))["email"] == "ann@example.com"


def test_a_deleted_contact_is_gone_and_its_word_stays_with_its_address(caller: Caller) -> None:
    contact = make_contact(caller.workspace, phone="+12025550123")
    say(contact, "news", "opted_out")
    say(contact, "*", "opted_out", channel="sms")
    say(contact, "offers", "opted_in")
    assert caller.ask("DELETE", f"{CONTACTS}/{contact.id}").status_code == 204
    assert_problem(caller.get(f"{CONTACTS}/{contact.id}"), 404, "contact_not_found")
    rows = Suppression.objects.order_by("channel")
    assert [(row.channel, row.address, row.category, row.reason) for row in rows] == [
        ("email", "ann@example.com", "news", "opted_out"),
        ("sms", "+12025550123", "*", "opted_out"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PUT", "", {"email": "x@example.com"}),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("PUT", "/consent", {"channel": "email", "status": "opted_out"}),
        ("POST", "/merge", {"into": str(uuid7())}),
    ],
)
def test_a_contact_of_others_is_not_found(
    caller: Caller, stranger: Caller, method: str, path: str, body: dict[str, Any] | None
) -> None:
    contact = make_contact(stranger.workspace)
    for key in (contact.id, uuid7()):
        assert_problem(caller.ask(method, f"{CONTACTS}/{key}{path}", body), 404, "contact_not_found")
    contact.refresh_from_db()
    assert (contact.name, said(contact)) == ("Ann", {})


class TestConsent:
    def test_the_last_word_of_each_category_holds(self, caller: Caller) -> None:
        path = f"{CONTACTS}/{make_contact(caller.workspace).id}"
        for channel, category, status in (
            ("email", None, "opted_out"),
            ("email", "news", "opted_out"),
            ("email", "news", "opted_in"),
            ("sms", "*", "opted_in"),
        ):
            body = {"channel": channel, "status": status, **({"category": category} if category else {})}
            shown = read(caller.ask("PUT", f"{path}/consent", body))
        assert shown["consent"] == {"email": {"*": "opted_out", "news": "opted_in"}, "sms": {"*": "opted_in"}}
        assert read(caller.get(path)) == shown
        assert caller.member
        assert {each.author_id for each in Contact.objects.get().consents.all()} == {caller.member.user_id}

    @pytest.mark.parametrize(
        ("body", "place"),
        [
            ({"channel": "pigeon", "status": "opted_out"}, ("/channel", "invalid_choice")),
            ({"channel": "email", "status": "maybe"}, ("/status", "invalid_choice")),
            ({"channel": "email"}, ("/status", "required")),
            ({"channel": "email", "status": "opted_in", "category": ""}, ("/category", "too_short")),
        ],
    )
    def test_bad_consent_is_refused(self, caller: Caller, body: dict[str, Any], place: tuple[str, str]) -> None:
        path = f"{CONTACTS}/{make_contact(caller.workspace).id}/consent"
        assert_problem(caller.ask("PUT", path, body), 422, "validation_error", place)

    def test_a_send_to_who_opted_out_is_accepted_and_failed(self, caller: Caller) -> None:
        contact = make_contact(caller.workspace)
        path = f"{CONTACTS}/{contact.id}/consent"
        read(caller.ask("PUT", path, {"channel": "email", "category": "news", "status": "opted_out"}))
        send = {"channel": "email", "contact_id": str(contact.id), "subject": "Hi", "text": "Hi", "category": "news"}
        sent = read(caller.post(MESSAGES, send), 202)
        assert (sent["status"], sent["error"]["code"]) == ("FAILED", "suppressed")
        events = read(caller.get(f"{MESSAGES}/{sent['id']}/events"))["results"]
        assert events[-1]["detail"]["by"] == str(caller.member.user.avatar_id if caller.member else None)
        read(caller.ask("PUT", path, {"channel": "email", "category": "news", "status": "opted_in"}))
        assert read(caller.post(MESSAGES, send), 202)["status"] == "QUEUED"


class TestSearch:
    @pytest.fixture
    def crowd(self, caller: Caller) -> dict[str, str]:
        rows = [
            ("ann", {"name": "Ann Arbor", "email": "zoe@example.com", "external_id": "A-1", "phone": "+12025550111"}),
            ("anna", {"name": "ANNA Bell", "email": "bell@example.com", "tags": ["vip"]}),
            ("mail", {"name": "Zed", "email": "Anniversary@example.com"}),
            ("ole", {"name": "Ölaf_100%", "email": "olaf@example.com"}),
            ("bob", {"name": "Bob", "email": "bob@example.com", "tags": ["vip", "old"]}),
        ]
        return {key: read(caller.post(CONTACTS, fields), 201)["id"] for key, fields in rows}

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("q=ann", ["ann", "anna", "mail"]),
            ("q=ANN", ["ann", "anna", "mail"]),
            ("q=anna", ["anna"]),
            ("q=anniversary@EXAMPLE.com", ["mail"]),
            ("q=nn", []),
            ("q=A-1", ["ann"]),
            ("q=%2B1%20202%20555%200111", ["ann"]),
            ("q=%C3%B6laf_1", ["ole"]),
            ("q=%C3%B6laf%25", []),
            ("q=olaf_", []),
            ("tag=vip", ["bob", "anna"]),
            ("tag=vip&q=b", ["bob", "anna"]),
            ("tag=none", []),
            ("external_id=A-1", ["ann"]),
            ("external_id=a-1", []),
            ("", ["bob", "ole", "mail", "anna", "ann"]),
        ],
    )
    def test_it_finds_by_whole_ids_and_by_how_names_and_addresses_begin(
        self, caller: Caller, crowd: dict[str, str], query: str, found: list[str]
    ) -> None:
        results = read(caller.get(f"{CONTACTS}?{query}"))["results"]
        assert [each["id"] for each in results] == [crowd[key] for key in found]

    def test_it_finds_by_id(self, caller: Caller, crowd: dict[str, str]) -> None:
        for key in (crowd["ann"], crowd["ann"].upper()):
            assert [each["id"] for each in read(caller.get(f"{CONTACTS}?q={key}"))["results"]] == [crowd["ann"]]

    @pytest.mark.parametrize("query", ["", "q=p", "tag=all", "q=p&tag=all"])
    def test_pages_go_there_and_back(self, caller: Caller, query: str) -> None:
        for number in range(9):
            name = f"p{number}" if number % 2 else "same"
            fields = {"name": name, "email": f"p{number}@example.com", "tags": ["all"]}
            read(caller.post(CONTACTS, fields), 201)
        whole = [each["id"] for each in read(caller.get(f"{CONTACTS}?{query}"))["results"]]
        assert len(whole) == 9
        seen, pages, path = [], [], f"{CONTACTS}?{query}&limit=2"
        while path:
            page = read(caller.get(path))
            pages.append([each["id"] for each in page["results"]])
            seen += pages[-1]
            path, back = page["next"], page["previous"]
        assert seen == whole
        for expected in reversed(pages[:-1]):
            page = read(caller.get(back))
            assert [each["id"] for each in page["results"]] == expected
            back = page["previous"]

    def test_a_page_after_a_contact_that_is_gone_is_refused(self, caller: Caller) -> None:
        for number in range(3):
            read(caller.post(CONTACTS, {"name": f"p{number}", "external_id": f"{number}"}), 201)
        page = read(caller.get(f"{CONTACTS}?q=p&limit=1"))
        Contact.objects.filter(id=page["results"][0]["id"]).delete()
        assert_problem(caller.get(page["next"]), 422, "invalid_cursor", ("/cursor", "invalid_cursor"))

    def test_nobody_sees_the_contacts_of_others(self, caller: Caller, stranger: Caller, crowd: dict[str, str]) -> None:
        for query in ("", "q=ann", f"q={crowd['ann']}", "tag=vip", "external_id=A-1"):
            assert read(stranger.get(f"{CONTACTS}?{query}"))["results"] == []


class TestMerge:
    def merge(self, caller: Caller, keep: Contact, other: Contact) -> dict[str, Any]:
        body = {"from": str(other.id)}
        return dict(read(caller.post(f"{CONTACTS}/{keep.id}/merge", body)))

    def test_the_kept_contact_wins_and_its_gaps_are_filled(self, caller: Caller) -> None:
        avatar = uuid4()
        keep = make_contact(caller.workspace, attributes={"a": 1}, tags=["x"], locale="en")
        other = make_contact(
            caller.workspace,
            name="Anna",
            email="anna@example.com",
            phone="+12025550123",
            external_id="crm-1",
            avatar_id=avatar,
            attributes={"a": 2, "b": 3},
            tags=["y", "x"],
        )
        left = self.merge(caller, keep, other)
        assert left == {
            **left,
            "id": str(keep.id),
            "name": "Ann",
            "email": "ann@example.com",
            "phone": "+12025550123",
            "external_id": "crm-1",
            "avatar_id": str(avatar),
            "locale": "en",
            "attributes": {"a": 1, "b": 3},
            "tags": ["x", "y"],
        }
        assert read(caller.get(f"{CONTACTS}/{other.id}")) == left
        assert len(read(caller.get(CONTACTS))["results"]) == 1

    def test_into_keeps_the_other(self, caller: Caller) -> None:
        this, that = make_contact(caller.workspace), make_contact(caller.workspace, name="Bob")
        left = read(caller.post(f"{CONTACTS}/{this.id}/merge", {"into": str(that.id)}))
        assert (left["id"], left["name"]) == (str(that.id), "Bob")

    @pytest.mark.parametrize(
        ("kept", "gone", "left"),
        [
            ({"news": "opted_in"}, {"news": "opted_out"}, {"news": "opted_out"}),
            ({"news": "opted_out"}, {"news": "opted_in"}, {"news": "opted_out"}),
            ({"news": "opted_in"}, {}, {"news": "opted_in"}),
            ({}, {"news": "opted_in"}, {"news": "opted_in"}),
            ({"news": "opted_in"}, {"*": "opted_out"}, {"news": "opted_out", "*": "opted_out"}),
            ({"*": "opted_out"}, {"news": "opted_in"}, {"news": "opted_out", "*": "opted_out"}),
            ({"transactional": "opted_in"}, {"*": "opted_out"}, {"transactional": "opted_in", "*": "opted_out"}),
        ],
    )
    def test_the_stricter_word_wins(
        self, caller: Caller, kept: dict[str, str], gone: dict[str, str], left: dict[str, str]
    ) -> None:
        keep, other = make_contact(caller.workspace), make_contact(caller.workspace, name="Anna")
        for contact, words in ((keep, kept), (other, gone)):
            for category, status in words.items():
                say(contact, category, status)
        assert self.merge(caller, keep, other)["consent"] == {"email": left}

    def test_messages_suppressions_and_sends_follow_to_the_kept_contact(self, caller: Caller) -> None:
        first, second, third = (make_contact(caller.workspace, email=f"{n}@example.com") for n in range(3))
        send = {"channel": "email", "subject": "Hi", "text": "Hi"}
        sent = [
            read(caller.post(MESSAGES, {**send, "contact_id": str(each.id)}), 202)["id"]
            for each in (first, second, third)
        ]
        suppress(caller.workspace, contact=first)
        self.merge(caller, second, first)
        self.merge(caller, third, second)
        assert set(ContactAlias.objects.values_list("contact_id", flat=True)) == {third.id}
        assert Suppression.objects.get().contact_id == third.id
        for key in (first.id, second.id, third.id):
            listed = read(caller.get(f"{MESSAGES}?contact={key}"))["results"]
            assert [each["id"] for each in listed] == sent[::-1]
        again = read(caller.post(MESSAGES, {**send, "contact_id": str(first.id)}), 202)
        assert (again["contact_id"], again["to"]) == (str(third.id), "2@example.com")

    def test_a_contact_is_not_merged_with_itself_nor_with_a_stranger(self, caller: Caller, stranger: Caller) -> None:
        contact, foreign = make_contact(caller.workspace), make_contact(stranger.workspace)
        path = f"{CONTACTS}/{contact.id}/merge"
        assert_problem(caller.post(path, {"into": str(contact.id)}), 422, "same_contact")
        for key in (foreign.id, uuid7()):
            for way in ("into", "from"):
                answer = caller.post(path, {way: str(key)})
                assert_problem(answer, 422, "contact_not_found", (f"/{way}", "contact_not_found"))
        assert_problem(caller.post(path, {}), 422, "required", ("/into", "required"))
        assert Contact.objects.count() == 2


class TestSendingByIds:
    SEND = {"channel": "email", "subject": "Hi {{ name }}", "text": "Good day"}

    def test_a_recipient_is_looked_up_as_contact_id_external_id_avatar_id(self, caller: Caller) -> None:
        avatar = uuid4()
        contact = make_contact(caller.workspace, external_id="crm-1", avatar_id=avatar)
        # Its external id is the id of the first: the contact's own id comes first.
        make_contact(caller.workspace, external_id=str(contact.id), email="no@example.com")
        for name in (str(contact.id), str(contact.id).upper(), contact.id.hex, "crm-1", str(avatar)):
            sent = read(caller.post(MESSAGES, {**self.SEND, "contact_id": name}), 202)
            assert (sent["to"], sent["name"], sent["subject"]) == ("ann@example.com", "Ann", "Hi Ann")
            assert sent["contact_id"] == str(contact.id)
        sent = read(caller.post(MESSAGES, {**self.SEND, "avatar_id": str(avatar), "name": "Miss Smith"}), 202)
        assert (sent["contact_id"], sent["name"]) == (str(contact.id), "Miss Smith")

    @pytest.mark.parametrize(
        ("channel", "field"),
        [
            ("sms", "phone"),
            ("whatsapp", "phone"),
            ("telegram", "telegram_chat_id"),
            ("onsite", "id"),
            ("direct", "avatar_id"),
        ],
    )
    def test_each_channel_has_its_address(self, caller: Caller, channel: str, field: str) -> None:
        contact = make_contact(caller.workspace, phone="+12025550123", telegram_chat_id="77", avatar_id=uuid4())
        body = {"channel": channel, "text": "Good day"}
        for name in ({"contact_id": str(contact.id)}, {"avatar_id": str(contact.avatar_id)}):
            sent = read(caller.post(MESSAGES, {**body, **name}), 202)
            assert (sent["to"], sent["contact_id"]) == (str(getattr(contact, field)), str(contact.id))
        if channel in {"onsite", "direct"}:
            sent = read(caller.post(MESSAGES, {**body, "to": str(contact.id)}), 202)
            assert (sent["to"], sent["contact_id"]) == (str(getattr(contact, field)), str(contact.id))

    def test_a_push_needs_a_subscription(self, caller: Caller) -> None:
        contact = make_contact(caller.workspace)
        body = {"channel": "push", "text": "Good day", "contact_id": str(contact.id)}
        assert_problem(caller.post(MESSAGES, body), 422, "contact_unreachable", ("/contact_id", "contact_unreachable"))
        subscription = contact.push_subscriptions.create(
            workspace=caller.workspace, endpoint="https://push.example.com/1", p256dh="x", auth="y"
        )
        sent = read(caller.post(MESSAGES, body), 202)
        assert (sent["to"], sent["contact_id"]) == (str(contact.id), str(contact.id))
        for name in (subscription.endpoint, str(subscription.id)):
            sent = read(caller.post(MESSAGES, {"channel": "push", "text": "Good day", "to": name}), 202)
            assert (sent["to"], sent["contact_id"]) == (name, str(contact.id))

    def test_who_is_unknown_or_cannot_be_reached_is_refused(self, caller: Caller, stranger: Caller) -> None:
        foreign = make_contact(stranger.workspace, external_id="crm-9")
        silent = make_contact(caller.workspace, email="", external_id="x")
        for name in (str(uuid7()), "crm-9", str(foreign.id)):
            answer = caller.post(MESSAGES, {**self.SEND, "contact_id": name})
            assert_problem(answer, 422, "contact_not_found", ("/contact_id", "contact_not_found"))
        answer = caller.post(MESSAGES, {**self.SEND, "avatar_id": str(uuid4())})
        assert_problem(answer, 422, "contact_not_found", ("/avatar_id", "contact_not_found"))
        answer = caller.post(MESSAGES, {**self.SEND, "contact_id": str(silent.id)})
        assert_problem(answer, 422, "contact_unreachable", ("/contact_id", "contact_unreachable"))
        assert not Message.objects.exists()

    @pytest.mark.parametrize(
        ("named", "place"),
        [
            ({}, ("/to", "required")),
            ({"to": "a@example.com", "contact_id": "x"}, ("/contact_id", "ambiguous_recipient")),
            ({"contact_id": "x", "avatar_id": str(uuid7())}, ("/avatar_id", "ambiguous_recipient")),
        ],
    )
    def test_one_recipient_is_named_once(self, caller: Caller, named: dict[str, str], place: tuple[str, str]) -> None:
        assert_problem(caller.post(MESSAGES, {**self.SEND, **named}), 422, place[1], place)

    def test_a_batch_takes_whom_it_can_reach_and_tells_of_the_others(self, caller: Caller) -> None:
        contact = make_contact(caller.workspace, external_id="crm-1")
        make_contact(caller.workspace, email="", external_id="silent")
        recipients = [
            {"contact_id": "crm-1"},
            {"contact_id": "nobody"},
            {"to": "bob@example.com", "name": "Bob"},
            {"contact_id": "silent"},
            {"name": "no one"},
            {"to": "bob@example.com", "contact_id": "crm-1"},
        ]
        answer = read(caller.post(BATCH, {**self.SEND, "recipients": recipients}), 202)
        assert [(each["index"], each["code"]) for each in answer["rejected"]] == [
            (1, "contact_not_found"),
            (3, "contact_unreachable"),
            (4, "required"),
            (5, "ambiguous_recipient"),
        ]
        rows = [Message.objects.get(pk=key) for key in answer["ids"]]
        assert [(row.recipient, row.name, row.contact_id) for row in rows] == [
            ("ann@example.com", "Ann", contact.id),
            ("bob@example.com", "Bob", None),
        ]

    def test_a_template_reads_the_contact_and_only_then_is_it_copied(self, caller: Caller) -> None:
        contact = make_contact(caller.workspace, attributes={"plan": "gold"}, tags=["vip"])
        body = {"channel": "email", "contact_id": str(contact.id), "subject": "Hi"}
        text = "{{ contact.name }} has {{ contact.attributes.plan }} and {{ contact.tags | join: ',' }}"
        sent = read(caller.post(MESSAGES, {**body, "text": text}), 202)
        assert sent["text"] == "Ann has gold and vip"
        stored = Message.objects.get(pk=sent["id"]).data
        assert stored
        assert stored["contact"]["id"] == str(contact.id)
        contact.attributes = {"plan": "lead"}
        contact.save()
        assert read(caller.get(f"{MESSAGES}/{sent['id']}"))["text"] == "Ann has gold and vip"
        plain = read(caller.post(MESSAGES, {**body, "text": "{{ name }}"}), 202)
        assert Message.objects.get(pk=plain["id"]).data is None
        answer = caller.post(MESSAGES, {"channel": "email", "to": "x@example.com", "subject": "Hi", "text": text})
        assert answer.status_code == 422

    def test_a_dry_run_names_the_contact(self, caller: Caller) -> None:
        contact = make_contact(caller.workspace)
        body = {**self.SEND, "contact_id": str(contact.id), "dry_run": True}
        told = read(caller.post(MESSAGES, body))["explain"]
        assert (told["to"], told["contact_id"], told["status"]) == ("ann@example.com", str(contact.id), "QUEUED")
        suppress(caller.workspace)
        told = read(caller.post(MESSAGES, body))["explain"]
        assert (told["status"], told["error"]["code"]) == ("FAILED", "suppressed")
        assert not Message.objects.exists()

    def test_messages_are_listed_by_any_name_of_a_contact(self, caller: Caller, stranger: Caller) -> None:
        contact = make_contact(caller.workspace, external_id="crm-1")
        sent = [read(caller.post(MESSAGES, {**self.SEND, "contact_id": "crm-1"}), 202)["id"] for _ in range(3)]
        read(caller.post(MESSAGES, {**self.SEND, "to": "ann@example.com", "name": "Ann"}), 202)
        for name in ("crm-1", str(contact.id)):
            listed = read(caller.get(f"{MESSAGES}?contact={name}"))["results"]
            assert [each["id"] for each in listed] == sent[::-1]
            assert read(stranger.get(f"{MESSAGES}?contact={name}"))["results"] == []
        assert read(caller.get(f"{MESSAGES}?contact=nobody"))["results"] == []
        narrowed = read(caller.get(f"{MESSAGES}?contact=crm-1&q={sent[0]}"))["results"]
        assert [each["id"] for each in narrowed] == sent[:1]
        key = contact.id
        contact.delete()
        assert len(read(caller.get(f"{MESSAGES}?contact={key}"))["results"]) == 3
