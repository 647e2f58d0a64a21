"""Statements that the server plans once for each connection: with the partitions of messages, planning one takes
longer than carrying it out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection


@contextmanager
def prepared(sql: str, parameters: Mapping[str, Any]) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor over the results of a statement that is prepared at its first use."""
    # Django's own cursor puts the values into the text, which makes each a new statement; it opens the connection.
    with connection.cursor(), connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(sql, parameters, prepare=True)
        yield cursor
