"""GET /messages: filters, order and cursors."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.utils import timezone
from psycopg.errors import QueryCanceled

from channels_app.types import Channel
from messaging.dispatch import control, selectors
from messaging.dispatch.selectors import rows
from messaging.models import Message
from messaging.models.keys import uuid7
from messaging.state import Cause
from tests.factories import accept_batch, accept_message
from tests.messaging.api.callers import Caller, assert_problem, read

PATH = "/api/v1/messages"


def ids(caller: Caller, query: str = "") -> list[str]:
    return [row["id"] for row in read(caller.get(f"{PATH}?{query}"))["results"]]


def test_the_newest_come_first_without_their_content(caller: Caller) -> None:
    made = [str(accept_message(caller.workspace)) for _ in range(3)]
    page = read(caller.get(PATH))
    assert set(page) == {"results", "next", "previous"}
    assert [row["id"] for row in page["results"]] == made[::-1]
    assert (page["next"], page["previous"]) == (None, None)
    full = read(caller.get(f"{PATH}/{made[-1]}"))
    extra = {"body", "text", "attachments", "media", "fallback", "fallback_of"}
    assert page["results"][0] == {name: value for name, value in full.items() if name not in extra}


def test_an_empty_list_is_a_page(caller: Caller) -> None:
    assert read(caller.get(PATH)) == {"results": [], "next": None, "previous": None}


@pytest.mark.parametrize("ordering", ["-created_at", "created_at"])
def test_pages_go_on_and_back(caller: Caller, ordering: str) -> None:
    made = [str(accept_message(caller.workspace)) for _ in range(5)]
    wanted = made if ordering == "created_at" else made[::-1]
    first = read(caller.get(f"{PATH}?limit=2&ordering={ordering}"))
    assert first["next"].startswith("http://testserver/api/v1/messages?limit=2&ordering=")
    second = follow(caller, first["next"])
    third = follow(caller, second["next"])
    assert [row["id"] for page in (first, second, third) for row in page["results"]] == wanted
    assert (first["previous"], third["next"]) == (None, None)
    back = follow(caller, third["previous"])
    assert back["results"] == second["results"]
    start = follow(caller, back["previous"])
    assert start["results"] == first["results"]
    assert start["previous"] is None
    assert follow(caller, start["next"])["results"] == second["results"]


def follow(caller: Caller, url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return dict(read(caller.get(f"{parts.path}?{parts.query}")))


def test_each_filter_narrows(caller: Caller) -> None:
    workspace = caller.workspace
    mail = accept_message(workspace, "Ann@Example.com")
    text = accept_message(workspace, "+12025550100", channel=Channel.SMS, subject="")
    batch = accept_batch(workspace, ["bob@example.com"])
    test = accept_message(workspace, "tess@example.com", test=True)
    control.cancel(workspace_id=workspace.id, message_id=text, cause=Cause.API)
    Message.objects.filter(id=mail).update(error_code="smtp_451", provider_message_id="<m1@example>")
    everything = [str(batch.ids[0]), str(text), str(mail)]
    cases = {
        "status=CANCELLED": [text],
        "status=CANCELLED,QUEUED": everything,
        "channel=sms": [text],
        "channel=sms,email&status=QUEUED": [batch.ids[0], mail],
        "to=ann@example.com": [mail],
        "to=Ann@EXAMPLE.com": [mail],
        "to=" + quote("+1 202 555 0100"): [text],
        "to=+12025550100": [text],
        "q=+12025550100": [text],
        f"batch={batch.batch_id}": batch.ids,
        f"batch={uuid7()}": [],
        "error_code=smtp_451": [mail],
        "test=true": [test],
        "test=false": [batch.ids[0], text, mail],
        f"q={mail}": [mail],
        "q=bob@example.com": batch.ids,
        "q=" + quote("<m1@example>"): [mail],
        "q=nothing": [],
        f"q={mail}&status=SENT": [],
        "created_after=2020-01-01": everything,
        "created_after=2020-01-01T00:00:00Z&created_before=2099-01-01T00:00:00Z": everything,
        "created_before=2020-01-01T00:00:00Z": [],
        "created_after=1900-01-01T00:00:00Z": everything,
        "created_before=9999-12-31T23:59:59Z": everything,
    }
    for query, wanted in cases.items():
        assert ids(caller, query) == [str(key) for key in wanted], query


def test_a_window_includes_its_start_and_not_its_end(caller: Caller) -> None:
    first, second = (accept_message(caller.workspace) for _ in range(2))
    start = timezone.now().replace(microsecond=0)
    for key, at in ((first, start), (second, start + timedelta(seconds=1))):
        Message.objects.filter(id=key).update(created_at=at)
    query = f"created_after={start:%Y-%m-%dT%H:%M:%SZ}&created_before={start + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    assert ids(caller, query) == [str(first)]


def test_workspaces_do_not_see_each_other(caller: Caller, stranger: Caller) -> None:
    key = accept_message(caller.workspace)
    for query in ("", f"q={key}", "to=ann@example.com", "status=QUEUED"):
        assert ids(stranger, query) == []


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("limit=0", ("/limit", "out_of_range")),
        ("limit=-1", ("/limit", "out_of_range")),
        ("limit=201", ("/limit", "out_of_range")),
        ("limit=" + "9" * 400, ("/limit", "out_of_range")),
        ("limit=NaN", ("/limit", "invalid_value")),
        ("limit=1.5", ("/limit", "invalid_value")),
        ("limit=x", ("/limit", "invalid_value")),
        ("status=sent", ("/status", "invalid_choice")),
        ("status=QUEUED,", ("/status", "invalid_choice")),
        ("channel=fax", ("/channel", "invalid_choice")),
        ("batch=1", ("/batch", "invalid_value")),
        ("created_after=yesterday", ("/created_after", "invalid_value")),
        ("created_after=2026-02-30T00:00:00Z", ("/created_after", "invalid_value")),
        ("ordering=id", ("/ordering", "invalid_choice")),
        ("ordering=workspace__slug", ("/ordering", "invalid_choice")),
        ("test=maybe", ("/test", "invalid_choice")),
        ("to=%00", ("/to", "invalid_value")),
        ("q=a%00b", ("/q", "invalid_value")),
        ("_connector=OR", ("/_connector", "unknown_parameter")),
        ("workspace=1", ("/workspace", "unknown_parameter")),
        ("status__in=SENT", ("/status__in", "unknown_parameter")),
        ("limit=1&limit=2", ("/limit", "repeated_parameter")),
    ],
)
def test_a_parameter_that_means_nothing_is_refused(caller: Caller, query: str, place: tuple[str, str]) -> None:
    assert_problem(caller.get(f"{PATH}?{query}"), 422, "validation_error", place)


def cursor_of(caller: Caller, query: str = "limit=1") -> str:
    url = read(caller.get(f"{PATH}?{query}"))["next"]
    return str(urlsplit(url).query.rpartition("cursor=")[2])


def test_a_forged_cursor_is_refused(caller: Caller) -> None:
    for _ in range(3):
        accept_message(caller.workspace)
    good = cursor_of(caller)
    raw = bytearray(base64.urlsafe_b64decode(good + "=="))
    raw[10] ^= 1
    forged = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    for text in (forged, good[:-1], good + "A", "x", "%20", "é", "A" * 47, "1' OR 1=1"):
        answer = caller.get(f"{PATH}?limit=1&cursor={quote(text)}")
        assert answer.status_code == 422, text
        assert b'"/cursor"' in answer.content
    assert len(ids(caller, f"limit=1&cursor={good}")) == 1


def test_a_cursor_belongs_to_its_filters_its_order_and_its_workspace(caller: Caller, stranger: Caller) -> None:
    for _ in range(3):
        accept_message(caller.workspace)
    good = cursor_of(caller)
    for other in ("status=QUEUED", "ordering=created_at"):
        answer = caller.get(f"{PATH}?limit=1&{other}&cursor={good}")
        assert_problem(answer, 422, "invalid_cursor", ("/cursor", "invalid_cursor"))
    assert_problem(stranger.get(f"{PATH}?cursor={good}"), 422, "invalid_cursor", ("/cursor", "invalid_cursor"))


def test_a_cursor_may_be_followed_with_another_limit(caller: Caller) -> None:
    made = [str(accept_message(caller.workspace)) for _ in range(4)]
    assert ids(caller, f"limit=3&cursor={cursor_of(caller)}") == made[2::-1]


def test_offsets_are_for_the_surfaces_that_count(caller: Caller) -> None:
    made = [accept_message(caller.workspace) for _ in range(4)]
    found = selectors.messages(workspace_id=caller.workspace.id, offset=1, limit=2)
    assert [row.id for row in found] == made[2:0:-1]


@pytest.mark.django_db
def test_a_list_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LIST_SECONDS", 0.05)
    with pytest.raises(OperationalError) as raised, rows.bounded(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    assert isinstance(raised.value.__cause__, QueryCanceled)
