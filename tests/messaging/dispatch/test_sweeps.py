"""What happens although nobody asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
from django.conf import settings as configured
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import Settings

from channels_app.types import Channel
from messaging.dispatch import queue, sweeps
from messaging.dispatch.queue import LANES
from messaging.models import IdempotencyRecord, Message, ReceiptRecord
from messaging.models.keys import lowest_key
from messaging.state import Priority
from tests.factories import accept_batch, accept_message, make_workspace, message
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.dispatch.test_queue import eventually
from tests.messaging.invariants import check_all

pytestmark = pytest.mark.usefixtures("transactional_db")

LATER = timedelta(hours=1)


def scheduled(**fields: Any) -> UUID:
    return accept_message(make_workspace(), scheduled_at=timezone.now() + LATER, **fields)


def make_due(*keys: UUID) -> None:
    Message.objects.filter(pk__in=keys).update(
        next_attempt_at=Now() - timedelta(seconds=1), scheduled_at=Now() - timedelta(seconds=1)
    )


def make_expired(*keys: UUID) -> None:
    Message.objects.filter(pk__in=keys).update(expires_at=Now() - timedelta(seconds=1))


def test_what_is_scheduled_waits_for_its_time():
    key = scheduled()

    assert sweeps.sweep_due() == 0

    assert (message(key).status, message(key).queued_at) == ("SCHEDULED", None)
    assert check_all() == []


def test_what_was_scheduled_is_queued_when_its_time_has_come():
    key = scheduled()
    make_due(key)

    assert sweeps.sweep_due() == 1

    row = message(key)
    assert row.status == "QUEUED"
    assert row.next_attempt_at == row.queued_at
    assert row.events.latest("at", "id").cause == "sweeper"
    assert sweeps.sweep_due() == 0
    assert check_all() == []


def test_what_expires_before_it_was_sent_fails():
    queued, late, waiting = accept_message(make_workspace()), scheduled(), scheduled()
    make_expired(queued, late)
    make_due(late)

    assert sweeps.sweep_due() == 2

    for key in (queued, late):
        assert (message(key).status, message(key).error_code, message(key).attempts) == ("FAILED", "expired", 0)
    assert message(waiting).status == "SCHEDULED"
    Message.objects.filter(pk=late).update(scheduled_at=None)
    assert check_all() == []


def test_two_sweeps_at_once_move_each_message_once():
    keys = accept_batch(
        make_workspace(), [f"p{number}@example.com" for number in range(200)], scheduled_at=timezone.now() + LATER
    ).ids
    make_due(*keys)

    moved = at_once(sweeps.sweep_due, sweeps.sweep_due, sweeps.sweep_due)

    assert sum(moved) == 200
    assert set(Message.objects.values_list("status", flat=True)) == {"QUEUED"}
    assert check_all() == []


def test_a_row_that_another_holds_is_passed_by():
    held, free = scheduled(), scheduled()
    make_due(held, free)

    with transaction.atomic():
        Message.objects.select_for_update().get(pk=held)
        assert at_once(sweeps.sweep_due) == [1]

    assert (message(held).status, message(free).status) == ("SCHEDULED", "QUEUED")


def test_a_flood_of_one_kind_is_worked_off_in_bounded_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sweeps, "BATCH", 5)
    monkeypatch.setattr(sweeps, "ROUNDS", 2)
    keys = accept_batch(
        make_workspace(), [f"p{number}@example.com" for number in range(23)], scheduled_at=timezone.now() + LATER
    ).ids
    make_due(*keys)
    expired = accept_message(make_workspace())
    make_expired(expired)

    assert [sweeps.sweep_due() for _ in range(4)] == [11, 10, 3, 0]
    assert message(expired).status == "FAILED"


def test_every_lane_with_due_rows_is_rung():
    # Earlier tests may have left lanes that are still to be rung.
    queue._own_ringer()._later.clear()
    with redis.Redis.from_url(configured.BROKER_URL) as broker:
        workspace = make_workspace()
        accept_message(workspace, "+12025550199", channel=Channel.SMS, subject="", priority=Priority.BULK)
        accept_message(workspace, priority=Priority.URGENT)
        waits = accept_message(workspace, "https://example.com/hook", channel=Channel.WEBHOOK, subject="")
        Message.objects.filter(pk=waits).update(next_attempt_at=Now() + LATER)
        assert eventually(lambda: broker.llen("webhook.normal") > 0)
        broker.flushdb()
        for lane in LANES:
            queue.lift(lane)

        sweeps.sweep_due()

        assert eventually(lambda: broker.llen("sms.bulk") == 1 and broker.llen("email.urgent") == 1)
        assert sorted(key.decode() for key in broker.keys("*.*") if key.count(b".") == 1 and b"_" not in key) == [
            "email.urgent",
            "sms.bulk",
        ]
        broker.flushdb()


@pytest.mark.parametrize("condition", [sweeps._DUE_SCHEDULED, sweeps._EXPIRED, sweeps._UNKNOWN])
def test_no_sweep_walks_through_the_messages_that_are_not_its_own(condition: str):
    order = "expires_at" if condition is sweeps._EXPIRED else "next_attempt_at"
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(
            f"EXPLAIN SELECT id FROM messaging_message WHERE {condition} ORDER BY {order} LIMIT 9 FOR UPDATE",  # noqa: S608
            {"asked": ["sms"], "unknown": 3600.0},
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")

    assert "Seq Scan" not in plan
    assert "_pkey" not in plan


def test_maintenance_forgets_old_answers_and_may_run_again():
    workspace = make_workspace()
    for name, expires in (("old", Now() - LATER), ("new", Now() + LATER)):
        IdempotencyRecord.objects.create(
            workspace=workspace, key=name, fingerprint=b"", status=202, body=b"", expires_at=expires
        )

    sweeps.maintain()
    sweeps.maintain()

    assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["new"]


def test_maintenance_forgets_old_reports_that_wait_for_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sweeps, "BATCH", 2)
    settings.RECEIPT_DAYS = 10
    for days in (9, 11):
        for number, state in enumerate(("applied", "late", "unmatched", "pending")):
            old = UUID(int=lowest_key(timezone.now() - timedelta(days=days)).int + number)
            key = f"{days} {state}"
            ReceiptRecord.objects.create(id=old, provider="p", key=key, kind="sent", state=state, due_at=Now())

    sweeps.maintain()

    left = set(ReceiptRecord.objects.values_list("key", flat=True))
    assert left == {"9 applied", "9 late", "9 unmatched", "9 pending", "11 pending"}


def test_maintenance_forgets_sessions_that_have_ended():
    for name, expires in (("old", Now() - LATER), ("new", Now() + LATER)):
        Session.objects.create(session_key=name, session_data="", expire_date=expires)

    sweeps.maintain()

    assert list(Session.objects.values_list("pk", flat=True)) == ["new"]
