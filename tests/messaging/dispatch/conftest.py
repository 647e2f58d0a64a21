"""What the tests of dispatch share: a provider that plays a script, and lanes by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from pytest_django import Settings

from channels_app import registry
from channels_app.types import Channel, Limits
from messaging.dispatch import breakers, providers, queue
from tests.messaging.dispatch.scripted import Script, ScriptedAdapter
from tests.urgent import urgent_worker, worker

__all__ = ["install", "urgent_worker", "worker"]

Install = Callable[..., ScriptedAdapter]


@pytest.fixture
def install(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Make a scripted adapter the provider of a channel, by the table of adapters and the settings.

    `then` names further providers, each by what differs from the first.
    """
    monkeypatch.setitem(registry.ADAPTERS, "scripted", "tests.messaging.dispatch.scripted:ScriptedAdapter")

    def put(
        script: Script,
        *,
        channel: Channel = Channel.EMAIL,
        batch: int = 100,
        group: int = 10,
        then: Sequence[Mapping[str, Any]] = (),
        **options: Any,
    ) -> ScriptedAdapter:
        limits = Limits(batch=batch, group=group)
        one = {"adapter": "scripted", "script": script, "limits": limits, **options}
        others = [{**one, **other} for other in then]
        settings.CHANNELS = {**settings.CHANNELS, channel.value: [one, *others]}
        providers.registry.cache_clear()
        adapter = providers.adapter(channel.value, test=False)
        assert isinstance(adapter, ScriptedAdapter)
        return adapter

    forget_providers()
    yield put
    providers.registry.cache_clear()
    # A test may have led to a Valkey of its own, which is gone.
    with suppress(queue.Unreachable):
        forget_providers()


def forget_providers() -> None:
    """Forget how it went with providers."""
    breakers._succeeded_at.clear()
    for pattern in ("breaker:*", "bucket:*", "rest:*"):
        for key in queue.valkey().scan_iter(pattern):
            queue.valkey().delete(key)
