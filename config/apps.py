"""Makes the Celery application and the checks known to every process."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class CompositionConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        import_module("config.celery")
        import_module("config.checks")
