"""The adapters that settings configure, and how patient to be with each."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from channels_app.base import ChannelAdapter
from channels_app.errors import ProviderMissing
from channels_app.registry import SANDBOX, Registry
from channels_app.types import Channel
from messaging.dispatch.retry import Policy


@cache
def registry() -> Registry:
    """The adapters of this process."""
    return Registry(settings.CHANNELS)


def adapter(channel: str, *, test: bool) -> ChannelAdapter | None:
    """The adapter that a message of this channel goes to; None where the channel has no provider."""
    try:
        return registry().adapter(Channel(channel), test=test)
    except ProviderMissing:
        return None


def policy(adapter: ChannelAdapter | None) -> Policy:
    """How long to back off and to hold; the sandbox is quick, so that people see the states go by."""
    sandbox = adapter is not None and adapter.provider == SANDBOX
    return Policy(
        backoff=settings.SANDBOX_BACKOFF_SECONDS if sandbox else settings.BACKOFF_SECONDS,
        limit=settings.BACKOFF_LIMIT_SECONDS,
        unknown=settings.SANDBOX_UNKNOWN_SECONDS if sandbox else settings.UNKNOWN_SECONDS,
    )
