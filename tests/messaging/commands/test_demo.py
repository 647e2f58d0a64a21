"""When the demo counts a message as arrived."""

from __future__ import annotations

import pytest

from messaging.management.commands.demo import Walk


def walk(status: str, provider: str | None) -> Walk:
    made = Walk(id="1", label="email")
    made.learn({"created_at": "2030-01-01T00:00:00.000Z", "error": None, "status": status, "provider": provider}, [])
    return made


@pytest.mark.parametrize("status", ["DELIVERED", "OPENED", "CLICKED", "UNSUBSCRIBED"])
def test_what_a_receipt_told_of_has_arrived(status: str) -> None:
    assert walk(status, "sandbox").arrived


@pytest.mark.parametrize("provider", ["smtp", "smtp-2"])
def test_what_was_sent_by_a_provider_without_receipts_has_arrived(provider: str) -> None:
    """Whatever is configured here: the stack was started with variables of its own."""
    assert walk("SENT", provider).arrived


@pytest.mark.parametrize("provider", ["sandbox", "unheard-of"])
def test_what_was_sent_is_followed_where_receipts_may_come(provider: str) -> None:
    assert not walk("SENT", provider).over


@pytest.mark.parametrize("status", ["FAILED", "BOUNCED", "CANCELLED"])
def test_what_ended_badly_is_over_and_has_not_arrived(status: str) -> None:
    ended = walk(status, "smtp")
    assert (ended.over, ended.arrived) == (True, False)


@pytest.mark.parametrize("status", ["QUEUED", "SENDING"])
def test_what_is_under_way_is_not_over(status: str) -> None:
    assert not walk(status, None).over
