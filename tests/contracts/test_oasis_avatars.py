"""The document of avatars that write to each other, under /api/messaging; whole bodies."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from django.http import HttpResponse

from channels_app.types import Channel
from messaging.api.oasis.vocabulary import MESSAGING_OUT
from messaging.models import Message, Mode, Role
from messaging.models.keys import uuid7
from messaging.state import Status
from tests.contracts.forms import MOMENT
from tests.contracts.oasis import BASE, Caller, avatar, failed, make_caller, move, person, read, results, sender
from tests.messaging.inbox.arrivals import arrive, send

TEXT = "Hello, this is the message content."
SENT = {"result": True, "isError": False, "isWarning": False, "message": "Message sent successfully"}
INVALID = ("VALIDATION_ERROR", "Validation failed")
PLAIN = "text/plain"


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def friend(caller: Caller) -> Caller:
    return person(caller.workspace)


def path_to(other: Caller) -> str:
    return f"{BASE}/send-message-to-avatar/{avatar(other)}"


def write(author: Caller, to: Caller, text: str = TEXT, query: str = "") -> str:
    """A message that has arrived; its id."""
    assert read(author.post(f"{path_to(to)}{query}", json.dumps(text).encode())) == SENT
    arrive()
    return str(Message.objects.order_by("-id").values_list("id", flat=True)[0])


def between(author: Caller, to: Caller, shown: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A message as avatars see it."""
    return {
        "id": shown["id"],
        "fromAvatarId": str(avatar(author)),
        "toAvatarId": str(avatar(to)),
        "content": TEXT,
        "messageType": "Direct",
        "createdDate": MOMENT,
        "timestamp": shown["createdDate"],
        "isRead": False,
        "readAt": None,
        "metadata": {},
        **fields,
    }


def told(answer: HttpResponse, message: str) -> None:
    """The answer says that something was done."""
    assert read(answer) == {"result": True, "isError": False, "isWarning": False, "message": message}


# Sending


@pytest.mark.parametrize(
    ("body", "kind", "content"),
    [
        (b'"Hello, this is the message content."', "application/json", TEXT),
        (b'"Hello, this is the message content."', "application/json; charset=utf-8", TEXT),
        (TEXT.encode(), "application/json", TEXT),
        (TEXT.encode(), PLAIN, TEXT),
        (TEXT.encode(), "text/plain; charset=UTF-8", TEXT),
        (TEXT.encode(), "application/x-www-form-urlencoded", TEXT),
        (TEXT.encode(), "", TEXT),
        (b'"quoted"', PLAIN, '"quoted"'),
        (b'\xef\xbb\xbf"marked"', "application/json", "marked"),
        (b"\xef\xbb\xbfmarked", PLAIN, "marked"),
        (b'"not closed', "application/json", '"not closed'),
        (b"[hi] there", "application/json", "[hi] there"),
        (b"42", "application/json", "42"),
        (b"true", "application/json", "true"),
        (b"NaN", "application/json", "NaN"),
        (b"9" * 5000, "application/json", "9" * 5000),
        (b'{"content": "Hi"}', "application/json", "Hi"),
        (b'"a\\nb \\u00e9 \\ud83d\\ude00"', "application/json", "a\nb é 😀"),
        ("grüße {{ name }} {% if %}".encode(), PLAIN, "grüße {{ name }} {% if %}"),
        ("😀".encode(), "application/json", "😀"),
    ],
)
def test_text_is_taken_as_it_comes(caller: Caller, friend: Caller, body: bytes, kind: str, content: str) -> None:
    assert read(caller.ask("POST", path_to(friend), body, Content_Type=kind)) == SENT
    arrive()
    assert results(friend.get(f"{BASE}/conversation/{avatar(caller)}"))[0]["content"] == content


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_example_arrives(caller: Caller, friend: Caller, slash: str) -> None:
    assert read(caller.post(f"{path_to(friend)}{slash}?messageType=Direct", f'"{TEXT}"'.encode())) == SENT
    row = Message.objects.get()
    assert (row.recipient, row.channel, row.status) == (str(avatar(friend)), "direct", Status.QUEUED)
    arrive()
    shown = results(friend.get(f"{BASE}/conversation/{avatar(caller)}"))
    assert shown == [between(caller, friend, shown[0])]


