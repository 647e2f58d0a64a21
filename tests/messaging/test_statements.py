"""Statements that are planned once for each connection."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DataError, connection

from messaging.models.statements import prepared

pytestmark = pytest.mark.django_db


def kept() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%plus one%%'", [])
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize(("threshold", "number"), [(0, 1), (None, 0)])
def test_a_connection_that_allows_it_keeps_the_plan(threshold: int | None, number: int):
    connection.ensure_connection()
    connection.connection.prepare_threshold = threshold
    found = []
    for value in (1, 2, 3):
        with prepared("SELECT %(value)s::int + 1 -- plus one", {"value": value}) as cursor:
            found += cursor.fetchall()

    assert found == [(2,), (3,), (4,)]
    assert kept() == number
    connection.connection.prepare_threshold = None


def test_its_errors_are_those_of_the_framework():
    with pytest.raises(DataError), prepared("SELECT 1 / %(value)s::int", {"value": 0}):
        pass


def test_it_is_seen_by_whoever_watches_the_connection():
    seen = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch), prepared("SELECT %(b)s::int - %(a)s::int", {"a": 1, "b": 3}) as cursor:
        assert cursor.fetchone() == (2,)
    assert seen == [("SELECT $1::int - $2::int", [3, 1])]
