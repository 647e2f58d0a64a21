"""Every way in which a message can stand has its own words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messaging.dispatch.explain import account, explain
from messaging.dispatch.transitions import Move, advance_many
from messaging.models import Claim, Message, MessageEvent
from messaging.models.keys import uuid7
from messaging.state import CANCELLABLE, RETRYABLE, Cause, Priority, Status
from tests.factories import accept_message, make_workspace, message

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SOON, AGO = NOW + timedelta(seconds=9), NOW - timedelta(seconds=9)


def row(status: Status, **fields: Any) -> Message:
    given = {"channel": "email", "priority": Priority.NORMAL, "created_at": AGO, "attempts": 0, "max_attempts": 3}
    given |= {"provider": "", "error_code": "", "error_detail": "", "throttles": 0}
    return Message(status=status, **{**given, **fields})


def claim_of(holding: Message, *, expires_at: datetime, handed_over: int) -> Claim:
    assert holding.claim_id is not None
    return Claim(
        id=holding.claim_id, worker="email@here", ids=[holding.id], handed_over=handed_over, expires_at=expires_at
    )


def told(
    standing: Message,
    *,
    events: tuple[MessageEvent, ...] = (),
    claim: Claim | None = None,
    reports_delivery: bool | None = None,
) -> tuple[str, str]:
    found = account(standing, events=events, claim=claim, reports_delivery=reports_delivery, now=NOW)
    return found["why"], found["next"]


@pytest.mark.parametrize("status", Status)
def test_every_status_is_explained_and_says_what_a_person_may_do(status: Status) -> None:
    found = account(row(status), events=[], claim=None, reports_delivery=None, now=NOW)
    assert found["why"].endswith(".")
    assert found["next"].endswith(".")
    assert found["can_cancel"] is (status in CANCELLABLE)
    assert found["can_retry"] is (status in RETRYABLE)
    assert found["since"] == AGO
    assert found["lane"] == "email.normal"


def test_a_scheduled_message_waits_for_its_time() -> None:
    assert "waits for its time, 2030-01-01 00:00:09 UTC" in told(row(Status.SCHEDULED, next_attempt_at=SOON))[0]
    assert "queued within" in told(row(Status.SCHEDULED, next_attempt_at=AGO))[1]


def test_a_queued_message_is_due_or_waits_to_be() -> None:
    assert "waits for a worker of the lane email.normal" in told(row(Status.QUEUED, next_attempt_at=AGO))[0]
    failing = row(Status.QUEUED, next_attempt_at=SOON, attempts=1, error_code="busy")
    assert told(failing)[0] == "Attempt 1 of 3 did not succeed (busy)."
    assert "due again at 2030-01-01 00:00:09" in told(failing)[1]
    assert told(row(Status.QUEUED, next_attempt_at=SOON))[0] == "It waits before it is tried again."


def test_being_told_to_wait_costs_no_attempt_and_says_so() -> None:
    waiting = row(Status.QUEUED, next_attempt_at=SOON, error_code="throttled", throttles=1)
    event = MessageEvent(type="queued", status="QUEUED", at=AGO, cause="worker", attempt=1)
    assert told(waiting, events=(event,))[0] == "It was told to wait (throttled); that costs no attempt."


def test_an_expired_message_is_about_to_fail() -> None:
    assert "`expired`" in told(row(Status.QUEUED, next_attempt_at=AGO, expires_at=AGO))[1]


def test_a_held_message_names_its_worker_and_how_far_it_came() -> None:
    held = row(Status.SENDING, claim_id=uuid7(), attempts=2)
    begun = claim_of(held, expires_at=SOON, handed_over=1)
    assert told(held, claim=begun)[0] == ("A worker holds it for attempt 2; its hand-over to the provider has begun.")
    before = claim_of(held, expires_at=SOON, handed_over=0)
    assert "not handed over yet" in told(held, claim=before)[0]
    assert "policy" in told(held, claim=claim_of(held, expires_at=AGO, handed_over=1))[1]
    assert "attempt given back" in told(held, claim=claim_of(held, expires_at=AGO, handed_over=0))[1]
    assert "just being ended" in told(held)[0]


def test_what_everybody_may_read_names_no_worker() -> None:
    held = row(Status.SENDING, claim_id=uuid7(), attempts=1)
    for expires_at in (SOON, AGO):
        claim = claim_of(held, expires_at=expires_at, handed_over=1)
        found = account(held, events=[], claim=claim, reports_delivery=None, now=NOW)
        assert "email@here" not in found["why"] + found["next"]
        assert "email@here" in found["hint"]


def test_an_unknown_outcome_names_its_deadline() -> None:
    why, then = told(row(Status.SENDING, next_attempt_at=SOON, attempts=1))
    assert why.startswith("Nobody can tell whether the provider took attempt 1")
    assert "`outcome_unknown` at 2030-01-01 00:00:09 UTC" in then


def test_a_cancelled_message_was_never_sent_only_if_no_attempt_was_made() -> None:
    assert "never sent" in told(row(Status.CANCELLED))[0]
    between = told(row(Status.CANCELLED, attempts=2))[0]
    assert "never sent" not in between
    assert "attempt 2" in between


def test_a_sent_message_awaits_a_receipt_only_where_receipts_come() -> None:
    sent = row(Status.SENT, provider="smtp")
    assert "SENT is the last that is known" in told(sent, reports_delivery=False)[1]
    assert "A receipt moves it on" in told(sent, reports_delivery=True)[1]
    assert "A receipt moves it on" in told(sent)[1]


@pytest.mark.django_db
def test_a_stored_message_is_read_with_its_timeline() -> None:
    key = accept_message(make_workspace())
    advance_many([Move(id=key, to=Status.CANCELLED)], cause=Cause.API)
    found = explain(message(key))
    assert found["status"] == "CANCELLED"
    assert found["since"] == message(key).cancelled_at
    assert found["claim"] is None
    assert [(entry["type"], entry["cause"]) for entry in found["timeline"]] == [("queued", "api"), ("cancelled", "api")]
