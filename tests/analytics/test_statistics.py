"""Windows, trends, rates, times, and the shapes that surfaces read them in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from analytics import performance, rollups, statistics
from analytics.counting import Counts, Scope
from analytics.histogram import BUCKETS, Histogram, bucket_of, lower_bound
from analytics.windows import Timeframe, Trend, Window, hour_of, trend, window_of
from channels_app.types import Channel
from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.models import Message, Workspace
from messaging.models.keys import uuid7
from messaging.state import Cause, Priority, Status
from tests.analytics.truth import live
from tests.factories import accept_batch, accept_message, make_workspace

NOW = datetime(2026, 5, 4, 10, 20, tzinfo=UTC)


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace()


def addresses(number: int) -> list[str]:
    return [f"ann+{place}@example.com" for place in range(number)]


def send(workspace: Workspace, channel: str = "email") -> list[Move]:
    """Send whatever waits in a lane, by one provider."""
    claim = uuid7()
    taken = transitions.claim_many(
        claim_id=claim,
        worker="test",
        channel=channel,
        priority=Priority.NORMAL,
        shares={workspace.id: 1000},
        group=1000,
        lease=600.0,
    )
    moves = [Move(id=message.id, to=Status.SENT, provider="smtp") for message in taken]
    transitions.flush_many(moves, claim_id=claim, mark=len(moves))
    return moves


def put_back(workspace: Workspace, hours: int) -> None:
    """Let the workspace's messages be so many hours older, events and all."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_message SET created_at = created_at - %s * interval '1 hour' WHERE workspace_id = %s",
            [hours, workspace.id],
        )


@pytest.mark.parametrize(
    ("timeframe", "since"),
    [
        (Timeframe.HOUR, datetime(2026, 5, 4, 10, tzinfo=UTC)),
        (Timeframe.DAY, datetime(2026, 5, 3, 11, tzinfo=UTC)),
        (Timeframe.WEEK, datetime(2026, 4, 27, 11, tzinfo=UTC)),
        (Timeframe.MONTH, datetime(2026, 4, 4, 11, tzinfo=UTC)),
    ],
)
def test_a_window_ends_with_the_hour_that_runs(timeframe: Timeframe, since: datetime) -> None:
    window = window_of(timeframe, now=NOW)
    assert window == Window(since=since, until=datetime(2026, 5, 4, 11, tzinfo=UTC))
    assert window.before.until == window.since
    assert window.before.until - window.before.since == window.until - window.since


@pytest.mark.parametrize(
    ("now", "before", "wanted"),
    [
        (None, None, Trend.STABLE),
        (0.0, 0.0, Trend.STABLE),
        (1.0, 0.0, Trend.INCREASING),
        (0.0, 1.0, Trend.DECREASING),
        (1.05, 1.0, Trend.STABLE),
        (1.06, 1.0, Trend.INCREASING),
        (0.95, 1.0, Trend.STABLE),
        (0.94, 1.0, Trend.DECREASING),
    ],
)
def test_five_percent_either_way_is_stable(now: float | None, before: float | None, wanted: Trend) -> None:
    assert trend(now, before) is wanted


def test_an_hour_that_runs_is_compared_by_what_came_in_a_second() -> None:
    window = window_of(Timeframe.HOUR, now=NOW)
    found = statistics.trends(Counts(total=20), Counts(total=60), window=window, now=NOW)
    assert found.messages is Trend.STABLE


def test_rates_are_cumulative_and_zero_where_there_is_nothing() -> None:
    found = statistics.rates(Counts(10, 8, 6, 3, 1, 2, 2, 0, 0, 1))
    assert (found.delivery, found.open, found.click) == (6 / 8, 3 / 6, 1 / 6)
    assert (found.bounce, found.complaint, found.success, found.error) == (2 / 8, 1 / 6, 8 / 10, 2 / 10)
    nothing = statistics.rates(Counts())
    assert {getattr(nothing, name) for name in nothing.__slots__} == {0.0}


@pytest.mark.django_db
def test_the_database_sorts_into_the_buckets_that_are_read() -> None:
    times = [0.0, 0.0005, *(lower_bound(bucket) * 1.01 for bucket in range(1, BUCKETS)), 90_000.0, 1e9]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {bucket_of('took')} FROM unnest(%s::real[]) AS took", [times])  # noqa: S608
        found = [row[0] for row in cursor.fetchall()]
    assert found == [0, 0, *range(1, BUCKETS), BUCKETS - 1, BUCKETS - 1]


def test_percentiles_are_right_within_a_bucket() -> None:
    histogram = Histogram()
    times = [0.010 + 0.001 * place for place in range(1000)]
    for each in times:
        bucket = max(bucket for bucket in range(BUCKETS) if lower_bound(bucket) <= each)
        histogram.add(bucket, 1, each, each)
    for share in (0.5, 0.95, 0.99):
        found = histogram.percentile(share)
        assert found is not None
        assert found == pytest.approx(times[int(share * 1000)], rel=0.05)
    assert histogram.mean == pytest.approx(sum(times) / 1000)
    assert Histogram().percentile(0.5) is None
    assert Histogram().mean is None


