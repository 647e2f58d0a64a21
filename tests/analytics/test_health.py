"""What the platform says of itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from analytics import health
from analytics.health import Condition, Verdict
from analytics.models import Progress
from channels_app.types import Accepted, Channel, Transient
from messaging.dispatch import limits, queue
from messaging.dispatch.limits import Answers

WORKERS = ("email", "inside")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Begin with nothing known."""
    queue.valkey().flushdb()
    yield
    queue.valkey().flushdb()


@pytest.fixture
def at_work() -> None:
    for name in WORKERS:
        queue.record_pulse(name)


def verdicts() -> dict[str, Verdict]:
    return {check.name: check.verdict for check in health.health().checks}


@pytest.mark.django_db
def test_all_is_well_where_all_is_well(at_work: None) -> None:
    health.look(workers=WORKERS)
    found = health.health()
    assert (found.condition, found.health, found.alerts) == (Condition.HEALTHY, 1.0, ())
    assert {health.condition_of(channel) for channel in found.channels} == {Condition.HEALTHY}
    assert verdicts() == dict.fromkeys(
        ("database", "valkey", "statistics", "worker:email", "worker:inside"), Verdict.FINE
    )
    assert all(check.took is not None for check in found.checks[:2])


def test_before_the_first_look_nothing_is_claimed() -> None:
    found = health.health()
    assert (found.condition, found.checks) == (Condition.UNKNOWN, ())
    assert {health.condition_of(channel) for channel in found.channels} == {Condition.UNKNOWN}


@pytest.mark.django_db
def test_a_silent_worker_is_told_of(at_work: None) -> None:
    health.look(workers=(*WORKERS, "urgent"))
    found = health.health()
    assert verdicts()["worker:urgent"] is Verdict.FAIL
    assert found.condition is Condition.DEGRADED
    assert [(alert.code, alert.subject) for alert in found.alerts] == [("check_failed", "worker:urgent")]


@pytest.mark.django_db
def test_a_provider_that_fails_pulls_its_channel_and_the_mean_down(at_work: None) -> None:
    health.look(workers=WORKERS)
    failing = Answers()
    for outcome in (Accepted(), Transient(code="timeout"), Transient(code="timeout"), Transient(code="timeout")):
        failing.add(outcome)
    limits.write({("sms", "sandbox"): failing})
    found = health.health()
    sms = next(channel for channel in found.channels if channel.channel is Channel.SMS)
    assert health.condition_of(sms) is Condition.UNHEALTHY
    assert found.health == pytest.approx((7 + 0.25) / 8)
    assert ("provider_unhealthy", "sms/sandbox") in {(alert.code, alert.subject) for alert in found.alerts}


@pytest.mark.django_db
def test_a_channel_without_a_provider_is_unconfigured_and_does_not_count(settings: Settings, at_work: None) -> None:
    health.look(workers=WORKERS)
    settings.CHANNELS = {**settings.CHANNELS, "push": []}
    found = health.health()
    push = next(channel for channel in found.channels if channel.channel is Channel.PUSH)
    assert health.condition_of(push) is Condition.UNCONFIGURED
    assert (found.condition, found.health) == (Condition.HEALTHY, 1.0)


@pytest.mark.django_db
def test_rollups_that_lag_behind_are_warned_of(at_work: None) -> None:
    Progress.objects.create(id=1, xact=1, counted_at=timezone.now() - timedelta(minutes=10))
    health.look(workers=WORKERS)
    assert verdicts()["statistics"] is Verdict.WARN
    assert health.health().condition is Condition.DEGRADED


@pytest.mark.django_db
def test_a_look_that_is_old_is_told_of(at_work: None, monkeypatch: pytest.MonkeyPatch) -> None:
    health.look(workers=WORKERS)
    seen = limits.read_note("checks")
    limits.write_note("checks", {**seen, "at": seen["at"] - 600})
    assert "probe_late" in {alert.code for alert in health.health().alerts}


def test_a_valkey_that_is_down_is_an_answer_too(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    queue.valkey.cache_clear()
    try:
        found = health.health()
    finally:
        queue.valkey.cache_clear()
    assert (found.condition, found.checks[0].verdict) == (Condition.UNHEALTHY, Verdict.FAIL)


@pytest.mark.django_db
def test_channels_are_together_as_well_as_the_worst_of_them(at_work: None) -> None:
    limits.probe()
    limits.write({("direct", "sandbox"): Answers(accepted=3, failed=1, last_success=time.time() + 1)})
    inside = frozenset({Channel.ONSITE, Channel.DIRECT})
    found = health.health(inside)
    part = health.together(found, inside)
    assert {state.channel for state in found.channels} == inside
    assert (part.condition, part.health, part.sandbox) == (Condition.DEGRADED, 0.75, True)
    assert part.checked_at == min(state.checked_at for state in found.channels if state.checked_at)
    assert (found.health, [alert.subject for alert in found.alerts]) == (0.875, ["direct/sandbox"])


def test_of_channels_that_nobody_probed_nothing_is_claimed() -> None:
    part = health.together(health.health(), {Channel.ONSITE, Channel.DIRECT})
    assert (part.condition, part.health, part.checked_at) == (Condition.UNKNOWN, None, None)
