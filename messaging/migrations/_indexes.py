"""Puts other indexes in the place of those that large tables have, while rows are written and read.

A migration calls it outside of transactions. Every step is a short one or holds nobody up, and is left out where it was
done before: what was interrupted is repeated.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.db import OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

TRIES: Final = 60
WAIT: Final = 0.5
"""Seconds that a lock is waited for which holds others up meanwhile, and between two tries."""

_FOUND = """
SELECT c.oid::regclass::text, pg_get_indexdef(c.oid), i.indisvalid
  FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.oid = to_regclass(%s)
"""
_PARTS = """
SELECT p.inhrelid::regclass::text,
       (SELECT h.inhrelid::regclass::text FROM pg_inherits h JOIN pg_index x ON x.indexrelid = h.inhrelid
         WHERE h.inhparent = %s::regclass AND x.indrelid = p.inhrelid)
  FROM pg_inherits p WHERE p.inhparent = %s::regclass ORDER BY 1
"""


def replace(
    connection: BaseDatabaseWrapper, table: str, indexes: Mapping[str, str], *, tries: int = TRIES, wait: float = WAIT
) -> None:
    """Give a table these indexes, by name, in the words of `pg_get_indexdef` after USING.

    Raises:
        OperationalError: others held the table whenever it was asked for; what was done until then is not lost.
    """
    swap = _Swap(connection, table, tries, wait)
    for name, definition in indexes.items():
        swap.put(name, definition)


class _Swap:
    """The work on one table."""

    def __init__(self, connection: BaseDatabaseWrapper, table: str, tries: int, wait: float) -> None:
        self._connection = connection
        self._table = table
        self._tries = tries
        self._wait = wait

    def put(self, name: str, definition: str) -> None:
        """Build an index beside the one that has the name, and let it take its place."""
        mark = hashlib.sha256(definition.encode()).hexdigest()[:8]
        new = f"{name}_{mark}"
        if self._is(name, definition):
            return
        if not self._rows("SELECT 1 FROM pg_partitioned_table WHERE partrelid = %s::regclass", self._table):
            self._build(new, self._table, definition)
        else:
            if not self._rows(_FOUND, new):
                self._briefly(f"CREATE INDEX {new} ON ONLY {self._table} USING {definition}")
            # Whoever makes a month meanwhile gives it the index.
            for part, index in self._rows(_PARTS, new, self._table):
                if index is None:
                    child = f"{part}_{new}"
                    self._build(child, part, definition)
                    self._briefly(f"ALTER INDEX {new} ATTACH PARTITION {child}")
        self._briefly(f"DROP INDEX IF EXISTS {name}", f"ALTER INDEX {new} RENAME TO {name}")

    def _build(self, name: str, table: str, definition: str) -> None:
        """Build a whole index. It waits for whoever writes and holds nobody up, so it may wait for long."""
        found = self._rows(_FOUND, name)
        if found and found[0][2]:
            return
        with self._connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 0")
            cursor.execute("SET statement_timeout = 0")
            try:
                cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
                cursor.execute(f"CREATE INDEX CONCURRENTLY {name} ON {table} USING {definition}")
            finally:
                cursor.execute("RESET lock_timeout")
                cursor.execute("RESET statement_timeout")

    def _briefly(self, *statements: str) -> None:
        """Run what needs the table for itself, and let others pass where it is not free at once."""

        def run() -> None:
            with transaction.atomic(using=self._connection.alias), self._connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {round(self._wait * 1000)}")
                for statement in statements:
                    cursor.execute(statement)

        self._again(run)

    def _again(self, deed: Callable[[], None]) -> None:
        for left in reversed(range(self._tries)):
            try:
                return deed()
            except OperationalError:
                if not left:
                    raise
            time.sleep(self._wait)
        return None

    def _is(self, name: str, definition: str) -> bool:
        return any(valid and told.endswith(f" USING {definition}") for _, told, valid in self._rows(_FOUND, name))

    def _rows(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall()
