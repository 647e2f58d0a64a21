"""Providers that call us: a Twilio on loopback for sms and whatsapp, and a bot of Telegram."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from messaging.dispatch import providers
from messaging.dispatch.queue import valkey
from tests.peers import twilio
from tests.peers.twilio import ACCOUNT, TOKEN, Twilio

BASE = "https://dispatch.example"
SECRET = "the-secret-token"


@pytest.fixture
def peer(settings: Settings) -> Iterator[Twilio]:
    with twilio.running() as (server, taken):
        common: dict[str, Any] = {
            "adapter": "twilio",
            "account": ACCOUNT,
            "token": TOKEN,
            "base": server.url(""),
            "callback_url": f"{BASE}/api/v1/callbacks/twilio",
        }
        settings.PUBLIC_BASE_URL = BASE
        settings.CHANNELS = {
            **settings.CHANNELS,
            "sms": [{**common, "from": "+15005550006"}],
            "whatsapp": [{**common, "from": "+15005550007", "token": "another-token"}],
            "telegram": [{"adapter": "telegram", "token": "123456:ABC-DEF1234ghIkl", "secret": SECRET}],
        }
        providers.registry.cache_clear()
        for key in valkey().scan_iter("refused*"):
            valkey().delete(key)
        yield taken
    providers.registry.cache_clear()


@pytest.fixture
def web() -> Client:
    return Client()
