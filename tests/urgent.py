"""A worker process of the urgent lanes for tests in this process: what is accepted here, it sends.

@pytest.mark.usefixtures("transactional_db")
def test_it_is_sent(worker: Part) -> None: ...
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection
from pytest_django import Settings

from messaging.dispatch.queue import LANES, lift
from messaging.models import Claim
from messaging.state import Priority
from tests.running import PATIENCE, Part, Stack, eventually

__all__ = ["KEYS", "urgent_worker", "worker"]

KEYS = {"k1": bytes(range(32))}
"""The keys that the worker encrypts with; a test that does so, too, sets `settings.DISPATCH_KEYS` to them."""


@pytest.fixture(scope="module")
def urgent_worker(django_db_setup: None) -> Iterator[Part]:
    """A worker process of the urgent lanes, on this test process's own database and broker."""
    database = connection.settings_dict
    where = f"{database['HOST']}:{database['PORT']}" if database["PORT"] else database["HOST"]
    environment = {
        "DATABASE_URL": f"postgresql://{database['USER']}:{database['PASSWORD']}@{where}/{database['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
        "BROKER_URL": settings.BROKER_URL,
        "VALKEY_TIMEOUT_MS": f"{settings.VALKEY_SECONDS * 1000:.0f}",
    }
    secrets = {
        "SECRET_KEY": settings.SECRET_KEY,
        "DISPATCH_KEYS": ",".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in KEYS.items()),
        "PUBLIC_BASE_URL": settings.PUBLIC_BASE_URL,
    }
    with Stack(environment, **secrets) as stack:
        stack.start("urgent")
        yield stack.parts["urgent"]


@pytest.fixture
def worker(transactional_db: None, urgent_worker: Part, settings: Settings) -> Iterator[Part]:
    """The worker, with every bell taken off; it is idle again before the database is emptied.

    Requests wait for it as long as it takes: on a busy machine the usual wait may be over first.
    """
    settings.SYNC_WAIT_SECONDS = PATIENCE
    for lane in LANES:
        if lane.priority is Priority.URGENT:
            lift(lane)
    yield urgent_worker
    eventually(lambda: not Claim.objects.exists(), "the worker has nothing in hand")
