"""Keys whose order is the order of time."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from messaging.models.keys import key_time, lowest_key, uuid7, uuid7_many, uuid7_texts


def test_a_key_is_a_uuid_of_version_7():
    key = uuid7()

    assert (key.version, key.variant) == (7, RFC_4122)


def test_a_key_tells_when_it_was_made():
    before = time.time_ns() // 1_000_000 / 1000
    made = key_time(uuid7())

    # A flood of keys may run ahead of the clock by what it counted over.
    assert before <= made <= time.time() + 1


def test_keys_of_one_process_only_grow():
    keys = [uuid7() for _ in range(50_000)]

    assert keys == sorted(set(keys))


def test_keys_made_together_grow_like_those_made_one_by_one():
    keys = [uuid7(), *uuid7_many(30_000), uuid7(), *uuid7_many(1), *uuid7_many(0), *map(UUID, uuid7_texts(9)), uuid7()]

    assert keys == sorted(set(keys))
    assert {(key.version, key.variant) for key in keys} == {(7, RFC_4122)}
    assert [UUID(str(key)) for key in keys] == keys


def test_keys_made_by_many_threads_grow_in_each_and_never_meet():
    found: list[list[UUID]] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        found.append([*uuid7_many(2_000), *(uuid7() for _ in range(3_000))])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(keys == sorted(keys) for keys in found)
    assert len({key for keys in found for key in keys}) == 40_000


def test_a_key_lies_between_the_bounds_of_its_time():
    key = uuid7()
    made = datetime.fromtimestamp(key_time(key), UTC)

    assert lowest_key(made - timedelta(milliseconds=1)) < key < lowest_key(made + timedelta(milliseconds=2))


def test_the_bound_of_a_millisecond_is_exactly_that_millisecond():
    second = datetime(2026, 11, 21, 9, tzinfo=UTC)

    bounds = [lowest_key(second + timedelta(milliseconds=number)).int >> 80 for number in range(20_000)]

    assert bounds == [int(second.timestamp()) * 1000 + number for number in range(20_000)]


def test_months_meet_without_a_gap():
    last = lowest_key(datetime(2026, 12, 1, tzinfo=UTC) - timedelta(milliseconds=1))
    first = lowest_key(datetime(2026, 12, 1, tzinfo=UTC))

    assert (first.int >> 80) - (last.int >> 80) == 1
    assert first.int & ((1 << 80) - 1) == 0
