"""Connections that give up waiting: a database that is stopped, not gone, would hold a request for ever."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

PATIENCE = 10.0
"""Seconds without a word from the server, within one statement. No statement of the API may take as long."""

T = TypeVar("T")


class PatientConnection(psycopg.Connection[Any]):
    """A connection that closes itself when the server says nothing for `PATIENCE` seconds."""

    patience = PATIENCE

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for the server.

        Raises:
            psycopg.OperationalError: it says nothing for too long; the connection is closed.
        """
        try:
            return super().wait(_bounded(gen, self.patience), *args, **kwargs)
        except Silence as error:
            self.close()
            raise psycopg.OperationalError("the database does not answer") from error


class Silence(Exception):
    """Nothing was heard for too long."""


def _bounded(waiting: Generator[Any, Any, T], patience: float) -> Generator[Any, Any, T]:
    """The same conversation with the server, cut short after a silence. A silent interval is sent in as 0."""
    try:
        wanted = next(waiting)
        silent_since = time.monotonic()
        while True:
            ready = yield wanted
            if ready:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > patience:
                raise Silence
            wanted = waiting.send(ready)
    except StopIteration as end:
        answer: T = end.value
        return answer
