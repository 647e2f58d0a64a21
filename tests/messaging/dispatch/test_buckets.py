"""Buckets: that no more goes out than a rate allows, whoever asks, and what is given back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pytest_django import Settings

from messaging.dispatch import buckets, queue
from messaging.dispatch.buckets import Grant, Want
from messaging.dispatch.queue import Lane

KEY = buckets.of_provider("sms", "twilio")
SLOW = 1 / 3600
"""One message an hour: nothing is added while a test runs."""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Begin with nothing known."""
    queue.valkey().flushdb()
    yield
    queue.valkey().flushdb()


def take(number: int, rate: float = SLOW, key: str = KEY) -> Grant:
    return buckets.take([Want(key=key, rate=rate, number=number)])[0]


def test_a_bucket_holds_what_a_second_brings() -> None:
    begun = time.monotonic()
    taken = [take(40, rate=50.0).number for _ in range(20)]
    elapsed = time.monotonic() - begun
    assert taken[0] == 40
    assert 50 <= sum(taken) <= 50 + 50 * elapsed + 1


def test_a_slow_rate_lets_one_through_and_tells_when_the_next_may_go() -> None:
    assert take(5).number == 1
    grant = take(5)
    assert grant.number == 0
    assert grant.wait == pytest.approx(3600, abs=60)


def test_many_workers_together_take_no_more_than_there_is() -> None:
    with ThreadPoolExecutor(8) as pool:
        begun = time.monotonic()
        taken = sum(pool.map(lambda _: take(3, rate=100.0).number, range(200)))
    assert 100 <= taken <= 100 + 100 * (time.monotonic() - begun) + 1


def test_what_is_not_used_is_given_back_and_never_more_than_a_bucketful() -> None:
    rate = 1.5
    assert take(1, rate=rate).number == 1
    buckets.give_back([Want(key=KEY, rate=rate, number=50)])
    tokens = float(queue.valkey().hget(KEY, "tokens") or 0)
    assert tokens == rate
    assert take(1).number == 1
    buckets.give_back([Want(key=KEY, rate=SLOW, number=1)])
    assert take(1).number == 1


def test_giving_back_to_a_bucket_that_nobody_took_from_makes_none() -> None:
    buckets.give_back([Want(key=KEY, rate=5.0, number=5), Want(key="bucket:none", rate=0.0, number=5)])
    assert queue.valkey().keys("bucket:*") == []


def test_a_provider_that_asks_to_wait_gets_nothing_meanwhile_whether_it_has_a_rate_or_not() -> None:
    buckets.close(KEY, 30.0)
    for rate in (0.0, 100.0):
        grant = take(5, rate=rate)
        assert (grant.number, grant.closed) == (0, True)
        assert grant.wait == pytest.approx(30, abs=20)
    assert take(5, rate=0.0, key=buckets.of_provider("sms", "other")) == Grant(number=5)


def test_a_shorter_wish_to_wait_does_not_end_a_longer_one_and_none_is_without_end() -> None:
    buckets.close(KEY, 30.0)
    buckets.close(KEY, 1.0)
    assert buckets.look([KEY])[0].wait == pytest.approx(30, abs=20)
    buckets.close(KEY, 1e9)
    assert buckets.look([KEY])[0].wait == pytest.approx(buckets.LONGEST_CLOSED, abs=20)


def test_every_bucket_is_forgotten_in_time() -> None:
    take(1)
    take(1, rate=100.0, key="bucket:fast")
    buckets.close("bucket:closed", 5.0)
    assert all(queue.valkey().pttl(key) > 0 for key in queue.valkey().keys("bucket:*"))


def test_lanes_rest_until_there_is_something_for_them() -> None:
    sms, email = Lane.named("sms.normal"), Lane.named("email.bulk")
    buckets.rest(sms, 30.0)
    assert buckets.resting([sms, email]) == {sms: True, email: False}
    assert buckets.resting([]) == {}


def test_without_valkey_what_has_a_rate_waits_and_the_rest_goes_on(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for kept in (queue.valkey, buckets._script):
        kept.cache_clear()
    try:
        assert take(5, rate=10.0) == Grant(number=0, wait=buckets.BLIND)
        assert take(5, rate=0.0) == Grant(number=5)
        lane = Lane.named("sms.normal")
        buckets.give_back([Want(key=KEY, rate=1.0, number=1)])
        buckets.close(KEY, 1.0)
        buckets.rest(lane, 1.0)
        assert buckets.resting([lane]) == {lane: False}
    finally:
        for kept in (queue.valkey, buckets._script):
            kept.cache_clear()
