"""A database that is stopped, not gone."""

from __future__ import annotations

import os

import psycopg
import pytest

from config.patience import PatientConnection


class Hasty(PatientConnection):
    patience = 0.3


def test_a_silent_database_is_given_up_and_its_connection_closed():
    connection = Hasty.connect(os.environ["DATABASE_URL"], dbname="postgres")

    with pytest.raises(psycopg.OperationalError, match="does not answer"):
        connection.execute("SELECT pg_sleep(30)")
    assert connection.closed


def test_a_database_that_goes_on_talking_is_heard_out():
    with Hasty.connect(os.environ["DATABASE_URL"], dbname="postgres") as connection, connection.cursor() as cursor:
        rows = [row[0] for row in cursor.stream("SELECT n FROM generate_series(1, 4) n, pg_sleep(0.1)")]
        cursor.execute("SELECT pg_sleep(0.1)")

    assert rows == [1, 2, 3, 4]
