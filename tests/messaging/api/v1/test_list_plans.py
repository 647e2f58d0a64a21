"""Lists touch about as many rows as they show, however many there are beside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from channels_app.types import Channel
from messaging.dispatch import selectors
from messaging.dispatch.selectors import MessageFilter
from messaging.models import Message, Workspace
from messaging.state import Status
from tests.factories import accept_batch, accept_message, make_workspace

LIMIT = 51
MANY = 6_000


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
    plans: list[Any] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "messaging_message" in sql:
            with connection.cursor() as cursor:
                cursor.cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                (plan,) = cursor.cursor.fetchone()
                plans.append((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        selectors.messages(workspace_id=workspace.id, where=MessageFilter(**filters), limit=LIMIT)
    assert plans
    scans = [node for plan in plans for node in nodes(plan) if "Scan" in node["Node Type"]]
    return int(
        sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            for node in scans
            if node["Node Type"] != "Bitmap Index Scan"
        )
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def test_lists_are_flat(crowd: Crowd) -> None:
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
    ]
    found = {name: touched(workspace, **filters) for name, workspace, filters in cases}
    assert {name: number for name, number in found.items() if number > 5 * LIMIT} == {}
