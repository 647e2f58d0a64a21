"""Messages go from the API through a worker to each provider's peer, and end where the provider's answer says."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from tests.client import Client
from tests.ledger import Ledger
from tests.peers import http, telegram
from tests.running import Stack, eventually

pytestmark = pytest.mark.journey

SECRET = "whsec_" + b64encode(b"k" * 32).decode()
FINAL = {"SENT", "DELIVERED", "FAILED"}


def ended(client: Client, key: str, *statuses: str) -> dict[str, Any]:
    """Give a message once it has come to one of these states."""
    eventually(lambda: client.message(key)["status"] in (statuses or FINAL), lambda: str(client.message(key)))
    return client.message(key)


def test_a_webhook_ends_as_its_receiver_answers(own: dict[str, str]) -> None:
    with http.running() as peer, Stack(own, WEBHOOK_SECRETS=SECRET, EGRESS_ALLOW="127.0.0.1") as stack:
        stack.start("api", "web", "inside", "beat")
        client = Client(stack)

        def post(url: str, **fields: Any) -> str:
            return client.send(url, channel="webhook", **fields)

        taken = post(peer.url("/hook"), subject="An order", metadata={"order": 7})
        gone = post(peer.url("/status-410"))
        lost = post(peer.url("/cut"))
        inward = post("http://169.254.169.254/latest/meta-data/")

        assert ended(client, taken, "DELIVERED")["provider"] == "webhook"
        assert [event["type"] for event in client.events(taken)] == ["queued", "sending", "sent", "delivered"]
        assert ended(client, gone)["error"]["code"] == "gone"
        assert ended(client, inward)["error"]["code"] == "url_refused"
        assert ended(client, lost)["error"]["code"] == "outcome_unknown"

        asked = {path: [each for each in peer.requests if each.path == path] for path in ("/hook", "/cut")}
        assert json.loads(asked["/hook"][0].body)["data"]["metadata"] == {"order": 7}
        assert [each.header("webhook-id") for each in asked["/cut"]] == [lost] * 3
        assert len({each.body for each in asked["/cut"]}) == 1
        assert Ledger(own["DATABASE_URL"]).violations() == []


def test_a_bot_writes_no_more_to_whoever_blocked_it(own: dict[str, str]) -> None:
    settings = {"TELEGRAM_BOT_TOKEN": telegram.TOKEN}
    with telegram.running() as bot, Stack(own, **settings, TELEGRAM_API_BASE=bot.peer.url("")) as stack:
        stack.start("api", "phone", "inside", "beat")
        client = Client(stack)

        def write(chat: str, **fields: Any) -> str:
            return client.send(chat, channel="telegram", **fields)

        picture = {"filename": "a.png", "content_type": "image/png", "content": b64encode(b"\x89PNG").decode()}
        sent = write("4711", subject="Hello", text="Good day")
        shown = write("4712", text="Look", attachments=[picture])
        blocked = write("@blocked")

        assert ended(client, sent)["provider_message_id"].startswith("4711/")
        assert ended(client, shown)["status"] == "SENT"
        assert ended(client, blocked)["error"]["code"] == "recipient_opted_out"
        assert {each.method for each in bot.messages} == {"sendMessage", "sendPhoto"}

        known = "late_receipt"
        eventually(lambda: known in [event["type"] for event in client.events(blocked)], "the opt-out is recorded")
        assert ended(client, write("@blocked"))["error"]["code"] == "suppressed"
        assert Ledger(own["DATABASE_URL"]).violations() == []
