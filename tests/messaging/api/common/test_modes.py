"""Live and test messages are kept apart by one rule on every surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from messaging.models import Message, Mode, Workspace
from messaging.state import Status
from messaging.tenancy.access import mode_seen
from tests.factories import accept_message, message
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read
from tests.messaging.people.rows import make_contact
from tests.messaging.webhooks.telling import caller_of

LISTS: dict[str, tuple[str, Callable[[Any], list[Any]]]] = {
    "v1": ("/api/v1/messages", lambda body: [row["to"] for row in body["results"]]),
    "oasis": ("/api/messaging/messages", lambda body: [row["recipient"]["email"] for row in body["result"]]),
    "fluxkit": ("/messaging/logs", lambda body: [row["to"] for row in body["logs"]]),
    "blockv": ("/messages", lambda body: [row["to"] for row in body["messages"]]),
    "blockv by status": ("/messages?sortBy=status", lambda body: [row["to"] for row in body["messages"]]),
}


def caller(workspace: Workspace, who: str) -> Caller:
    """Somebody with a live key or a test key, or a person who is signed in."""
    made = make_caller(workspace=workspace, mode=Mode.TEST if who == "test" else Mode.LIVE)
    if who == "person":
        made.headers = {"X-Workspace": str(workspace.id)}
        assert made.member is not None
        made._client.force_login(made.member.user)
    return made


@pytest.mark.parametrize(("who", "seen"), [("live", "live"), ("person", "live"), ("test", "test")])
def test_each_list_shows_one_mode(db: None, who: str, seen: str) -> None:
    asking = make_caller()
    workspace = asking.workspace
    contact = make_contact(workspace)
    for mode in ("live", "test"):
        key = accept_message(workspace, f"{mode}@example.com", test=mode == "test")
        Message.objects.filter(id=key).update(contact=contact, status=Status.SENT.value)
    by = caller(workspace, who)
    for surface, (path, shown) in LISTS.items():
        assert shown(read(by.get(path))) == [f"{seen}@example.com"], surface
    assert read(by.get("/messaging/logs"))["total"] == 1
    home = f"/api/workspaces/ws_{workspace.id.hex}"
    assert read(by.get(f"{home}/messages"))["pagination"]["total"] == 1
    (row,) = read(by.get(f"{home}/contacts/ct_{contact.id.hex}"))["messages"]
    assert read(by.get(f"{home}/messages"))["data"] == [row]
    assert message(UUID(row["id"].removeprefix("msg_"))).recipient == f"{seen}@example.com"


def test_who_may_see_the_other_mode_asks_for_it(db: None) -> None:
    live = make_caller()
    tester = caller(live.workspace, "test")
    keys = {mode: str(accept_message(live.workspace, test=mode)) for mode in (False, True)}

    def ids(by: Caller, query: str) -> list[str]:
        return [row["id"] for row in read(by.get(f"/api/v1/messages{query}"))["results"]]

    assert (ids(live, "?test=true"), ids(live, "?test=false")) == ([keys[True]], [keys[False]])
    assert ids(tester, "?test=true") == [keys[True]]
    for path in ("/api/v1/messages?test=false", "/api/v1/stats?test=false"):
        assert_problem(tester.get(path), 403, "test_key")
    for by in (live, tester):
        for mode, key in keys.items():
            assert read(by.get(f"/api/v1/messages/{key}"))["test"] is mode


def test_the_rule_is_one(db: None) -> None:
    workspace = make_caller().workspace
    live, test = caller_of(workspace), caller_of(workspace, test=True)
    assert [mode_seen(live), mode_seen(live, False), mode_seen(live, True)] == [False, False, True]
    assert [mode_seen(test), mode_seen(test, True)] == [True, True]
