"""What happens around tasks: signs of life, and connections that do not outlive their use."""

from __future__ import annotations

import contextlib
from typing import Any

from celery.signals import task_postrun, task_prerun, worker_init, worker_ready
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, close_old_connections, connections

from messaging.content import encryption
from messaging.dispatch import partitions, queue


def beat_pulse(process: str) -> None:
    """Leave a sign of life: in Valkey for /readyz, and as a file for the supervisor on this machine."""
    directory = settings.HOME / "run"
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"pulse-{process}").touch()
    with contextlib.suppress(queue.Unreachable):
        queue.record_pulse(process)


@worker_init.connect
def verify_keys(**kwargs: Any) -> None:
    """Do not start with keys that are missing or wrong. An ordinary exception would only be logged here."""
    try:
        encryption.verify_at_start()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from error
    finally:
        connections.close_all()


@worker_ready.connect
def first_pulse(**kwargs: Any) -> None:
    """Count a worker as ready as soon as it consumes, not only when beat first asks."""
    if settings.PROCESS:
        beat_pulse(settings.PROCESS)


@worker_ready.connect
def make_partitions(**kwargs: Any) -> None:
    """Make the months to come at every start, in the process that sweeps; accepts make one that is missing anyway."""
    if settings.PROCESS == "inside":
        with contextlib.suppress(DatabaseError):
            partitions.ensure()


@task_prerun.connect
@task_postrun.connect
def drop_stale_connections(**kwargs: Any) -> None:
    """Threads keep their connections between tasks; a broken or aged one is dropped."""
    close_old_connections()
