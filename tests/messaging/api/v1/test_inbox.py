"""/inbox and /conversations: a caller's own messages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from channels_app.types import Channel
from messaging.models import Mode
from messaging.models.keys import uuid7
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read
from tests.messaging.inbox.arrivals import arrive, said

PATH = "/api/v1/inbox"


def avatar(caller: Caller) -> UUID:
    assert caller.member
    return caller.member.user.avatar_id


def write(author: Caller, to: UUID, **fields: Any) -> str:
    """A direct message over HTTP, which has arrived."""
    body = {"channel": "direct", "to": str(to), "text": "Hello {{ word }}", "data": {"word": "you"}, **fields}
    key = read(author.post("/api/v1/messages", body), 202)["id"]
    arrive()
    return str(key)


def ids(caller: Caller, path: str) -> list[str]:
    return [row["id"] for row in read(caller.get(path))["results"]]


@pytest.fixture
def friend(caller: Caller) -> Caller:
    return make_caller(workspace=caller.workspace)


def test_an_item_says_who_wrote_what(caller: Caller, friend: Caller):
    key = write(friend, avatar(caller), metadata={"a": 1})

    page = read(caller.get(PATH))

    item = page["results"][0]
    assert page == {"results": [item], "next": None, "previous": None}
    assert item == {
        "id": key,
        "channel": "direct",
        "status": "DELIVERED",
        "from_avatar_id": str(avatar(friend)),
        "to": str(avatar(caller)),
        "subject": None,
        "body": None,
        "text": "Hello you",
        "action_type": "custom",
        "category": "transactional",
        "metadata": {"a": 1},
        "created_at": item["created_at"],
        "seen_at": None,
        "read_at": None,
        "archived_at": None,
    }


def test_an_item_is_seen_read_and_put_away(caller: Caller, friend: Caller):
    key, other = write(friend, avatar(caller)), str(said(caller.workspace, to=str(avatar(caller))))
    assert read(caller.get(f"{PATH}/counts")) == {"unseen": 2, "unread": 2}

    assert read(caller.post(f"{PATH}/{key}/seen"))["seen_at"] is not None
    assert read(caller.get(f"{PATH}/counts")) == {"unseen": 1, "unread": 2}
    item = read(caller.post(f"{PATH}/{key}/read"))
    assert (item["status"], item["read_at"] is not None) == ("OPENED", True)
    assert read(caller.post(f"{PATH}/{key}/read")) == item
    assert read(caller.get(f"{PATH}/counts")) == {"unseen": 1, "unread": 1}
    assert ids(caller, f"{PATH}?unread=true") == [other]
    assert read(caller.post(f"{PATH}/{other}/archive"))["archived_at"] is not None
    assert read(caller.get(f"{PATH}/counts")) == {"unseen": 0, "unread": 0}
    assert (ids(caller, PATH), ids(caller, f"{PATH}?archived=true")) == ([key], [other])
    events = read(caller.get(f"/api/v1/messages/{key}/events"))["results"]
    assert [each["cause"] for each in events if each["type"] == "opened"] == ["api"]


def test_nobody_reads_for_somebody_else(caller: Caller, friend: Caller, stranger: Caller):
    key = write(friend, avatar(caller))
    for other in (friend, stranger):
        assert ids(other, PATH) == []
        for name in ("seen", "read", "archive"):
            assert_problem(other.post(f"{PATH}/{key}/{name}"), 404, "message_not_found")
    for name in ("x", str(uuid7())):
        assert caller.post(f"{PATH}/{name}/read").status_code == 404
    assert read(caller.get(f"{PATH}/counts")) == {"unseen": 1, "unread": 1}


def test_a_test_key_reads_what_test_keys_wrote(caller: Caller, friend: Caller):
    tester = make_caller(workspace=caller.workspace, mode=Mode.TEST)
    live = write(friend, avatar(tester))
    test = write(tester, avatar(tester))
    assert (ids(tester, PATH), live != test) == ([test], True)
    assert ids(tester, f"/api/v1/conversations/{avatar(tester)}") == [test]


def test_the_feed_is_paged(caller: Caller):
    keys = [str(said(caller.workspace, to=str(avatar(caller)))) for _ in range(3)]
    first = read(caller.get(f"{PATH}?limit=2"))
    parts = urlsplit(first["next"])
    assert ids(caller, f"{parts.path}?{parts.query}") == keys[:1]
    assert [row["id"] for row in first["results"]] == keys[:0:-1]
    for query, place in (
        ("unread=maybe", ("/unread", "invalid_choice")),
        ("limit=0", ("/limit", "out_of_range")),
        ("cursor=x", ("/cursor", "invalid_cursor")),
        ("q=x", ("/q", "unknown_parameter")),
    ):
        answer = caller.get(f"{PATH}?{query}")
        assert_problem(answer, 422, answer.json()["code"], place)


def test_a_conversation_has_both_directions_the_oldest_first(caller: Caller, friend: Caller):
    keys = [write(caller, avatar(friend)), write(friend, avatar(caller)), write(caller, avatar(friend))]
    for one, other in ((caller, friend), (friend, caller)):
        path = f"/api/v1/conversations/{avatar(other)}"
        assert ids(one, path) == keys
        first = read(one.get(f"{path}?limit=2"))
        parts = urlsplit(first["next"])
        second = read(one.get(f"{parts.path}?{parts.query}"))
        assert [row["id"] for row in first["results"] + second["results"]] == keys
        back = urlsplit(second["previous"])
        assert ids(one, f"{back.path}?{back.query}") == keys[:2]


def test_a_conversation_with_nobody_is_not_found(caller: Caller, friend: Caller, stranger: Caller):
    assert ids(caller, f"/api/v1/conversations/{avatar(friend)}") == []
    for name in (avatar(stranger), uuid7()):
        assert_problem(caller.get(f"/api/v1/conversations/{name}"), 404, "avatar_not_found")
    assert_problem(caller.get("/api/v1/conversations/bob"), 404, "not_found")


def test_a_direct_message_to_a_foreign_or_unknown_avatar_is_refused(caller: Caller, stranger: Caller):
    for named in ({"to": str(avatar(stranger))}, {"avatar_id": str(avatar(stranger))}, {"avatar_id": str(uuid7())}):
        answer = caller.post("/api/v1/messages", {"channel": Channel.DIRECT.value, "text": "x", **named})
        (place,) = named
        assert_problem(answer, 422, "invalid_recipient", (f"/{place}", "invalid_recipient"))


def test_the_sandbox_takes_a_direct_message_to_an_id_that_nobody_bears(caller: Caller):
    answer = caller.post("/api/v1/messages", {"channel": Channel.DIRECT.value, "to": "bob", "text": "x"})
    assert (answer.status_code, answer.json()["to"]) == (202, "bob")
