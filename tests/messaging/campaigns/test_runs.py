"""Campaigns as they run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from channels_app.types import Accepted, OutboundMessage, Outcome, Permanent, Transient
from messaging.campaigns import plans, progress, runs, sweeps
from messaging.dispatch import claims, control, delivery
from messaging.dispatch.queue import Lane
from messaging.errors import Conflict, Forbidden, Invalid, NotFound
from messaging.models import Campaign, Message, MessageEvent, Workspace
from messaging.models.keys import uuid7
from messaging.people import contacts, merging
from messaging.state import Cause
from tests.factories import make_workspace
from tests.messaging.campaigns.plans import frozen, make_campaign, named, reached
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import accept_all, answer
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all
from tests.messaging.people.rows import make_contact, say

pytestmark = pytest.mark.usefixtures("transactional_db")

BULK = Lane.named("email.bulk")


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def crowd(workspace: Workspace, *names: str) -> None:
    for name in names or ("ann", "bob", "cid"):
        make_contact(workspace, name=name, email=f"{name}@example.com")


def begun(workspace: Workspace, *names: str, **fields: Any) -> Campaign:
    """A campaign that has just started."""
    crowd(workspace, *names)
    return runs.start(**named(make_campaign(workspace, **fields)))


def failing(*names: str) -> Callable[[OutboundMessage], Outcome]:
    """Refuse these for good and take the others."""

    def outcome(message: OutboundMessage) -> Outcome:
        if message.address.partition("@")[0] in names:
            return Permanent(code="gone", detail="no such person")
        return Accepted(provider_message_id=str(message.id))

    return outcome


def counts(row: Campaign) -> dict[str, int]:
    return dict(progress.of(row).counts)


def test_a_start_accepts_everybody_and_runs(workspace: Workspace):
    row = begun(workspace)

    assert (row.status, row.started_at is not None, row.finished_at) == ("running", True, None)
    assert reached(row) == ["ann@example.com", "bob@example.com", "cid@example.com"]
    assert set(frozen(row).values()) == {""}


@pytest.mark.parametrize("status", ["scheduled", "running", "paused", "completed", "partly_failed", "cancelled"])
def test_only_a_draft_is_started(workspace: Workspace, status: str):
    crowd(workspace)
    row = make_campaign(workspace)
    Campaign.objects.update(status=status)

    with pytest.raises(Conflict) as refusal:
        runs.start(**named(row))

    assert refusal.value.code == "campaign_started"
    assert reached(row) == []


def test_of_two_starts_at_once_one_is_refused_and_nobody_is_written_to_twice(workspace: Workspace):
    crowd(workspace, *(f"user{n}" for n in range(200)))
    row = make_campaign(workspace)

    results = at_once(*[lambda: runs.start(**named(row))] * 4)

    refused = [each for each in results if isinstance(each, Conflict)]
    assert ([each.code for each in refused], len(results) - len(refused)) == (["campaign_started"] * 3, 1)
    assert len(frozen(row)) == len(reached(row)) == len(set(reached(row))) == 200


def test_contacts_that_go_while_a_campaign_starts_leave_it_whole(workspace: Workspace):
    for _ in range(5):
        known = [make_contact(workspace, email=f"{uuid7().hex}@example.com") for _ in range(60)]
        row = make_campaign(workspace)
        ids = [contact.id for contact in known]

        def leave(ids: Any = ids) -> None:
            for key in ids[:20]:
                contacts.delete(workspace_id=workspace.id, contact_id=key)

        def melt(ids: Any = ids) -> None:
            for keep, other in zip(ids[20:40], ids[40:], strict=True):
                merging.merge(workspace_id=workspace.id, keep=keep, other=other)

        results = at_once(lambda row=row: runs.start(**named(row)), leave, melt)

        assert [each for each in results if isinstance(each, Exception)] == []
        sent = Message.objects.filter(campaign_id=row.id).values_list("contact_id", flat=True)
        assert len(sent) == len(set(sent))
        assert set(frozen(row)) <= set(ids)
        runs.cancel(**named(row), cause=Cause.API)
        for key in ids:
            if contacts.contacts_of(workspace_id=workspace.id).filter(id=key).exists():
                contacts.delete(workspace_id=workspace.id, contact_id=key)


def test_a_campaign_with_a_time_waits_for_it(workspace: Workspace):
    row = begun(workspace, scheduled_at=timezone.now() + timedelta(hours=1))
    assert (row.status, row.started_at, reached(row)) == ("scheduled", None, [])
    assert sweeps.start_due() == 0

    crowd(workspace, "dee")
    Campaign.objects.update(scheduled_at=timezone.now() - timedelta(seconds=1))

    assert [sweeps.start_due(), sweeps.start_due()] == [1, 0]
    row.refresh_from_db()
    assert row.status == "running"
    assert "dee@example.com" in reached(row)


def test_two_sweeps_at_once_start_a_campaign_once(workspace: Workspace):
    row = begun(workspace, scheduled_at=timezone.now() + timedelta(hours=1))
    Campaign.objects.update(scheduled_at=timezone.now() - timedelta(seconds=1))

    assert sum(at_once(*[sweeps.start_due] * 3)) == 1

    assert len(reached(row)) == 3


def test_a_campaign_whose_time_has_come_and_that_is_refused_is_a_draft_that_says_why(workspace: Workspace):
    row = begun(workspace, tags=["nobody"], scheduled_at=timezone.now() + timedelta(hours=1))
    Campaign.objects.update(scheduled_at=timezone.now() - timedelta(seconds=1))

    assert sweeps.start_due() == 0

    row.refresh_from_db()
    assert (row.status, row.error_code, row.started_at) == ("draft", "audience_empty", None)
    plans.change(**named(row), changes={"target": plans.Target()})
    row = runs.start(**named(row))
    assert (row.status, row.error_code) == ("running", "")


def test_a_campaign_ends_when_nothing_waits(workspace: Workspace, install: Install):
    install(accept_all)
    row = begun(workspace)
    assert sweeps.settle() == 0

    delivery.deliver(BULK)

    assert [sweeps.settle(), sweeps.settle()] == [1, 0]
    row.refresh_from_db()
    assert (row.status, row.finished_at is not None) == ("completed", True)
    assert counts(row) == {"SENT": 3}
    assert progress.of(row).done == 1.0


def test_a_campaign_that_did_not_reach_somebody_ends_partly_failed_and_is_tried_again(
    workspace: Workspace, install: Install
):
    install(answer(failing("bob")))
    row = begun(workspace)
    delivery.deliver(BULK)
    sweeps.settle()
    row.refresh_from_db()
    assert (row.status, counts(row)) == ("partly_failed", {"SENT": 2, "FAILED": 1})

    install(accept_all)
    row, number = runs.retry_failed(**named(row), cause=Cause.API)

    assert (row.status, row.finished_at, number) == ("running", None, 1)
    assert counts(row) == {"SENT": 2, "QUEUED": 1}
    assert delivery.deliver(BULK) == 1
    sweeps.settle()
    row.refresh_from_db()
    assert (row.status, counts(row)) == ("completed", {"SENT": 3})
    assert runs.retry_failed(**named(row), cause=Cause.API)[1] == 0
    row.refresh_from_db()
    assert row.status == "completed"
    assert check_all() == []


def test_people_who_must_not_be_written_to_are_no_failures(workspace: Workspace, install: Install):
    install(accept_all)
    say(make_contact(workspace), "*", "opted_out")
    row = begun(workspace)
    delivery.deliver(BULK)
    sweeps.settle()

    row.refresh_from_db()
    assert (row.status, counts(row)) == ("completed", {"FAILED": 1, "SENT": 2})
    assert runs.retry_failed(**named(row), cause=Cause.API)[1] == 0


def test_a_pause_holds_back_what_waits_and_a_resume_lets_it_go(workspace: Workspace, install: Install):
    install(accept_all)
    row = begun(workspace)

    assert runs.pause(**named(row), cause=Cause.API).status == "paused"
    assert delivery.deliver(BULK) == 0
    assert sweeps.settle() == 0
    assert counts(row) == {"QUEUED": 3}

    assert runs.resume(**named(row), cause=Cause.API).status == "running"
    assert delivery.deliver(BULK) == 3
    types = MessageEvent.objects.values_list("type", flat=True)
    assert sorted(types) == sorted(["queued", "paused", "resumed", "sending", "sent"] * 3)
    assert check_all() == []


def test_what_comes_back_to_the_queue_of_a_paused_campaign_is_held_too(workspace: Workspace, install: Install):
    install(answer(Transient(code="busy", retry_after=0.0)))
    row = begun(workspace)
    taken = claims.take(BULK, limit=2, group=2)
    assert taken
    runs.pause(**named(row), cause=Cause.API)
    claims.give_back(taken[0].claim_id, reason="test", drawn=0)

    sweeps.settle()

    install(accept_all)
    assert delivery.deliver(BULK) == 0
    runs.resume(**named(row), cause=Cause.API)
    assert delivery.deliver(BULK) == 3


def test_a_paused_message_can_be_cancelled_by_itself(workspace: Workspace):
    row = begun(workspace)
    runs.pause(**named(row), cause=Cause.API)
    key = Message.objects.filter(campaign_id=row.id).order_by("id")[0].id

    control.cancel(workspace_id=workspace.id, message_id=key, cause=Cause.API)

    assert counts(row) == {"QUEUED": 2, "CANCELLED": 1}


def test_a_cancel_ends_what_waits(workspace: Workspace, install: Install):
    install(accept_all)
    row = begun(workspace)

    row = runs.cancel(**named(row), cause=Cause.API)

    assert (row.status, row.finished_at is not None, counts(row)) == ("cancelled", True, {"CANCELLED": 3})
    assert delivery.deliver(BULK) == 0


def test_a_cancelled_campaign_ends_once_no_worker_holds_any_of_it(workspace: Workspace):
    row = begun(workspace)
    taken = claims.take(BULK, limit=1, group=1)
    assert taken

    row = runs.cancel(**named(row), cause=Cause.API)
    assert (row.status, row.finished_at, counts(row)) == ("cancelled", None, {"SENDING": 1, "CANCELLED": 2})
    claims.give_back(taken[0].claim_id, reason="test", drawn=0)
    sweeps.settle()

    row.refresh_from_db()
    assert (row.status, row.finished_at is not None, counts(row)) == ("cancelled", True, {"CANCELLED": 3})


def test_a_cancel_while_workers_send_leaves_each_message_sent_or_cancelled(workspace: Workspace, install: Install):
    install(accept_all, batch=10)
    row = begun(workspace, *(f"user{n}" for n in range(100)))

    def work() -> None:
        while delivery.deliver(BULK):
            pass

    at_once(work, lambda: runs.cancel(**named(row), cause=Cause.API), work)
    sweeps.settle()

    row.refresh_from_db()
    assert (row.status, row.finished_at is not None) == ("cancelled", True)
    assert set(counts(row)) <= {"SENT", "CANCELLED"}
    assert sum(counts(row).values()) == 100
    assert check_all() == []


Deed = Callable[..., Any]


@pytest.mark.parametrize(
    ("deed", "states"),
    [
        (runs.pause, {"running"}),
        (runs.resume, {"paused"}),
        (runs.cancel, {"draft", "scheduled", "running", "paused"}),
        (runs.retry_failed, {"running", "completed", "partly_failed"}),
    ],
)
def test_each_deed_has_its_states(workspace: Workspace, deed: Deed, states: set[str]):
    row = make_campaign(workspace)
    for status in ("draft", "scheduled", "running", "paused", "completed", "partly_failed", "cancelled"):
        Campaign.objects.update(status=status)
        if status in states:
            deed(**named(row), cause=Cause.API)
        else:
            with pytest.raises(Conflict, match=status):
                deed(**named(row), cause=Cause.API)


@pytest.mark.parametrize("deed", [runs.pause, runs.resume, runs.cancel, runs.retry_failed])
def test_a_campaign_of_another_workspace_is_not_found(workspace: Workspace, deed: Deed):
    row = begun(workspace)

    with pytest.raises(NotFound):
        deed(workspace_id=make_workspace().id, campaign_id=row.id, cause=Cause.API)
    with pytest.raises(NotFound):
        runs.start(workspace_id=make_workspace().id, campaign_id=row.id)


def test_a_test_key_sends_test_campaigns_only(workspace: Workspace):
    crowd(workspace)
    live, test = make_campaign(workspace), make_campaign(workspace, test=True)
    sending: list[Callable[[Campaign], Any]] = [
        lambda row: runs.start(**named(row), by_test_key=True),
        lambda row: runs.resume(**named(row), cause=Cause.API, by_test_key=True),
        lambda row: runs.retry_failed(**named(row), cause=Cause.API, by_test_key=True),
        lambda row: plans.change(**named(row), changes={}, by_test_key=True),
        lambda row: plans.delete(**named(row), by_test_key=True),
    ]
    for send in sending:
        with pytest.raises(Forbidden):
            send(live)
    runs.start(**named(test), by_test_key=True)
    assert set(Message.objects.filter(campaign_id=test.id).values_list("test", flat=True)) == {True}


def test_a_template_that_is_gone_keeps_a_campaign_from_starting(workspace: Workspace):
    crowd(workspace)
    row = make_campaign(workspace)
    assert row.template
    row.template.deleted_at = timezone.now()
    row.template.save()

    with pytest.raises(Invalid) as refusal:
        runs.start(**named(row))

    assert refusal.value.errors[0].code == "template_not_found"
    assert frozen(row) == {}


def test_progress_counts_what_is_done(workspace: Workspace, install: Install):
    install(accept_all, batch=1)
    row = make_campaign(workspace)
    assert (progress.of(row).done, progress.of(row).eta) == (0.0, None)
    crowd(workspace, "ann", "bob", "cid", "dee")
    make_contact(workspace, email="", phone="+12025550100")
    row = runs.start(**named(row))
    assert (progress.of(row).done, progress.of(row).eta) == (0.0, None)

    taken = claims.take(BULK, limit=1, group=1)
    assert taken
    claims.give_back(taken[0].claim_id, reason="test", drawn=0)
    key = Message.objects.filter(campaign_id=row.id).order_by("id")[0].id
    control.cancel(workspace_id=workspace.id, message_id=key, cause=Cause.API)

    made = progress.of(row)
    assert (made.counts, made.done) == ({"QUEUED": 3, "CANCELLED": 1}, 0.25)
    assert made.eta is not None
    assert made.eta > timezone.now()
    reach = progress.reach(row)
    assert (reach.contacts, reach.unreached) == (5, {"contact_unreachable": 1})
