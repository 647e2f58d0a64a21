"""How many messages a list has: counted as far as that is quick, estimated beyond."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError, connection
from psycopg.errors import QueryCanceled

from messaging.dispatch.selectors.conditions import Condition, branches
from messaging.dispatch.selectors.filters import ALL, MessageFilter
from messaging.dispatch.selectors.rows import bounded

BOUND: Final = 10_000
COUNT_SECONDS = 1.0
"""A count that takes longer is given up for an estimate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Total:
    """How many there are, or about how many."""

    number: int
    estimated: bool


def total(*, workspace_id: UUID, where: MessageFilter = ALL, bound: int = BOUND) -> Total:
    """Count a workspace's messages up to a bound; more than that are as many as the planner expects."""
    found = branches(workspace_id, where, merged=True)
    if not found:
        return Total(number=0, estimated=False)
    parts = [f"SELECT 1 FROM messaging_message WHERE {branch.sql}" for branch in found]
    parameters = [value for branch in found for value in branch.parameters]
    try:
        with bounded(COUNT_SECONDS), connection.cursor() as cursor:
            every = " UNION ALL ".join(parts)
            cursor.execute(f"SELECT count(*) FROM ({every} LIMIT %s) AS found", [*parameters, bound + 1])
            (number,) = cursor.fetchone()
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        return Total(number=_expected(branches(workspace_id, where, merged=False)), estimated=True)
    if number <= bound:
        return Total(number=number, estimated=False)
    return Total(number=max(bound, _expected(branches(workspace_id, where, merged=False))), estimated=True)


def _expected(found: list[Condition]) -> int:
    """How many rows the planner thinks there are."""
    (every,) = found
    with connection.cursor() as cursor:
        sql = f"EXPLAIN (FORMAT JSON) SELECT 1 FROM messaging_message WHERE {every.sql}"
        cursor.execute(sql, list(every.parameters))
        (plan,) = cursor.fetchone()
    plans: list[dict[str, Any]] = plan if isinstance(plan, list) else json.loads(plan)
    return int(plans[0]["Plan"]["Plan Rows"])
