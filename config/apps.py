"""Makes the Celery application known to every process, since the domain rings bells through it."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class CompositionConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        import_module("config.celery")
