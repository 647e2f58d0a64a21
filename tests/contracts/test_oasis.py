"""The management document of /api/messaging: messages listed, read, created, changed, followed; whole bodies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from analytics.health import Condition, Verdict
from channels_app.types import Channel
from messaging.api.oasis import vocabulary
from messaging.api.oasis.vocabulary import CHANNEL_OUT, OFFERED, STATUS_IN, STATUS_OUT, TYPES
from messaging.content import encryption
from messaging.dispatch import selectors
from messaging.models import Content, Message, Mode, Role
from messaging.models.keys import uuid7
from messaging.state import Priority, Standing, Status
from tests.contracts.forms import MOMENT, moment_of
from tests.contracts.oasis import (
    BASE,
    CREATED,
    DELIVERY,
    PLAIN,
    TRACKING,
    avatar,
    create,
    done,
    failed,
    move,
    person,
    sender,
)
from tests.factories import accept_message, make_template
from tests.messaging.api.callers import Caller, make_caller, read
from tests.messaging.inbox.arrivals import arrive, send

OPERATIONS = {
    ("GET", "/api/messaging/messages"),
    ("POST", "/api/messaging/messages"),
    ("GET", "/api/messaging/messages/{message_id}"),
    ("PUT", "/api/messaging/messages/{message_id}"),
    ("DELETE", "/api/messaging/messages/{message_id}"),
    ("GET", "/api/messaging/messages/{message_id}/status"),
    ("GET", "/api/messaging/messages/{message_id}/tracking"),
    ("POST", "/api/messaging/messages/{message_id}/retry"),
    ("POST", "/api/messaging/messages/{message_id}/cancel"),
    ("POST", "/api/messaging/send/email"),
    ("POST", "/api/messaging/send/sms"),
    ("POST", "/api/messaging/send/push"),
    ("POST", "/api/messaging/send/inapp"),
    ("GET", "/api/messaging/stats"),
    ("GET", "/api/messaging/performance"),
    ("GET", "/api/messaging/health"),
    ("POST", "/api/messaging/send-message-to-avatar/{avatar_id}"),
    ("GET", "/api/messaging/conversation/{avatar_id}"),
    ("POST", "/api/messaging/mark-messages-read"),
    ("GET", "/api/messaging/notifications"),
    ("POST", "/api/messaging/mark-notifications-read"),
}
"""Every operation that has cases here, or in the files beside."""

MESSAGES = f"{BASE}/messages"
INVALID = ("VALIDATION_ERROR", "Validation failed")
UNREGISTERED = "No push subscription is registered for this recipient."


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def keys(settings: Settings) -> Iterator[None]:
    """Something to encrypt with."""
    settings.DISPATCH_KEYS = {"k1": bytes(range(32))}
    encryption.forget()
    yield
    encryption.forget()


# Creating and reading


def test_a_message_is_created_and_shown_in_whole(caller: Caller) -> None:
    made = create(caller, metadata={"priority": "High", "campaign": "spring"})
    assert made == {
        "id": made["id"],
        "type": "Email",
        "status": "Pending",
        "recipient": {"email": "ann@example.com", "name": "Ann"},
        "subject": "Hello",
        "content": "Good day",
        "htmlContent": None,
        "attachments": [],
        "sender": sender(caller),
        "metadata": {"campaign": "spring", "priority": "High", "encryption": False},
        "schedule": None,
        "delivery": DELIVERY,
        "tracking": TRACKING,
        "createdAt": made["createdAt"],
        "sentAt": None,
        "deliveredAt": None,
        "readAt": None,
    }
    assert UUID(made["id"]).version == 7
    assert datetime.fromisoformat(made["createdAt"]).tzinfo == UTC
    assert done(caller.get(f"{MESSAGES}/{made['id']}")) == made
    row = Message.objects.get()
    assert (row.priority, row.channel, row.author_id) == (Priority.URGENT, "email", caller.member.user_id)


@pytest.mark.parametrize("spelling", ["{id}", "{hex}", "msg_{hex}", "MSG_{hex}"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_an_id_is_known_by_each_of_its_spellings(caller: Caller, spelling: str, slash: str) -> None:
    made = create(caller)
    name = spelling.format(id=made["id"], hex=UUID(made["id"]).hex)
    assert done(caller.get(f"{MESSAGES}/{name}{slash}")) == made


@pytest.mark.parametrize(
    ("kind", "recipient", "channel", "shown"),
    [
        ("SMS", {"phone": "+1 202 555 0100"}, Channel.SMS, {"phone": "+12025550100"}),
        ("In-App", {"id": "reader-1"}, Channel.ONSITE, {"id": "reader-1"}),
    ],
)
def test_every_type_is_created(
    caller: Caller, kind: str, recipient: dict[str, str], channel: Channel, shown: dict[str, str]
) -> None:
    made = done(caller.post(MESSAGES, {"type": kind, "recipient": recipient, "content": "Hi"}), "Message created", 201)
    assert (made["type"], made["recipient"], made["content"], made["subject"]) == (kind, shown, "Hi", None)
    assert Message.objects.get().channel == channel


def test_a_message_may_be_scheduled(caller: Caller) -> None:
    at = (timezone.now() + timedelta(days=2)).replace(microsecond=0, tzinfo=None)
    made = create(caller, schedule={"sendAt": at.isoformat(), "timezone": "Asia/Tokyo"})
    sent_at = f"{(at - timedelta(hours=9)).isoformat()}.000Z"
    assert (made["status"], made["schedule"]) == ("Scheduled", {"sendAt": sent_at, "timezone": "UTC"})
    given = create(caller, schedule={"sendAt": f"{at.isoformat()}+02:00", "timezone": "Asia/Tokyo"})
    assert given["schedule"]["sendAt"] == f"{(at - timedelta(hours=2)).isoformat()}.000Z"


def test_a_template_says_what_is_not_said(caller: Caller) -> None:
    make_template(
        caller.workspace, subject="Welcome to {{ app }}", body="<p>Dear {{ name }}</p>", text="Dear {{ name }}"
    )
    metadata = {"template": "welcome", "variables": {"app": "Oasis"}}
    made = create(caller, subject=None, content=None, metadata=metadata)
    assert (made["subject"], made["content"], made["htmlContent"]) == (
        "Welcome to Oasis",
        "Dear Ann",
        "<p>Dear Ann</p>",
    )
    assert made["metadata"] == {**metadata, **PLAIN}
    own = create(caller, subject=None, content="Hi {{ name }}", metadata=metadata)
    assert (own["subject"], own["content"]) == ("Welcome to Oasis", "Hi Ann")


@pytest.mark.usefixtures("keys")
def test_what_is_encrypted_is_shown_to_those_who_may_read_it(caller: Caller) -> None:
    made = create(caller, metadata={"encryption": True, "variables": {"a": 1}}, content="For {{ a }}")
    assert (made["content"], made["subject"]) == ("For 1", "Hello")
    assert made["metadata"] == {"variables": {"a": 1}, "priority": "Normal", "encryption": True}
    row, content = Message.objects.get(), Content.objects.get()
    assert (row.subject, row.data, content.text) == ("", None, "")
    listed = read(caller.get(MESSAGES))["result"][0]
    assert (listed["content"], listed["subject"]) == ("For 1", "Hello")


@pytest.mark.usefixtures("keys")
def test_what_does_not_open_is_an_encryption_error(caller: Caller) -> None:
    made = create(caller, metadata={"encryption": True})
    Content.objects.update(sealed=b"\x01" * 64)
    failed(
        caller.get(f"{MESSAGES}/{made['id']}"),
        500,
        "ENCRYPTION_ERROR",
        "Encryption error",
        "What the message says is encrypted, and does not open.",
    )
    assert done(caller.get(f"{MESSAGES}/{made['id']}/status"))["status"] == "Pending"


def test_without_keys_nothing_can_be_encrypted(caller: Caller, settings: Settings) -> None:
    settings.DISPATCH_KEYS = {}
    answer = caller.post(MESSAGES, {**CREATED, "metadata": {"encryption": True}})
    exception = "this server has no keys to encrypt with (DISPATCH_KEYS)"
    failed(answer, 500, "ENCRYPTION_ERROR", "Encryption error", exception, "metadata.encryption")
    assert not Message.objects.exists()


def test_an_address_counts_before_the_id_that_comes_with_it(caller: Caller) -> None:
    contact = read(caller.post("/api/v1/contacts", {"external_id": "user_123", "email": "old@example.com"}), 201)["id"]
    made = create(caller, recipient={"id": "user_123", "email": "new@example.com", "name": "Ann"})
    assert made["recipient"] == {"id": contact, "email": "new@example.com", "name": "Ann"}
    unknown = create(caller, recipient={"id": "nobody", "email": "new@example.com"})
    assert unknown["recipient"] == {"email": "new@example.com"}
    for spelled in ("user_123", contact, f"ct_{UUID(contact).hex}"):
        known = create(caller, recipient={"id": spelled})
        assert known["recipient"] == {"id": contact, "email": "old@example.com"}
        assert known["id"] in ids(caller, f"recipient={spelled}")


def test_an_idempotency_key_creates_once(caller: Caller) -> None:
    first = caller.post(MESSAGES, CREATED, Idempotency_Key="k")
    again = caller.post(MESSAGES, CREATED, Idempotency_Key="k")
    assert (first.status_code, again.status_code, first.content) == (201, 201, again.content)
    assert again["Idempotency-Replayed"] == "true"
    other = caller.post(MESSAGES, {**CREATED, "content": "Other"}, Idempotency_Key="k")
    exception = "This Idempotency-Key was used for another request."
    failed(other, 422, "IDEMPOTENCY_MISMATCH", "Idempotency key reused", exception)
    assert Message.objects.count() == 1


def test_creating_may_answer_200(caller: Caller, settings: Settings) -> None:
    settings.OASIS_CREATED_STATUS = 200
    assert done(caller.post(MESSAGES, CREATED), "Message created", 200)["status"] == "Pending"


@pytest.mark.parametrize(
    ("fields", "wrong", "exception"),
    [
        ({"type": "Fax"}, "type", "Invalid enum value 'Fax'"),
        ({"type": None}, "type", "Expected str, got null"),
        ({"content": None}, "content", "content is required unless metadata.template names a template."),
        ({"content": 1}, "content", "Expected str | null, got int"),
        ({"subject": None}, "subject", "a message by email needs a subject"),
        ({"subject": "a\nb"}, "subject", "Line breaks and other control characters are not allowed here."),
        ({"to": "x"}, "to", "There is no such field."),
        ({"content": "{{ who }}"}, "metadata.variables", "the template needs: who"),
        ({"content": "{% if %}"}, "content", None),
        ({"htmlContent": "{{"}, "htmlContent", None),
        ({"metadata": {"priority": "Now"}}, "metadata.priority", "Invalid enum value 'Now'"),
        ({"metadata": {"note": "a\0b"}}, "metadata.note", "A NUL character (U+0000) is not allowed."),
        ({"schedule": {"sendAt": "soon"}}, "schedule.sendAt", "Invalid RFC3339 encoded datetime"),
        ({"schedule": {"sendAt": "2020-01-01T00:00:00Z"}}, "schedule.sendAt", "the time of sending lies in the past"),
        (
            {"schedule": {"sendAt": "2030-01-01T00:00:00", "timezone": "Mars/Base"}},
            "schedule.timezone",
            "There is no such time zone.",
        ),
        (
            {"schedule": {"sendAt": "2030-01-01T00:00:00Z", "timezone": "Mars/Base"}},
            "schedule.timezone",
            "There is no such time zone.",
        ),
        (
            {"schedule": {"sendAt": "2030-01-01T00:00:00", "timezone": "../../etc/passwd"}},
            "schedule.timezone",
            "There is no such time zone.",
        ),
        (
            {"attachments": [{"filename": "a", "content": "?", "type": "text/plain"}]},
            "attachments.0.content",
            "The content is not base64.",
        ),
        ({"type": "SMS", "subject": None, "htmlContent": "x"}, "htmlContent", "Only an Email has HTML."),
        (
            {"type": "SMS", "recipient": {"phone": "+12025550100"}},
            "subject",
            "the channel sms does not carry subject",
        ),
    ],
)
def test_a_bad_value_is_refused_by_name(
    caller: Caller, fields: dict[str, Any], wrong: str, exception: str | None
) -> None:
    answer = caller.post(MESSAGES, {**CREATED, **fields})
    failed(answer, 400, *INVALID, exception or answer.json()["exception"], wrong)
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("body", "exception"),
    [
        (b"", "The body is not valid JSON: line 1, column 1."),
        (b"{", "The body is not valid JSON: line 1, column 2."),
        (b"[]", "Expected object, got array"),
        (b"\xff", "The body is not valid JSON in UTF-8."),
    ],
)
def test_what_is_no_json_object_is_refused(caller: Caller, body: bytes, exception: str) -> None:
    failed(caller.post(MESSAGES, body), 400, *INVALID, exception, "")


@pytest.mark.parametrize(
    ("kind", "recipient", "field", "exception"),
    [
        (
            "Email",
            {"email": "no address"},
            "recipient",
            "not an e-mail address: An email address must have an @-sign.",
        ),
        ("Email", {}, "recipient.email", "The recipient has neither email nor id."),
        ("Email", {"phone": "+12025550100"}, "recipient.email", "The recipient has neither email nor id."),
        ("Email", {"id": "nobody"}, "recipient.id", "there is no such contact"),
        ("SMS", {"phone": "555"}, "recipient", "not a phone number in E.164 form: + and 7 to 15 digits"),
        ("SMS", {}, "recipient.phone", "The recipient has neither phone nor id."),
        ("Push", {}, "recipient.deviceToken", "The recipient has neither deviceToken nor id."),
        ("Push", {"deviceToken": "unregistered"}, "recipient", UNREGISTERED),
        ("Push", {"id": "nobody"}, "recipient", UNREGISTERED),
        ("In-App", {"email": "ann@example.com"}, "recipient.id", "The recipient has no id."),
    ],
)
def test_whoever_cannot_be_reached_is_an_invalid_recipient(
    caller: Caller, kind: str, recipient: dict[str, str], field: str, exception: str
) -> None:
    subject = "Hello" if kind == "Email" else None
    answer = caller.post(MESSAGES, {"type": kind, "recipient": recipient, "subject": subject, "content": "x"})
    failed(answer, 400, "INVALID_RECIPIENT", "Invalid recipient", exception, field)


def test_an_unknown_template_is_named(caller: Caller) -> None:
    answer = caller.post(MESSAGES, {**CREATED, "metadata": {"template": "nowhere"}})
    exception = "there is no template nowhere for the channel email"
    failed(answer, 404, "TEMPLATE_NOT_FOUND", "Template not found", exception, "metadata.template")


# The list


def test_a_row_has_the_fields_of_both_documents(caller: Caller) -> None:
    made = create(caller)
    body = read(caller.get(MESSAGES))
    assert body == {
        "result": [
            {
                "id": made["id"],
                "type": "Email",
                "status": "Pending",
                "recipient": {"email": "ann@example.com", "name": "Ann"},
                "subject": "Hello",
                "content": "Good day",
                "sender": sender(caller),
                "createdAt": made["createdAt"],
                "sentAt": None,
                "deliveredAt": None,
                "readAt": None,
                "fromAvatarId": str(avatar(caller)),
                "toAvatarId": None,
                "messageType": None,
                "createdDate": made["createdAt"],
                "timestamp": made["createdAt"],
                "isRead": False,
                "metadata": {"priority": "Normal"},
            }
        ],
        "resultsCount": 1,
        "isError": False,
        "isWarning": False,
        "message": "Success",
        "totalCount": 1,
        "limit": 50,
        "offset": 0,
    }


@pytest.fixture
def rows(caller: Caller) -> dict[str, str]:
    """A message in each state that filters know, by its word."""
    made = {word: create(caller)["id"] for word in STATUS_IN if word != "Scheduled"}
    later = (timezone.now() + timedelta(days=1)).isoformat()
    made["Scheduled"] = create(caller, schedule={"sendAt": later})["id"]
    move(made["Cancelled"], Status.CANCELLED)
    for word, states in (
        ("Sent", [Status.SENDING, Status.SENT]),
        ("Delivered", [Status.SENDING, Status.SENT, Status.DELIVERED]),
        ("Read", [Status.SENDING, Status.SENT, Status.DELIVERED, Status.OPENED]),
        ("Failed", [Status.FAILED]),
    ):
        move(made[word], *states)
    Message.objects.filter(id=made["Retrying"]).update(attempts=1)
    return made


def ids(caller: Caller, query: str = "") -> list[str]:
    return [row["id"] for row in read(caller.get(f"{MESSAGES}?{query}"))["result"]]


@pytest.mark.parametrize("word", list(STATUS_IN))
def test_each_status_is_a_filter_in_any_case(caller: Caller, rows: dict[str, str], word: str) -> None:
    assert ids(caller, f"status={word}") == ids(caller, f"status={word.upper()}") == [rows[word]]
    shown = read(caller.get(f"{MESSAGES}?status={word}"))["result"][0]
    assert (shown["status"], shown["isRead"]) == (word, word == "Read")


def test_filters_narrow_together(caller: Caller) -> None:
    ann, bob = create(caller), create(caller, recipient={"email": "bob@example.com"})
    sms = create(caller, type="SMS", subject=None, recipient={"phone": "+12025550100"})
    assert ids(caller, "recipient=ANN@example.com") == [ann["id"]]
    assert ids(caller, "recipient=%2B12025550100") == ids(caller, "recipient=+12025550100") == [sms["id"]]
    assert ids(caller, "type=sms") == [sms["id"]]
    assert ids(caller, "type=Email&recipient=bob@example.com&status=pending") == [bob["id"]]
    assert ids(caller, "type=Push") == []
    assert ids(caller, "whatever=1&status=&type=") == [sms["id"], bob["id"], ann["id"]]


def test_dates_bound_when_messages_were_created(caller: Caller) -> None:
    made = create(caller)
    at = datetime.fromisoformat(made["createdAt"])
    today, before, after = at.date(), at - timedelta(seconds=1), at + timedelta(seconds=1)
    for query, found in (
        (f"startDate={today}&endDate={today}", True),
        (f"startDate={today}&endDate=9999-12-31", True),
        (f"startDate={today + timedelta(days=1)}", False),
        (f"endDate={today - timedelta(days=1)}", False),
        (f"startDate={before:%Y-%m-%dT%H:%M:%SZ}&endDate={after:%Y-%m-%dT%H:%M:%S}", True),
        (f"startDate={before.isoformat()}", True),
        (f"startDate={after.isoformat()}", False),
        (f"endDate={before:%Y-%m-%dT%H:%M:%S}Z", False),
    ):
        assert ids(caller, query) == ([made["id"]] if found else []), query


def test_lists_are_sorted_and_paged(caller: Caller) -> None:
    first, second, third = (create(caller)["id"] for _ in range(3))
    move(first, Status.SENDING, Status.SENT)
    assert ids(caller) == ids(caller, "sortBy=createdAt&sortOrder=desc") == [third, second, first]
    assert ids(caller, "sortOrder=ASC") == [first, second, third]
    assert ids(caller, "sortBy=sentAt")[0] == first
    assert ids(caller, "sortBy=status&sortOrder=asc") == [second, third, first]
    assert ids(caller, "limit=1&offset=1") == [second]
    page = read(caller.get(f"{MESSAGES}?limit=2&offset=2"))
    assert (page["resultsCount"], page["totalCount"], page["limit"], page["offset"]) == (1, 3, 2, 2)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_messages_of_one_word_stand_together_in_the_order_of_words(caller: Caller, order: str) -> None:
    """Several states have one word; by the names of the states the words would alternate."""
    for way in ([Status.SENT, Status.BOUNCED], [Status.FAILED], [Status.SENT, Status.OPENED], [Status.SENT]):
        move(create(caller)["id"], Status.SENDING, *way)
    move(create(caller)["id"], Status.CANCELLED)
    move(create(caller)["id"], Status.SENDING, Status.SENT, Status.CLICKED)
    query = f"sortBy=status&sortOrder={order}"
    rows = read(caller.get(f"{MESSAGES}?{query}"))["result"]
    wanted = sorted(["Cancelled", "Failed", "Failed", "Read", "Read", "Sent"], reverse=order == "desc")
    assert [row["status"] for row in rows] == wanted
    assert [key for n in range(0, 8, 2) for key in ids(caller, f"{query}&limit=2&offset={n}")] == [
        row["id"] for row in rows
    ]
    pair = [row["id"] for row in rows if row["status"] == "Failed"]
    assert ids(caller, f"{query}&status=failed") == pair == sorted(pair, reverse=order == "desc")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("status=Unknown", ["status"]),
        ("type=Fax", ["type"]),
        ("startDate=yesterday", ["startDate"]),
        ("endDate=2026-02-30", ["endDate"]),
        ("sortBy=size", ["sortBy"]),
        ("sortOrder=up", ["sortOrder"]),
        ("mailbox=all", ["mailbox"]),
        ("status=Sent&status=Read", ["status"]),
        ("limit=0&type=Fax", ["limit", "type"]),
        (f"recipient={'x' * 2049}", ["recipient"]),
        ("recipient=%00", ["recipient"]),
    ],
)
def test_a_bad_filter_is_refused_by_name(caller: Caller, query: str, fields: list[str]) -> None:
    answer = caller.get(f"{MESSAGES}?{query}")
    failed(answer, 400, *INVALID, answer.json()["exception"], *fields)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=ten", "limit=-1", "limit=1.5", "limit=٣", "offset=-1"]
)
def test_a_bad_place_is_an_invalid_parameter(caller: Caller, query: str) -> None:
    name = query.partition("=")[0]
    bounds = "1 to 200" if name == "limit" else "0 to 1000000000"
    exception = f"{name} is a whole number from {bounds}."
    failed(caller.get(f"{MESSAGES}?{query}"), 400, "INVALID_PARAMETER", "Invalid parameter", exception, name)


def test_channels_without_a_word_here_are_left_out(caller: Caller) -> None:
    other = accept_message(caller.workspace, "+12025550100", channel=Channel.WHATSAPP, subject="")
    assert ids(caller) == []
    failed(
        caller.get(f"{MESSAGES}/{other}"),
        404,
        "MESSAGE_NOT_FOUND",
        "Message not found",
        f"There is no message with the id {other}.",
    )


def test_totals_are_estimated_beyond_a_bound(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(selectors.total.__kwdefaults__, "bound", 1)
    for _ in range(3):
        create(caller)
    page = read(caller.get(MESSAGES))
    assert (page["resultsCount"], page["totalIsEstimate"]) == (3, True)
    assert page["totalCount"] > 1


def queries_of_a_list(caller: Caller) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert caller.get(MESSAGES).status_code == 200
    return len(asked)


def test_a_longer_list_takes_no_more_queries(caller: Caller) -> None:
    variables = {"content": "Hi {{ who }}", "metadata": {"variables": {"who": "Ann"}}}
    create(caller, **variables)
    few = queries_of_a_list(caller)
    for _ in range(5):
        create(caller, **variables)
    assert queries_of_a_list(caller) == few


def test_values_are_read_only_for_texts_that_want_them(caller: Caller) -> None:
    create(caller, metadata={"variables": {"who": "Ann"}})
    few = queries_of_a_list(caller)
    create(caller, content="Hi {{ who }}", metadata={"variables": {"who": "Ann"}})
    assert queries_of_a_list(caller) == few + 1


@pytest.mark.usefixtures("keys")
def test_a_list_says_what_each_message_says(caller: Caller) -> None:
    make_template(caller.workspace, subject="Welcome", body="<p>Dear {{ name }}</p>", text="Dear {{ name }}")
    by_template = {"template": "welcome"}
    create(caller)
    create(caller, content=None, htmlContent="<p>{{ name }}</p>")
    create(caller, subject=None, content=None, metadata=by_template)
    create(caller, subject=None, content=None, metadata={**by_template, "encryption": True})
    create(caller, content="To {{ name }} alone", metadata={**by_template, "encryption": True})
    create(caller, content="In clear at last", metadata={"encryption": True})
    shut = create(caller, metadata={"encryption": True})["id"]
    Content.objects.filter(id=Message.objects.get(id=shut).content_id).update(sealed=b"\x01" * 64)
    said = [row["content"] for row in read(caller.get(f"{MESSAGES}?sortOrder=asc"))["result"]]
    assert said == [
        "Good day",
        "<p>Ann</p>",
        "Dear Ann",
        "Dear Ann",
        "To Ann alone",
        "In clear at last",
        "",
    ]


def test_test_keys_have_a_list_of_their_own(caller: Caller) -> None:
    tester = make_caller(workspace=caller.workspace, mode=Mode.TEST)
    live, test = create(caller)["id"], create(tester)["id"]
    assert (ids(caller), ids(tester)) == ([live], [test])


# Whose messages


def test_managers_see_the_workspace_and_others_their_own(caller: Caller) -> None:
    member, viewer = person(caller.workspace), person(caller.workspace, Role.VIEWER)
    own, foreign = create(member)["id"], create(caller)["id"]
    to_viewer = str(send(caller.workspace, to=str(avatar(viewer)), text="Hi"))
    arrive()
    for role in (Role.OPERATOR, Role.ADMIN, Role.OWNER):
        assert ids(person(caller.workspace, role)) == [to_viewer, foreign, own]
    assert (ids(member), ids(viewer)) == ([own], [to_viewer])
    assert ids(caller, "mailbox=me") == [foreign]
    page = read(member.get(MESSAGES))
    assert page["totalCount"] == 1
    assert ids(make_caller(Role.VIEWER, workspace=caller.workspace)) == [to_viewer, foreign, own]


def test_others_reach_their_own_messages_alone_and_change_what_they_wrote(caller: Caller) -> None:
    member, friend = person(caller.workspace), person(caller.workspace)
    own, foreign = create(member)["id"], create(caller)["id"]
    received = str(send(caller.workspace, author=caller.member.user, to=str(avatar(member)), text="Hi"))
    arrive()
    assert done(member.get(f"{MESSAGES}/{own}"))["id"] == own
    assert done(member.get(f"{MESSAGES}/{received}"))["id"] == received
    for name in ("", "/status", "/tracking"):
        answer = member.get(f"{MESSAGES}/{foreign}{name}")
        assert (answer.status_code, answer.json()["errorCode"]) == (404, "MESSAGE_NOT_FOUND")
    exception = "Only whoever sent a message, or manages messages, may change it."
    for method, name, body in (
        ("PUT", "", {"subject": "x"}),
        ("DELETE", "", None),
        ("POST", "/retry", None),
        ("POST", "/cancel", None),
    ):
        failed(member.ask(method, f"{MESSAGES}/{received}{name}", body), 403, "FORBIDDEN", "Forbidden", exception)
        assert friend.ask(method, f"{MESSAGES}/{own}{name}", body).status_code == 404
    assert done(member.post(f"{MESSAGES}/{own}/cancel"), "Message cancelled")["status"] == "Cancelled"


# Changing and deleting


def test_a_waiting_message_is_changed(caller: Caller) -> None:
    made = create(caller, metadata={"note": 1, "extra": True})
    later = timezone.now() + timedelta(days=1)
    changed = {
        "subject": "Bye {{ who }}",
        "content": "Good night",
        "metadata": {"variables": {"who": "you"}, "note": 2},
    }
    shown = done(caller.ask("PUT", f"{MESSAGES}/{made['id']}", changed), "Message updated")
    assert shown == {
        **made,
        "subject": "Bye you",
        "content": "Good night",
        "metadata": {"note": 2, "extra": True, "variables": {"who": "you"}, **PLAIN},
    }
    waiting = create(caller, schedule={"sendAt": later.isoformat()})
    moved = {"schedule": {"sendAt": (later + timedelta(hours=1)).isoformat()}}
    again = done(caller.ask("PUT", f"{MESSAGES}/{waiting['id']}/", moved), "Message updated")
    assert again["schedule"]["sendAt"] > waiting["schedule"]["sendAt"]
    assert done(caller.ask("PUT", f"{MESSAGES}/{waiting['id']}", {}), "Message updated") == again


@pytest.mark.usefixtures("keys")
def test_what_is_encrypted_is_changed_and_stays_so(caller: Caller) -> None:
    made = create(caller, metadata={"encryption": True})
    changed = {"content": "Good night {{ who }}", "metadata": {"variables": {"who": "Ann"}, "encryption": True}}
    shown = done(caller.ask("PUT", f"{MESSAGES}/{made['id']}", changed), "Message updated")
    metadata = {"variables": {"who": "Ann"}, "priority": "Normal", "encryption": True}
    assert shown == {**made, "content": "Good night Ann", "metadata": metadata}
    assert set(Content.objects.values_list("text", flat=True)) == {""}


def test_an_avatars_message_is_changed_to_what_is_written(caller: Caller) -> None:
    key = send(caller.workspace, author=caller.member.user, avatar_id=avatar(caller), text="x", channel=Channel.DIRECT)
    shown = done(caller.ask("PUT", f"{MESSAGES}/{key}", {"content": "{{ y }} {%"}), "Message updated")
    assert (shown["content"], shown["metadata"]) == ("{{ y }} {%", PLAIN)


def test_a_template_takes_the_place_of_what_was_said(caller: Caller) -> None:
    make_template(caller.workspace, subject="Welcome", text="Dear {{ name }}")
    made = create(caller)
    changed = {"metadata": {"template": "welcome"}, "subject": "Hello again"}
    shown = done(caller.ask("PUT", f"{MESSAGES}/{made['id']}", changed), "Message updated")
    assert (shown["subject"], shown["content"]) == ("Hello again", "Dear Ann")
    assert shown["metadata"] == {"template": "welcome", **PLAIN}
    answer = caller.ask("PUT", f"{MESSAGES}/{made['id']}", {"metadata": {"template": "nowhere"}})
    exception = "there is no template nowhere for the channel email"
    failed(answer, 404, "TEMPLATE_NOT_FOUND", "Template not found", exception, "metadata.template")


@pytest.mark.parametrize("schedule", [{}, {"schedule": {"sendAt": "2037-01-01T09:00:00Z"}}])
def test_the_priority_of_a_message_that_waits_is_changed(caller: Caller, schedule: dict[str, Any]) -> None:
    made = create(caller, metadata={"priority": "Low", "campaign": "spring"}, **schedule)
    for word, lane in (("High", Priority.URGENT), ("Urgent", Priority.URGENT), ("Normal", Priority.NORMAL)):
        answer = caller.ask("PUT", f"{MESSAGES}/{made['id']}", {"metadata": {"priority": word}})
        shown = done(answer, "Message updated")
        assert shown == {**made, "metadata": {**made["metadata"], "priority": word}}
        assert Message.objects.get().priority == lane


def test_why_a_pending_message_cannot_be_changed_is_that_it_is_being_sent(caller: Caller) -> None:
    made = create(caller)
    move(made["id"], Status.SENDING)
    for method, path, deed in (("PUT", "", "changed"), ("POST", "/cancel", "cancelled")):
        answer = caller.ask(method, f"{MESSAGES}/{made['id']}{path}", {})
        told = f"The message is Pending, being sent, and cannot be {deed}."
        failed(answer, 409, "INVALID_STATE", "Invalid state", told)


def test_a_sent_message_cannot_be_changed(caller: Caller) -> None:
    made = create(caller)
    move(made["id"], Status.SENDING, Status.SENT)
    answer = caller.ask("PUT", f"{MESSAGES}/{made['id']}", {"subject": "x"})
    failed(answer, 409, "INVALID_STATE", "Invalid state", "The message is Sent and cannot be changed.")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"recipient": {"email": "bob@example.com"}}, "recipient"),
        ({"metadata": {"priority": "Now"}}, "metadata.priority"),
        ({"metadata": {"encryption": True}}, "metadata.encryption"),
        ({"content": "{{ who }}"}, "metadata.variables"),
        ({"subject": 1}, "subject"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_by_name(caller: Caller, body: dict[str, Any], field: str) -> None:
    made = create(caller)
    answer = caller.ask("PUT", f"{MESSAGES}/{made['id']}", body)
    failed(answer, 400, *INVALID, answer.json()["exception"], field)
    assert done(caller.get(f"{MESSAGES}/{made['id']}")) == made


def test_a_deleted_message_is_gone(caller: Caller) -> None:
    made = create(caller)
    path = f"{MESSAGES}/{made['id']}"
    assert done(caller.ask("DELETE", path), "Message deleted") == {"id": made["id"], "deleted": True}
    assert Message.objects.get().status == Status.CANCELLED
    assert (ids(caller), read(caller.get(MESSAGES))["totalCount"]) == ([], 0)
    for answer in (caller.get(path), caller.ask("DELETE", path), caller.get(f"{path}/status")):
        assert (answer.status_code, answer.json()["errorCode"]) == (404, "MESSAGE_NOT_FOUND")


def test_a_sent_message_is_hidden_and_not_recalled(caller: Caller) -> None:
    made = create(caller)
    move(made["id"], Status.SENDING, Status.SENT)
    assert done(caller.ask("DELETE", f"{MESSAGES}/{made['id']}"), "Message deleted")["deleted"] is True
    assert Message.objects.get().status == Status.SENT
    assert ids(caller) == []


# Following, retrying, cancelling


def test_the_status_tells_how_far_a_message_has_come(caller: Caller) -> None:
    made = create(caller)
    move(made["id"], Status.SENDING, Status.SENT, Status.DELIVERED, Status.OPENED)
    row = Message.objects.get()
    shown = done(caller.get(f"{MESSAGES}/{made['id']}/status"))
    stamps = {
        name: getattr(row, name).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for name in ("created_at", "sent_at", "delivered_at", "opened_at")
    }
    assert shown == {
        "id": made["id"],
        "status": "Read",
        "delivery": DELIVERY,
        "tracking": {**TRACKING, "opened": True},
        "timestamps": {
            "createdAt": stamps["created_at"],
            "sentAt": stamps["sent_at"],
            "deliveredAt": stamps["delivered_at"],
            "readAt": stamps["opened_at"],
        },
        "lastUpdated": stamps["opened_at"],
    }


def test_a_retry_that_waits_is_told(caller: Caller) -> None:
    made = create(caller)
    Message.objects.update(attempts=1, error_code="timeout", error_detail="No answer.")
    shown = done(caller.get(f"{MESSAGES}/{made['id']}"))
    assert shown["status"] == "Retrying"
    delivery = shown["delivery"]
    due = moment_of(Message.objects.get().next_attempt_at)
    assert delivery == {"attempts": 1, "maxAttempts": 3, "nextRetry": due, "error": "No answer."}


def test_tracking_tells_every_event(caller: Caller) -> None:
    made = create(caller)
    move(made["id"], Status.SENDING, provider="smtp")
    move(made["id"], Status.SENT, Status.DELIVERED, Status.OPENED, Status.CLICKED)
    shown = done(caller.get(f"{MESSAGES}/{made['id']}/tracking"))
    row = Message.objects.get()
    moments = {
        name: moment_of(getattr(row, f"{name}_at")) for name in ("queued", "sending", "sent", "delivered", "opened")
    }
    moments["clicked"] = moment_of(row.clicked_at)
    assert [(each["type"], each["timestamp"]) for each in shown["events"]] == list(moments.items())
    assert shown["events"][1]["details"] == {"attempt": 0, "provider": "smtp"}
    assert {name: value for name, value in shown.items() if name != "events"} == {
        "id": made["id"],
        "tracking": {**TRACKING, "opened": True, "clicked": True},
        "analytics": {"openRate": 1.0, "clickRate": 1.0, "bounceRate": 0.0, "complaintRate": 0.0},
        "lastUpdated": moments["clicked"],
    }
    fresh = create(caller)
    rates = {"openRate": 0.0, "clickRate": 0.0, "bounceRate": 0.0, "complaintRate": 0.0}
    assert done(caller.get(f"{MESSAGES}/{fresh['id']}/tracking"))["analytics"] == rates


@pytest.mark.parametrize("ending", [[Status.FAILED], [Status.SENDING, Status.SENT, Status.BOUNCED]])
def test_a_failed_message_is_tried_once_more(caller: Caller, ending: list[Status]) -> None:
    made = create(caller)
    Message.objects.update(attempts=3)
    move(made["id"], *ending)
    shown = done(caller.post(f"{MESSAGES}/{made['id']}/retry"), "Message retry initiated")
    row = Message.objects.get()
    assert shown == {
        "id": made["id"],
        "status": "Retrying",
        "delivery": {"attempts": 3, "maxAttempts": 6, "nextRetry": moment_of(row.next_attempt_at), "error": None},
        "retriedAt": moment_of(row.retried_at),
    }
    assert MOMENT == shown["retriedAt"] == shown["delivery"]["nextRetry"]
    assert done(caller.get(f"{MESSAGES}/{made['id']}"))["status"] == "Retrying"
    events = done(caller.get(f"{MESSAGES}/{made['id']}/tracking"))["events"]
    assert events[-1]["type"] == "retrying"
    answer = caller.post(f"{MESSAGES}/{made['id']}/retry/")
    failed(answer, 409, "INVALID_STATE", "Invalid state", "The message is Retrying and cannot be retried.")


@pytest.mark.parametrize(
    ("body", "reason"),
    [(None, "Cancelled by the user"), ({}, "Cancelled by the user"), ({"reason": "A mistake"}, "A mistake")],
)
def test_a_waiting_message_is_cancelled(caller: Caller, body: Any, reason: str) -> None:
    made = create(caller)
    shown = done(caller.post(f"{MESSAGES}/{made['id']}/cancel", body), "Message cancelled")
    assert shown == {
        "id": made["id"],
        "status": "Cancelled",
        "cancelledAt": moment_of(Message.objects.get().cancelled_at),
        "reason": reason,
    }
    last = done(caller.get(f"{MESSAGES}/{made['id']}/tracking"))["events"][-1]
    assert (last["type"], last["details"]["reason"]) == ("cancelled", reason)
    answer = caller.post(f"{MESSAGES}/{made['id']}/cancel", body)
    failed(answer, 409, "INVALID_STATE", "Invalid state", "The message is Cancelled and cannot be cancelled.")


def test_a_bad_reason_is_refused(caller: Caller) -> None:
    made = create(caller)
    answer = caller.post(f"{MESSAGES}/{made['id']}/cancel", {"reason": 1})
    failed(answer, 400, *INVALID, answer.json()["exception"], "reason")
    assert done(caller.get(f"{MESSAGES}/{made['id']}"))["status"] == "Pending"


BY_ID = [
    ("GET", ""),
    ("PUT", ""),
    ("DELETE", ""),
    ("GET", "/status"),
    ("GET", "/tracking"),
    ("POST", "/retry"),
    ("POST", "/cancel"),
]


@pytest.mark.parametrize(("method", "name"), BY_ID)
def test_what_is_not_there_or_of_another_workspace_is_not_found(caller: Caller, method: str, name: str) -> None:
    foreign = create(make_caller())["id"]
    for text in (str(uuid7()), foreign, "msg_1", "nothing", "%00", "x" * 300):
        answer = caller.ask(method, f"{MESSAGES}/{text}{name}", {} if method == "PUT" else None)
        shown = "\0" if text == "%00" else text[:100]
        exception = f"There is no message with the id {shown}."
        failed(answer, 404, "MESSAGE_NOT_FOUND", "Message not found", exception)
    assert Message.objects.get().status == Status.QUEUED


# The words


def test_the_vocabulary_is_total() -> None:
    assert set(STATUS_OUT) == set(Standing)
    assert set(vocabulary.IS_READ) == set(Standing)
    assert set(CHANNEL_OUT) == set(Channel)
    assert set(vocabulary.PRIORITY_OUT) == set(Priority)
    assert set(vocabulary.CONDITION_OUT) == set(Condition)
    assert set(vocabulary.VERDICT_OUT) == set(Verdict)
    assert frozenset().union(*STATUS_IN.values()) == set(Standing)
    assert frozenset().union(*TYPES.values()) == OFFERED
    assert set(TYPES) == set(vocabulary.COMPONENTS) == set(vocabulary.CHANNEL_IN)
    assert set(vocabulary.MESSAGING_OUT.values()) == set(vocabulary.NOTIFICATION_BY_TYPE)


@pytest.mark.parametrize(
    ("standing", "word", "is_read"),
    [
        (Standing.SCHEDULED, "Scheduled", False),
        (Standing.QUEUED, "Pending", False),
        (Standing.SENDING, "Pending", False),
        (Standing.RETRYING, "Retrying", False),
        (Standing.SENT, "Sent", False),
        (Standing.DELIVERED, "Delivered", False),
        (Standing.OPENED, "Read", True),
        (Standing.CLICKED, "Read", True),
        (Standing.UNSUBSCRIBED, "Read", True),
        (Standing.BOUNCED, "Failed", False),
        (Standing.FAILED, "Failed", False),
        (Standing.CANCELLED, "Cancelled", False),
    ],
)
def test_each_standing_has_its_word(standing: Standing, word: str, is_read: bool) -> None:
    assert (STATUS_OUT[standing], vocabulary.IS_READ[standing]) == (word, is_read)
