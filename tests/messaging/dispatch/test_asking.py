"""Messages whose outcome is unknown: the provider is asked, and what it says counts for the attempt asked about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connections
from django.db.models import F
from django.db.models.functions import Now
from pytest_django import Settings

from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Receipt,
    ReceiptKind,
    Transient,
)
from messaging.dispatch import asking, claims, delivery, receipts, sweeps
from messaging.dispatch.explain import explain
from messaging.dispatch.queue import Lane
from messaging.models import Claim, Message, Workspace
from tests.factories import accept_message, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import answer
from tests.messaging.invariants import check_all

pytestmark = pytest.mark.usefixtures("transactional_db")

SMS = Lane.named("sms.normal")
HAS_IT = Accepted(provider_message_id="p-1", detail={"found": True})
HAS_IT_NOT = Transient(code="not_sent")

Says = Callable[[OutboundMessage, datetime], Outcome | None]


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def say(outcome: Outcome | None) -> Says:
    return lambda outbound, since: outcome


def in_doubt(workspace: Workspace, install: Install, ask: Says, **options: object) -> UUID:
    """A text message whose outcome is unknown, and due to be asked about."""
    install(answer(Ambiguous()), channel=Channel.SMS, on_unknown=OnUnknown.ASK, ask=ask, **options)
    key = accept_message(workspace, "+12025550199", channel=Channel.SMS, subject="")
    delivery.deliver(SMS)
    assert (message(key).status, message(key).claim_id) == ("SENDING", None)
    due(key)
    return key


def due(key: UUID) -> None:
    Message.objects.filter(pk=key).update(next_attempt_at=Now())


def test_the_first_question_waits_a_few_seconds(workspace: Workspace, install: Install, settings: Settings) -> None:
    settings.ASK_SECONDS = 7.0
    install(answer(Ambiguous()), channel=Channel.SMS, on_unknown=OnUnknown.ASK)
    key = accept_message(workspace, "+12025550199", channel=Channel.SMS, subject="")
    delivery.deliver(SMS)
    row = message(key)
    assert row.next_attempt_at is not None
    assert (row.next_attempt_at - row.events.latest("at").at).total_seconds() == pytest.approx(7, abs=0.01)
    assert asking.ask_due() == 0
    assert "asked" in explain(row)["why"]


def test_what_the_provider_has_is_sent(workspace: Workspace, install: Install) -> None:
    seen: list[tuple[str, str, datetime]] = []

    def ask(outbound: OutboundMessage, since: datetime) -> Outcome:
        assert not connections["default"].in_atomic_block
        seen.append((outbound.address, outbound.text, since))
        return HAS_IT

    key = in_doubt(workspace, install, ask)
    assert asking.ask_due() == 1

    row = message(key)
    assert seen == [("+12025550199", "Good day", row.sending_at)]
    assert (row.status, row.provider, row.provider_message_id, row.error_code) == ("SENT", "scripted", "p-1", "")
    event = row.events.get(type="sent")
    assert (event.cause, event.attempt, event.detail) == ("sweeper", 1, {"found": True, "asked": True})
    assert asking.ask_due() == 0
    assert check_all() == []


def test_what_the_provider_tells_of_its_way_is_applied(workspace: Workspace, install: Install) -> None:
    told = Receipt(kind=ReceiptKind.FAILED, key="p-1:failed", provider_message_id="p-1", code="unreachable")
    key = in_doubt(workspace, install, say(Accepted(provider_message_id="p-1", receipts=(told,))))
    asking.ask_due()
    assert message(key).status == "SENT"
    assert receipts.apply_due() == 1
    assert (message(key).status, message(key).error_code) == ("FAILED", "unreachable")
    assert check_all() == []


def test_what_it_surely_has_not_is_tried_again_while_there_are_attempts(workspace: Workspace, install: Install) -> None:
    key = in_doubt(workspace, install, say(HAS_IT_NOT))
    asking.ask_due()
    row = message(key)
    assert (row.status, row.attempts, row.error_code) == ("QUEUED", 1, "not_sent")
    for _ in range(2):
        due(key)
        delivery.deliver(SMS)
        due(key)
        asking.ask_due()
    assert (message(key).status, message(key).attempts) == ("FAILED", 3)
    assert check_all() == []


def test_what_it_cannot_tell_is_asked_again_the_less_often_the_longer_it_takes(
    workspace: Workspace, install: Install
) -> None:
    key = in_doubt(workspace, install, say(None))
    waits = []
    for age in (0, 60, 3000):
        Message.objects.filter(pk=key).update(sending_at=Now() - timedelta(seconds=age), next_attempt_at=Now())
        assert asking.ask_due() == 1
        row = Message.objects.annotate(now=Now()).get(pk=key)
        assert row.next_attempt_at is not None
        waits.append((row.next_attempt_at - row.now).total_seconds())
    assert waits == pytest.approx([5, 60, 300], abs=2)
    assert sweeps.sweep_due() == 0
    assert message(key).status == "SENDING"


def test_when_the_time_for_unknown_outcomes_is_over_it_fails(
    workspace: Workspace, install: Install, settings: Settings
) -> None:
    key = in_doubt(workspace, install, say(None))
    assert sweeps.sweep_due() == 0
    Message.objects.filter(pk=key).update(sending_at=Now() - timedelta(seconds=settings.UNKNOWN_SECONDS))
    assert asking.ask_due() == 0
    assert sweeps.sweep_due() == 1
    assert (message(key).status, message(key).error_code) == ("FAILED", "outcome_unknown")


def test_an_answer_about_an_earlier_attempt_changes_nothing(workspace: Workspace, install: Install) -> None:
    def slow(outbound: OutboundMessage, since: datetime) -> Outcome:
        Message.objects.filter(pk=outbound.id).update(attempts=F("attempts") + 1)
        connections.close_all()
        return HAS_IT_NOT

    key = in_doubt(workspace, install, slow)
    assert asking.ask_due() == 1
    assert message(key).status == "SENDING"


def test_an_adapter_that_raises_counts_as_one_that_cannot_tell(workspace: Workspace, install: Install) -> None:
    def broken(outbound: OutboundMessage, since: datetime) -> Outcome:
        raise RuntimeError("broken")

    key = in_doubt(workspace, install, broken)
    assert asking.ask_due() == 1
    assert message(key).status == "SENDING"


def test_one_that_has_it_decides_and_that_none_has_it_all_must_say(workspace: Workspace, install: Install) -> None:
    key = in_doubt(workspace, install, say(HAS_IT_NOT), then=[{"ask": say(None)}])
    asking.ask_due()
    assert message(key).status == "SENDING"
    other = in_doubt(workspace, install, say(HAS_IT_NOT), then=[{"ask": say(HAS_IT)}])
    asking.ask_due()
    assert (message(other).status, message(other).provider) == ("SENT", "scripted-2")


def test_nobody_asks_while_another_does(workspace: Workspace, install: Install) -> None:
    in_doubt(workspace, install, say(HAS_IT))
    second = connections.create_connection("default")
    try:
        with second.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [asking._LOCK])
            assert asking.ask_due() == 0
            cursor.execute("SELECT pg_advisory_unlock(%s)", [asking._LOCK])
    finally:
        second.close()
    assert asking.ask_due() == 1


def test_what_a_dead_worker_handed_over_is_asked_about_too(workspace: Workspace, install: Install) -> None:
    install(answer(Ambiguous()), channel=Channel.SMS, on_unknown=OnUnknown.ASK, ask=say(HAS_IT))
    key = accept_message(workspace, "+12025550199", channel=Channel.SMS, subject="")
    assert claims.take(SMS, limit=1, group=1)
    Claim.objects.update(expires_at=Now() - timedelta(seconds=1))
    sweeps.reap()
    assert (message(key).status, message(key).error_code) == ("SENDING", "outcome_unknown")
    due(key)
    assert sweeps.sweep_due() == 0
    assert asking.ask_due() == 1
    assert message(key).status == "SENT"
    assert check_all() == []
