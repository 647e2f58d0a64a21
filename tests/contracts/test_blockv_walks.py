"""The document of /messages: walks by `next`, to the end, while others write."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from channels_app.types import Channel
from messaging.models import Message
from messaging.state import Status
from tests.contracts.blockv import listed, refused
from tests.factories import accept_batch, accept_message
from tests.messaging.api.callers import Caller, make_caller

ROWS = 2_500
STATUSES = (Status.QUEUED, Status.SENT, Status.DELIVERED, Status.CLICKED, Status.FAILED, Status.CANCELLED)


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


_VARIETY = """
UPDATE messaging_message
   SET status = (%s::text[])[1 + abs(hashtext(id::text)) %% 6],
       attempts = abs(hashtext(id::text || 'a')) %% 2,
       scheduled_at = CASE abs(hashtext(id::text || 'b')) %% 2 WHEN 0
                      THEN now() + abs(hashtext(id::text || 'c')) %% 9 * interval '1 second' END,
       revised_at = CASE abs(hashtext(id::text || 'd')) %% 2 WHEN 0
                    THEN now() + abs(hashtext(id::text || 'e')) %% 2000 * interval '1 microsecond' END
 WHERE id = ANY(%s)
"""


def populate(caller: Caller, number: int) -> set[str]:
    """Accept messages that are equal in many columns and differ in others; give their ids."""
    keys = accept_batch(caller.workspace, [f"{'abc'[n % 3]}{n % 97}@example.com" for n in range(number)]).ids
    with connection.cursor() as cursor:
        cursor.execute(_VARIETY, [[status.value for status in STATUSES], keys])
    return {str(key) for key in keys}


def walk(caller: Caller, query: str) -> Iterator[list[dict[str, Any]]]:
    """Every page to the end."""
    token = ""
    while True:
        page = listed(caller, f"{query}&next={token}")
        yield page["messages"]
        if "next" not in page:
            return
        assert page["messages"]
        token = page["next"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["when_created", "when_modified", "scheduled_at", "status", "to"])
def test_a_walk_gives_each_row_once_while_others_are_inserted(caller: Caller, sort: str, order: str) -> None:
    there = populate(caller, ROWS)
    found: list[dict[str, Any]] = []
    for number, page in enumerate(walk(caller, f"sortBy={sort}&order={order}&limit=100")):
        assert number < 200, "the walk has no end"
        found += page
        populate(caller, 7)
    keys = [row["id"] for row in found]
    assert len(keys) == len(set(keys))
    assert there <= set(keys)
    # Those without a value stand last, in either order.
    values = [row.get(sort) for row in found]
    said = [value for value in values if value is not None]
    assert values == said + [None] * (len(values) - len(said))
    assert said == sorted(said, reverse=order == "desc")


@pytest.mark.parametrize("sort", ["when_created", "when_modified", "scheduled_at", "status", "to"])
def test_a_walk_by_single_steps_through_equal_rows_ends(caller: Caller, sort: str) -> None:
    keys = {str(accept_message(caller.workspace)) for _ in range(5)}
    Message.objects.update(created_at=timezone.now(), queued_at=timezone.now())
    for order in ("asc", "desc"):
        pages = list(walk(caller, f"sortBy={sort}&order={order}&limit=1"))
        assert [len(page) for page in pages] == [1] * 5
        assert {row["id"] for page in pages for row in page} == keys


def test_a_filter_is_walked_to_its_end(caller: Caller) -> None:
    populate(caller, 60)
    failed = {str(key) for key in Message.objects.filter(status=Status.FAILED).values_list("id", flat=True)}
    for sort in ("when_created", "status", "to"):
        found = [row["id"] for page in walk(caller, f"status=failed&sortBy={sort}&limit=2") for row in page]
        assert len(found) == len(failed)
        assert set(found) == failed


def test_the_default_page_has_20_rows_the_newest_first(caller: Caller) -> None:
    keys = [str(key) for key in accept_batch(caller.workspace, [f"a{n}@example.com" for n in range(21)]).ids]
    page = listed(caller)
    assert [row["id"] for row in page["messages"]] == keys[:0:-1]
    last = listed(caller, f"next={page['next']}")
    assert [row["id"] for row in last["messages"]] == keys[:1]
    assert "next" not in last


def test_a_page_that_ends_with_the_list_has_no_next(caller: Caller) -> None:
    accept_batch(caller.workspace, [f"a{n}@example.com" for n in range(4)])
    page = listed(caller, "limit=2")
    assert "next" not in listed(caller, f"limit=2&next={page['next']}")


# The token


@pytest.fixture
def token(caller: Caller) -> str:
    """The place after the first of two failed messages, sorted by recipient."""
    for to in ("ann@example.com", "bob@example.com"):
        accept_message(caller.workspace, to)
        accept_message(caller.workspace, "+12025550100", channel=Channel.SMS, subject="")
    Message.objects.update(status=Status.FAILED)
    page = listed(caller, "status=failed&system=email&sortBy=to&order=asc&limit=1")
    assert [row["to"] for row in page["messages"]] == ["ann@example.com"]
    return str(page["next"])


def test_a_token_carries_its_filters_and_order(caller: Caller, token: str) -> None:
    same = "&status=failed&system=email&sortBy=to"
    for query in ("", "&limit=50", f"{same}&order=asc", f"{same}&order=ascending", "&status=&to=&limit=3"):
        page = listed(caller, f"next={token}{query}")
        assert [row["to"] for row in page["messages"]] == ["bob@example.com"]
        assert "next" not in page


@pytest.mark.parametrize(
    "query",
    [
        "status=pending&system=email&sortBy=to&order=asc",
        "status=failed&system=sms&sortBy=to&order=asc",
        "status=failed&system=email&sortBy=to&order=desc",
        "status=failed&system=email&sortBy=status&order=asc",
        "status=failed&system=email&sortBy=to&order=asc&language=en",
        "status=failed&sortBy=to&order=asc",
        "status=failed",
        "order=asc",
    ],
)
def test_a_token_with_other_filters_or_another_order_is_refused(caller: Caller, token: str, query: str) -> None:
    refused(caller.get(f"/messages?{query}&next={token}"), 400, "invalid_token", ("next", "invalid_token"))


def test_a_token_of_another_workspace_is_refused(caller: Caller, token: str) -> None:
    refused(make_caller().get(f"/messages?next={token}"), 400, "invalid_token", ("next", "invalid_token"))


def test_a_token_that_we_did_not_write_is_refused(caller: Caller, token: str) -> None:
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        text = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        refused(caller.get(f"/messages?next={text}"), 400, "invalid_token", ("next", "invalid_token"))
    for text in ("abc", "%20", token[:-1], f"{token}A", "é", "AAAA"):
        refused(caller.get(f"/messages?next={text}"), 400, "invalid_token", ("next", "invalid_token"))


def test_a_token_is_opaque_and_stands_in_a_url_as_it_is(token: str) -> None:
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_longest_filters_make_a_token_that_is_taken_back(caller: Caller) -> None:
    for _ in range(2):
        accept_message(caller.workspace, "a@example.com")
    wide = "when_created[$gt]=2000-01-01T00:00:00Z&when_created[$lt]=2999-01-01T00:00:00Z&autocomplete=a"
    page = listed(caller, f"{wide}&sortBy=to&limit=1&action_type=custom&language=en&to=a@example.com")
    assert len(listed(caller, f"next={page['next']}")["messages"]) == 1
