"""Makes the Celery application, the checks and the destinations that have names known to every process."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings

from channels_app.addresses import name_destinations


class CompositionConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        import_module("config.celery")
        import_module("config.checks")
        name_destinations(settings.APPRISE_URLS)
