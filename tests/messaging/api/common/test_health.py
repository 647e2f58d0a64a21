"""/livez and /readyz."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from config.stack.processes import WORKERS
from messaging.dispatch import queue

NAMES = [worker.name for worker in WORKERS]


@pytest.fixture
def working() -> None:
    """Every worker has just taken a task."""
    for name in NAMES:
        queue.record_pulse(name)


def checks(**changed: str) -> dict[str, str]:
    return {"database": "ok", "valkey": "ok", **dict.fromkeys(NAMES, "ok"), **changed}


@pytest.mark.parametrize("path", ["/livez", "/livez/"])
def test_a_process_lives_without_a_database(path: str) -> None:
    answer = Client().get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("path", ["/readyz", "/readyz/"])
def test_everything_works(path: str) -> None:
    answer = Client().get(path)
    assert answer.json() == {"status": "ok", "checks": checks()}
    assert answer.status_code == 200


@pytest.mark.django_db
@pytest.mark.usefixtures("working")
def test_a_silent_worker_is_named() -> None:
    queue.valkey().delete("pulse:email")
    queue.valkey().set("pulse:phone", repr(time.time() - 31))
    answer = Client().get("/readyz")
    assert answer.json() == {"status": "failing", "checks": checks(email="failing", phone="failing")}
    assert answer.status_code == 503


@pytest.mark.django_db
@pytest.mark.usefixtures("working")
def test_a_database_that_is_away_is_named() -> None:
    def fail(*arguments: Any) -> Any:
        raise OperationalError("secret host")

    with connection.execute_wrapper(fail):
        answer = Client().get("/readyz")
    assert answer.json() == {"status": "failing", "checks": checks(database="failing")}
    assert answer.status_code == 503
