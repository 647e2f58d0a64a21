"""What follows from an outcome: a pure rule."""

from __future__ import annotations

import math

import pytest

from channels_app.types import Accepted, Ambiguous, NotConfigured, OnUnknown, Permanent, Throttled, Transient
from messaging.dispatch.retry import (
    LONGEST_WAIT,
    MOST_THROTTLES,
    PATIENT_THROTTLES,
    SHORTEST_WAIT,
    Again,
    Decision,
    Fail,
    Hold,
    Policy,
    Sent,
    after_doubt,
    backoff,
    clean_wait,
    decide,
    wish,
)

POLICY = Policy(backoff=5.0, limit=900.0, unknown=3600.0)


def decided(outcome, *, attempts: int = 1, unknown: OnUnknown | None = OnUnknown.HOLD) -> Decision:
    return decide(outcome, attempts=attempts, max_attempts=3, policy=POLICY, unknown=unknown)


@pytest.mark.parametrize("outcome", [Permanent(code="x"), NotConfigured()])
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_refusal_ends_it_whatever_attempts_are_left(outcome, attempts: int):
    assert decided(outcome, attempts=attempts) == Fail()


@pytest.mark.parametrize("attempts", [1, 3])
def test_what_is_accepted_is_sent(attempts: int):
    assert decided(Accepted(), attempts=attempts) == Sent()


@pytest.mark.parametrize(("attempts", "kind"), [(1, Again), (2, Again), (3, Fail), (4, Fail)])
def test_a_transient_failure_is_repeated_while_attempts_are_left(attempts: int, kind: type):
    decision = decided(Transient(code="x"), attempts=attempts)

    assert isinstance(decision, kind)
    assert getattr(decision, "refund", False) is False


@pytest.mark.parametrize("attempts", [1, 3, 9])
def test_a_throttled_message_waits_and_has_its_attempt_back(attempts: int):
    assert decided(Throttled(wait=30.0), attempts=attempts) == Again(wait=30.0, refund=True)


@pytest.mark.parametrize("wait", [0.0, -1.0, math.nan, 0.01])
def test_a_throttled_message_waits_at_least_a_moment(wait: float):
    assert decided(Throttled(wait=wait)) == Again(wait=SHORTEST_WAIT, refund=True)


@pytest.mark.parametrize("wait", [1e9, math.inf])
def test_no_provider_can_put_a_message_off_for_years(wait: float):
    assert decided(Throttled(wait=wait)) == Again(wait=LONGEST_WAIT, refund=True)
    assert decided(Transient(code="x", retry_after=wait)) == Again(wait=LONGEST_WAIT)


def put_off(throttles: int, wait: float = 2.0) -> Decision:
    outcome = Throttled(wait=wait)
    return decide(outcome, attempts=1, max_attempts=3, policy=POLICY, unknown=None, throttles=throttles)


@pytest.mark.parametrize(
    ("throttles", "wait"), [(0, 2.0), (PATIENT_THROTTLES, 2.0), (PATIENT_THROTTLES + 3, 8.0), (60, 900.0), (99, 900.0)]
)
def test_a_message_that_is_put_off_again_and_again_waits_longer_and_longer(throttles: int, wait: float):
    assert put_off(throttles) == Again(wait=wait, refund=True)


def test_a_provider_that_asks_for_more_gets_it_however_often_it_asked():
    assert put_off(60, wait=5_000.0) == Again(wait=5_000.0, refund=True)


def test_no_message_is_put_off_for_ever():
    assert put_off(MOST_THROTTLES) == Fail(code="throttled_too_long")
    waited = sum(decision.wait for number in range(MOST_THROTTLES) if isinstance(decision := put_off(number), Again))
    assert 18 * 3_600 < waited < 30 * 3_600


def test_what_was_never_begun_waits_without_end():
    assert put_off(10_000, wait=0.0) == Again(wait=SHORTEST_WAIT, refund=True)


def test_a_provider_that_asks_for_less_than_the_backoff_gets_the_backoff():
    decision = decided(Transient(code="x", retry_after=0.5))

    assert isinstance(decision, Again)
    assert decision.wait >= 3.75


@pytest.mark.parametrize(
    ("unknown", "attempts", "decision"),
    [
        (OnUnknown.HOLD, 1, Hold(wait=3600.0)),
        (OnUnknown.HOLD, 3, Hold(wait=3600.0)),
        (OnUnknown.REPEAT, 1, Again(wait=0.0)),
        (OnUnknown.REPEAT, 2, Again(wait=0.0)),
        (OnUnknown.REPEAT, 3, Fail()),
        (None, 1, Fail()),
    ],
)
def test_doubt_is_decided_by_policy_in_life_and_after_death(
    unknown: OnUnknown | None, attempts: int, decision: Decision
):
    assert decided(Ambiguous(), attempts=attempts, unknown=unknown) == decision
    assert after_doubt(attempts=attempts, max_attempts=3, policy=POLICY, unknown=unknown) == decision


@pytest.mark.parametrize("policy", OnUnknown)
def test_the_callers_wish_comes_before_the_adapters_policy(policy: OnUnknown):
    assert wish("resend", policy) is OnUnknown.REPEAT
    assert wish("fail", policy) is None
    assert wish("", policy) is policy


@pytest.mark.parametrize(
    ("attempt", "jitter", "seconds"),
    [
        (1, 0.5, 5.0),
        (1, 0.0, 3.75),
        (1, 1.0, 6.25),
        (2, 0.5, 20.0),
        (3, 0.5, 80.0),
        (5, 0.5, 900.0),
        (10_000, 1.0, 900.0),
    ],
)
def test_backoff_grows_fourfold_up_to_its_limit(attempt: int, jitter: float, seconds: float):
    assert backoff(attempt, POLICY, jitter=jitter) == seconds


def test_backoff_is_spread():
    waits = {backoff(1, POLICY) for _ in range(100)}

    assert len(waits) > 50
    assert all(3.75 <= wait <= 6.25 for wait in waits)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [(None, None), (math.nan, None), (-1.0, None), (0.0, 0.0), (7.5, 7.5), (math.inf, LONGEST_WAIT)],
)
def test_a_wish_to_wait_is_kept_sane(asked: float | None, kept: float | None):
    assert clean_wait(asked) == kept