@pytest.mark.parametrize("word", [*MESSAGING_OUT.values(), "group", "SYSTEM", "0", "3"])
def test_a_type_is_a_word_in_any_case_or_a_number(caller: Caller, friend: Caller, word: str) -> None:
    kind = MESSAGING_OUT[int(word)] if word.isdigit() else word.title()
    write(caller, friend, query=f"?messageType={word}")
    assert results(friend.get(f"{BASE}/conversation/{avatar(caller)}"))[0]["messageType"] == kind


@pytest.mark.parametrize(("given", "kind"), [("Group", "Group"), (1, "Group"), (None, "Direct")])
def test_a_type_may_stand_in_the_body(caller: Caller, friend: Caller, given: Any, kind: str) -> None:
    assert read(caller.post(path_to(friend), {"content": "Hi", "messageType": given})) == SENT
    arrive()
    assert results(friend.get(f"{BASE}/conversation/{avatar(caller)}"))[0]["messageType"] == kind


def test_an_idempotency_key_sends_once(caller: Caller, friend: Caller) -> None:
    for _ in range(2):
        assert read(caller.post(path_to(friend), b'"Hi"', Idempotency_Key="k")) == SENT
    assert Message.objects.count() == 1


def test_an_idempotency_key_of_one_avatar_swallows_no_message_of_another(caller: Caller, friend: Caller) -> None:
    other = person(caller.workspace)
    assert read(caller.post(path_to(friend), b'"Hi"', Idempotency_Key="k")) == SENT
    for again in (
        other.post(path_to(friend), b'"Hi"', Idempotency_Key="k"),
        caller.post(f"{path_to(friend)}?messageType=System", b'"Hi"', Idempotency_Key="k"),
    ):
        failed(
            again,
            422,
            "IDEMPOTENCY_MISMATCH",
            "Idempotency key reused",
            "This Idempotency-Key was used for another request.",
            result=False,
        )
    assert Message.objects.count() == 1


@pytest.mark.parametrize("body", [b"", b"  ", b"null"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_body_is_required(caller: Caller, friend: Caller, settings: Any, body: bytes, strict: bool) -> None:
    settings.OASIS_HTTP_ERRORS = "strict" if strict else "200"
    required = "The request body is required."
    for path in (path_to(friend), f"{BASE}/mark-messages-read", f"{BASE}/mark-notifications-read"):
        answer = caller.post(path, body)
        failed(answer, 400 if strict else 200, "MISSING_REQUIRED_FIELD", required, required, result=False)
    assert not Message.objects.exists()


@pytest.mark.parametrize("body", [b'""', b'"  "', b'{"content": ""}'])
def test_content_is_required(caller: Caller, friend: Caller, body: bytes) -> None:
    answer = caller.post(path_to(friend), body)
    title = ("MISSING_REQUIRED_FIELD", "Missing required field")
    failed(answer, 400, *title, "The message has no content.", "content", result=False)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", ""),
        (b'["Hi"]', ""),
        (b'{"text": "Hi"}', "text"),
        (b'{"content": 1}', "content"),
        (b'{"content": "a", "content": "b"}', ""),
        (b'"a\\u0000b"', "content"),
        (b'"\\ud800"', "content"),
        (b"a\0b", "content"),
        (b"\xff\xfe", ""),
    ],
)
def test_what_is_no_text_is_refused(caller: Caller, friend: Caller, body: bytes, field: str) -> None:
    answer = caller.post(path_to(friend), body)
    failed(answer, 400, *INVALID, answer.json()["exception"], field, result=False)
    assert not Message.objects.exists()


