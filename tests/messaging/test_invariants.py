"""The checker of the rules notices when they are broken."""

from __future__ import annotations

from uuid import UUID

import pytest

from messaging.dispatch import claims, transitions
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.models import Claim, Message, MessageEvent
from messaging.models.keys import uuid7
from messaging.state import Cause, Status
from tests.factories import accept_batch, accept_message, make_workspace, message
from tests.messaging.invariants import check_all, check_workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> UUID:
    return accept_message(make_workspace())


def held() -> None:
    claims.take(Lane.named("email.normal"), limit=1, group=1)


def change(key: UUID, **fields: object) -> list[str]:
    Message.objects.filter(pk=key).update(**fields)
    return [violation.removeprefix(f"{key}: ") for violation in check_all()]


def test_sound_messages_give_no_violation(key: UUID):
    assert check_all() == []
    held()
    assert check_all() == []


def test_a_status_without_its_event(key: UUID):
    violations = change(key, status="SENT", next_attempt_at=None)

    assert violations == ["is SENT, its events say QUEUED"]


def test_a_timestamp_without_its_event(key: UUID):
    violations = change(key, opened_at=message(key).created_at)

    assert [violation.partition(" is ")[0] for violation in violations] == ["opened_at"]


def test_a_path_that_the_table_does_not_know(key: UUID):
    MessageEvent.objects.create(
        message_id=key, workspace_id=message(key).workspace_id, type="delivered", status="DELIVERED", cause="worker"
    )

    assert f"{key}: QUEUED → DELIVERED by worker" in check_all()


def test_a_retry_that_no_person_asked_for(key: UUID):
    transitions.advance_many([Move(id=key, to=Status.FAILED, code="x")], cause=Cause.API)
    transitions.retry_many([key], budget=3, cause=Cause.API)
    assert check_all() == []

    MessageEvent.objects.filter(message_id=key, type="queued").update(detail={})

    assert f"{key}: FAILED → QUEUED by api" in check_all()


def test_a_fact_noted_in_another_state(key: UUID):
    transitions.advance_many([Move(id=key, type="note")], cause=Cause.OPERATOR)
    assert check_all() == []

    MessageEvent.objects.filter(type="note").update(status="SENT")

    assert check_all() == [f"{key}: the fact note was noted in SENT while in QUEUED"]


def test_a_message_without_events_and_events_without_a_message(key: UUID):
    MessageEvent.objects.update(message_id=(other := uuid7()))

    assert check_all() == [f"{key}: has no event", f"{other}: has events and no row"]


def test_a_message_that_waits_for_nothing(key: UUID):
    assert change(key, next_attempt_at=None) == ["is QUEUED and waits for nothing"]


def test_a_message_that_is_held_by_no_claim(key: UUID):
    held()
    Claim.objects.all().delete()

    assert check_all() == [f"{key}: is held by a claim that does not exist or does not name it"]


def test_a_message_that_was_attempted_too_often(key: UUID):
    assert change(key, attempts=4) == ["was attempted 4 times of 3", "is queued without an attempt left"]


def test_a_failure_without_a_code(key: UUID):
    transitions.advance_many([Move(id=key, to=Status.FAILED)], cause=Cause.API)

    assert check_all() == [f"{key}: is FAILED without a code"]


def test_one_workspace_is_checked_by_itself(key: UUID):
    other = accept_message(make_workspace())
    change(other, next_attempt_at=None)

    assert check_workspace(message(key).workspace_id) == []
    assert len(check_workspace(message(other).workspace_id)) == 1


def test_it_takes_two_statements_however_many_messages_there_are(django_assert_num_queries):
    accept_batch(make_workspace(), [f"p{number}@example.com" for number in range(300)])

    with django_assert_num_queries(2):
        assert check_all() == []
