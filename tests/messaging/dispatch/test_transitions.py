"""The one writer: what it allows, what it writes beside the status, and what it refuses."""

from __future__ import annotations

from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction

from messaging.dispatch import claims, transitions
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.models import Message, MessageEvent
from messaging.models.keys import uuid7
from messaging.state import MOVES, Cause, Status
from tests.factories import accept_batch, accept_message, make_workspace, message
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all
from tests.running import eventually

pytestmark = pytest.mark.usefixtures("transactional_db")

EMAIL = Lane.named("email.normal")
PATHS: dict[Status, tuple[Status, ...]] = {
    Status.QUEUED: (),
    Status.CANCELLED: (Status.CANCELLED,),
    Status.FAILED: (Status.FAILED,),
    Status.SENT: (Status.SENT,),
    Status.DELIVERED: (Status.SENT, Status.DELIVERED),
    Status.OPENED: (Status.SENT, Status.OPENED),
    Status.CLICKED: (Status.SENT, Status.CLICKED),
    Status.BOUNCED: (Status.SENT, Status.BOUNCED),
    Status.UNSUBSCRIBED: (Status.SENT, Status.UNSUBSCRIBED),
}
"""How a test brings a message into each state that no worker holds."""


def brought_to(status: Status) -> UUID:
    key = accept_message(make_workspace())
    for to in PATHS[status]:
        if to is Status.SENT:
            send(key)
        else:
            assert advance(key, to) == {key}
    assert message(key).status == status
    return key


def send(key: UUID) -> None:
    lease, claimed = claims.take(EMAIL, limit=1, group=1)
    assert [row.id for row in claimed] == [key]
    transitions.flush_many([Move(id=key, to=Status.SENT)], claim_id=lease.claim_id, mark=1)
    claims.end(lease.claim_id)


def advance(key: UUID, to: Status | None, cause: Cause = Cause.OPERATOR, **fields: Any) -> set[UUID]:
    return transitions.advance_many([Move(id=key, to=to, **fields)], cause=cause)


@pytest.mark.parametrize("start", PATHS)
def test_a_message_moves_exactly_where_the_table_says(start: Status):
    for to in Status:
        if to is Status.SENDING:
            continue  # only a claim leads there
        key = brought_to(start)
        before = message(key)

        moved = advance(key, to, code="code" if to is Status.FAILED else "")

        assert bool(moved) == (to in MOVES[start])
        if not moved:
            assert Message.objects.filter(pk=key).values().get() == {
                field.attname: getattr(before, field.attname) for field in Message._meta.concrete_fields
            }
    Message.objects.filter(status="FAILED", error_code="").update(error_code="x")
    assert check_all() == []


def test_nobody_moves_what_a_worker_holds():
    key = accept_message(make_workspace())
    claims.take(EMAIL, limit=1, group=1)

    assert [advance(key, to) for to in Status] == [set()] * len(Status)
    assert advance(key, None, type="note") == set()
    assert message(key).events.count() == 2


def test_a_token_that_is_not_the_claims_moves_nothing():
    key = accept_message(make_workspace())
    claims.take(EMAIL, limit=1, group=1)

    assert transitions.flush_many([Move(id=key, to=Status.SENT)], claim_id=uuid7(), mark=1) is None
    assert transitions.return_many([Move(id=key, to=Status.QUEUED)], claim_id=uuid7()) == set()
    assert message(key).status == "SENDING"


def test_one_claim_cannot_move_the_messages_of_another():
    workspace = make_workspace()
    first, second = accept_message(workspace), accept_message(workspace)
    mine, _ = claims.take(EMAIL, limit=1, group=1)
    claims.take(EMAIL, limit=1, group=1)

    moved = transitions.flush_many(
        [Move(id=first, to=Status.SENT), Move(id=second, to=Status.SENT)], claim_id=mine.claim_id, mark=1
    )

    assert moved == {first}
    assert message(second).status == "SENDING"


def test_a_mark_never_goes_back():
    key = accept_message(make_workspace())
    lease, _ = claims.take(EMAIL, limit=1, group=1)

    transitions.mark_handed_over(claim_id=lease.claim_id, mark=9)
    transitions.mark_handed_over(claim_id=lease.claim_id, mark=4)
    transitions.flush_many([Move(id=key, to=Status.SENT)], claim_id=lease.claim_id, mark=2)

    with connection.cursor() as cursor:
        cursor.execute("SELECT handed_over FROM messaging_claim")
        assert cursor.fetchone() == (9,)


def test_a_refusal_in_a_set_leaves_the_others_alone():
    delivered, queued = brought_to(Status.DELIVERED), brought_to(Status.QUEUED)

    assert transitions.advance_many(
        [Move(id=delivered, to=Status.CANCELLED), Move(id=queued, to=Status.CANCELLED)], cause=Cause.API
    ) == {queued}
    assert check_all() == []


def test_no_moves_are_no_work():
    assert transitions.advance_many([], cause=Cause.API) == set()
    assert transitions.return_many([], claim_id=uuid7()) == set()


