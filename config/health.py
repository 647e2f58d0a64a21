"""Says whether this process lives, and whether the whole platform is ready for work."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from config.stack.processes import WORKERS
from messaging.dispatch import queue

log = structlog.get_logger(__name__)

SILENT_SECONDS = 30
"""A worker that has taken no task for so long is not at work: beat gives each one every few seconds."""

_migrated = False


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """This process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Everything that a message needs on its way works."""
    checks = {"database": _verdict(_database), "valkey": _verdict(queue.ping), **_workers()}
    fine = all(verdict == "ok" for verdict in checks.values())
    return JsonResponse({"status": "ok" if fine else "failing", "checks": checks}, status=200 if fine else 503)


def _verdict(check: Callable[[], object]) -> str:
    """Run a check. Whatever it raises is a verdict, and what it says goes to the log, not to the caller."""
    try:
        check()
    except Exception as error:
        log.warning("not_ready", check=check.__name__, error=type(error).__name__)
        return "failing"
    return "ok"


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    _check_migrated()


def _check_migrated() -> None:
    """Compare the schema with the code once; a process does not outlive its code."""
    global _migrated
    if _migrated:
        return
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise RuntimeError("the database is not migrated")
    _migrated = True


def _workers() -> dict[str, str]:
    try:
        pulses = queue.pulses()
    except Exception as error:
        log.warning("not_ready", check="workers", error=type(error).__name__)
        pulses = {}
    return {
        worker.name: "ok" if pulses.get(worker.name, SILENT_SECONDS) < SILENT_SECONDS else "failing"
        for worker in WORKERS
    }
