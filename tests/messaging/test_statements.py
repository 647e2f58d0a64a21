"""Statements that are planned once for each connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection, transaction

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


@pytest.fixture
def altered(transactional_db: None) -> Iterator[Callable[[str], None]]:
    """Alters the column of a small table from another connection, as a migration does."""
    elsewhere = connection.copy()

    def run(sql: str) -> None:
        with elsewhere.cursor() as cursor:
            cursor.execute(sql)

    run("CREATE TABLE altered AS SELECT 'told'::varchar(9) AS word")
    connection.ensure_connection()
    connection.connection.prepare_threshold = 0
    yield lambda kind: run(f"ALTER TABLE altered ALTER word TYPE {kind}")
    connection.close()
    run("DROP TABLE altered")
    elsewhere.close()


def word() -> str:
    with prepared("SELECT word FROM altered", {}) as cursor:
        return str(cursor.fetchone()[0])


def test_what_a_migration_altered_is_planned_for_anew(altered: Callable[[str], None]):
    for kind in ("varchar(10)", "varchar(11)", "text"):
        assert [word(), word()] == ["told", "told"]
        altered(kind)
    assert word() == "told"


def test_a_transaction_that_meets_such_a_plan_can_be_tried_again(altered: Callable[[str], None]):
    assert word() == "told"
    altered("text")

    with pytest.raises(OperationalError), transaction.atomic():
        word()
    with transaction.atomic():
        assert word() == "told"
