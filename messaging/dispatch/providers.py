"""The adapters that settings configure, and how patient to be with each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.conf import settings

from channels_app.base import ChannelAdapter
from channels_app.errors import ProviderMissing
from channels_app.registry import SANDBOX, Registry
from channels_app.types import Channel, OnUnknown
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of a channel's providers, and how much of the traffic it is meant to have."""

    adapter: ChannelAdapter
    weight: int | None = None
    """Its part of the messages, where providers are chosen by weight; one without is kept in reserve then."""
    rate: float = 0.0
    """Messages a second at the most; 0 is any number."""

    @property
    def name(self) -> str:
        return self.adapter.provider


def choices(channel: str) -> tuple[Choice, ...]:
    """The providers of a channel, the preferred first; none where it has no provider, or its settings are wrong."""
    try:
        adapters = registry().adapters(Channel(channel))
    except ProviderMissing:
        return ()
    options = settings.CHANNELS.get(channel, ())
    return tuple(
        Choice(
            adapter=adapter,
            weight=option.get("weight"),
            rate=settings.PROVIDER_RATES.get(adapter.provider, 0.0),
        )
        for adapter, option in zip(adapters, options, strict=True)
    )


_CAREFUL = (OnUnknown.HOLD, OnUnknown.ASK, OnUnknown.REPEAT)


def on_unknown(channel: str, *, test: bool) -> OnUnknown:
    """What to do where nobody knows which of a channel's providers may have a message: what the most careful does."""
    alone = adapter(channel, test=test) if test else None
    found = {alone.on_unknown} if alone else {choice.adapter.on_unknown for choice in choices(channel)}
    return next((policy for policy in _CAREFUL if policy in found), OnUnknown.HOLD)


def asked() -> list[str]:
    """Channels with a provider that can be asked what became of a message."""
    return [
        channel.value
        for channel in Channel
        if any(choice.adapter.on_unknown is OnUnknown.ASK for choice in choices(channel))
    ]


def policy(adapter: ChannelAdapter | None) -> Policy:
    """How long to back off and to hold; the sandbox is quick, so that people see the states go by."""
    sandbox = adapter is not None and adapter.provider == SANDBOX
    return Policy(
        backoff=settings.SANDBOX_BACKOFF_SECONDS if sandbox else settings.BACKOFF_SECONDS,
        limit=settings.BACKOFF_LIMIT_SECONDS,
        unknown=settings.SANDBOX_UNKNOWN_SECONDS if sandbox else settings.UNKNOWN_SECONDS,
        ask=settings.ASK_SECONDS,
    )