@pytest.mark.parametrize("word", ["Shout", "4", "-1"])
def test_a_bad_type_is_an_invalid_parameter(caller: Caller, friend: Caller, word: str) -> None:
    exception = "messageType is one of Direct, Group, System, Notification."
    code = ("INVALID_PARAMETER", "Invalid parameter")
    for query, body in ((f"?messageType={word}", b'"Hi"'), ("", {"content": "Hi", "messageType": word})):
        answer = caller.post(f"{path_to(friend)}{query}", body)
        failed(answer, 400, *code, exception, "messageType", result=False)


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain; charset=latin-1"])
def test_other_kinds_of_body_are_refused(caller: Caller, friend: Caller, kind: str) -> None:
    exception = "The body must be text or JSON, in UTF-8."
    code = ("UNSUPPORTED_MEDIA_TYPE", "Unsupported media type")
    failed(caller.ask("POST", path_to(friend), b"Hi", Content_Type=kind), 415, *code, exception, result=False)


def test_a_body_has_a_bound(caller: Caller, friend: Caller, settings: Any) -> None:
    settings.MAX_BODY_BYTES = 10
    answer = caller.post(path_to(friend), b"x" * 11)
    exception = "A request body has at most 10 bytes."
    failed(answer, 413, "PAYLOAD_TOO_LARGE", "Payload too large", exception, "", result=False)


def test_an_avatar_that_nobody_is_is_not_found(caller: Caller, friend: Caller) -> None:
    stranger = make_caller()
    for other in (uuid7(), avatar(stranger)):
        exception = f"There is no avatar {other} in the workspace."
        code = ("AVATAR_NOT_FOUND", "Avatar not found")
        failed(caller.post(f"{BASE}/send-message-to-avatar/{other}", b'"Hi"'), 404, *code, exception, result=False)
        answer = caller.get(f"{BASE}/conversation/{other}")
        failed(answer, 404, *code, "There is no such avatar in the workspace.")


@pytest.mark.parametrize("text", ["nobody", "123", "msg_" + "0" * 32])
def test_an_id_that_is_none_is_an_invalid_guid(caller: Caller, text: str) -> None:
    code = ("INVALID_GUID", "Invalid GUID")
    answer = caller.post(f"{BASE}/send-message-to-avatar/{text}", b'"Hi"')
    failed(answer, 400, *code, "toAvatarId is a UUID.", "toAvatarId", result=False)
    failed(caller.get(f"{BASE}/conversation/{text}"), 400, *code, "otherAvatarId is a UUID.", "otherAvatarId")


def test_a_viewer_reads_and_does_not_write(caller: Caller, friend: Caller) -> None:
    viewer = person(caller.workspace, Role.VIEWER)
    answer = viewer.post(path_to(friend), b'"Hi"')
    failed(answer, 403, "FORBIDDEN", "Forbidden", "This needs the scope messages:write.", result=False)
    assert results(viewer.get(f"{BASE}/conversation/{avatar(friend)}")) == []


# Reading


def test_the_inbox_has_what_was_sent_and_received(caller: Caller, friend: Caller) -> None:
    member = person(caller.workspace)
    sent, received = write(friend, member, "One"), write(member, friend, "Two")
    write(caller, member, "Three")
    body = read(friend.get(f"{BASE}/messages?limit=50&offset=0"))
    rows = body["result"]
    assert body == {
        "result": rows,
        "resultsCount": 2,
        "totalCount": 2,
        "limit": 50,
        "offset": 0,
        "isError": False,
        "isWarning": False,
        "message": "Success",
    }
    assert [row["id"] for row in rows] == [received, sent]
    assert rows[1] == {
        "id": sent,
        "type": "In-App",
        "status": "Delivered",
        "recipient": {"id": str(avatar(member))},
        "subject": None,
        "content": "One",
        "sender": sender(friend),
        "createdAt": rows[1]["createdAt"],
        "sentAt": rows[1]["sentAt"],
        "deliveredAt": rows[1]["deliveredAt"],
        "readAt": None,
        "fromAvatarId": str(avatar(friend)),
        "toAvatarId": str(avatar(member)),
        "messageType": "Direct",
        "createdDate": rows[1]["createdAt"],
        "timestamp": rows[1]["createdAt"],
        "isRead": False,
        "metadata": {},
    }


