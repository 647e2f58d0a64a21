"""Which providers a channel has, in order of preference."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from channels_app.base import ChannelAdapter
from channels_app.errors import ProviderMissing
from channels_app.services import SERVICES
from channels_app.types import Channel

SANDBOX: Final = "sandbox"

ADAPTERS: Final[Mapping[str, str]] = {
    SANDBOX: "channels_app.adapters.sandbox:SandboxAdapter",
    "anymail": "channels_app.adapters.anymail:AnymailAdapter",
    "apprise": "channels_app.adapters.apprise:AppriseAdapter",
    "inapp": "channels_app.adapters.inapp:InAppAdapter",
    "webpush": "channels_app.adapters.push:PushAdapter",
    "smtp": "channels_app.adapters.smtp:SmtpAdapter",
    "telegram": "channels_app.adapters.telegram:TelegramAdapter",
    "twilio": "channels_app.adapters.twilio:TwilioAdapter",
    "webhook": "channels_app.adapters.webhook:WebhookAdapter",
}
"""Adapter's name → where its class is. A class is imported when a channel first needs it: some bring much along."""


class Registry:
    """The adapters of every channel, built on first use from the settings and kept. Safe to share between threads.

    `config` maps a channel to the options of its providers, the preferred first:
    `{"email": [{"adapter": "smtp", "url": "smtp://relay.example:25"}], "sms": [{"adapter": "sandbox"}]}`.
    """

    def __init__(self, config: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._config = {channel: tuple(config.get(channel, ())) for channel in Channel}
        self._lock = threading.Lock()
        self._adapters: dict[Channel, tuple[ChannelAdapter, ...]] = {}
        self._sandboxes: dict[Channel, ChannelAdapter] = {}
        unknown = sorted(set(config) - set(Channel))
        if unknown:
            raise ProviderMissing(f"no such channel: {', '.join(unknown)}")

    def adapters(self, channel: Channel) -> tuple[ChannelAdapter, ...]:
        """Give the channel's adapters, the preferred first; none where it has no provider.

        Raises:
            ProviderMissing: a setting is missing or malformed.
        """
        found = self._adapters.get(channel)
        if found is None:
            with self._lock:
                found = self._adapters.get(channel) or self._build_all(channel)
                self._adapters[channel] = found
        return found

    def adapter(self, channel: Channel, *, test: bool = False) -> ChannelAdapter:
        """Give the channel's preferred adapter, or its sandbox for a message in test mode.

        Raises:
            ProviderMissing: the channel has no provider, or a setting is malformed.
        """
        if test:
            return self._sandbox(channel)
        found = self.adapters(channel)
        if not found:
            raise ProviderMissing(f"the channel {channel} has no provider")
        return found[0]

    def _sandbox(self, channel: Channel) -> ChannelAdapter:
        with self._lock:
            if channel not in self._sandboxes:
                self._sandboxes[channel] = _build(channel, {"adapter": SANDBOX})
            return self._sandboxes[channel]

    def _build_all(self, channel: Channel) -> tuple[ChannelAdapter, ...]:
        built: list[ChannelAdapter] = []
        taken: set[str] = set()
        for options in self._config[channel]:
            adapter = _build(channel, options)
            # Breakers, rates and receipts tell providers apart by name.
            adapter.provider = _free_name(adapter.provider, taken)
            taken.add(adapter.provider)
            built.append(adapter)
        return tuple(built)


def _free_name(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _build(channel: Channel, options: Mapping[str, Any]) -> ChannelAdapter:
    name = options.get("adapter", "")
    if name not in ADAPTERS:
        raise ProviderMissing(f"the channel {channel} asks for the adapter {name!r}; there are: {', '.join(ADAPTERS)}")
    return _class(name).from_options(channel, options)


def _class(name: str) -> type[ChannelAdapter]:
    module, _, class_name = ADAPTERS[name].partition(":")
    found: type[ChannelAdapter] = getattr(import_module(module), class_name)
    return found


def reports_delivery(provider: str) -> bool | None:
    """Tell whether receipts come back from a provider; None where no adapter has its name.

    Settings are not asked: what is looked at may have been sent by a process that has others.
    """
    name = provider if provider in ADAPTERS or provider in SERVICES else provider.rpartition("-")[0]
    if name in SERVICES:
        return bool(SERVICES[name])
    return _class(name).reports_delivery if name in ADAPTERS else None
