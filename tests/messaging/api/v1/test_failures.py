"""A database that fails is a 503 that says when to come back; a fault of ours tells nothing about itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DataError, InterfaceError, OperationalError, connection
from psycopg import errors
from psycopg_pool import PoolTimeout

from tests.messaging.api.callers import Caller, assert_problem, read

PATH = "/api/v1/messages"
SEND: dict[str, Any] = {"channel": "email", "to": "ann@example.com", "subject": "Hi", "text": "Good day"}


@contextmanager
def failing(error: Exception, cause: Exception | None = None) -> Iterator[None]:
    """Every statement on messages fails so."""

    def fail(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "messaging_message" in sql:
            raise error from cause
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield


@pytest.mark.parametrize(
    ("error", "cause", "status", "code"),
    [
        (OperationalError("x"), errors.AdminShutdown(), 503, "unavailable"),
        (OperationalError("x"), None, 503, "unavailable"),
        (InterfaceError("connection already closed"), None, 503, "unavailable"),
        (PoolTimeout("x"), None, 503, "unavailable"),
        (OperationalError("x"), errors.DeadlockDetected(), 503, "unavailable"),
        (OperationalError("x"), errors.TooManyConnections(), 503, "unavailable"),
        (OperationalError("x"), errors.DiskFull(), 503, "storage_full"),
        (OperationalError("x"), errors.QueryCanceled(), 503, "query_timeout"),
        (DataError("x"), errors.UntranslatableCharacter(), 422, "validation_error"),
        (RuntimeError("secret"), None, 500, "internal_error"),
    ],
)
def test_a_failure_is_a_problem(
    caller: Caller, error: Exception, cause: Exception | None, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.messaging.api import callers

    monkeypatch.setitem(callers.TITLES, 500, "Internal Server Error")
    with failing(error, cause):
        answer = caller.get(PATH)
    body = assert_problem(answer, status, code)
    assert "secret" not in str(body)
    assert ("Retry-After" in answer) is (status == 503)


def test_work_goes_on_after_a_failure(caller: Caller) -> None:
    with failing(OperationalError("x"), errors.AdminShutdown()):
        assert_problem(caller.get(PATH), 503, "unavailable")
    read(caller.post(PATH, SEND), 202)
