"""Waking: what is pushed is found, whoever comes first, and Valkey is never waited for in vain."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pytest_django import Settings

from messaging.dispatch import queue, wake
from messaging.models.keys import uuid7
from tests.messaging.dispatch.test_claims import at_once


@pytest.fixture(autouse=True)
def awake(settings: Settings) -> Iterator[None]:
    """Clients of the Valkey that the settings of this test name, and nobody rests."""
    settings.SYNC_WAIT_SECONDS = 30.0
    wake._rests_until = 0.0
    yield
    wake._rests_until = 0.0
    queue.valkey.cache_clear()


@pytest.fixture
def closed(settings: Settings) -> None:
    """A Valkey that is away."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.REDIS_URL = f"redis://127.0.0.1:{unused.getsockname()[1]}/0"
    queue.valkey.cache_clear()


@pytest.fixture
def silent(settings: Settings) -> Iterator[None]:
    """A Valkey that takes what it is told and never says a word."""
    settings.VALKEY_SECONDS = settings.SYNC_WAIT_SECONDS = 0.2
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.REDIS_URL = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        queue.valkey.cache_clear()
        yield


def test_what_was_told_before_anybody_waits_is_found():
    key = uuid7()
    wake.wake([key, uuid7()])

    assert wake.wait(key)


def test_who_waits_is_woken():
    keys = [uuid7() for _ in range(3)]

    assert at_once(*(lambda key=key: wake.wait(key) for key in keys), lambda: wake.wake(keys)) == [True] * 3 + [None]


def test_a_wait_ends_when_nothing_is_told(settings: Settings):
    settings.SYNC_WAIT_SECONDS = 0.2
    wake.wake([uuid7()])

    assert not wake.wait(uuid7())


def test_without_seconds_nobody_waits(settings: Settings):
    settings.SYNC_WAIT_SECONDS = 0.0
    key = uuid7()
    wake.wake([key])

    assert not wake.wait(key)


def test_what_nobody_waits_for_is_forgotten_by_itself():
    key = uuid7()
    wake.wake([key])

    assert 0 < queue.valkey().ttl(f"outcome:{key}") <= 10


@pytest.mark.usefixtures("closed")
def test_without_valkey_nobody_waits_and_nobody_is_told(settings: Settings):
    settings.SYNC_WAIT_SECONDS = 3600.0

    wake.wake([uuid7()])

    assert not wake.wait(uuid7())


@pytest.mark.usefixtures("silent")
def test_a_valkey_that_says_nothing_ends_a_wait():
    wake.wake([uuid7()])

    assert not wake.wait(uuid7())


@pytest.mark.usefixtures("closed")
def test_a_valkey_that_is_away_is_left_alone_for_a_while(settings: Settings):
    wake.wake([uuid7()])
    reached: list[bool] = []

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0)
        settings.REDIS_URL = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        queue.valkey.cache_clear()
        wake.wake([uuid7()])
        try:
            server.accept()[0].close()
            reached.append(True)
        except BlockingIOError:
            reached.append(False)

    assert reached == [False]


@pytest.mark.parametrize("threads", [16, 5, 1])
def test_half_of_the_threads_may_wait(settings: Settings, threads: int):
    settings.API_THREADS = threads
    with ExitStack() as held:
        got = [held.enter_context(wake.place()) for _ in range(threads)]

    assert got == [place < threads // 2 for place in range(threads)]


def test_a_place_is_given_back(settings: Settings):
    settings.API_THREADS = 2

    with pytest.raises(RuntimeError), wake.place():
        raise RuntimeError

    with wake.place() as first, wake.place() as second:
        assert (first, second) == (True, False)
    with wake.place() as third:
        assert third


def test_places_are_those_of_all_threads_together(settings: Settings):
    settings.API_THREADS = 6
    everybody = threading.Barrier(6)

    def enter() -> bool:
        with wake.place() as got:
            everybody.wait(30)
            return got

    assert sorted(at_once(*[enter] * 6)) == [False] * 3 + [True] * 3
