"""Messages walk through the sandbox from accept to their end, by the API alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.client import Client
from tests.ledger import Ledger
from tests.running import Stack, eventually
from tests.servers import Pair

pytestmark = pytest.mark.journey

TRIED = ["queued", "sending"]
SENT = [*TRIED, "sent"]
DELIVERED = [*SENT, "delivered"]
ENDS: dict[str, tuple[str, int, list[str]]] = {
    "delivered": ("DELIVERED", 1, DELIVERED),
    "opened": ("OPENED", 1, [*DELIVERED, "opened"]),
    "clicked": ("CLICKED", 1, [*DELIVERED, "opened", "clicked"]),
    "bounced": ("BOUNCED", 1, [*DELIVERED, "bounced"]),
    "transient": ("DELIVERED", 3, [*TRIED, *TRIED, *DELIVERED]),
    "permanent": ("FAILED", 1, [*TRIED, "failed"]),
    "throttled": ("DELIVERED", 1, [*TRIED, *DELIVERED]),
    "unknown": ("FAILED", 1, [*TRIED, "outcome_unknown", "failed"]),
    "optout": ("UNSUBSCRIBED", 1, [*DELIVERED, "unsubscribed"]),
    "silent": ("SENT", 1, SENT),
}
"""Outcome → status, attempts and the types of all events, in the order of the phone numbers' last digits."""


@dataclass(frozen=True, kw_only=True)
class World:
    """A stack whose urgent worker has not been started, so that urgent messages wait. A message was sent for every
    outcome, since some take their time: by its name, and by how it was asked for."""

    client: Client
    stack: Stack
    ledger: Ledger
    sent: Mapping[tuple[str, str], str]


@pytest.fixture(scope="module")
def world(pair: Pair) -> Iterator[World]:
    own = pair.store("sandbox")
    with Stack(own.env) as stack:
        stack.start("api", "email", "phone", "inside", "beat")
        client = Client(stack, own.key)
        yield World(client=client, stack=stack, ledger=Ledger(own.url), sent=_sent(client))


def _sent(client: Client) -> dict[tuple[str, str], str]:
    keys = {}
    for digit, name in enumerate(ENDS):
        keys[name, "address"] = client.send(f"{name}+7@example.com")
        keys[name, "number"] = client.send(f"+1202555010{digit}", channel="sms")
        keys[name, "metadata"] = client.send("avatar-7", channel="onsite", metadata={"sandbox": name})
    return keys


def _await(world: World, key: str, status: str) -> dict[str, Any]:
    """The message, once it stands there."""

    def there() -> dict[str, Any] | None:
        message = world.client.message(key)
        return message if message["status"] == status else None

    found = eventually(there, lambda: f"{status}: {world.client.message(key)}", step=0.2)
    assert found is not None
    return found


def _types(world: World, key: str) -> list[str]:
    return [event["type"] for event in world.client.events(key)]


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_scheduled_message_goes_out_at_its_time_and_not_before(world: World) -> None:
    at = _in(3.0)
    answer = world.client.ask_for("delivered@example.com", scheduled_at=at)
    assert (answer.status, answer.body["status"]) == (202, "SCHEDULED")
    key = answer.body["id"]

    message = _await(world, key, "DELIVERED")

    late = datetime.fromisoformat(message["sending_at"]) - datetime.fromisoformat(at)
    assert late >= timedelta(0)
    assert _types(world, key) == ["scheduled", *DELIVERED]


def test_what_nobody_sent_in_time_expires(world: World) -> None:
    waiting = world.client.send("delivered@example.com", priority="urgent", expires_at=_in(2.0))

    message = _await(world, waiting, "FAILED")

    assert message["error"]["code"] == "expired"
    assert message["attempts"] == 0
    assert _types(world, waiting) == ["queued", "failed"]


def test_a_message_cancelled_before_its_claim_is_never_sent(world: World) -> None:
    cancelled = world.client.send("delivered@example.com", priority="urgent")
    at = _in(5.0)
    scheduled = world.client.send("delivered@example.com", priority="urgent", scheduled_at=at)
    other = world.client.send("delivered@example.com", priority="urgent")
    for key in (cancelled, scheduled):
        answer = world.client.cancel(key)
        assert (answer.status, answer.body["status"]) == (200, "CANCELLED")

    world.stack.start("urgent")
    _await(world, other, "DELIVERED")

    late = world.client.send("delivered@example.com", priority="urgent", scheduled_at=max(at, _in(1.0)))
    _await(world, late, "DELIVERED")
    assert _types(world, cancelled) == ["queued", "cancelled"]
    assert _types(world, scheduled) == ["scheduled", "cancelled"]
    assert world.client.cancel(other).status == 409


def test_a_person_may_retry_what_failed_and_nothing_else(world: World) -> None:
    failed = world.client.send("permanent@example.com")
    delivered = world.client.send("delivered@example.com")
    _await(world, failed, "FAILED")
    _await(world, delivered, "DELIVERED")

    answer = world.client.retry(failed)
    refused = world.client.retry(delivered)

    assert (answer.status, answer.body["error"], answer.body["failed_at"]) == (200, None, None)
    assert refused.status == 409
    eventually(lambda: _types(world, failed).count("failed") == 2, "it fails again")
    message = _await(world, failed, "FAILED")
    assert (message["attempts"], message["max_attempts"]) == (2, 4)
    assert _types(world, failed) == [*TRIED, "failed", *TRIED, "failed"]
    assert world.ledger.violations() == []


def test_every_outcome_ends_where_its_name_says(world: World) -> None:
    for (name, how), key in world.sent.items():
        status, attempts, types = ENDS[name]
        message = _await(world, key, status)
        assert (message["attempts"], _types(world, key)) == (attempts, types), (name, how)
        codes = {"permanent": "sandbox_permanent", "unknown": "outcome_unknown", "bounced": "hard_bounce"}
        assert (message["error"] or {}).get("code") == codes.get(name), (name, how)
    assert world.ledger.violations() == []
