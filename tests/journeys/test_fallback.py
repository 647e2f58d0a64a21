"""Messages that do not arrive go out by another channel: real workers, a push service, a mail server that is down and a
Twilio of our own, and receipts by its callbacks."""

from __future__ import annotations

import http.client
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.client import Client
from tests.ledger import Ledger
from tests.peers import push, twilio
from tests.peers.push import PushService
from tests.peers.smtp import self_signed
from tests.peers.twilio import ACCOUNT, TOKEN, Twilio
from tests.running import Stack, eventually, reserved_port
from tests.servers import Pair

pytestmark = pytest.mark.journey

BASE = "https://dispatch.example"
ANN, BEN = "+12025550123", "+12025550124"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What runs for all tests here."""

    stack: Stack
    client: Client
    phone: Twilio
    service: PushService
    ledger: Ledger

    def texts(self, number: str) -> list[dict[str, Any]]:
        """What Twilio took for a number."""
        return [row for row in self.phone.taken if row["to"] == number]


@pytest.fixture(scope="module")
def ground(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("push")
    own = pair.store("fallback")
    key = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")
    with (
        push.running(self_signed(folder)) as (_, service),
        twilio.running() as (server, phone),
        reserved_port() as dead,
    ):
        settings = {
            "PUBLIC_BASE_URL": BASE,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_SMS_FROM": "+15005550006",
            "TWILIO_API_BASE": server.url(""),
            "VAPID_PRIVATE_KEY": urlsafe_b64encode(key).decode().rstrip("="),
            "VAPID_SUBJECT": "mailto:ops@example.com",
            "EGRESS_ALLOW": "127.0.0.1",
            "EGRESS_CA_FILE": str(folder / "certificate.pem"),
            "EMAIL_URL": f"smtp://127.0.0.1:{dead}",
        }
        with Stack(own.env, **settings) as stack:
            stack.start("api", "email", "phone", "web", "inside", "beat")
            ledger = Ledger(own.url)
            yield Ground(stack=stack, client=Client(stack, own.key), phone=phone, service=service, ledger=ledger)


def step_of(client: Client, key: str) -> dict[str, Any]:
    (step,) = client.message(key)["fallback"]
    return dict(step)


def taken_by(client: Client, key: str) -> str:
    """The message that took this one's place, once there is one."""
    found = eventually(lambda: step_of(client, key)["message_id"], lambda: str(client.message(key)))
    return str(found)


def call_back(stack: Stack, row: dict[str, Any], status: str) -> int:
    """Report as Twilio does: signed for the public URL, sent to where the API is."""
    url = row["said"]["StatusCallback"]
    headers, body = twilio.callback(url, row["sid"], status)
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    try:
        connection.request("POST", url.removeprefix(BASE), body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_push_that_no_device_takes_goes_out_as_a_text(ground: Ground) -> None:
    client = ground.client
    ann = client.request("POST", "/api/v1/contacts", {"external_id": "ann", "phone": ANN}).body["id"]
    # The browser unsubscribed behind our back: its push service answers 410.
    browser = push.Browser()
    keys = {"p256dh": browser.p256dh, "auth": browser.auth}
    wanted = {"contact_id": ann, "endpoint": f"{ground.service.origin}/push/gone", "keys": keys}
    assert client.request("POST", "/api/v1/push-subscriptions", wanted).status == 201

    asked = {"channel": "push", "contact_id": ann, "text": "Your code is 123", "fallback": [{"channel": "sms"}]}
    sent = client.request("POST", "/api/v1/messages", asked)
    assert sent.status == 202, sent
    first = sent.body["id"]
    second = taken_by(client, first)
    eventually(lambda: client.message(second)["status"] == "SENT", lambda: str(client.message(second)))

    (row,) = ground.texts(ANN)
    assert row["body"] == "Your code is 123"
    assert call_back(ground.stack, row, "delivered") == 200
    assert client.message(second)["status"] == "DELIVERED"
    assert (client.message(first)["status"], client.message(second)["fallback_of"]) == ("FAILED", first)
    assert [event["type"] for event in client.events(first)][-2:] == ["failed", "fallback"]
    assert ground.ledger.violations() == []


def test_a_letter_that_is_not_sent_in_time_goes_out_as_a_text(ground: Ground) -> None:
    client = ground.client
    first = client.send("ben@example.com", fallback=[{"channel": "sms", "to": BEN, "after_seconds": 2}])
    second = taken_by(client, first)
    eventually(lambda: client.message(second)["status"] == "SENT", lambda: str(client.message(second)))

    told = client.message(first)
    assert (told["status"], told["error"]["code"]) == ("FAILED", "superseded")
    assert [row["body"] for row in ground.texts(BEN)] == ["Good day"]
    assert ground.ledger.violations() == []


def test_a_killed_worker_takes_no_fallback_twice(ground: Ground) -> None:
    running, client = ground.stack, ground.client
    numbers = [f"+1202555{number:04}" for number in range(200, 260)]
    running.parts["inside"].kill()
    keys = [
        client.send(
            "4711",
            channel="telegram",
            metadata={"sandbox": "permanent"},
            fallback=[{"channel": "sms", "to": number}],
        )
        for number in numbers
    ]
    running.start("inside")
    eventually(lambda: any(map(ground.texts, numbers)), "the first text goes out")
    running.parts["inside"].kill()
    running.start("inside")
    for key in keys:
        second = taken_by(client, key)
        eventually(lambda second=second: client.message(second)["status"] == "SENT", f"{second} is sent")

    assert [len(ground.texts(number)) for number in numbers] == [1] * len(numbers)
    assert ground.ledger.violations() == []
