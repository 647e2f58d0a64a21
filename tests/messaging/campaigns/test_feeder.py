"""Campaigns write to their audience by and by: at their rate, in their hours, and as they stood at the start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from channels_app.types import Channel, Permanent
from messaging.campaigns import feeder, pace, plans, progress, runs, sweeps
from messaging.campaigns.pace import Hours, Timetable
from messaging.content import templates
from messaging.dispatch import delivery
from messaging.dispatch.queue import Lane
from messaging.errors import Conflict, Invalid
from messaging.models import Campaign, Message, Usage, Workspace
from messaging.people import merging
from messaging.state import Cause
from tests.factories import make_template, make_workspace, revise_template
from tests.messaging.campaigns.plans import frozen, make_campaign, named, reached
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import accept_all, answer
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all
from tests.messaging.people.rows import make_contact, say

pytestmark = pytest.mark.usefixtures("transactional_db")

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def crowd(workspace: Workspace, number: int) -> None:
    for place in range(number):
        make_contact(workspace, email=f"p{place}@example.com")


def begun(workspace: Workspace, number: int = 9, **fields: object) -> Campaign:
    """A campaign to so many contacts that has just started."""
    crowd(workspace, number)
    return runs.start(**named(make_campaign(workspace, **fields)))


def fed(row: Campaign, at: datetime) -> int:
    """Let a worker that knows nothing of what was before feed the campaign; give how many it wrote to."""
    with transaction.atomic():
        held = Campaign.objects.select_for_update(of=("self",)).select_related("template")
        return feeder.feed(held.get(id=row.id), now=at)


def due(row: Campaign) -> datetime:
    row.refresh_from_db()
    assert row.feed_at is not None
    return row.feed_at


# The rate


def test_one_after_the_other_is_written_to_and_never_the_whole_audience_at_once(workspace: Workspace) -> None:
    row = begun(workspace, rate=60)
    assert (row.status, len(reached(row)), len(frozen(row))) == ("running", 1, 9)
    first = due(row)
    steps = [(-SECOND, 0), (timedelta(0), 1), (SECOND / 2, 0), (SECOND, 1), (2 * SECOND, 1), (3.9 * SECOND, 1)]
    assert [fed(row, first + wait) for wait, _ in steps] == [number for _, number in steps]
    assert due(row) == first + 4 * SECOND, "what came late did not move what comes next"
    assert len(reached(row)) == 5
    assert check_all() == []


def test_time_in_which_nobody_fed_is_not_made_up_for(workspace: Workspace) -> None:
    row = begun(workspace, rate=60)
    late = due(row) + HOUR
    assert fed(row, late) == 3, "the last two seconds, and this one"
    assert fed(row, late) == 0
    assert due(row) == late + SECOND


@pytest.mark.parametrize("rate", [7, 90, 600])
def test_no_minute_has_more_than_the_rate_however_often_it_is_fed(workspace: Workspace, rate: int) -> None:
    row = begun(workspace, 40, rate=rate)
    start = due(row)
    written = [(start, len(reached(row)))]
    for tick in range(1, 100):
        at = start + tick * SECOND * 0.97
        written.append((at, fed(row, at)))
        row.refresh_from_db()
        if row.feed_at is None:
            break
    for at, _ in written:
        # A sweep may be up to two seconds late, and what it makes up for falls into the next minute.
        within = sum(number for other, number in written if at <= other < at + timedelta(minutes=1))
        assert within <= rate + 1 + rate * 2 // 60
    expected = min(40, int(99 * 0.97 * rate / 60))
    assert len(reached(row)) >= expected - 1


def test_what_went_out_in_the_last_minute_counts_whatever_else_is_stored(workspace: Workspace) -> None:
    row = begun(workspace, rate=2)
    for expected in (1, 0, 0):
        Campaign.objects.update(feed_at=timezone.now() - HOUR)
        assert fed(row, timezone.now()) == expected
    assert len(reached(row)) == 2


def test_workers_that_feed_at_once_keep_to_one_rate(workspace: Workspace) -> None:
    row = begun(workspace, rate=1)
    Campaign.objects.update(feed_at=timezone.now() - HOUR)
    results = at_once(*[sweeps.feed] * 4)
    assert [each for each in results if isinstance(each, Exception)] == []
    assert len(reached(row)) == 1


def test_a_campaign_ends_once_everybody_was_written_to(workspace: Workspace, install: Install) -> None:
    install(accept_all)
    row = begun(workspace, 3, rate=60)
    delivery.deliver(Lane.named("email.bulk"))
    assert sweeps.settle() == 0, "two wait for their turn"
    assert fed(row, due(row) + SECOND) == 2
    row.refresh_from_db()
    assert row.feed_at is None
    delivery.deliver(Lane.named("email.bulk"))
    assert sweeps.settle() == 1
    row.refresh_from_db()
    assert (row.status, dict(progress.of(row).counts)) == ("completed", {"SENT": 3})


def test_who_is_not_reached_takes_nobodys_turn(workspace: Workspace) -> None:
    make_template(workspace, subject="Hello {{ contact.name }}")
    nameless = [make_contact(workspace, name="", email=f"n{place}@example.com") for place in range(3)]
    nowhere = make_contact(workspace, email="", external_id="x")
    twice = make_contact(workspace, name="", email="N0@example.com")
    ann = make_contact(workspace)
    say(ann, "*", "opted_out")
    row = runs.start(**named(make_campaign(workspace, rate=1)))
    assert frozen(row) == {
        **{contact.id: "missing_variables" for contact in nameless},
        nowhere.id: "contact_unreachable",
        twice.id: "duplicate_address",
        ann.id: "",
    }
    assert (Message.objects.get().recipient, Message.objects.get().error_code) == ("ann@example.com", "suppressed")
    assert row.feed_at is None


def test_a_start_that_has_nobody_to_write_to_is_refused(workspace: Workspace) -> None:
    make_contact(workspace, email="", external_id="x")
    row = make_campaign(workspace, rate=1)
    with pytest.raises(Invalid) as refusal:
        runs.start(**named(row))
    assert refusal.value.code == "no_valid_recipient"
    row.refresh_from_db()
    assert (row.status, row.feed_at) == ("draft", None)


def test_everybody_gets_what_the_template_said_at_the_start(workspace: Workspace) -> None:
    edition = make_template(workspace, text="Good day {{ contact.name }}")
    row = begun(workspace, 2, rate=60)
    revise_template(edition, text="Farewell {{ word }}")
    assert fed(row, due(row)) == 1
    contents = [message.content for message in Message.objects.select_related("content__template_version")]
    assert {each.template_version_id for each in contents} == {edition.said.id}
    offered = templates.offer(workspace_id=workspace.id, name="welcome", channel=Channel.EMAIL)
    assert [each.version for each in offered.templates.values()] == [2]


def test_a_pause_stops_the_feeding_and_a_cancel_ends_it(workspace: Workspace) -> None:
    row = begun(workspace, 4, rate=60)
    runs.pause(**named(row), cause=Cause.API)
    Campaign.objects.update(feed_at=timezone.now() - HOUR)
    assert (sweeps.feed(), sweeps.settle(), len(reached(row))) == (0, 0, 1)
    runs.resume(**named(row), cause=Cause.API)
    assert sweeps.feed() == 1
    written = len(reached(row))
    row = runs.cancel(**named(row), cause=Cause.API)
    assert (row.status, row.feed_at, row.finished_at is not None) == ("cancelled", None, True)
    assert sorted(frozen(row).values()) == [""] * written + ["cancelled"] * (4 - written)


def test_whose_turn_has_not_come_at_the_campaigns_end_gets_nothing(workspace: Workspace) -> None:
    row = begun(workspace, 3, rate=1, ends_at=timezone.now() + HOUR)
    assert fed(row, timezone.now() + HOUR) == 0
    assert sorted(frozen(row).values()) == ["", "expired", "expired"]
    row.refresh_from_db()
    assert row.feed_at is None


def test_a_campaign_that_cannot_go_on_is_paused_and_says_why(workspace: Workspace) -> None:
    row = begun(workspace, 3, rate=60)
    Campaign.objects.update(feed_at=timezone.now() - HOUR, category="x" * 200)
    assert sweeps.feed() == 0
    row.refresh_from_db()
    assert (row.status, row.error_code, len(reached(row))) == ("paused", "validation_error", 1)
    assert row.feed_at is not None


def test_a_campaign_whose_day_is_used_up_goes_on_later(workspace: Workspace) -> None:
    row = begun(workspace, 3, rate=60)
    Workspace.objects.update(daily_quota=1)
    Campaign.objects.update(feed_at=timezone.now() - HOUR)
    before = timezone.now()
    assert [sweeps.feed(), sweeps.feed()] == [1, 0]
    assert due(row) >= before + sweeps.AGAIN
    assert (row.status, len(reached(row))) == ("running", 2)


def test_an_audience_that_is_larger_than_the_days_quota_is_written_to_day_by_day(workspace: Workspace) -> None:
    row = begun(workspace, 5, window=around(timezone.now() + 3 * HOUR))
    assert reached(row) == []
    Workspace.objects.update(daily_quota=2)
    Campaign.objects.update(window=around(timezone.now()), feed_at=timezone.now())

    assert [sweeps.feed(), sweeps.feed()] == [1, 0]
    assert (due(row) > timezone.now(), row.status, len(reached(row))) == (True, "running", 2)

    Usage.objects.update(day=timezone.now().date() - timedelta(days=1))
    assert fed(row, due(row)) == 2


def failed(row: Campaign, install: Install) -> Campaign:
    """The campaign after all of its messages were refused."""
    install(answer(Permanent(code="refused")))
    delivery.deliver(Lane.named("email.bulk"))
    sweeps.settle()
    row.refresh_from_db()
    return row


def counts(row: Campaign) -> dict[str, int]:
    return dict(progress.of(row).counts)


def test_what_failed_is_tried_again_at_the_rate(workspace: Workspace, install: Install) -> None:
    row = begun(workspace, 4, rate=60)
    assert fed(row, due(row) + 2 * SECOND) == 3
    row = failed(row, install)
    Message.objects.filter(id=Message.objects.earliest("id").id).update(deleted_at=timezone.now())
    assert (row.status, counts(row)) == ("partly_failed", {"FAILED": 4})

    row, retried = runs.retry_failed(**named(row), cause=Cause.API)

    assert (row.status, retried, counts(row)) == ("running", 3, {"FAILED": 4})
    made = progress.of(row)
    assert (made.waiting, made.done, made.eta is not None) == (3, 0.25, True)
    assert sweeps.settle() == 0, "three wait for their turn"
    first = due(row)
    assert [fed(row, first + wait * SECOND) for wait in (0, 0.5, 1)] == [1, 0, 1]
    assert counts(row) == {"FAILED": 2, "QUEUED": 2}
    row = failed(row, install)
    assert row.status == "running", "what fails once more is not tried a third time, and one waits yet"
    assert fed(row, due(row)) == 1
    row.refresh_from_db()
    assert (row.feed_at, counts(row)) == (None, {"FAILED": 3, "QUEUED": 1})
    assert failed(row, install).status == "partly_failed"
    assert runs.retry_failed(**named(row), cause=Cause.API)[1] == 3
    assert check_all() == []


def test_tries_of_what_failed_count_with_what_is_written_for_the_first_time(
    workspace: Workspace, install: Install
) -> None:
    row = begun(workspace, 6, rate=2)
    failed(row, install)
    assert runs.retry_failed(**named(row), cause=Cause.API)[1] == 1
    for expected in (1, 0):
        Campaign.objects.update(feed_at=timezone.now() - HOUR)
        assert fed(row, timezone.now()) == expected
    later = timezone.now() + timedelta(minutes=1)
    Message.objects.update(retried_at=later)
    assert fed(row, later + SECOND) == 0, "two were tried again within the minute"
    Message.objects.filter(id=Message.objects.earliest("id").id).update(retried_at=None)
    assert fed(row, later + SECOND) == 1


def test_a_cancel_leaves_what_failed_as_it_is(workspace: Workspace, install: Install) -> None:
    row = failed(begun(workspace, 1, rate=1), install)
    row, _ = runs.retry_failed(**named(row), cause=Cause.API)
    row = runs.cancel(**named(row), cause=Cause.API)
    assert (row.status, row.finished_at is not None, counts(row)) == ("cancelled", True, {"FAILED": 1})
    assert sweeps.feed() == 0


def test_the_end_is_foretold_by_the_rate(workspace: Workspace) -> None:
    row = begun(workspace, 5, rate=30)
    made = progress.of(row)
    assert (made.waiting, made.done) == (4, 0.0)
    assert feeder.done_at(row, 4, now=due(row) - SECOND) == due(row) + 6 * SECOND
    assert made.eta is not None
    assert made.eta >= due(row) + 6 * SECOND


# The hours


def around(moment: datetime, *, time_zone: str = "UTC") -> dict[str, str]:
    """A window of two hours around the time of the day that it is in UTC at a moment."""
    return {"start": f"{moment - HOUR:%H:%M}", "end": f"{moment + HOUR:%H:%M}", "time_zone": time_zone}


def test_a_window_is_open_by_the_clock_of_each_contact(workspace: Workspace) -> None:
    now = timezone.now()
    make_contact(workspace, email="here@example.com")
    make_contact(workspace, email="east@example.com", time_zone="Etc/GMT-6")
    row = runs.start(**named(make_campaign(workspace, window=around(now + 6 * HOUR))))
    assert (row.status, reached(row)) == ("running", ["east@example.com"])
    assert fed(row, now + 2 * HOUR) == 0
    assert due(row) == now + 2 * HOUR + timedelta(minutes=1)
    assert fed(row, now + 6 * HOUR) == 1
    assert reached(row) == ["east@example.com", "here@example.com"]
    row.refresh_from_db()
    assert row.feed_at is None


def test_without_the_contacts_time_zone_the_campaigns_own_counts(workspace: Workspace) -> None:
    now = timezone.now()
    crowd(workspace, 1)
    row = runs.start(**named(make_campaign(workspace, window=around(now + 6 * HOUR, time_zone="Etc/GMT-6"), rate=600)))
    assert len(reached(row)) == 1


def test_what_failed_is_tried_again_in_the_hours_of_each_contact(workspace: Workspace, install: Install) -> None:
    now = timezone.now()
    east = make_contact(workspace, email="east@example.com", time_zone="Etc/GMT-6")
    row = failed(runs.start(**named(make_campaign(workspace, window=around(now + 6 * HOUR)))), install)
    merging.merge(workspace_id=workspace.id, keep=make_contact(workspace).id, other=east.id)
    Campaign.objects.update(window=around(now))
    assert runs.retry_failed(**named(row), cause=Cause.API)[1] == 1
    assert (fed(row, due(row)), counts(row)) == (0, {"FAILED": 1})
    Campaign.objects.update(window=around(now + 6 * HOUR))
    assert (fed(row, due(row)), counts(row)) == (1, {"QUEUED": 1})


def test_quiet_hours_hold_each_contact_back_by_its_own_clock(workspace: Workspace) -> None:
    now = timezone.now()
    make_contact(workspace, email="here@example.com")
    make_contact(workspace, email="east@example.com", time_zone="Etc/GMT-6")
    window = around(now + 6 * HOUR)
    quiet = {"start": window["start"], "end": window["end"]}
    row = runs.start(**named(make_campaign(workspace, settings={"quietHours": quiet})))
    assert reached(row) == ["here@example.com"]
    assert fed(row, now + 2 * HOUR) == 1


def test_a_campaign_that_its_own_hours_keep_from_ever_writing_is_looked_at_each_minute(workspace: Workspace) -> None:
    now = timezone.now()
    crowd(workspace, 1)
    hours = around(now + 6 * HOUR)
    quiet = {"start": hours["start"], "end": hours["end"]}
    row = runs.start(**named(make_campaign(workspace, window=hours, settings={"quietHours": quiet})))
    assert fed(row, now + 6 * HOUR) == 0
    assert due(row) == now + 6 * HOUR + timedelta(minutes=1)


def test_one_contact_is_not_written_to_outside_of_the_window(workspace: Workspace) -> None:
    contact = make_contact(workspace)
    row = make_campaign(workspace, window=around(timezone.now() + 6 * HOUR))
    with pytest.raises(Conflict) as refusal:
        runs.enrol(**named(row), contact_id=contact.id)
    assert refusal.value.code == "quiet_hours"


AT = datetime(2026, 3, 28, 16, 0, tzinfo=UTC)
DAY = Hours("09:00", "17:00", "")
NIGHT = Hours("22:00", "08:00", "")
TOKYO = Hours("09:00", "17:00", "Asia/Tokyo")


@pytest.mark.parametrize(
    ("times", "home", "work", "opens", "ends"),
    [
        (Timetable(DAY, None), "", 0, AT, AT),
        (Timetable(DAY, None), "", 30, AT, AT + HOUR / 2),
        (Timetable(DAY, None), "", 90, AT, AT + 17.5 * HOUR),
        (Timetable(DAY, None), "Asia/Tokyo", 30, AT + 8 * HOUR, AT + 8.5 * HOUR),
        # The clocks go forward in the night: it opens an hour sooner.
        (Timetable(DAY, None), "Europe/Berlin", 30, AT + 15 * HOUR, AT + 15.5 * HOUR),
        (Timetable(NIGHT, None), "", 11 * 60, AT + 6 * HOUR, AT + 31 * HOUR),
        (Timetable(NIGHT, None), "", 101 * 60, AT + 6 * HOUR, AT + 247 * HOUR),
        (Timetable(None, NIGHT), "", 7 * 60, AT, AT + 17 * HOUR),
        (Timetable(TOKYO, Hours("09:00", "10:00", "Asia/Tokyo")), "", 30, AT + 9 * HOUR, AT + 9.5 * HOUR),
    ],
)
def test_the_hours_are_counted_by_the_clock_on_the_wall(
    times: Timetable, home: str, work: int, opens: datetime, ends: datetime
) -> None:
    assert times.opens(AT, home, until=AT + 24 * HOUR) == opens
    assert times.opens(AT, home, until=AT + HOUR / 4) == min(opens, AT + HOUR / 4)
    assert times.after(timedelta(minutes=work), at=AT, home=home) == ends


@pytest.mark.parametrize(
    ("window", "place"),
    [
        ({"start": "9:00", "end": "17:00"}, "/window/start"),
        ({"start": "09:00", "end": "24:00"}, "/window/end"),
        ({"start": "09:00"}, "/window/end"),
        ({"start": "09:00", "end": "09:00"}, "/window/end"),
        ({"start": "09:00", "end": "17:00", "time_zone": "Mars/Olympus"}, "/window/time_zone"),
    ],
)
def test_a_window_that_is_none_is_refused(workspace: Workspace, window: dict[str, str], place: str) -> None:
    with pytest.raises(Invalid) as refusal:
        make_campaign(workspace, window=window)
    assert [each.pointer for each in refusal.value.errors] == [place]


def test_a_campaign_without_a_pace_writes_to_everybody_at_once(workspace: Workspace) -> None:
    row = begun(workspace)
    assert (row.feed_at, len(reached(row)), pace.is_paced(row)) == (None, 9, False)
    assert plans.get(**named(row)).feed_at is None
