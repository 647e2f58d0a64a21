"""How many messages a list has: counted as far as that is quick, estimated beyond."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError, connection
from psycopg.errors import QueryCanceled

from messaging.dispatch.selectors.conditions import counted, whole
from messaging.dispatch.selectors.filters import ALL, MessageFilter
from messaging.dispatch.selectors.rows import bounded

BOUND: Final = 10_000
COUNT_SECONDS = 1.0
"""A count that takes longer is given up for an estimate."""

_REMEMBERED: Final = 10.0
"""Seconds for which a list that went beyond the bound is taken to do so still: its pages are asked for one by one."""
_MOST_REMEMBERED: Final = 1_000

_COUNT = "SELECT count(*) FROM ({every} LIMIT %s) AS found"


@dataclass(frozen=True, kw_only=True, slots=True)
class Total:
    """How many there are, or about how many."""

    number: int
    estimated: bool


_beyond: dict[tuple[UUID, MessageFilter, int], float] = {}
"""Until when lists count as longer than a bound."""


def total(*, workspace_id: UUID, where: MessageFilter = ALL, bound: int = BOUND) -> Total:
    """Count a workspace's messages up to a bound; more than that are as many as the planner expects."""
    asked = (workspace_id, where, bound)
    if _beyond.get(asked, 0.0) > time.monotonic():
        return Total(number=max(bound, _expected(workspace_id, where)), estimated=True)
    found = counted(workspace_id, where)
    if not found:
        return Total(number=0, estimated=False)
    parts = [f"SELECT 1 FROM messaging_message WHERE {branch.sql}" for branch in found]
    parameters = [value for branch in found for value in branch.parameters]
    try:
        with bounded(COUNT_SECONDS), connection.cursor() as cursor:
            cursor.execute(_COUNT.format(every=" UNION ALL ".join(parts)), [*parameters, bound + 1])
            (number,) = cursor.fetchone()
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        return Total(number=_expected(workspace_id, where), estimated=True)
    if number <= bound:
        return Total(number=number, estimated=False)
    if len(_beyond) >= _MOST_REMEMBERED:
        _beyond.clear()
    _beyond[asked] = time.monotonic() + _REMEMBERED
    return Total(number=max(bound, _expected(workspace_id, where)), estimated=True)


def _expected(workspace_id: UUID, where: MessageFilter) -> int:
    """How many rows the planner thinks there are."""
    (every,) = whole(workspace_id, where)
    with connection.cursor() as cursor:
        sql = f"EXPLAIN (FORMAT JSON) SELECT 1 FROM messaging_message WHERE {every.sql}"
        cursor.execute(sql, list(every.parameters))
        (plan,) = cursor.fetchone()
    plans: list[dict[str, Any]] = plan if isinstance(plan, list) else json.loads(plan)
    return int(plans[0]["Plan"]["Plan Rows"])
