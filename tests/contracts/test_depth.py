"""Far into long lists: deep offsets, late pages, and tokens to the end while others insert, on every surface."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from tests.factories import accept_batch
from tests.messaging.api.callers import Caller, make_caller, read

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("transactional_db")]

ROWS = 100_000
_BATCH = 10_000
_PAGE = 100


def _accept(caller: Caller, number: int) -> list[str]:
    return [str(key) for key in accept_batch(caller.workspace, [f"reader{n}@example.com" for n in range(number)]).ids]


@pytest.fixture
def caller(transactional_db: None) -> Caller:
    return make_caller()


@pytest.fixture
def rows(caller: Caller) -> list[str]:
    """The ids of all messages, the newest first."""
    keys = [key for _ in range(ROWS // _BATCH) for key in _accept(caller, _BATCH)]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_message")
    return keys[::-1]


@contextmanager
def others_insert(caller: Caller) -> Iterator[Callable[[], int]]:
    """Insert from another connection while the block runs; gives what tells how many came until now."""
    done, inserted = threading.Event(), [0]

    def insert() -> None:
        try:
            while not done.is_set():
                inserted[0] += len(_accept(caller, 10))
        finally:
            connection.close()

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        yield lambda: inserted[0]
    finally:
        done.set()
        thread.join()


def _oasis(caller: Caller, offset: int) -> list[str]:
    found = read(caller.get(f"/api/messaging/messages?limit=50&offset={offset}"))
    return [row["id"] for row in found["result"]]


def _fluxkit(caller: Caller, offset: int) -> list[str]:
    return [row["_id"] for row in read(caller.get(f"/messaging/logs?limit=50&offset={offset}"))["logs"]]


def _campaignos(caller: Caller, offset: int) -> list[str]:
    path = f"/api/workspaces/{caller.workspace.id}/messages?limit=50&page={offset // 50 + 1}"
    return [_plain(row["id"]) for row in read(caller.get(path))["data"]]


def _plain(key: str) -> str:
    digits = key.removeprefix("msg_")
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@pytest.mark.parametrize("listed", [_oasis, _fluxkit, _campaignos], ids=["oasis", "fluxkit", "campaignos"])
def test_far_offsets_and_late_pages_give_the_rows_that_stand_there(
    caller: Caller, rows: list[str], listed: Callable[[Caller, int], list[str]]
) -> None:
    """Offset 90,000 is page 1,801 of 50; the last page is short, and beyond it there is nothing."""
    for offset in (0, 89_950, 90_000, ROWS - 50):
        assert listed(caller, offset) == rows[offset : offset + 50]
    assert listed(caller, ROWS) == []


def test_an_offset_from_the_oldest_stands_still_while_others_insert(caller: Caller, rows: list[str]) -> None:
    oldest = rows[::-1]
    path = "/api/messaging/messages?limit=50&sortBy=createdAt&sortOrder=asc&offset="
    with others_insert(caller) as inserted:
        for offset in range(90_000, 91_000, 50):
            found = read(caller.get(f"{path}{offset}"))["result"]
            assert [row["id"] for row in found] == oldest[offset : offset + 50]
        assert inserted() > 0


def _blockv(caller: Caller, place: str) -> tuple[list[str], str]:
    found = read(caller.get(f"/messages?limit={_PAGE}&next={place}"))
    return [row["id"] for row in found["messages"]], found.get("next", "")


def _v1(caller: Caller, place: str) -> tuple[list[str], str]:
    answer: Any = caller.get(place or f"/api/v1/messages?limit={_PAGE}")
    found = json.loads(answer.content)
    return [row["id"] for row in found["results"]], (found["next"] or "").removeprefix("http://testserver")


@pytest.mark.parametrize("turn", [_blockv, _v1], ids=["blockv", "v1"])
def test_token_after_token_to_the_end_gives_every_row_once_while_others_insert(
    caller: Caller, rows: list[str], turn: Callable[[Caller, str], tuple[list[str], str]]
) -> None:
    found: list[str] = []
    with others_insert(caller) as inserted:
        page, place = turn(caller, "")
        found += page
        while place:
            page, place = turn(caller, place)
            assert page
            found += page
        assert inserted() > 0
    assert len(found) == len(set(found))
    known = set(rows)
    assert [key for key in found if key in known] == rows
