"""Breakers: what opens one, what closes it, and that all workers share it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pytest_django import Settings

from channels_app.types import Accepted, Ambiguous, NotConfigured, Outcome, Permanent, Throttled, Transient
from messaging.dispatch import breakers, queue
from messaging.dispatch.breakers import FAULTS, Reading, State

FAULT = Transient(code="http_503")
ACCEPTED = Accepted(provider_message_id="p")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Begin with nothing known."""
    queue.valkey().flushdb()
    breakers._succeeded_at.clear()
    yield
    queue.valkey().flushdb()


def note(*outcomes: Outcome, troubled: bool = False) -> list[bool]:
    return [
        breakers.note("sms", "twilio", outcome, fault=breakers.is_fault(outcome), troubled=troubled)
        for outcome in outcomes
    ]


def look() -> Reading:
    return breakers.look("sms", ["twilio"])[0]


def enter() -> State:
    return breakers.enter("sms", ["twilio"])[0].state


def rest_is_over() -> None:
    """Set the end of the rest back to now, as time would."""
    queue.valkey().hset("breaker:sms:twilio", "until", "1")


def rest() -> float:
    return look().wait


@pytest.mark.parametrize("fault", [FAULT, Ambiguous(), NotConfigured()])
def test_five_faults_in_a_row_open_it(fault: Outcome) -> None:
    assert note(*[fault] * (FAULTS - 1)) == [False] * (FAULTS - 1)
    assert look() == Reading(state=State.CLOSED, faults=FAULTS - 1)
    assert note(fault) == [True]
    assert look().state is State.OPEN
    assert 0 < rest() <= breakers.REST


@pytest.mark.parametrize("other", [Accepted(), Permanent(code="no_such_number")])
def test_an_answer_in_between_begins_the_row_anew(other: Outcome) -> None:
    note(*[FAULT] * (FAULTS - 1), other, *[FAULT] * (FAULTS - 1))
    assert look() == Reading(state=State.CLOSED, faults=FAULTS - 1)


def test_being_throttled_neither_opens_nor_closes_it() -> None:
    note(*[FAULT] * (FAULTS - 1), Throttled(wait=5.0))
    assert look().faults == FAULTS - 1
    note(*[Throttled(wait=5.0)] * FAULTS)
    assert look().faults == FAULTS - 1


def test_faults_of_several_workers_count_together() -> None:
    with ThreadPoolExecutor(FAULTS) as pool:
        opened = list(pool.map(lambda _: note(FAULT)[0], range(FAULTS)))
    assert sorted(opened) == [False] * (FAULTS - 1) + [True]


def test_after_its_rest_one_of_many_lets_one_message_through() -> None:
    note(*[FAULT] * FAULTS)
    assert enter() is State.OPEN
    rest_is_over()
    assert look().state is State.HALF_OPEN
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: enter(), range(8)))
    assert sorted(found) == [State.HALF_OPEN, *[State.OPEN] * 7]


def test_a_trial_that_succeeds_closes_it() -> None:
    note(*[FAULT] * FAULTS)
    rest_is_over()
    enter()
    note(ACCEPTED, troubled=True)
    assert look() == breakers.CLOSED


def test_each_trial_that_fails_doubles_the_rest_up_to_a_limit() -> None:
    note(*[FAULT] * FAULTS)
    rests = []
    for _ in range(7):
        rest_is_over()
        enter()
        assert note(FAULT) == [True]
        rests.append(rest())
    doubled = [min(breakers.REST * 2**trip, breakers.LONGEST_REST) for trip in range(1, 8)]
    assert rests == pytest.approx(doubled, abs=1.0)


def test_a_trial_that_came_to_nothing_is_free_for_another() -> None:
    note(*[FAULT] * FAULTS)
    rest_is_over()
    assert [enter(), enter()] == [State.HALF_OPEN, State.OPEN]
    breakers.leave("sms", "twilio")
    assert enter() is State.HALF_OPEN


def test_whoever_waits_for_the_trial_of_another_looks_again_soon() -> None:
    note(*[FAULT] * FAULTS)
    rest_is_over()
    enter()
    # The trial may end at any moment, and a lane that rests is passed by until then.
    assert look().state is State.OPEN
    assert 0 < look().wait <= 1.0


def test_leaving_a_breaker_that_is_closed_makes_none() -> None:
    breakers.leave("sms", "twilio")
    assert queue.valkey().keys("breaker:*") == []


def test_faults_that_arrive_while_it_is_open_change_nothing() -> None:
    note(*[FAULT] * FAULTS)
    before = rest()
    assert note(*[FAULT] * 20) == [False] * 20
    assert rest() <= before


def test_providers_and_channels_have_breakers_of_their_own() -> None:
    note(*[FAULT] * FAULTS)
    assert [each.state for each in breakers.look("sms", ["twilio", "other"])] == [State.OPEN, State.CLOSED]
    assert breakers.look("whatsapp", ["twilio"]) == [breakers.CLOSED]


def test_without_valkey_it_counts_as_closed(settings: Settings) -> None:
    note(*[FAULT] * FAULTS)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for kept in (queue.valkey, breakers._enter, breakers._fault):
        kept.cache_clear()
    try:
        assert breakers.enter("sms", ["twilio"]) == [breakers.CLOSED]
        assert note(FAULT, ACCEPTED, troubled=True) == [False, False]
        breakers.leave("sms", "twilio")
    finally:
        breakers._rests_until = 0.0
        for kept in (queue.valkey, breakers._enter, breakers._fault):
            kept.cache_clear()
