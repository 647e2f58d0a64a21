"""What the contract tests share: a worker that really sends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection

from messaging.dispatch.queue import LANES, lift
from messaging.models import Claim
from messaging.state import Priority
from tests.running import Part, Stack, eventually


@pytest.fixture(scope="module")
def urgent_worker(django_db_setup: None) -> Iterator[Part]:
    """A worker process of the urgent lanes, on this test process's own database and broker."""
    database = connection.settings_dict
    where = f"{database['HOST']}:{database['PORT']}" if database["PORT"] else database["HOST"]
    servers = {
        "DATABASE_URL": f"postgresql://{database['USER']}:{database['PASSWORD']}@{where}/{database['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
        "BROKER_URL": settings.BROKER_URL,
    }
    with Stack(servers) as stack:
        stack.start("urgent")
        yield stack.parts["urgent"]


@pytest.fixture
def worker(transactional_db: None, urgent_worker: Part) -> Iterator[Part]:
    """The worker, with every bell taken off; it is idle again before the database is emptied."""
    for lane in LANES:
        if lane.priority is Priority.URGENT:
            lift(lane)
    yield urgent_worker
    eventually(lambda: not Claim.objects.exists(), "the worker has nothing in hand")
