"""The bell: hung once, lifted before a claim, and never in anybody's way."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis
from django.conf import settings as configured
from django.db import transaction
from django.utils import timezone

from channels_app.types import Channel
from messaging.dispatch import queue
from messaging.dispatch.queue import DELIVER, LANES, Lane
from messaging.state import Priority
from tests.factories import accept_message, make_workspace

LANE = Lane(Channel.EMAIL, Priority.NORMAL)


@pytest.fixture(autouse=True)
def broker() -> Iterator[redis.Redis]:
    """The broker's database, emptied before and after, and the bells too."""
    with redis.Redis.from_url(configured.BROKER_URL) as client:
        client.flushdb()
        for lane in LANES:
            queue.lift(lane)
        yield client
        queue.valkey.cache_clear()
        queue._ringer.cache_clear()
        client.flushdb()


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something comes true; the wait is generous, since the machine may be busy."""
    for _ in range(500):
        if holds():
            return True
        time.sleep(0.02)
    return False


def hung(lane: Lane = LANE) -> bool:
    return bool(queue.valkey().exists(f"bell:{lane.name}"))


def test_a_lane_is_known_by_the_name_of_its_queue():
    assert [Lane.named(lane.name) for lane in LANES] == list(LANES)
    assert len({lane.name for lane in LANES}) == len(Channel) * len(Priority)
    assert LANE.name == "email.normal"


@pytest.mark.parametrize("name", ["", "email", "email.slow", "pigeon.normal", "email.normal.x"])
def test_a_name_that_is_no_lane_is_refused(name: str):
    with pytest.raises((ValueError, KeyError)):
        Lane.named(name)


def test_a_bell_publishes_the_lane_and_nothing_else(broker: redis.Redis):
    queue.ring(LANE)

    assert eventually(lambda: broker.llen(LANE.name) == 1)
    task = json.loads(broker.lindex(LANE.name, 0))
    assert task["headers"]["task"] == DELIVER
    assert task["headers"]["argsrepr"] == "['email.normal']"
    assert task["headers"]["eta"] is None
    assert hung()


def test_a_bell_that_hangs_is_not_hung_again(broker: redis.Redis):
    for _ in range(50):
        queue.ring(LANE)
    other = Lane(Channel.SMS, Priority.URGENT)
    queue.ring(other)

    # Bells are hung in the order in which they are rung.
    assert eventually(lambda: broker.llen(other.name) == 1)
    assert broker.llen(LANE.name) == 1


def test_a_bell_that_was_lifted_can_be_hung_again(broker: redis.Redis):
    queue.ring(LANE)
    assert eventually(lambda: broker.llen(LANE.name) == 1)

    queue.lift(LANE)
    assert not hung()
    queue.ring(LANE)

    assert eventually(lambda: broker.llen(LANE.name) == 2)


def test_a_bell_falls_off_by_itself():
    queue.ring(LANE)

    assert eventually(hung)
    assert 0 < queue.valkey().pttl(f"bell:{LANE.name}") <= 3000


def test_ringing_without_a_broker_raises_nothing(settings):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.REDIS_URL = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        queue.valkey.cache_clear()
        queue._ringer.cache_clear()

        for _ in range(5):
            queue.ring(LANE)
        queue.lift(LANE)

        with pytest.raises(redis.RedisError):
            queue.ping()


def test_the_ringer_outlives_what_nobody_expected(settings, broker: redis.Redis):
    url = settings.REDIS_URL
    queue._ringer.cache_clear()
    queue.ring()
    settings.REDIS_URL = "nonsense"
    queue.valkey.cache_clear()
    queue.ring(LANE)
    ringer = queue._ringer(os.getpid())
    assert eventually(lambda: not ringer._wanted)

    settings.REDIS_URL = url
    queue.valkey.cache_clear()
    other = Lane(Channel.SMS, Priority.NORMAL)
    assert eventually(lambda: bool(queue.ring(other)) or broker.llen(other.name) == 1)


@pytest.mark.usefixtures("transactional_db")
def test_the_bell_is_rung_after_the_commit_and_not_before(broker: redis.Redis):
    other = Lane(Channel.SMS, Priority.NORMAL)
    workspace = make_workspace()

    with transaction.atomic():
        accept_message(workspace)
        queue.ring(other)
        assert eventually(lambda: broker.llen(other.name) == 1)
        assert broker.llen(LANE.name) == 0

    assert eventually(lambda: broker.llen(LANE.name) == 1)


@pytest.mark.usefixtures("transactional_db")
def test_what_is_scheduled_rings_no_bell(broker: redis.Redis):
    accept_message(make_workspace(), scheduled_at=timezone.now() + timedelta(hours=1))
    accept_message(make_workspace(), "+12025550199", channel=Channel.SMS, subject="")

    assert eventually(lambda: broker.llen("sms.normal") == 1)
    assert broker.llen(LANE.name) == 0


def test_a_worker_leaves_signs_of_life():
    queue.record_pulse("email")

    assert 0 <= queue.pulses()["email"] < 300
