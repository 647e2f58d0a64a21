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
from django.db.backends.utils import CursorWrapper
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
def prepared(sql: str, parameters: Mapping[str, Any], *, binary: bool = False) -> Iterator[CursorWrapper]:
    """A cursor over the results of a statement that a connection which allows it prepares at its first use.

    `binary` asks for results that are quick to read; Django's own readers know text alone, so JSON comes parsed.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    text, names = _numbered(sql)
    # Django's own cursor puts the values into the text, which makes each a new statement.
    raw = psycopg.RawCursor(connection.connection)
    if binary:
        raw.format = Format.BINARY
        raw.adapters.register_loader("jsonb", _Json)
    with CursorWrapper(raw, connection) as cursor:
        cursor.execute(text, [parameters[name] for name in names])
        yield cursor


@cache
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement as the server wants it, and the parameters in order: psycopg takes long ones apart at each use."""
    places: dict[str, int] = {}
    text = _NAMED.sub(lambda named: f"${places.setdefault(named[1], len(places) + 1)}", sql)
    return text, tuple(places)
