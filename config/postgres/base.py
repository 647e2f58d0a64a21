"""Django's backend, but that a connection of the pool is looked at before it is used, where Django's asks the server.

A server that went away leaves its farewell in the socket, so that a connection in which nothing is to be read is as
good as one that just answered, for none of the time of a round trip. One that vanished without a word is found out by
the statement itself, as it would be by a question.
"""

from __future__ import annotations

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of one thread."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A new connection, or one of the pool that lives."""
        while True:
            connection = super().get_new_connection(conn_params)
            if self.pool is None or lives(connection):
                return connection
            # The pool makes another for one that comes back closed.
            connection.close()
            self.pool.putconn(connection)


def lives(connection: psycopg.Connection[Any]) -> bool:
    """Whether an idle connection can be used."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if not poll.poll(0):
        return True
    try:
        # A farewell, or news such as of a setting that was changed.
        connection.execute("")
    except psycopg.Error:
        return False
    return True
