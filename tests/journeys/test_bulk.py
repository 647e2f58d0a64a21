"""Many messages over real SMTP, counted at both ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client import Client
from tests.ledger import Ledger, sink
from tests.running import Stack, eventually

pytestmark = pytest.mark.journey

MESSAGES = 20_000
BATCH = 10_000
CLAIMS = 60
FLUSHES = 5_000
"""Two hundred at full speed; a busy machine sends fewer in the time that a group may wait. One each would be 20,000."""


def test_two_large_batches_arrive_once_each_by_few_transactions(own: dict[str, str], tmp_path: Path) -> None:
    ledger = Ledger(own["DATABASE_URL"])
    with sink(tmp_path) as mail, Stack(own, EMAIL_URL=mail.url) as stack:
        stack.start("api", "email", "inside", "beat")
        client = Client(stack)
        keys: set[str] = set()
        for start in range(0, MESSAGES, BATCH):
            keys |= set(client.batch([f"reader-{number}@example.com" for number in range(start, start + BATCH)]))
        eventually(lambda: ledger.counts() == {"SENT": MESSAGES}, lambda: f"{ledger.counts()}\n{stack.tail('email')}")
        arrived = mail.keys

    assert {name.partition("@")[0] for name in arrived} == keys
    assert set(arrived.values()) == {1}
    shapes = ledger.rows(
        "SELECT timeline, count(*) FROM (SELECT string_agg(type || ' by ' || cause, ', ' ORDER BY at, id) AS timeline "
        "FROM messaging_messageevent GROUP BY message_id) AS each_one GROUP BY 1"
    )
    assert shapes == [("queued by api, sending by worker, sent by worker", MESSAGES)]
    assert ledger.transactions("sending") <= CLAIMS
    assert ledger.transactions("sent") <= FLUSHES
    assert ledger.violations() == []
