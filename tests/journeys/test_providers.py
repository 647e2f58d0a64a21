"""Providers that fail, come back, are limited or lose their answer, with real workers between them and the API."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.stack.servers import free_port
from tests.client import Client
from tests.ledger import Ledger, sink
from tests.peers import http, smtp, twilio
from tests.peers.http import Asked, Reply
from tests.peers.smtp import Conduct
from tests.running import Stack, eventually

pytestmark = pytest.mark.journey

PARTS = ("api", "email", "inside", "beat")


def addresses(count: int) -> list[str]:
    return [f"person{number}@example.com" for number in range(count)]


@contextmanager
def dead() -> Iterator[int]:
    """A port at which nobody listens."""
    yield free_port()


@contextmanager
def busy() -> Iterator[int]:
    """A server that turns everybody away."""
    with smtp.running(Conduct(greeting="451 come back later")) as peer:
        yield peer.port


@contextmanager
def stalled() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("fault", [dead, busy, stalled])
def test_a_second_server_sends_what_the_first_cannot(own: dict[str, str], tmp_path: Path, fault: object) -> None:
    assert callable(fault)
    with fault() as broken, sink(tmp_path) as mail:
        urls = f"smtp://127.0.0.1:{broken},{mail.url}"
        with Stack(own, EMAIL_URL=urls, PROVIDER_DEADLINE_SECONDS="4") as stack:
            stack.start(*PARTS)
            client, ledger = Client(stack), Ledger(own["DATABASE_URL"])
            keys = client.batch(addresses(40))
            eventually(lambda: ledger.all_in("SENT"), lambda: f"{ledger.counts()}\n{stack.tail('email')}")
            rows = ledger.rows("SELECT provider, attempts, count(*) FROM messaging_message GROUP BY 1, 2")
            assert rows == [("smtp-2", 1, 40)]
            tried = [event["detail"].get("tried", []) for key in keys for event in client.events(key)]
            assert {each["provider"] for said in tried for each in said} == {"smtp"}
            assert len(mail.letters) == 40
            assert mail.repeated == 0
            assert ledger.violations() == []


def test_messages_wait_while_every_server_is_down(own: dict[str, str], tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    urls = ",".join(f"smtp://127.0.0.1:{port}" for port in ports)
    with Stack(own, EMAIL_URL=urls, MAX_ATTEMPTS="10", BACKOFF_SECONDS="1") as stack:
        stack.start(*PARTS)
        client, ledger = Client(stack), Ledger(own["DATABASE_URL"])
        client.batch(addresses(60))

        def breakers() -> dict[str, str]:
            found = client.request("GET", "/api/v1/health").body["channels"]["email"]["providers"]
            return {each["name"]: each["breaker"] for each in found}

        eventually(lambda: breakers() == {"smtp": "open", "smtp-2": "open"}, lambda: str(breakers()))
        late = client.send("late@example.com")
        counts = ledger.counts()
        assert counts == {"QUEUED": 61}
        untried = ledger.number("SELECT count(*) FROM messaging_message WHERE attempts = 0")
        assert untried >= 40
        alerts = client.request("GET", "/api/v1/health").body["alerts"]
        assert {"email/smtp", "email/smtp-2"} <= {each["subject"] for each in alerts if each["code"] == "breaker_open"}
        told = client.request("GET", f"/api/v1/messages/{late}/explain").body
        assert "every provider of its channel fails" in told["why"]

        with sink(tmp_path, "--port", str(ports[1])) as mail:
            eventually(lambda: ledger.all_in("SENT"), lambda: f"{ledger.counts()}\n{stack.tail('email')}")
            assert len(mail.letters) == 61
            assert mail.repeated == 0
            eventually(lambda: breakers()["smtp-2"] == "closed", lambda: str(breakers()))
        assert ledger.violations() == []


def test_two_worker_processes_together_keep_to_the_rate(own: dict[str, str], tmp_path: Path) -> None:
    rate, number = 20, 100
    with sink(tmp_path) as mail, Stack(own, EMAIL_URL=mail.url, PROVIDER_RATES=f"smtp={rate}") as stack:
        stack.start(*PARTS)
        client, ledger = Client(stack), Ledger(own["DATABASE_URL"])
        begun = time.time()
        client.batch(addresses(number))
        eventually(lambda: ledger.all_in("SENT"), lambda: f"{ledger.counts()}\n{stack.tail('email')}")
        arrived = sorted(letter["time"] for letter in mail.letters)
        assert len(arrived) == number
        # At no moment had more come than the rate and one bucketful allow.
        ahead = [place for place, at in enumerate(arrived, 1) if place > rate + rate * (at - begun) + 1]
        assert ahead == []
        # Who waits for a token has neither been claimed nor tried.
        assert ledger.rows("SELECT DISTINCT attempts, throttles FROM messaging_message") == [(1, 0)]
        assert ledger.violations() == []


TWILIO = {
    "TWILIO_ACCOUNT_SID": twilio.ACCOUNT,
    "TWILIO_AUTH_TOKEN": twilio.TOKEN,
    "TWILIO_SMS_FROM": "+15005550006",
}


class Slow:
    """A Twilio that takes its time for each message, and counts those that it has at one time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.at_once, self.most = seconds, 0, 0
        self.twilio = twilio.Twilio()
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Reply:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(self.seconds)
        with self._lock:
            self.at_once -= 1
        return self.twilio.answer(asked)


