"""Providers that are limited, slow or stalled, or whose answer is lost, with real workers between them and the API."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.client import Client
from tests.ledger import Ledger, Mail, sink
from tests.peers import http, twilio
from tests.peers.http import Asked, Reply
from tests.running import Stack, eventually
from tests.servers import Pair

pytestmark = pytest.mark.journey

RATE = 20
"""Messages a second that the e-mail server takes."""
DEADLINE = 120
"""Seconds for which a provider may stall: longer than anything else here takes."""
CROWD = 16
"""Texts that Twilio must be sent at one time."""
LOST = "+19992000001"
"""A number at which Twilio takes the text and hangs up."""


class Slow:
    """A Twilio that answers no text of a crowd before enough of them are there at one time."""

    def __init__(self) -> None:
        self.twilio = twilio.Twilio()
        self.at_once = 0
        self.met = False
        self._changed = threading.Condition()

    def answer(self, asked: Asked) -> Reply:
        if b"To=%2B1202555" in asked.body:
            with self._changed:
                self.at_once += 1
                self.met = self.met or self.at_once >= CROWD
                self._changed.notify_all()
                self._changed.wait_for(lambda: self.met, timeout=DEADLINE)
                self.at_once -= 1
        return self.twilio.answer(asked)

    def texts(self, prefix: str) -> list[dict[str, object]]:
        """What was taken for numbers that begin so."""
        return [row for row in self.twilio.taken if row["to"].startswith(prefix)]


@dataclass(frozen=True, kw_only=True)
class World:
    """What runs for all tests here. One text was sent to the number whose answers are lost: Twilio is not asked about
    it before some seconds are over."""

    client: Client
    stack: Stack
    ledger: Ledger
    mail: Mail
    slow: Slow
    lost: str


@pytest.fixture(scope="module")
def world(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    own, slow = pair.store("providers"), Slow()
    with sink(tmp_path_factory.mktemp("mail")) as mail, http.running(slow.answer) as peer:
        settings = {
            "EMAIL_URL": mail.url,
            "PROVIDER_RATES": f"smtp={RATE}",
            "PROVIDER_DEADLINE_SECONDS": str(DEADLINE),
            "TWILIO_ACCOUNT_SID": twilio.ACCOUNT,
            "TWILIO_AUTH_TOKEN": twilio.TOKEN,
            "TWILIO_SMS_FROM": "+15005550006",
            "TWILIO_API_BASE": peer.url("").rstrip("/"),
        }
        with Stack(own.env, **settings) as stack:
            stack.start("api", "email", "phone", "inside", "beat")
            client = Client(stack, own.key)
            lost = client.send(LOST, channel="sms", text="Your code is 1234")
            yield World(client=client, stack=stack, ledger=Ledger(own.url), mail=mail, slow=slow, lost=lost)


def _await_sent(world: World, process: str, keys: list[str]) -> None:
    def waiting() -> int:
        return world.ledger.number(
            "SELECT count(*) FROM messaging_message WHERE id = ANY(%s::uuid[]) AND status <> 'SENT'", keys
        )

    eventually(lambda: not waiting(), lambda: f"{waiting()} are not SENT\n{world.stack.tail(process)}")


def test_two_worker_processes_together_keep_to_the_rate(world: World) -> None:
    begun = time.time()
    keys = world.client.batch([f"person{number}@example.com" for number in range(100)])
    _await_sent(world, "email", keys)
    arrived = sorted(letter["time"] for letter in world.mail.letters)
    assert len(arrived) == 100
    # At no moment had more come than the rate and one bucketful allow.
    ahead = [place for place, at in enumerate(arrived, 1) if place > RATE + RATE * (at - begun) + 1]
    assert ahead == []
    # Who waits for a token has neither been claimed nor tried.
    tries = "SELECT DISTINCT attempts, throttles FROM messaging_message WHERE channel = 'email'"
    assert world.ledger.rows(tries) == [(1, 0)]
    assert world.ledger.violations() == []


def test_a_slow_provider_is_sent_many_at_once(world: World) -> None:
    numbers = [f"+1202555{number:04d}" for number in range(200)]
    keys = world.client.batch(numbers, channel="sms", subject=None)
    _await_sent(world, "phone", keys)
    assert sorted(str(row["to"]) for row in world.slow.texts("+1202555")) == numbers
    assert world.slow.met
    assert world.ledger.violations() == []


def test_twilio_is_asked_about_a_message_whose_answer_was_lost(world: World) -> None:
    _await_sent(world, "phone", [world.lost])
    (row,) = world.slow.texts(LOST)
    found = world.client.message(world.lost)
    assert (found["provider_message_id"], found["attempts"]) == (row["sid"], 1)
    assert world.ledger.timeline(world.lost) == ["queued", "sending", "outcome_unknown", "sent"]
    assert world.ledger.violations() == []


def test_a_stalled_provider_holds_up_no_other_channel(world: World) -> None:
    """The last one here: its texts are under way until the end."""
    ledger = world.ledger
    stalled = "SELECT count(*) FROM messaging_message WHERE recipient LIKE '+19991%%' AND status = 'SENDING'"
    world.client.batch([f"+19991{number:05d}" for number in range(100)], channel="sms", subject=None)
    eventually(lambda: ledger.number(stalled), lambda: str(ledger.counts()))
    numbers = [f"+1202555{number:04d}" for number in range(1000, 1020)]
    others = world.client.batch(numbers, channel="whatsapp", subject=None)
    arrived = "SELECT count(*) FROM messaging_message WHERE id = ANY(%s::uuid[]) AND status = 'DELIVERED'"
    eventually(
        lambda: ledger.number(arrived, others) == len(others), lambda: f"{ledger.counts()}\n{world.stack.tail('phone')}"
    )
    assert ledger.number(stalled)
