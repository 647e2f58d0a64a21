from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest

from channels_app.adapters.sandbox import SandboxAdapter
from channels_app.adapters.smtp import SmtpAdapter
from channels_app.errors import ProviderMissing
from channels_app.registry import ADAPTERS, Registry, reports_delivery
from channels_app.types import Channel

RELAYS = {
    "email": [
        {"adapter": "smtp", "url": "smtp://127.0.0.1:2525"},
        {"adapter": "smtp", "url": "smtp://127.0.0.1:2526"},
        {"adapter": "sandbox"},
    ]
}


def test_adapters_come_in_order_of_preference_under_names_of_their_own():
    registry = Registry(RELAYS)
    assert [adapter.provider for adapter in registry.adapters(Channel.EMAIL)] == ["smtp", "smtp-2", "sandbox"]
    assert isinstance(registry.adapter(Channel.EMAIL), SmtpAdapter)


def test_adapters_are_built_once():
    registry = Registry(RELAYS)
    assert registry.adapters(Channel.EMAIL) is registry.adapters(Channel.EMAIL)


def test_adapters_are_built_once_however_many_threads_ask():
    registry = Registry(RELAYS)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(registry.adapters(Channel.EMAIL))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(adapters) for adapters in found}) == 1


def test_a_message_in_test_mode_goes_to_the_sandbox_whatever_is_configured():
    registry = Registry(RELAYS)
    for channel in Channel:
        assert isinstance(registry.adapter(channel, test=True), SandboxAdapter)
        assert registry.adapter(channel, test=True).channel is channel


def test_a_channel_without_a_provider_says_so():
    registry = Registry(RELAYS)
    assert registry.adapters(Channel.SMS) == ()
    with pytest.raises(ProviderMissing, match="sms has no provider"):
        registry.adapter(Channel.SMS)


@pytest.mark.parametrize(
    ("provider", "reports"),
    [("smtp", False), ("smtp-2", False), ("sandbox", True), ("carrier-pigeon", None), ("carrier-2", None), ("", None)],
)
def test_a_providers_name_tells_whether_it_sends_receipts(provider: str, reports: bool | None):
    assert reports_delivery(provider) is reports


@pytest.mark.parametrize(
    "config",
    [
        {"email": [{"adapter": "carrier-pigeon"}]},
        {"email": [{}]},
        {"email": [{"adapter": "smtp"}]},
        {"sms": [{"adapter": "smtp", "url": "smtp://127.0.0.1"}]},
    ],
)
def test_wrong_settings_are_refused_when_the_channel_is_asked_for(config: dict[str, Any]):
    registry = Registry(config)
    with pytest.raises(ProviderMissing):
        registry.adapters(Channel(next(iter(config))))


def test_a_channel_that_does_not_exist_is_refused_at_once():
    with pytest.raises(ProviderMissing, match="smoke"):
        Registry({"smoke": [{"adapter": "sandbox"}]})


def test_every_adapter_in_the_table_can_be_imported():
    for name, where in ADAPTERS.items():
        module, _, class_name = where.partition(":")
        __import__(module)
        assert getattr(sys.modules[module], class_name).provider == name


def test_adapters_are_imported_only_when_a_channel_needs_them_and_django_never():
    script = (
        "import sys; from channels_app.registry import Registry; from channels_app.types import Channel;"
        "registry = Registry({'email': [{'adapter': 'smtp', 'url': 'smtp://127.0.0.1'}]});"
        "assert 'channels_app.adapters.smtp' not in sys.modules;"
        "registry.adapters(Channel.EMAIL);"
        "assert 'channels_app.adapters.smtp' in sys.modules;"
        "assert not {'django', 'celery', 'email_validator'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
