"""Lists touch about as many rows as they show, however many there are beside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone

from channels_app.types import Channel
from messaging.dispatch import selectors
from messaging.dispatch.selectors import MessageFilter, Party, Place, Sort
from messaging.models import Message, Workspace
from messaging.state import Standing, Status
from tests.factories import accept_batch, accept_message, make_workspace

LIMIT = 51
MANY = 6_000
SEVERAL = frozenset({Channel.EMAIL, Channel.SMS, Channel.PUSH})


@dataclass(frozen=True)
class Crowd:
    """A workspace with a few old messages, beside one with many newer ones."""

    rare: Workspace
    busy: Workspace
    old: UUID
    batch: UUID


@pytest.fixture
def crowd(db: None) -> Crowd:
    rare, busy = make_workspace("rare"), make_workspace("busy")
    for _ in range(3):
        accept_message(rare, "rare@example.com")
    old = accept_message(busy, "old@example.com")
    text = accept_message(busy, "+12025550100", channel=Channel.SMS, subject="")
    few = accept_batch(busy, ["few@example.com"] * 5)
    accept_batch(busy, [f"user{n}@example.com" for n in range(MANY)])
    Message.objects.filter(id__in=[old, text]).update(status=Status.FAILED)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_message")
    assert few.batch_id is not None
    return Crowd(rare=rare, busy=busy, old=old, batch=few.batch_id)


def touched(workspace: Workspace, **filters: Any) -> int:
    """Rows that the scans of a list read, those that they threw away included."""
    order = {name: filters.pop(name) for name in ("sort", "ascending", "after") if name in filters}
    where = MessageFilter(**filters)
    scans = [
        node
        for plan in plans(lambda: selectors.messages(workspace_id=workspace.id, where=where, limit=LIMIT, **order))
        for node in nodes(plan)
        if "Scan" in node["Node Type"] and node["Node Type"] != "Subquery Scan"
    ]
    assert scans
    return int(
        sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            for node in scans
            if node["Node Type"] != "Bitmap Index Scan"
        )
    )


def plans(read: Callable[[], object]) -> list[dict[str, Any]]:
    """How the database does what is asked of it, measured."""
    found: list[Any] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "messaging_message" in sql:
            with connection.cursor() as cursor:
                cursor.cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                (plan,) = cursor.cursor.fetchone()
                found.append((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        read()
    assert found
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def test_lists_are_flat(crowd: Crowd) -> None:
    party = Party(user_id=crowd.busy.id, addresses=frozenset({"old@example.com"}))
    place = Place(value="old@example.com", id=crowd.old)
    hour_ago = timezone.now() - timedelta(hours=1)
    cases: list[tuple[str, Workspace, dict[str, Any]]] = [
        ("the default order", crowd.busy, {}),
        ("a workspace with few and old rows", crowd.rare, {}),
        ("a common status", crowd.busy, {"statuses": frozenset({Status.QUEUED})}),
        ("a rare status", crowd.busy, {"statuses": frozenset({Status.FAILED})}),
        ("a status that none has", crowd.busy, {"statuses": frozenset({Status.CLICKED})}),
        ("two statuses", crowd.busy, {"statuses": frozenset({Status.QUEUED, Status.FAILED})}),
        ("a rare channel", crowd.busy, {"channels": frozenset({Channel.SMS})}),
        ("a recipient", crowd.busy, {"to": "old@example.com"}),
        ("a batch", crowd.busy, {"batch_id": crowd.batch}),
        ("a window", crowd.busy, {"created_after": hour_ago}),
        ("an empty window", crowd.busy, {"created_before": hour_ago}),
        ("an id", crowd.busy, {"q": str(crowd.old)}),
        ("the address of another workspace", crowd.rare, {"q": "user1@example.com"}),
        ("several channels", crowd.busy, {"channels": SEVERAL}),
        ("several channels, one of them rare", crowd.rare, {"channels": SEVERAL}),
        ("channels that none has", crowd.busy, {"channels": frozenset({Channel.ONSITE, Channel.PUSH})}),
        ("what was not tried yet", crowd.busy, {"standings": frozenset({Standing.QUEUED})}),
        ("what is tried again, where nothing is", crowd.busy, {"standings": frozenset({Standing.RETRYING})}),
        ("a status in several channels", crowd.busy, {"statuses": frozenset({Status.FAILED}), "channels": SEVERAL}),
        ("any case", crowd.busy, {"who": "OLD@example.com"}),
        ("a name that nobody has", crowd.busy, {"who": "nobody@example.com", "channels": SEVERAL}),
        ("a beginning", crowd.busy, {"prefix": "OLD@"}),
        ("a beginning that none has", crowd.busy, {"prefix": "zz", "channels": SEVERAL}),
        ("somebody who wrote nothing", crowd.busy, {"party": party, "channels": SEVERAL}),
        ("by recipient", crowd.busy, {"sort": Sort.RECIPIENT}),
        ("by recipient, from a place", crowd.busy, {"sort": Sort.RECIPIENT, "after": place, "ascending": True}),
    ]
    found = {name: touched(workspace, **filters) for name, workspace, filters in cases}
    assert {name: number for name, number in found.items() if number > 5 * LIMIT} == {}


@pytest.mark.usefixtures("transactional_db")
def test_an_offset_is_skipped_in_an_index_and_a_total_counted_there(crowd: Crowd) -> None:
    """A vacuumed table is not looked at for rows that are not shown."""
    sent = Message.objects.filter(workspace=crowd.busy).order_by("id")[: MANY // 2].values("id")
    Message.objects.filter(id__in=sent).update(status=Status.SENT)
    with connection.cursor() as cursor:
        # Earlier tests leave entries behind that make one index dearer than another.
        cursor.execute("REINDEX TABLE messaging_message")
        cursor.execute("VACUUM (ANALYZE) messaging_message")
    filters: list[dict[str, Any]] = [
        {},
        {"channels": SEVERAL},
        {"statuses": frozenset({Status.QUEUED})},
        {"statuses": frozenset({Status.QUEUED, Status.FAILED}), "channels": SEVERAL},
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        # The table is too small to need an index.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for each in filters:
            asked: dict[str, Any] = {"workspace_id": crowd.busy.id, "where": MessageFilter(**each)}
            (skipped, *_) = plans(partial(selectors.messages, offset=2_500, limit=50, **asked))
            (counted, *_) = plans(partial(selectors.total, **asked))
            for plan in (skipped, counted):
                many = {node["Node Type"] for node in nodes(plan) if node["Actual Rows"] > LIMIT}
                assert {kind for kind in many if "Scan" in kind} <= {"Index Only Scan", "Subquery Scan"}, each
                assert "Sort" not in many, each
