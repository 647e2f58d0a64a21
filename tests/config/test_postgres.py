"""Connections of the API's pool, which are looked at before they are used."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections

from config.postgres.base import DatabaseWrapper, lives

PATIENCE = 10.0


@pytest.fixture
def other() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(os.environ["DATABASE_URL"], dbname="postgres", autocommit=True) as connection:
        yield connection


@pytest.fixture
def pooled() -> Iterator[DatabaseWrapper]:
    """A connection as the API's threads have it."""
    options = {"pool": {"min_size": 1, "max_size": 1, "timeout": PATIENCE}}
    wrapper = DatabaseWrapper(
        {**connections["default"].settings_dict, "NAME": "postgres", "CONN_MAX_AGE": 0, "OPTIONS": options}, "default"
    )
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def heard(connection: psycopg.Connection[Any]) -> bool:
    """Whether something arrived for a connection that asked for nothing."""
    return bool(select.select([connection], [], [], PATIENCE)[0])


def process_of(connection: psycopg.Connection[Any]) -> int:
    return connection.info.backend_pid


def test_a_connection_lives_until_its_server_ends_it(other: psycopg.Connection[Any]):
    with psycopg.connect(os.environ["DATABASE_URL"], dbname="postgres", autocommit=True) as connection:
        assert lives(connection)

        other.execute("SELECT pg_terminate_backend(%s)", [process_of(connection)])

        assert heard(connection)
        assert not lives(connection)
    assert not lives(connection)


def test_a_connection_that_was_told_something_lives(other: psycopg.Connection[Any]):
    with psycopg.connect(os.environ["DATABASE_URL"], dbname="postgres", autocommit=True) as connection:
        connection.execute("LISTEN lives")
        other.execute("NOTIFY lives")

        assert heard(connection)
        assert lives(connection)


@pytest.mark.django_db
def test_nobody_is_given_a_connection_that_was_ended(pooled: DatabaseWrapper, other: psycopg.Connection[Any]):
    with pooled.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        first = pooled.connection
    pooled.close()
    with pooled.cursor():
        assert pooled.connection is first
    pooled.close()
    other.execute("SELECT pg_terminate_backend(%s)", [process_of(first)])
    assert heard(first)

    with pooled.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
        assert pooled.connection is not first