def test_a_slow_provider_is_sent_many_at_once(own: dict[str, str]) -> None:
    slow = Slow(0.2)
    with http.running(slow.answer) as peer, Stack(own, **TWILIO, TWILIO_API_BASE=peer.url("").rstrip("/")) as stack:
        stack.start("api", "phone", "inside", "beat")
        client, ledger = Client(stack), Ledger(own["DATABASE_URL"])
        client.batch([f"+1202555{number:04d}" for number in range(200)], channel="sms", subject=None)
        eventually(lambda: ledger.all_in("SENT"), lambda: f"{ledger.counts()}\n{stack.tail('phone')}")
        assert len(slow.twilio.taken) == 200
        assert slow.most >= 16
        assert ledger.violations() == []


def test_a_stalled_provider_holds_up_no_other_channel(own: dict[str, str]) -> None:
    with twilio.running() as (peer, _), Stack(own, **TWILIO, TWILIO_API_BASE=peer.url("").rstrip("/")) as stack:
        stack.start("api", "phone", "inside", "beat")
        client, ledger = Client(stack), Ledger(own["DATABASE_URL"])
        client.batch([f"+19991{number:05d}" for number in range(100)], channel="sms", subject=None)
        eventually(lambda: ledger.counts().get("SENDING"), lambda: str(ledger.counts()))
        others = client.batch(
            [f"+1202555{number:04d}" for number in range(1000, 1020)], channel="whatsapp", subject=None
        )
        eventually(
            lambda: all(client.message(key)["status"] == "DELIVERED" for key in others),
            lambda: f"{ledger.counts()}\n{stack.tail('phone')}",
        )
        assert ledger.number("SELECT count(*) FROM messaging_message WHERE channel = 'sms' AND status = 'SENDING'")


def test_twilio_is_asked_about_a_message_whose_answer_was_lost(own: dict[str, str]) -> None:
    with twilio.running() as (peer, taken), Stack(own, **TWILIO, TWILIO_API_BASE=peer.url("").rstrip("/")) as stack:
        stack.start("api", "phone", "inside", "beat")
        client, ledger = Client(stack), Ledger(own["DATABASE_URL"])
        key = client.send("+19992000001", channel="sms", text="Your code is 1234")
        eventually(lambda: client.message(key)["status"] == "SENT", lambda: str(client.message(key)))
        (row,) = taken.taken
        found = client.message(key)
        assert (found["provider_message_id"], found["attempts"]) == (row["sid"], 1)
        assert ledger.timeline(key) == ["queued", "sending", "outcome_unknown", "sent"]
        assert ledger.violations() == []