@pytest.mark.parametrize(
    ("to", "implied"),
    [
        (Status.OPENED, {"delivered_at"}),
        (Status.CLICKED, {"delivered_at", "opened_at"}),
        (Status.UNSUBSCRIBED, {"delivered_at", "opened_at"}),
        (Status.BOUNCED, set()),
        (Status.FAILED, set()),
    ],
)
def test_states_that_must_have_been_passed_have_their_time(to: Status, implied: set[str]):
    key = brought_to(Status.SENT)

    advance(key, to, code="x" if to is Status.FAILED else "")

    row = message(key)
    at = getattr(row, to.stamp)
    passed = {name for name in ("delivered_at", "opened_at", "clicked_at") if getattr(row, name) is not None}
    assert passed - {to.stamp} == implied
    assert {getattr(row, name) for name in implied} <= {at}
    assert row.events.latest("at", "id").at == at
    assert check_all() == []


def test_an_event_says_who_what_and_why():
    key = brought_to(Status.SENT)

    advance(key, Status.FAILED, Cause.RECEIPT, provider="relay", code="gone", error="no such box", detail={"raw": [1]})

    event = message(key).events.latest("at", "id")
    assert (event.type, event.status, event.cause, event.attempt, event.provider) == (
        "failed", "FAILED", "receipt", 1, "relay",
    )  # fmt: skip
    assert event.detail == {"raw": [1], "code": "gone", "error": "no such box"}
    assert event.workspace_id == message(key).workspace_id


def test_a_status_and_its_event_are_written_together_or_not_at_all():
    key = accept_message(make_workspace())
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE messaging_messageevent ADD CONSTRAINT refused CHECK (type <> 'cancelled') NOT VALID"
        )
    try:
        with pytest.raises(DatabaseError):
            advance(key, Status.CANCELLED)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE messaging_messageevent DROP CONSTRAINT refused")

    assert message(key).status == "QUEUED"
    assert check_all() == []


def test_of_two_that_move_a_message_one_wins():
    for _ in range(15):
        key = accept_message(make_workspace())

        results = at_once(*[lambda key=key: advance(key, Status.CANCELLED)] * 3)

        assert sorted(results, key=len) == [set(), set(), {key}]
    assert MessageEvent.objects.filter(type="cancelled").count() == 15
    assert check_all() == []


class TestRetry:
    @pytest.mark.parametrize("start", [Status.FAILED, Status.BOUNCED])
    def test_a_person_grants_a_fresh_budget_and_a_clean_row(self, start: Status):
        key = brought_to(start)
        had = message(key).attempts
        Message.objects.filter(pk=key).update(throttles=4, error_code="x", error_detail="y", provider="p")

        assert transitions.retry_many([key], budget=3, cause=Cause.OPERATOR) == {key}

        row = message(key)
        assert (row.status, row.attempts, row.max_attempts, row.throttles) == ("QUEUED", had, had + 3, 0)
        assert (row.error_code, row.error_detail, row.provider, row.provider_message_id) == ("", "", "", "")
        assert row.next_attempt_at == row.queued_at
        assert [row.sending_at, row.sent_at, row.delivered_at, row.bounced_at, row.failed_at] == [None] * 5
        assert row.events.latest("at", "id").detail == {"retry": True}
        assert check_all() == []

    @pytest.mark.parametrize("start", [status for status in PATHS if status not in {Status.FAILED, Status.BOUNCED}])
    def test_nothing_else_can_be_retried(self, start: Status):
        key = brought_to(start)

        assert transitions.retry_many([key], budget=3, cause=Cause.OPERATOR) == set()
        assert message(key).status == start

    def test_a_message_that_expired_may_be_retried_without_expiring_again(self):
        key = accept_message(make_workspace())
        advance(key, Status.FAILED, code="expired")
        Message.objects.filter(pk=key).update(expires_at=message(key).created_at)

        transitions.retry_many([key], budget=3, cause=Cause.OPERATOR)

        assert message(key).expires_at is None

    def test_two_people_who_retry_grant_one_budget(self):
        key = brought_to(Status.BOUNCED)

        results = at_once(*[lambda: transitions.retry_many([key], budget=3, cause=Cause.API)] * 3)

        assert sorted(results, key=len) == [set(), set(), {key}]
        assert message(key).max_attempts == 4
        assert check_all() == []


def test_an_outcome_that_waits_for_a_deletion_comes_after_it_in_the_timeline():
    key = accept_message(make_workspace())
    lease, _ = claims.take(EMAIL, limit=1, group=1)
    outcome = Thread(target=recorded, args=[key, lease.claim_id])

    with transaction.atomic():
        transitions.lock([key])
        outcome.start()
        eventually(somebody_waits, "the outcome waits for the row")
        assert transitions.hide_many([key], cause=Cause.API) == {key}
    outcome.join()

    assert [event.type for event in message(key).events.order_by("at", "id")][-2:] == ["deleted", "sent"]
    assert message(key).sent_at > message(key).deleted_at
    claims.end(lease.claim_id)
    assert check_all() == []


def recorded(key: UUID, claim_id: UUID) -> None:
    try:
        transitions.flush_many([Move(id=key, to=Status.SENT)], claim_id=claim_id, mark=1)
    finally:
        connection.close()


def somebody_waits() -> bool:
    """Whether another transaction waits for this one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid")
        return cursor.fetchone() is not None


def test_sets_that_overlap_in_opposite_orders_wait_and_do_not_deadlock():
    keys = accept_batch(make_workspace(), [f"p{number}@example.com" for number in range(80)]).ids
    there = [Move(id=key, to=Status.CANCELLED) for key in keys]

    results = at_once(
        lambda: transitions.advance_many(there, cause=Cause.API),
        lambda: transitions.advance_many(there[::-1], cause=Cause.OPERATOR),
    )

    assert sorted(results, key=len) == [set(), set(keys)]
    assert check_all() == []
