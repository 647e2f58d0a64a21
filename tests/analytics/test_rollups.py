"""Rollups and the tail of the log together say what counting the messages says."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import product

import pytest
from django.db import connection, transaction
from django.utils import timezone

from analytics import counting, rollups
from analytics.counting import Counts
from analytics.models import Progress, Rollup, Span
from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.models import Message, Workspace
from messaging.models.keys import uuid7
from messaging.state import Cause, Priority, Status
from tests.analytics.truth import by_provider, closing, live, told, truth
from tests.factories import accept_batch, accept_message, make_workspace


def addresses(number: int, scenarios: tuple[str, ...] = ("ann",)) -> list[str]:
    return [f"{scenarios[place % len(scenarios)]}+{place}@example.com" for place in range(number)]


def rolled(workspace: Workspace) -> Counts:
    """What the rollups alone hold, by the hour as by the day, whole as in detail."""
    found = [
        sum((Counts(*row) for row in rows.values_list(*Counts.__slots__)), Counts())
        for span, whole in product(Span, (True, False))
        for rows in [Rollup.objects.filter(workspace=workspace, span=span, whole=whole)]
    ]
    assert len(set(found)) == 1
    return found[0]


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace()


def test_statistics_of_nothing_are_nothing(workspace: Workspace) -> None:
    assert told(workspace, by=()) == {}
    assert rollups.roll_up() == 0


def test_accepted_messages_are_counted_before_and_after_a_run(workspace: Workspace) -> None:
    accept_batch(workspace, addresses(3))
    assert rolled(workspace) == Counts()
    assert told(workspace) == truth(workspace)
    assert rollups.roll_up() == 3
    assert rolled(workspace) == Counts(total=3)
    assert told(workspace) == truth(workspace)


def test_a_second_run_counts_nothing_twice(workspace: Workspace) -> None:
    accept_batch(workspace, addresses(5))
    rollups.roll_up()
    assert rollups.roll_up() == 0
    assert rolled(workspace) == Counts(total=5)


def test_runs_in_small_steps_count_as_one_in_a_large_step(workspace: Workspace) -> None:
    for number in (1, 7, 2, 30, 1):
        accept_batch(workspace, addresses(number))
    assert rollups.roll_up(step=3) == 41
    assert rolled(workspace).total == 41


def test_one_run_leaves_the_work_to_another_that_is_at_it(workspace: Workspace) -> None:
    accept_message(workspace)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [rollups._LOCK])
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(closing(rollups.roll_up)).result() == 0
    assert rollups.roll_up() == 1


def test_what_commits_late_is_not_passed_by_and_holds_nothing_up(workspace: Workspace) -> None:
    begun, go = threading.Event(), threading.Event()

    def accept_slowly() -> None:
        with transaction.atomic():
            accept_message(workspace, "late@example.com")
            begun.set()
            go.wait(60)
            accept_message(workspace, "later@example.com")

    accept_message(workspace, "first@example.com")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(closing(accept_slowly))
        assert begun.wait(60)
        accept_batch(workspace, addresses(4))
        assert rollups.roll_up() == 5
        assert told(workspace) == truth(workspace)
        accept_batch(workspace, addresses(3))
        assert rollups.roll_up(step=1) == 3
        go.set()
        slow.result()
    # Read from the log first, then from the rollups.
    assert told(workspace) == truth(workspace)
    assert rolled(workspace).total == 8
    assert rollups.roll_up() == 2
    assert told(workspace) == truth(workspace)
    assert rolled(workspace).total == 10


def test_what_was_rolled_back_is_waited_for_once(workspace: Workspace) -> None:
    begun, go = threading.Event(), threading.Event()

    def give_up() -> None:
        with transaction.atomic():
            accept_message(workspace, "never@example.com")
            begun.set()
            go.wait(60)
            transaction.set_rollback(True)

    with ThreadPoolExecutor(1) as pool:
        vain = pool.submit(closing(give_up))
        assert begun.wait(60)
        accept_message(workspace)
        rollups.roll_up()
        waited_for = set(Progress.objects.get().open)
        go.set()
        vain.result()
    rollups.roll_up()
    assert waited_for
    assert not waited_for <= set(Progress.objects.get().open)
    assert told(workspace) == truth(workspace)


def test_every_way_that_a_message_can_go_is_counted(workspace: Workspace) -> None:
    for seed in range(5):
        live(workspace, accept_batch(workspace, addresses(200)).ids, seed=seed)
        if seed % 2:
            rollups.roll_up()
        assert told(workspace) == truth(workspace)
    rollups.roll_up()
    assert told(workspace) == truth(workspace)
    assert rolled(workspace) == sum(truth(workspace).values(), Counts())


def test_counters_stand_under_the_provider_that_had_the_message(workspace: Workspace) -> None:
    live(workspace, accept_batch(workspace, addresses(300)).ids, seed=11, retried=0)
    rollups.roll_up()
    assert {key[0]: counts for key, counts in told(workspace, by=("provider",)).items()} == by_provider(workspace)


def test_a_retry_takes_back_what_it_cleared_from_the_provider_that_had_it(workspace: Workspace) -> None:
    ids = accept_batch(workspace, addresses(40)).ids
    live(workspace, ids, seed=5, retried=0)
    rollups.roll_up()
    again = list(Message.objects.filter(status__in=["FAILED", "BOUNCED"]).values_list("id", flat=True))
    assert transitions.retry_many(again, budget=3, cause=Cause.OPERATOR) == set(again)
    rollups.roll_up()
    found = told(workspace, by=("provider",))
    assert {key[0]: (c.total, c.sent, c.delivered, c.bounced, c.failed) for key, c in found.items()} == {
        key: (c.total, c.sent, c.delivered, c.bounced, c.failed) for key, c in by_provider(workspace).items()
    }


def test_a_failure_after_the_sending_is_no_failed_message(workspace: Workspace) -> None:
    ids = accept_batch(workspace, addresses(2)).ids
    transitions.claim_many(
        claim_id=(claim := uuid7()),
        worker="test",
        channel="email",
        priority=Priority.NORMAL,
        shares={workspace.id: 2},
        group=2,
        lease=60.0,
    )
    transitions.flush_many([Move(id=ids[0], to=Status.SENT), Move(id=ids[1], to=Status.FAILED)], claim_id=claim, mark=2)
    transitions.advance_many([Move(id=ids[0], to=Status.FAILED)], cause=Cause.RECEIPT)
    rollups.roll_up()
    assert rolled(workspace) == Counts(total=2, sent=1, failed=1)
    assert told(workspace) == truth(workspace)


def test_scheduled_messages_count_once(workspace: Workspace) -> None:
    key = accept_message(workspace, scheduled_at=timezone.now() + timedelta(hours=2))
    transitions.advance_many([Move(id=key, to=Status.QUEUED)], cause=Cause.SWEEPER)
    rollups.roll_up()
    assert rolled(workspace) == Counts(total=1)


def test_messages_in_test_mode_are_counted_apart(workspace: Workspace) -> None:
    accept_batch(workspace, addresses(2))
    accept_batch(workspace, addresses(3), test=True)
    for _ in range(2):
        assert told(workspace, by=())[()].total == 2
        assert told(workspace, by=(), test=True)[()].total == 3
        rollups.roll_up()


def test_templates_and_campaigns_have_their_own_counts(workspace: Workspace) -> None:
    template, campaign = uuid7(), uuid7()
    Message.objects.filter(id__in=accept_batch(workspace, addresses(4)).ids).update(template_id=template)
    ids = accept_batch(workspace, addresses(6)).ids
    Message.objects.filter(id__in=ids).update(template_id=template, campaign_id=campaign)
    live(workspace, ids, seed=3)
    assert told(workspace) == truth(workspace)
    rollups.roll_up()
    assert told(workspace) == truth(workspace)
    assert set(told(workspace, by=("campaign_id",))) == {(None,), (campaign,)}


def test_workspaces_do_not_see_each_other(workspace: Workspace) -> None:
    other = make_workspace("Other")
    accept_batch(other, addresses(3))
    accept_batch(workspace, addresses(2))
    for _ in range(2):
        assert told(workspace, by=())[()].total == 2
        assert told(other, by=())[()].total == 3
        rollups.roll_up()


def test_events_of_a_workspace_that_is_gone_hold_nothing_up(workspace: Workspace) -> None:
    gone = make_workspace("Gone")
    accept_batch(gone, addresses(3))
    accept_batch(workspace, addresses(2))
    Workspace.objects.filter(id=gone.id).delete()
    rollups.roll_up()
    assert rolled(workspace).total == 2


def test_a_long_tail_is_cut_and_says_when(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    accept_batch(workspace, addresses(3))
    moment = timezone.now()
    accept_batch(workspace, addresses(3))
    monkeypatch.setattr(counting, "TAIL", 3)
    found = counting.count(counting.Scope(workspace_id=workspace.id))
    assert (found.rows[()].total, found.as_of < moment) == (3, True)
    rollups.roll_up()
    found = counting.count(counting.Scope(workspace_id=workspace.id))
    assert (found.rows[()].total, found.as_of > moment) == (6, True)


def test_five_thousand_messages_in_every_state_are_counted(workspace: Workspace) -> None:
    fill(workspace, 5_000)
    assert told(workspace) == truth(workspace)
    rollups.roll_up()
    assert told(workspace) == truth(workspace)


@pytest.mark.slow
def test_fifty_thousand_messages_in_every_state_are_counted(workspace: Workspace) -> None:
    fill(workspace, 50_000)
    rollups.roll_up()
    assert told(workspace) == truth(workspace)
    assert rolled(workspace) == sum(truth(workspace).values(), Counts())


def fill(workspace: Workspace, number: int) -> None:
    for place in range(number // 1000):
        ids = accept_batch(workspace, addresses(1000)).ids
        if place % 3:
            Message.objects.filter(id__in=ids).update(template_id=uuid7(), campaign_id=uuid7())
        live(workspace, ids, seed=place)
    found = set(Message.objects.filter(workspace=workspace).values_list("status", flat=True))
    assert found >= {status.value for status in Status if status is not Status.SCHEDULED}