def test_what_was_not_said_is_hidden_from_its_recipient(caller: Caller, friend: Caller) -> None:
    key = send(caller.workspace, author=caller.member.user, to=str(avatar(friend)), text="x", channel=Channel.DIRECT)
    move(key, Status.CANCELLED)
    assert read(friend.get(f"{BASE}/messages"))["result"] == []
    assert read(caller.get(f"{BASE}/messages"))["result"][0]["status"] == "Cancelled"


def test_a_conversation_is_told_from_its_beginning(caller: Caller, friend: Caller) -> None:
    keys = [write(caller, friend, "One"), write(friend, caller, "Two"), write(caller, friend, "Three")]
    write(person(caller.workspace), friend, "Other")
    rows = results(caller.get(f"{BASE}/conversation/{avatar(friend)}"))
    assert [(row["id"], row["content"]) for row in rows] == list(zip(keys, ("One", "Two", "Three"), strict=True))
    assert rows[1] == between(friend, caller, rows[1], content="Two")
    page = results(friend.get(f"{BASE}/conversation/{avatar(caller)}/?limit=1&offset=1"))
    assert [row["id"] for row in page] == keys[1:2]
    assert results(friend.get(f"{BASE}/conversation/{UUID(str(avatar(caller))).hex}?offset=3")) == []


def test_what_one_wrote_to_oneself_is_there_once(caller: Caller) -> None:
    key = write(caller, caller)
    assert [row["id"] for row in results(caller.get(f"{BASE}/conversation/{avatar(caller)}"))] == [key]
    assert [row["id"] for row in read(caller.get(f"{BASE}/messages?mailbox=me"))["result"]] == [key]


@pytest.mark.parametrize("path", ["messages", "conversation/{avatar}", "notifications"])
@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "offset=-1", "offset=1.5", "limit=201", "limit=0"])
def test_a_bad_place_is_an_invalid_parameter(caller: Caller, friend: Caller, path: str, query: str) -> None:
    name, most = query.partition("=")[0], {"limit": "1 to 200", "offset": "0 to 1000000000"}
    exception = f"{name} is a whole number from {most[name]}."
    answer = caller.get(f"{BASE}/{path.format(avatar=avatar(friend))}?{query}")
    failed(answer, 400, "INVALID_PARAMETER", "Invalid parameter", exception, name)


# Marking


@pytest.mark.parametrize("form", ["list", "object", "msg"])
def test_messages_are_marked_as_read_once_and_by_their_recipient(caller: Caller, friend: Caller, form: str) -> None:
    key, other = write(caller, friend), write(caller, friend)
    given = f"msg_{UUID(key).hex}" if form == "msg" else key
    body = {"0": given} if form == "object" else [given, str(uuid7())]
    read_ = "Messages marked as read"
    told(caller.post(f"{BASE}/mark-messages-read", body), read_)
    assert [row["isRead"] for row in results(caller.get(f"{BASE}/conversation/{avatar(friend)}"))] == [False, False]
    told(friend.post(f"{BASE}/mark-messages-read", body), read_)
    rows = results(caller.get(f"{BASE}/conversation/{avatar(friend)}"))
    assert rows[0] == between(caller, friend, rows[0], isRead=True, readAt=rows[0]["readAt"])
    assert (rows[1]["id"], rows[1]["isRead"], bool(rows[0]["readAt"])) == (other, False, True)
    told(friend.post(f"{BASE}/mark-messages-read/", body), read_)
    assert results(caller.get(f"{BASE}/conversation/{avatar(friend)}")) == rows
    assert read(caller.get(f"{BASE}/messages?status=Read"))["totalCount"] == 1
    told(friend.post(f"{BASE}/mark-messages-read", []), read_)


