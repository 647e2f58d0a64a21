"""When the demo counts a message as arrived."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management.base import CommandError

from messaging.management import peers
from messaging.management.commands.demo import MESSAGES, Walk


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


@pytest.mark.parametrize(("status", "arrived"), [("SENT", False), ("DELIVERED", False), ("OPENED", True)])
def test_where_its_end_is_known_nothing_short_of_it_has_arrived(status: str, arrived: bool) -> None:
    followed = walk(status, "smtp")
    followed.ends = "OPENED"
    assert followed.arrived is arrived


def test_the_end_of_every_message_of_the_demo_is_known() -> None:
    assert {message["channel"] for message in MESSAGES} | {"batch", "apprise"} == set(peers.ENDS)


@pytest.mark.parametrize("text", [None, "", "[]", "{}"])
def test_a_file_that_tells_of_no_peers_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "peers.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CommandError, match=r"peers\.json"):
        peers.read(path)
