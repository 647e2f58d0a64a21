"""Structured logs: one JSON object a line in a process of the stack, plain words at a terminal."""

from __future__ import annotations

import logging.config
from typing import Any

import structlog

_QUIET = {
    "django.request": "ERROR",
    "django.security.DisallowedHost": "CRITICAL",
    "celery.app.trace": "WARNING",
    "celery.beat": "WARNING",
    "celery.worker.strategy": "WARNING",
    "urllib3": "ERROR",
}
"""Loggers that would write a line for each request or task, or a URL, which may hold a secret."""


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def logging_config(*, process: str, level: str) -> dict[str, Any]:
    """The dictionary for logging.config; `process` is empty at a terminal."""
    renderer: Any = structlog.processors.JSONRenderer() if process else structlog.dev.ConsoleRenderer(colors=False)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _shared(),
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {name: {"level": quiet} for name, quiet in _QUIET.items()},
    }


def configure(config: dict[str, Any]) -> None:
    """Route structlog and the standard library to the same handlers."""
    logging.config.dictConfig(config)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
