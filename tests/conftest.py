"""What every test stands on: real servers, which `tests.numbers` shares out, and no network but loopback."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
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

# The same examples in every run, however long the machine takes to make them up.
hypothesis.settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal files to processes our own way, where files are dealt."""
    from tests.shares import Shares

    return Shares(config, log) if config.getoption("dist") == "loadfile" else None


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


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> None:
    """Hash passwords at once: what keeps others from guessing them takes longer than most tests."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


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


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A database that commits, for what several connections must see; emptied by DELETE, far quicker than TRUNCATE."""
    from django.db import connection

    with django_db_blocker.unblock():
        yield
        with connection.cursor() as cursor:
            cursor.execute("BEGIN;" + "".join(f"DELETE FROM {table};" for table in _tables()) + "COMMIT")  # noqa: S608
        connection.close()


@cache
def _tables() -> list[str]:
    """The tables that tests write to."""
    from django.apps import apps

    made_by_migrations = {"contenttypes.ContentType", "auth.Permission"}
    models = apps.get_models(include_auto_created=True)
    return [model._meta.db_table for model in models if model._meta.label not in made_by_migrations]


@pytest.fixture(scope="session")
def project() -> Path:
    """The folder of the project."""
    return Path(__file__).resolve().parent.parent
