"""Which messages a list gives, in what order, from what place, and how many there are."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels_app.types import Channel
from messaging.dispatch import control, intake, selectors
from messaging.dispatch.selectors import MessageFilter, Party, Sort, Total, totals
from messaging.errors import NotFound
from messaging.inbox import feed
from messaging.models import Contact, Message, PushSubscription, Workspace
from messaging.models.keys import uuid7
from messaging.state import Cause, Standing, Status
from tests.factories import (
    accept_batch,
    accept_message,
    draft,
    make_member,
    make_template,
    make_user,
    make_workspace,
    message,
)

pytestmark = pytest.mark.django_db

S, C = Status, Channel


@pytest.fixture
def workspace(db: None) -> Workspace:
    return make_workspace()


def ids(workspace: Workspace, **fields: Any) -> list[UUID]:
    """The ids that a list gives; what is no filter goes to the list."""
    own = {name: fields.pop(name) for name in ("sort", "ascending", "after", "beyond", "offset") if name in fields}
    limit = fields.pop("limit", 100)
    where = MessageFilter(**fields)
    found = selectors.messages(workspace_id=workspace.id, where=where, limit=limit, **own)
    if not own and limit == 100:
        assert selectors.total(workspace_id=workspace.id, where=where) == Total(number=len(found), estimated=False)
    return [row.id for row in found]


def put(key: UUID, **columns: Any) -> UUID:
    """Set columns of a message as they are at some later time."""
    Message.objects.filter(id=key).update(**columns)
    return key


def send(workspace: Workspace, author: UUID | None = None, **fields: Any) -> UUID:
    """Accept one message of an author."""
    own = {name: fields.pop(name) for name in ("to", "contact_id", "avatar_id") if name in fields}
    accepted = intake.accept(
        workspace_id=workspace.id,
        author_id=author,
        test=False,
        draft=draft(**fields),
        recipients=[intake.Recipient(**(own or {"to": "ann@example.com"}))],
        batch=False,
    )
    return accepted.ids[0]


def test_every_filter_narrows_alone_and_together(workspace: Workspace):
    """Each row differs in everything; a filter by any of its values finds it, whatever stands beside."""
    make_template(workspace, "welcome", action_type="otp", language="de")
    person = Contact.objects.create(workspace=workspace, name="Bob", email="bob@example.com")
    mail = accept_message(workspace, "Ann@Example.com", metadata={"k": 1})
    text = accept_message(workspace, "+12025550100", channel=C.SMS, subject="")
    bob = send(workspace, contact_id=str(person.id), template="welcome", subject="", text="")
    batch = accept_batch(workspace, ["carl@example.com"])
    failed = put(accept_message(workspace, "dora@example.com"), status="FAILED", attempts=1, error_code="smtp_550")
    again = put(accept_message(workspace, "emil@example.com"), attempts=2)
    everything = [again, failed, batch.ids[0], bob, text, mail]
    found: dict[str, tuple[dict[str, Any], list[UUID]]] = {
        "all": ({}, everything),
        "status": ({"statuses": frozenset({S.FAILED})}, [failed]),
        "two statuses": ({"statuses": frozenset({S.FAILED, S.QUEUED})}, everything),
        "queued": ({"standings": frozenset({Standing.QUEUED})}, [batch.ids[0], bob, text, mail]),
        "retrying": ({"standings": frozenset({Standing.RETRYING})}, [again]),
        "both": ({"standings": frozenset({Standing.QUEUED, Standing.RETRYING})}, [again, *everything[2:]]),
        "retrying or failed": ({"standings": frozenset({Standing.RETRYING, Standing.FAILED})}, [again, failed]),
        "a status and a standing": (
            {"statuses": frozenset({S.QUEUED}), "standings": frozenset({Standing.RETRYING, Standing.FAILED})},
            [again],
        ),
        "neither": ({"statuses": frozenset({S.SENT}), "standings": frozenset({Standing.FAILED})}, []),
        "channel": ({"channels": frozenset({C.SMS})}, [text]),
        "two channels": ({"channels": frozenset({C.SMS, C.EMAIL})}, everything),
        "all channels": ({"channels": frozenset(Channel)}, everything),
        "to": ({"to": "Ann@EXAMPLE.com"}, [mail]),
        "to in another case": ({"to": "ann@example.com"}, [mail]),
        "who in another case": ({"who": "ANN@example.com"}, [mail]),
        "who by a phone number": ({"who": "+1 202 555 0100"}, [text]),
        "who by a contact's address": ({"who": "BOB@example.com"}, [bob]),
        "who by a contact's id": ({"who": str(person.id).upper()}, [bob]),
        "who is nobody": ({"who": "nobody"}, []),
        "prefix": ({"prefix": "aNN@"}, [mail]),
        "a prefix that is a template's": ({"prefix": "WEL"}, [bob]),
        "a prefix that is of both": ({"prefix": ""}, everything),
        "a prefix with signs": ({"prefix": "%"}, []),
        "contact": ({"contact": str(person.id)}, [bob]),
        "template": ({"template": "welcome"}, [bob]),
        "batch": ({"batch_id": batch.batch_id}, batch.ids),
        "campaign": ({"campaign_id": uuid7()}, []),
        "ids": ({"ids": frozenset({mail, text, uuid7()})}, [text, mail]),
        "no ids": ({"ids": frozenset()}, []),
        "language": ({"language": "de"}, [bob]),
        "action type": ({"action_type": "otp"}, [bob]),
        "error code": ({"error_code": "smtp_550"}, [failed]),
        "test": ({"test": True}, []),
        "q": ({"q": "carl@example.com"}, batch.ids),
    }
    for name, (fields, wanted) in found.items():
        assert ids(workspace, **fields) == wanted, name
        assert set(ids(workspace, sort=Sort.MODIFIED, **fields)) == set(wanted), name
    for (name, (fields, wanted)), (other, (more, also)) in itertools.combinations(found.items(), 2):
        if not fields.keys() & more.keys():
            both = [key for key in wanted if key in also]
            assert ids(workspace, limit=50, **fields, **more) == both, f"{name} and {other}"


def test_a_push_is_found_by_its_subscription(workspace: Workspace):
    person = Contact.objects.create(workspace=workspace, name="Ann", external_id="Crm-7")
    device = PushSubscription.objects.create(
        workspace=workspace, contact=person, endpoint="https://push.example.com/Abc", p256dh="p", auth="a", active=True
    )
    key = send(workspace, to=str(device.id), channel=C.PUSH, subject="", text="Hi")

    for who in (device.endpoint, str(device.id), "Crm-7", str(person.id)):
        assert ids(workspace, who=who) == [key], who


def test_deleted_messages_are_not_there_any_more(workspace: Workspace):
    kept, gone = accept_batch(workspace, ["a@example.com", "b@example.com"]).ids
    control.delete(workspace_id=workspace.id, message_id=gone, cause=Cause.API)

    for sort in Sort:
        assert ids(workspace, sort=sort) == [kept]
    for fields in ({"q": str(gone)}, {"to": "b@example.com"}, {"statuses": frozenset({S.CANCELLED})}):
        assert ids(workspace, **fields) == []
    for read in (selectors.message, selectors.events):
        with pytest.raises(NotFound):
            read(workspace_id=workspace.id, message_id=gone)
    batch = selectors.batch(workspace_id=workspace.id, batch_id=message(gone).batch_id)  # type: ignore[arg-type]
    assert batch.counts == {"QUEUED": 1, "CANCELLED": 1}


def spread(workspace: Workspace) -> dict[Sort, list[UUID]]:
    """Messages that are in another order by everything; those without a value come last, ties go by key."""
    now = timezone.now().replace(microsecond=123456)
    keys = accept_batch(workspace, [f"{name}@example.com" for name in ("B", "c", "a", "D", "b")]).ids
    at = [now + timedelta(minutes=minutes) for minutes in range(5)]
    rows = [
        ("SENT", at[2], None),
        ("FAILED", None, at[1]),
        ("SENT", at[1], at[1]),
        ("QUEUED", None, None),
        ("BOUNCED", at[1], at[3]),
    ]
    for key, (status, sent, scheduled) in zip(keys, rows, strict=True):
        put(key, status=status, sent_at=sent, scheduled_at=scheduled, created_at=now)
    put(keys[3], revised_at=at[4])
    return {
        Sort.CREATED: [keys[place] for place in (4, 3, 2, 1, 0)],
        Sort.SENT: [keys[place] for place in (0, 4, 2, 3, 1)],
        Sort.MODIFIED: [keys[place] for place in (3, 0, 4, 2, 1)],
        Sort.SCHEDULED: [keys[place] for place in (4, 2, 1, 3, 0)],
        Sort.RECIPIENT: [keys[place] for place in (3, 1, 4, 0, 2)],
    }


def ascending(sort: Sort, wanted: list[UUID]) -> list[UUID]:
    """The same from the other end, where rows without a value are last again."""
    empty = {Sort.SENT: 2, Sort.SCHEDULED: 2}.get(sort, 0)
    split = len(wanted) - empty
    return wanted[:split][::-1] + wanted[split:][::-1]


@pytest.mark.parametrize("sort", list(Sort))
def test_every_order_is_total_and_its_places_lead_through_all_of_it(workspace: Workspace, sort: Sort):
    wanted = spread(workspace)[sort]
    for way, expected in ((False, wanted), (True, ascending(sort, wanted))):
        assert ids(workspace, sort=sort, ascending=way) == expected
        assert [ids(workspace, sort=sort, ascending=way, offset=n, limit=2) for n in (0, 2, 4, 6)] == [
            expected[:2],
            expected[2:4],
            expected[4:],
            [],
        ]
        for where in ({}, {"statuses": frozenset(S)}, {"channels": frozenset({C.EMAIL, C.SMS})}):
            assert walk(workspace, sort, way, size=1, **where) == expected
            assert walk(workspace, sort, way, size=2, **where) == expected


def walk(
    workspace: Workspace,
    sort: Sort,
    way: bool,
    *,
    size: int,
    meanwhile: Callable[[], object] = lambda: None,
    **fields: Any,
) -> list[UUID]:
    """A list from place to place."""
    after, found = None, []
    while True:
        rows = selectors.messages(
            workspace_id=workspace.id,
            where=MessageFilter(**fields),
            sort=sort,
            ascending=way,
            after=after,
            limit=size,
        )
        if not rows:
            return found
        found += [row.id for row in rows]
        after = selectors.place_of(rows[-1], sort)
        meanwhile()


@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize("way", [False, True])
def test_a_walk_has_every_row_once_while_others_come(workspace: Workspace, sort: Sort, way: bool):
    known = spread(workspace)[sort]
    left = iter(range(3))

    def another() -> None:
        if next(left, None) is not None:
            accept_message(workspace, "bb@example.com")

    found = walk(workspace, sort, way, size=1, meanwhile=another)

    assert len(found) == len(set(found))
    assert set(known) <= set(found)


def test_a_window_that_has_ended_stays_as_it_is(workspace: Workspace):
    keys = accept_batch(workspace, [f"{n}@example.com" for n in range(6)]).ids
    start = message(keys[0]).created_at
    window = {"created_after": start, "created_before": start + timedelta(microseconds=1)}
    first = ids(workspace, limit=3, **window)
    put(accept_message(workspace), created_at=start + timedelta(seconds=1))
    assert first + ids(workspace, limit=3, offset=3, **window) == keys[::-1]
    assert ids(workspace, created_before=start) == []


@pytest.mark.parametrize("offset", [0, 2_000])
def test_rows_of_older_months_are_reached(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, offset: int):
    keys = accept_batch(workspace, [f"{n}@example.com" for n in range(4)]).ids
    later = timezone.now() + timedelta(days=100)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert ids(workspace, offset=0, limit=100) == keys[::-1]
    assert ids(workspace, offset=offset, limit=100) == (keys[::-1] if not offset else [])
    assert ids(workspace, beyond=keys[0], ascending=True, limit=2) == keys[1:3]
    assert ids(workspace, beyond=UUID(int=2**128 - 1)) == keys[::-1]
    assert ids(workspace, beyond=UUID(int=0), ascending=True) == keys
    assert ids(workspace, created_before=datetime.max.replace(tzinfo=later.tzinfo)) == keys[::-1]


def test_a_total_is_counted_to_its_bound_and_estimated_beyond(workspace: Workspace):
    accept_batch(workspace, [f"{n}@example.com" for n in range(8)])

    def total(bound: int) -> Total:
        return selectors.total(workspace_id=workspace.id, bound=bound)

    assert total(8) == Total(number=8, estimated=False)
    assert total(7).estimated
    assert total(7).number >= 7


def test_a_list_that_went_beyond_its_bound_is_not_counted_for_every_page(workspace: Workspace):
    accept_batch(workspace, [f"{n}@example.com" for n in range(8)])
    assert selectors.total(workspace_id=workspace.id, bound=5).estimated

    with CaptureQueriesContext(connection) as asked:
        assert selectors.total(workspace_id=workspace.id, bound=5).estimated

    assert [query["sql"].split("(")[0] for query in asked.captured_queries] == ["EXPLAIN "]


def test_a_count_that_takes_too_long_is_estimated(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(totals, "COUNT_SECONDS", 0.001)
    monkeypatch.setattr(totals, "_COUNT", "SELECT count(*) FROM ({every} LIMIT %s) AS found, pg_sleep(1)")
    accept_message(workspace)

    assert selectors.total(workspace_id=workspace.id).estimated
    assert ids(workspace, offset=0) != []


def test_somebody_sees_what_they_sent_and_what_is_for_them(workspace: Workspace):
    ann, bob = make_member(workspace).user, make_member(workspace).user
    other = make_user()
    contact = Contact.objects.create(workspace=workspace, avatar_id=ann.avatar_id, email="ann@example.com")
    sent = send(workspace, ann.id, to="x@example.com")
    to_self = send(workspace, ann.id, avatar_id=ann.avatar_id, channel=C.DIRECT, subject="")
    got = send(workspace, bob.id, avatar_id=ann.avatar_id, channel=C.DIRECT, subject="")
    mail = send(workspace, bob.id, contact_id=str(contact.id))
    soon = timezone.now() + timedelta(hours=1)
    later = send(workspace, bob.id, avatar_id=ann.avatar_id, channel=C.DIRECT, subject="", scheduled_at=soon)
    taken_back = send(workspace, bob.id, avatar_id=ann.avatar_id, channel=C.DIRECT, subject="")
    control.cancel(workspace_id=workspace.id, message_id=taken_back, cause=Cause.API)
    announced = send(workspace, bob.id, contact_id=str(contact.id), scheduled_at=soon)
    send(workspace, other.id, to="y@example.com")

    def seen_by(user: Any, **fields: Any) -> list[UUID]:
        addresses = feed.addresses_of(workspace_id=workspace.id, avatar_id=user.avatar_id)
        return ids(workspace, party=Party(user_id=user.id, addresses=frozenset(addresses)), **fields)

    assert seen_by(ann) == [announced, mail, got, to_self, sent]
    assert seen_by(bob) == [announced, taken_back, later, mail, got]
    assert seen_by(ann, channels=frozenset({C.DIRECT})) == [got, to_self]
    assert seen_by(ann, standings=frozenset({Standing.SCHEDULED})) == [announced]
    assert seen_by(ann, sort=Sort.RECIPIENT, offset=1, limit=9) == seen_by(ann, sort=Sort.RECIPIENT)[1:]
    assert seen_by(ann, limit=2, offset=1) == [mail, got]
    assert seen_by(make_user()) == []
    assert ids(workspace, party=Party(user_id=None, addresses=frozenset())) == []


def test_what_changed_last_tells_when_a_message_did(workspace: Workspace):
    key = accept_message(workspace)
    assert selectors.modified_at(message(key)) == message(key).created_at
    control.cancel(workspace_id=workspace.id, message_id=key, cause=Cause.API)
    assert selectors.modified_at(message(key)) == message(key).cancelled_at