@pytest.mark.parametrize("rolled", [False, True])
def test_a_window_is_compared_with_the_one_before(workspace: Workspace, rolled: bool) -> None:
    accept_batch(workspace, addresses(4))
    send(workspace)
    put_back(workspace, 30)
    moves = [accept_message(workspace, address) for address in addresses(10)]
    send(workspace)
    transitions.advance_many([Move(id=key, to=Status.DELIVERED) for key in moves[:5]], cause=Cause.RECEIPT)
    accept_message(workspace, "+12025550123", channel=Channel.SMS, subject="")
    if rolled:
        rollups.roll_up()
    found = statistics.statistics_of(Scope(workspace_id=workspace.id), Timeframe.DAY)
    assert found.totals == Counts(total=11, sent=10, delivered=5)
    assert found.by_channel == {Channel.EMAIL: Counts(total=10, sent=10, delivered=5), Channel.SMS: Counts(total=1)}
    assert (found.trends.messages, found.trends.delivery_rate) == (Trend.INCREASING, Trend.INCREASING)
    assert found.trends.open_rate is Trend.STABLE
    only = statistics.statistics_of(Scope(workspace_id=workspace.id, channels=frozenset({Channel.SMS})), Timeframe.WEEK)
    assert only.totals == Counts(total=1)
    week = statistics.statistics_of(Scope(workspace_id=workspace.id), Timeframe.WEEK)
    assert week.totals.total == 15


@pytest.mark.parametrize("rolled", [False, True])
def test_a_series_has_every_hour_and_every_day(workspace: Workspace, rolled: bool) -> None:
    accept_batch(workspace, addresses(3))
    put_back(workspace, 26)
    accept_batch(workspace, addresses(2))
    if rolled:
        rollups.roll_up()
    scope, window = Scope(workspace_id=workspace.id), window_of(Timeframe.WEEK)
    hours = statistics.series(scope, window=window, by="hour")
    days = statistics.series(scope, window=window, by="day")
    now = hour_of(timezone.now())
    assert len(hours) == 7 * 24
    assert {point.at: point.counts.total for point in hours if point.counts.total} == {
        now: 2,
        now - timedelta(hours=26): 3,
    }
    assert [point.at for point in days] == [days[0].at + timedelta(days=place) for place in range(len(days))]
    assert days[0].at <= window.since
    assert sum(point.counts.total for point in days) == 5


def test_campaigns_and_providers_break_the_same_counts_down(workspace: Workspace) -> None:
    campaign = uuid7()
    ids = accept_batch(workspace, addresses(40)).ids
    Message.objects.filter(id__in=ids[:10]).update(campaign_id=campaign)
    live(workspace, ids, seed=1)
    scope = Scope(workspace_id=workspace.id)
    whole = statistics.statistics_of(scope, Timeframe.DAY).totals
    for rolled in (False, True):
        if rolled:
            rollups.roll_up()
        assert sum(statistics.by_provider(scope).values(), Counts()) == whole
        one = statistics.statistics_of(Scope(workspace_id=workspace.id, campaign_id=campaign), Timeframe.HOUR)
        assert one.totals.total == 10


@pytest.mark.parametrize("rolled", [False, True])
def test_times_are_those_between_the_timestamps(workspace: Workspace, rolled: bool) -> None:
    ids = accept_batch(workspace, addresses(50)).ids
    send(workspace)
    transitions.advance_many([Move(id=key, to=Status.DELIVERED) for key in ids[:40]], cause=Cause.RECEIPT)
    transitions.advance_many([Move(id=key, to=Status.OPENED) for key in ids[30:45]], cause=Cause.RECEIPT)
    if rolled:
        rollups.roll_up()
    found = performance.performance_of(Scope(workspace_id=workspace.id), Timeframe.HOUR)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM avg(sent_at - created_at)),"
            " extract(epoch FROM avg(delivered_at - sent_at) FILTER (WHERE delivered_at < opened_at IS NOT FALSE)),"
            " extract(epoch FROM avg(opened_at -"
            " CASE WHEN delivered_at < opened_at THEN delivered_at ELSE sent_at END))"
            " FROM messaging_message"
        )
        sending, delivery, opening = map(float, cursor.fetchone())
    latency = found.latency
    assert (latency.sending.count, latency.delivery.count, latency.opening.count) == (50, 40, 15)
    assert latency.sending.mean == pytest.approx(sending, rel=1e-3)
    assert latency.delivery.mean == pytest.approx(delivery, rel=1e-3)
    assert latency.opening.mean == pytest.approx(opening, rel=1e-3)
    assert latency.sending.p50 is not None
    assert latency.sending.longest is not None
    assert latency.sending.p50 <= latency.sending.longest
    assert found.by_channel[Channel.EMAIL].latency == latency
    assert (found.rates.success, found.rates.error) == (1.0, 0.0)
    assert found.messages_per_second > 0
    assert found.trends.sending_time is Trend.INCREASING


def test_a_message_that_was_tried_again_is_timed_from_the_retry(workspace: Workspace) -> None:
    (key,) = accept_batch(workspace, addresses(1)).ids
    put_back(workspace, 5)
    (move,) = send(workspace)
    transitions.advance_many([Move(id=key, to=Status.BOUNCED)], cause=Cause.RECEIPT)
    transitions.retry_many([key], budget=3, cause=Cause.OPERATOR)
    send(workspace)
    found = performance.performance_of(Scope(workspace_id=workspace.id), Timeframe.DAY)
    assert found.latency.sending.count == 2
    assert found.latency.sending.longest is not None
    assert 5 * 3600 <= found.latency.sending.longest < 5 * 3600 + 600
    assert found.latency.sending.mean == pytest.approx(2.5 * 3600, rel=0.02)
    assert move.id == key


def test_times_are_not_kept_by_campaign() -> None:
    with pytest.raises(ValueError, match="not kept"):
        performance.performance_of(Scope(workspace_id=uuid7(), campaign_id=uuid7()), Timeframe.DAY)
