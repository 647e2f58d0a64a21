"""Pages of rows that are counted with them: exactly up to a bound, above it as the planner expects."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from messaging.api.campaignos.envelope import Page, paged
from messaging.api.common.queries import PageQuery

BOUND = 10_000
"""Rows that are counted one by one."""

R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound=Model)


def page_of(
    rows: QuerySet[M], show: Callable[[R], T], *, query: PageQuery, read: Callable[[Sequence[M]], Sequence[R]]
) -> Page[T]:
    """The page that is asked for; `read` gives what is shown of the rows on it."""
    exact = rows.order_by()[: BOUND + 1].count()
    total = exact if exact <= BOUND else max(exact, _expected(rows))
    found = read(list(rows[query.offset : query.offset + query.limit]))
    return paged(found, show, query=query, total=total, estimated=exact > BOUND)


def _expected(rows: QuerySet[Any]) -> int:
    plan = json.loads(rows.order_by().explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])
