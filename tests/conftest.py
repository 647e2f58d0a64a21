"""What every test stands on: real servers, which `tests.numbers` shares out, and no network but loopback."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

_LOOPBACK = ("127.", "::1", "localhost", "::ffff:127.")
_KEY = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?7[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)


def _refuse_other_networks(event: str, arguments: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
        raise PermissionError(f"a test may only reach loopback, not {address[0]}")


sys.addaudithook(_refuse_other_networks)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a case by what is the same in every process: not by a key that was just made."""
    return _KEY.sub("key", val) if isinstance(val, str) and _KEY.search(val) else None


@pytest.fixture(scope="session", autouse=True)
def clean_valkey() -> None:
    """Begin with no bells and no tasks of an earlier run."""
    import redis

    for name in ("REDIS_URL", "BROKER_URL"):
        with redis.Redis.from_url(os.environ[name]) as client:
            client.flushdb()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Before the test database goes, end the connections that the dispatcher's own threads keep to it."""
    from django.db import connection

    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(scope="session")
def project() -> Path:
    """The folder of the project."""
    return Path(__file__).resolve().parent.parent
