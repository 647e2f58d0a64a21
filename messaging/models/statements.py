"""Statements that the server plans once for each connection: with the partitions of messages, planning one takes
longer than carrying it out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec
import psycopg
from django.db import connection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

_NAMED = re.compile(r"%\((\w+)\)s")


class _Json(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> Any:
        # The first byte is the format's version.
        return msgspec.json.decode(memoryview(data)[1:])


@contextmanager
def prepared(sql: str, parameters: Mapping[str, Any], *, binary: bool = False) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor over the results of a statement that is prepared at its first use.

    `binary` asks for results that are quick to read; Django's own readers know text alone, so JSON comes parsed.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    text, names = _numbered(sql)
    # Django's own cursor puts the values into the text, which makes each a new statement.
    with connection.wrap_database_errors, psycopg.RawCursor(connection.connection) as cursor:
        if binary:
            cursor.adapters.register_loader("jsonb", _Json)
        cursor.execute(text, [parameters[name] for name in names], prepare=True, binary=binary)
        yield cursor


@cache
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement as the server wants it, and the parameters in order: psycopg takes long ones apart at each use."""
    places: dict[str, int] = {}
    text = _NAMED.sub(lambda named: f"${places.setdefault(named[1], len(places) + 1)}", sql)
    return text.encode(), tuple(places)
