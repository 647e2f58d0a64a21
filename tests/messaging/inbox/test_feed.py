"""The in-app feed: whose it is, and what its reader does with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from channels_app.types import Channel
from messaging.dispatch import control
from messaging.errors import NotFound
from messaging.inbox import feed
from messaging.inbox.feed import Reader
from messaging.models import ContactAlias, Message, MessageEvent, Workspace
from messaging.models.keys import uuid7
from messaging.people import merging
from messaging.state import Cause
from tests.factories import accept_message, make_member, make_workspace, message
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.inbox.arrivals import arrive, said, send
from tests.messaging.invariants import check_all
from tests.messaging.people.rows import make_contact

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


@pytest.fixture
def reader(workspace: Workspace) -> Reader:
    return Reader(workspace_id=workspace.id, avatar_id=make_member(workspace).user.avatar_id)


def ids(reader: Reader, **fields: Any) -> list[UUID]:
    return [row.id for row in feed.items(reader=reader, **{"ascending": False, "beyond": None, "limit": 50, **fields})]


def test_a_person_is_reached_by_every_name_that_they_have(workspace: Workspace, reader: Reader):
    contact = make_contact(workspace, avatar_id=reader.avatar_id, external_id="crm-7")
    keys = [
        send(workspace, to=str(reader.avatar_id)),
        send(workspace, to=str(reader.avatar_id).upper()),
        send(workspace, to=reader.avatar_id.hex),
        send(workspace, to=str(contact.id)),
        send(workspace, to="crm-7"),
        send(workspace, contact_id="crm-7"),
        send(workspace, avatar_id=reader.avatar_id),
        send(workspace, channel=Channel.DIRECT, to=str(reader.avatar_id)),
        send(workspace, channel=Channel.DIRECT, contact_id=str(contact.id)),
    ]
    arrive()

    assert ids(reader) == keys[::-1]


def test_what_came_before_the_contact_is_there_too(workspace: Workspace, reader: Reader):
    to_avatar, to_name = send(workspace, to=str(reader.avatar_id).upper()), send(workspace, to="crm-7")
    arrive()
    assert ids(reader) == [to_avatar]

    make_contact(workspace, avatar_id=reader.avatar_id, external_id="crm-7")

    assert ids(reader) == [to_name, to_avatar]


def test_the_feed_of_a_merged_contact_goes_on(workspace: Workspace, reader: Reader):
    kept, gone = make_contact(workspace, avatar_id=reader.avatar_id), make_contact(workspace)
    key = said(workspace, contact_id=str(gone.id))
    assert ids(reader) == []

    merging.merge(workspace_id=workspace.id, keep=kept.id, other=gone.id)

    assert ContactAlias.objects.get().id == gone.id
    assert ids(reader) == [key]


def test_an_external_id_does_not_open_somebody_elses_feed(workspace: Workspace, reader: Reader):
    key = said(workspace, to=str(reader.avatar_id))
    thief = make_member(workspace).user.avatar_id
    make_contact(workspace, avatar_id=thief, external_id=str(reader.avatar_id))

    assert ids(Reader(workspace_id=workspace.id, avatar_id=thief)) == []
    assert ids(reader) == [key]


def test_other_workspaces_other_channels_and_the_sandbox_are_not_in_it(workspace: Workspace, reader: Reader):
    said(make_workspace(), to=str(reader.avatar_id))
    make_contact(workspace, avatar_id=reader.avatar_id)
    accept_message(workspace)
    test = said(workspace, to=str(reader.avatar_id), test=True)

    assert ids(reader) == []
    assert ids(Reader(workspace_id=workspace.id, avatar_id=reader.avatar_id, test=True)) == [test]


def test_only_what_has_arrived_is_in_it(workspace: Workspace, reader: Reader):
    waiting, cancelled = (send(workspace, to=str(reader.avatar_id)) for _ in range(2))
    control.cancel(workspace_id=workspace.id, message_id=cancelled, cause=Cause.API)
    for key in (waiting, cancelled):
        with pytest.raises(NotFound):
            feed.read(reader=reader, message_id=key)
    assert ids(reader) == []

    arrive(Channel.ONSITE, delivered=False)

    assert ids(reader) == [waiting]


def test_a_read_is_an_event_once_and_implies_the_delivery(workspace: Workspace, reader: Reader):
    key = send(workspace, to=str(reader.avatar_id))
    arrive(Channel.ONSITE, delivered=False)

    first = feed.read(reader=reader, message_id=key)
    second = feed.read(reader=reader, message_id=key)

    assert (first.status, second.opened_at) == ("OPENED", first.opened_at)
    assert first.opened_at == first.delivered_at
    assert first.seen_at is not None
    opened = MessageEvent.objects.get(message_id=key, type="opened")
    assert (opened.cause, opened.status) == ("api", "OPENED")
    assert check_all() == []


def test_two_reads_at_once_are_one(workspace: Workspace, reader: Reader):
    key = said(workspace, to=str(reader.avatar_id))

    results = at_once(*[lambda: feed.read(reader=reader, message_id=key).status] * 4)

    assert results == ["OPENED"] * 4
    assert MessageEvent.objects.filter(message_id=key, type="opened").count() == 1


def test_many_are_read_together_and_what_is_not_the_readers_is_passed_by(workspace: Workspace, reader: Reader):
    own = [send(workspace, to=str(reader.avatar_id)) for _ in range(2)]
    foreign = send(workspace, to=str(make_member(workspace).user.avatar_id))
    arrive()
    feed.read(reader=reader, message_id=own[0])

    assert feed.read_many(reader=reader, ids=[*own, foreign, uuid7()]) == {own[1]}
    assert feed.read_many(reader=reader, ids=[]) == set()
    assert message(foreign).status == "DELIVERED"


def test_many_are_seen_together_and_the_feed_can_be_skipped_into(workspace: Workspace, reader: Reader):
    keys = [said(workspace, to=str(reader.avatar_id)) for _ in range(3)]
    other = said(workspace, to="somebody")
    feed.see_many(reader=reader, ids=[keys[0], keys[2], other, uuid7()])
    assert [bool(message(key).seen_at) for key in (*keys, other)] == [True, False, True, False]
    found = feed.items(reader=reader, ascending=False, beyond=None, limit=1, offset=1)
    assert [row.id for row in found] == keys[1:2]


def test_counts_tell_what_waits(workspace: Workspace, reader: Reader):
    keys = [send(workspace, to=str(reader.avatar_id)) for _ in range(4)]
    arrive()
    feed.see(reader=reader, message_id=keys[0])
    feed.read(reader=reader, message_id=keys[1])
    feed.archive(reader=reader, message_id=keys[2])

    counts = feed.counts(reader=reader)

    assert (counts.unseen, counts.unread) == (1, 2)
    assert ids(reader) == [keys[3], keys[1], keys[0]]
    assert ids(reader, unread=True) == [keys[3], keys[0]]
    assert ids(reader, archived=True) == [keys[2]]


def test_marks_are_set_once(workspace: Workspace, reader: Reader):
    key = said(workspace, to=str(reader.avatar_id))
    marks: list[tuple[Callable[..., Message], str]] = [(feed.see, "seen_at"), (feed.archive, "archived_at")]
    for mark, column in marks:
        first = getattr(mark(reader=reader, message_id=key), column)
        assert first is not None
        assert getattr(mark(reader=reader, message_id=key), column) == first


@pytest.mark.parametrize("mark", [feed.see, feed.read, feed.archive])
def test_nobody_marks_what_is_not_theirs(workspace: Workspace, reader: Reader, mark: Callable[..., Message]):
    key = said(workspace, to=str(make_member(workspace).user.avatar_id))
    abroad = said(make_workspace(), to=str(reader.avatar_id))

    for each in (key, abroad, uuid7()):
        with pytest.raises(NotFound):
            mark(reader=reader, message_id=each)

    assert Message.objects.filter(seen_at=None, opened_at=None, archived_at=None).count() == 2


def test_a_feed_and_its_counts_read_little_more_than_they_show(workspace: Workspace, reader: Reader):
    row = message(said(workspace, to=str(reader.avatar_id)))
    contact = make_contact(workspace, avatar_id=reader.avatar_id)
    old = feed.read(reader=reader, message_id=row.id).opened_at
    read = [(str(name), old) for name in (reader.avatar_id, contact.id) for _ in range(150)]
    others = [(f"person-{n % 50}", None) for n in range(6_000)]
    Message.objects.bulk_create(
        [
            Message(
                workspace=workspace,
                content_id=row.content_id,
                channel="onsite",
                status="OPENED" if opened else "DELIVERED",
                recipient=name,
                opened_at=opened,
            )
            for name, opened in (*read, *others)
        ],
        batch_size=1_000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_message")
        # What earlier tests left in the indexes may make them dearer than a table of this size.
        cursor.execute("SET enable_seqscan = off")

    assert touched(lambda: feed.items(reader=reader, ascending=False, beyond=None, limit=51)) < 250
    assert touched(lambda: feed.counts(reader=reader)) < 50


def touched(call: Callable[[], Any]) -> int:
    """Rows of messages that the scans of a call read, those that they threw away included."""
    plans: list[Any] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if 'FROM "messaging_message"' in sql:
            with connection.cursor() as cursor:
                cursor.cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                (plan,) = cursor.cursor.fetchone()
                plans.append((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        call()
    assert plans
    scans = [node for plan in plans for node in nodes(plan) if "Scan" in node["Node Type"]]
    return int(
        sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)
