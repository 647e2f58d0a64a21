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
from django.db import NotSupportedError, OperationalError, connection
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
    values = [parameters[name] for name in names]
    with CursorWrapper(raw, connection) as cursor:
        try:
            cursor.execute(text, values)
        except NotSupportedError as error:
            _forget_plans(error)
            cursor.execute(text, values)
        yield cursor


def _forget_plans(error: NotSupportedError) -> None:
    """Make the connection plan anew: a migration may have altered the type of a column that a statement gives, and the
    server then refuses the plan that it keeps for it.

    Raises:
        OperationalError: the connection is in a transaction, whose end makes it forget them.
    """
    if connection.in_atomic_block:
        raise OperationalError(*error.args) from error
    with connection.wrap_database_errors:
        connection.connection.execute("DEALLOCATE ALL", prepare=False)


@cache
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement as the server wants it, and the parameters in order: psycopg takes long ones apart at each use."""
    places: dict[str, int] = {}
    text = _NAMED.sub(lambda named: f"${places.setdefault(named[1], len(places) + 1)}", sql)
    return text, tuple(places)