@pytest.mark.parametrize("path", ["mark-messages-read", "mark-notifications-read"])
@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (["nobody"], ("INVALID_GUID", "Invalid GUID"), "0"),
        ([1], INVALID, ""),
        ("text", INVALID, ""),
        ({"ids": ["x"]}, INVALID, ""),
        (b"{", INVALID, ""),
        ([str(UUID(int=0))] * 10_001, INVALID, ""),
    ],
)
def test_what_is_no_list_of_ids_is_refused(
    caller: Caller, path: str, body: Any, code: tuple[str, str], field: str
) -> None:
    answer = caller.post(f"{BASE}/{path}", body)
    failed(answer, 400, *code, answer.json()["exception"], field, result=False)


# Notifications


def test_who_is_written_to_is_notified(caller: Caller, friend: Caller) -> None:
    key = write(caller, friend)
    assert results(caller.get(f"{BASE}/notifications")) == []
    rows = results(friend.get(f"{BASE}/notifications"))
    notice = {
        "id": key,
        "avatarId": str(avatar(friend)),
        "title": "New Message",
        "content": TEXT,
        "type": "Message",
        "createdAt": rows[0]["createdAt"],
        "isRead": False,
        "readAt": None,
        "metadata": {},
    }
    assert rows == [notice]
    seen = "Notifications marked as read"
    told(caller.post(f"{BASE}/mark-notifications-read", [key]), seen)
    assert results(friend.get(f"{BASE}/notifications")) == [notice]
    told(friend.post(f"{BASE}/mark-notifications-read", [key]), seen)
    rows = results(friend.get(f"{BASE}/notifications/"))
    assert rows == [{**notice, "isRead": True, "readAt": rows[0]["readAt"]}]
    assert results(friend.get(f"{BASE}/conversation/{avatar(caller)}"))[0]["isRead"] is False


def test_whoever_reads_a_message_has_seen_its_notification(caller: Caller, friend: Caller) -> None:
    key = write(caller, friend)
    told(friend.post(f"{BASE}/mark-messages-read", [key]), "Messages marked as read")
    assert results(friend.get(f"{BASE}/notifications"))[0]["isRead"] is True


def test_notifications_are_of_the_kind_of_their_messages(caller: Caller, friend: Caller) -> None:
    for word in ("Direct", "Group", "System", "Notification"):
        write(caller, friend, query=f"?messageType={word}")
    for severity in ("info", "success", "warning", "error"):
        send(
            caller.workspace,
            to=str(avatar(friend)),
            subject="Note",
            text="x",
        )
        Message.objects.filter(subject="Note", metadata={}).update(metadata={"severity": severity})
    arrive()
    rows = results(friend.get(f"{BASE}/notifications"))
    assert [row["type"] for row in rows] == [
        "Warning",
        "Warning",
        "Info",
        "Info",
        "Info",
        "System",
        "Message",
        "Message",
    ]
    assert [row["title"] for row in rows] == ["Note"] * 4 + ["New Message"] * 4
    page = results(friend.get(f"{BASE}/notifications?limit=1&offset=4"))
    assert page == rows[4:5]


def test_a_test_key_has_a_mailbox_of_its_own(caller: Caller, friend: Caller) -> None:
    tester = make_caller(workspace=caller.workspace, mode=Mode.TEST)
    write(caller, tester)
    key = write(tester, tester)
    assert [row["id"] for row in results(tester.get(f"{BASE}/notifications"))] == [key]
    assert [row["id"] for row in results(tester.get(f"{BASE}/conversation/{avatar(tester)}"))] == [key]
    assert results(tester.get(f"{BASE}/conversation/{avatar(caller)}")) == []
