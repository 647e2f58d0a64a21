"""System checks: settings that cannot work are told at start-up, each with an id and a hint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from channels_app.errors import ProviderMissing
from channels_app.types import Channel
from messaging.content import encryption
from messaging.dispatch import partitions, providers

_NAPTIME_MS = 60_000
_LONG_ANSWER = 20.0
"""Seconds; with those in which requests are begun, no more than a worker has to stop."""
_LONG_WAIT = 10.0
"""Seconds; an API process that is asked to stop gives its requests no more than this."""


@register(Tags.compatibility)
def check_providers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Every configured provider can be built from its settings."""
    found: list[CheckMessage] = []
    for channel in Channel:
        try:
            providers.registry().adapters(channel)
        except ProviderMissing as error:
            hint = "docs/configuration.md lists the variables of each channel."
            found.append(Error(f"{channel}: {error}", hint=hint, id="dispatch.E001"))
    return found


@register(Tags.compatibility)
def check_rates(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Every rate names a provider that there is."""
    try:
        known = {adapter.provider for channel in Channel for adapter in providers.registry().adapters(channel)}
    except ProviderMissing:
        # check_providers tells what is wrong.
        return []
    unknown = sorted(set(settings.PROVIDER_RATES) - known)
    if not unknown:
        return []
    hint = f"There are: {', '.join(sorted(known)) or 'none'}. The second server of EMAIL_URL is smtp-2."
    return [Error(f"PROVIDER_RATES names no provider: {', '.join(unknown)}", hint=hint, id="dispatch.E003")]


@register(Tags.compatibility)
def check_waits(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Requests that wait for outcomes are not cut off when the API stops."""
    if settings.SYNC_WAIT_SECONDS > _LONG_WAIT:
        hint = "Waits of a few seconds are enough: what comes later is told by the message itself."
        return [Warning(f"SYNC_WAIT_SECONDS is more than {_LONG_WAIT:.0f}", hint=hint, id="dispatch.W004")]
    return []


@register(Tags.compatibility)
def check_webhook_deadline(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A worker that is asked to stop has the time for the answers of endpoints."""
    if settings.WEBHOOK_DEADLINE_SECONDS > _LONG_ANSWER:
        hint = "Endpoints answer first and work afterwards; what was cut off is sent again."
        return [Warning(f"WEBHOOK_DEADLINE_SECONDS is more than {_LONG_ANSWER:.0f}", hint=hint, id="dispatch.W005")]
    return []


@register(Tags.security)
def check_secrets(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A process of the stack has secrets of its own."""
    if settings.PROCESS and settings.SECRET_KEY_IS_DEFAULT:
        hint = "Start it by ./dispatch up, or set SECRET_KEY."
        return [Warning("SECRET_KEY is the one that everybody knows", hint=hint, id="dispatch.W001")]
    return []


@register(Tags.database)
def check_keys(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The platform's keys open what they encrypted."""
    if not databases:
        return []
    try:
        encryption.verify()
    except DatabaseError:
        # Not migrated yet, or away.
        return []
    except ImproperlyConfigured as error:
        return [Error(f"{error} (docs/operations.md, Secrets and keys)", id="dispatch.E002")]
    return []


@register(Tags.database)
def check_database(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The months to come have their partitions, and the server looks after them often enough."""
    if not databases:
        return []
    found: list[CheckMessage] = []
    try:
        missing = partitions.missing()
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM current_setting('autovacuum_naptime')::interval) * 1000")
            naptime = int(cursor.fetchone()[0])
    except DatabaseError:
        return []
    if missing:
        hint = "./dispatch manage migrate makes them; beat does so while it runs."
        found.append(Warning(f"partitions are missing: {', '.join(missing)}", hint=hint, id="dispatch.W002"))
    if naptime >= _NAPTIME_MS:
        hint = "Set autovacuum_naptime to 10s: partitions that are sent from need it (docs/operations.md)."
        found.append(Warning("autovacuum looks around once a minute only", hint=hint, id="dispatch.W003"))
    return found
