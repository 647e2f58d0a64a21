"""Indexes of large tables are put in each other's place while rows are written, and after an interruption."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, connections

from messaging.migrations import _indexes

pytestmark = pytest.mark.usefixtures("tried")

BEFORE = "btree (word)"
AFTER = "btree (word) INCLUDE (number) WHERE (number > 0)"


def run(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def tried(transactional_db: None) -> Iterator[None]:
    """A table in two parts, and a plain one, each with an index."""
    run("CREATE TABLE tried (number int, word text) PARTITION BY RANGE (number)")
    for part in range(2):
        run(f"CREATE TABLE tried_{part} PARTITION OF tried FOR VALUES FROM ({part * 100}) TO ({part * 100 + 100})")
    run("CREATE INDEX tried_word ON tried (word)")
    run("INSERT INTO tried SELECT n, 'a' FROM generate_series(0, 199) n")
    run("CREATE TABLE plain (number int, word text)")
    run("CREATE INDEX plain_word ON plain (word)")
    yield
    run("DROP TABLE tried, plain")


def indexes() -> dict[str, tuple[str, bool]]:
    """Index → table and definition, and whether it is whole."""
    rows = run(
        "SELECT c.relname, i.indrelid::regclass, substring(pg_get_indexdef(c.oid) FROM 'USING (.*)'), indisvalid"
        "  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid::regclass::text ~ '^(tried|plain)'"
    )
    return {name: (f"{table}: {told}", valid) for name, table, told, valid in rows}


def replaced(**fields: Any) -> None:
    _indexes.replace(connection, "tried", {"tried_word": AFTER}, **fields)


def assert_replaced(*parts: str) -> None:
    found = indexes()
    assert found["tried_word"] == (f"tried: {AFTER}", True)
    assert sorted(told for told, valid in found.values() if valid) == [
        f"plain: {BEFORE}",
        *(f"{table}: {AFTER}" for table in ("tried", "tried_0", "tried_1", *parts)),
    ]


def test_every_part_gets_the_index_and_once_is_enough() -> None:
    replaced()
    assert_replaced()
    before = run("SELECT oid FROM pg_class WHERE relname = 'tried_word'")
    replaced()
    assert run("SELECT oid FROM pg_class WHERE relname = 'tried_word'") == before
    _indexes.replace(connection, "tried", {"tried_word": BEFORE})
    assert indexes()["tried_word"] == (f"tried: {BEFORE}", True)


def test_a_table_without_parts_gets_it_too() -> None:
    _indexes.replace(connection, "plain", {"plain_word": AFTER})
    assert indexes()["plain_word"] == (f"plain: {AFTER}", True)


def test_what_was_interrupted_is_repeated() -> None:
    elsewhere = connection.copy()
    try:
        elsewhere.set_autocommit(False)
        with elsewhere.cursor() as reader:
            # Whoever reads for long keeps the old index from being dropped, not the new one from being built.
            reader.execute("SELECT count(*) FROM pg_index WHERE indrelid = 'tried'::regclass")
            reader.execute("LOCK TABLE tried IN ACCESS SHARE MODE")
            with pytest.raises(OperationalError):
                replaced(tries=2, wait=0.01)
    finally:
        elsewhere.close()
    built = {name: told for name, (told, valid) in indexes().items() if valid and "INCLUDE" in told}
    assert len(built) == 3
    assert indexes()["tried_word"] == (f"tried: {BEFORE}", True)
    (child,) = (name for name, told in built.items() if told.startswith("tried_1:"))
    (parent,) = (name for name, told in built.items() if told.startswith("tried:"))
    # As if the server had gone while it built the index of the second part.
    run(f"DROP INDEX {parent}")
    run(f"CREATE INDEX {parent} ON ONLY tried USING {AFTER}")
    with pytest.raises(IntegrityError):
        run(f"CREATE UNIQUE INDEX CONCURRENTLY {child} ON tried_1 USING {AFTER}")
    assert not indexes()[child][1]
    run("CREATE TABLE tried_2 PARTITION OF tried FOR VALUES FROM (200) TO (300)")

    replaced()
    assert_replaced("tried_2")


def test_rows_are_written_meanwhile() -> None:
    failed: list[BaseException] = []

    def rebuild() -> None:
        try:
            _indexes.replace(connections["default"], "tried", {"tried_word": AFTER})
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    worker = threading.Thread(target=rebuild)
    worker.start()
    written = 0
    while worker.is_alive():
        run(f"INSERT INTO tried VALUES ({written % 200}, 'b')")  # noqa: S608
        written += 1
    worker.join()
    assert failed == []
    assert_replaced()
    assert run("SELECT count(*) FROM tried WHERE word = 'b'") == [(written,)]


def test_an_installation_that_has_the_indexes_keeps_them() -> None:
    step = import_module("messaging.migrations.0015_lists_by_mode")
    names = "SELECT relname, oid FROM pg_class WHERE relname ~ '^(message|contact)_' ORDER BY 1"
    before = run(names)
    with connection.schema_editor(atomic=False) as editor:
        step._forwards(None, editor)
    assert run(names) == before
