"""The domain as a Django application."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


def make_partitions(sender: Any, using: str, **kwargs: Any) -> None:
    """Make the months to come whenever the schema was brought up to date."""
    from messaging.dispatch import partitions

    partitions.ensure(using=using)


class MessagingConfig(AppConfig):
    name = "messaging"

    def ready(self) -> None:
        post_migrate.connect(make_partitions, sender=self)
