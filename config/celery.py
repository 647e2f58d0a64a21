"""The Celery application. Tasks carry a lane's name and nothing else: Postgres is the truth (docs/architecture.md)."""

from __future__ import annotations

import os
import sys

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_ready
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from config import interpreter
from config.stack.processes import POOLS
from workers.schedule import SCHEDULE

app = Celery("dispatch")
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": 300,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "queue_order_strategy": "priority",
        "socket_timeout": 10,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
    },
    task_ignore_result=True,
    task_acks_late=False,
    task_publish_retry=False,
    task_create_missing_queues=True,
    worker_prefetch_multiplier=1,
    # A killed child strands what it had fetched; with threads the same setting stalls bursts for seconds.
    worker_disable_prefetch=POOLS.get(settings.PROCESS) == "prefork",
    worker_soft_shutdown_timeout=10,
    worker_enable_soft_shutdown_on_idle=True,
    worker_hijack_root_logger=False,
    worker_send_task_events=True,
    beat_schedule=SCHEDULE,
    timezone="UTC",
)
# Celery would close every thread's connection before and after each task; workers.signals drops those that are stale.
app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize
app.autodiscover_tasks(["workers"])


@setup_logging.connect
def keep_logging(**kwargs: object) -> None:
    """Leave the logging that settings configured."""


@worker_process_init.connect
@worker_ready.connect
def settle(**kwargs: object) -> None:
    """Settle the interpreter in each child of a pool of processes, and in a worker once it consumes."""
    interpreter.settle()
