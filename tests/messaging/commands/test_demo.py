"""When the demo counts a message as arrived."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from messaging.dispatch import providers
from messaging.management.commands.demo import Walk

pytestmark = pytest.mark.usefixtures("mail_by_smtp")


@pytest.fixture
def mail_by_smtp(settings: Settings) -> Iterator[None]:
    settings.CHANNELS = {
        **settings.CHANNELS,
        "email": [{"adapter": "smtp", "url": "smtp://127.0.0.1:25", "default_from": "a@example.com", "timeout": 1.0}],
    }
    providers.registry.cache_clear()
    yield
    providers.registry.cache_clear()


def walk(status: str, provider: str | None, *, channel: str = "email") -> Walk:
    message: dict[str, Any] = {"created_at": "2030-01-01T00:00:00.000Z", "error": None}
    made = Walk(id="1", label=channel, channel=channel)
    made.learn({**message, "status": status, "provider": provider}, [])
    return made


@pytest.mark.parametrize("status", ["DELIVERED", "OPENED", "CLICKED", "UNSUBSCRIBED"])
def test_what_a_receipt_told_of_has_arrived(status: str) -> None:
    assert walk(status, "sandbox").arrived


def test_what_was_sent_by_a_provider_without_receipts_has_arrived() -> None:
    assert walk("SENT", "smtp").arrived


@pytest.mark.parametrize(("provider", "channel"), [("sandbox", "email"), ("sandbox", "sms"), ("unheard-of", "email")])
def test_what_was_sent_is_followed_where_receipts_may_come(provider: str, channel: str) -> None:
    assert not walk("SENT", provider, channel=channel).over


@pytest.mark.parametrize("status", ["FAILED", "BOUNCED", "CANCELLED"])
def test_what_ended_badly_is_over_and_has_not_arrived(status: str) -> None:
    ended = walk(status, "smtp")
    assert (ended.over, ended.arrived) == (True, False)


@pytest.mark.parametrize("status", ["QUEUED", "SENDING"])
def test_what_is_under_way_is_not_over(status: str) -> None:
    assert not walk(status, None).over
