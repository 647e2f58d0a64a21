"""One message, five ways to speak of it: sent on one surface, seen on all, and every answer agrees with the row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.client import Answer, Client
from tests.ledger import Ledger, Mail, sink
from tests.running import Stack, eventually
from tests.servers import Pair

pytestmark = pytest.mark.journey

WAIT = 3
"""Seconds that a send waits for its outcome: far more than it takes on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class World:
    client: Client
    mail: Mail
    ledger: Ledger
    workspace: str
    avatar: str

    def contact(self, email: str) -> str:
        """A contact with this address, by its id on the campaignos surface."""
        answer = self.client.request("POST", f"/api/workspaces/{self.workspace}/contacts", {"email": email})
        assert answer.status == 201, answer
        return str(answer.body["id"])


@pytest.fixture(scope="module")
def world(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    own = pair.store("surfaces")
    folder: Path = tmp_path_factory.mktemp("mail")
    # Whoever stalls is given up long after the request was answered.
    more = {"SYNC_WAIT_SECONDS": str(WAIT), "PROVIDER_DEADLINE_SECONDS": "60"}
    with sink(folder) as mail, Stack(own.env, EMAIL_URL=mail.url, **more) as stack:
        stack.start("api", "email", "urgent", "inside", "phone", "beat")
        client = Client(stack, own.key)
        me = client.request("GET", "/api/v1/me").body
        yield World(
            client=client,
            mail=mail,
            ledger=Ledger(own.url),
            workspace=me["workspace"]["id"],
            avatar=me["avatar_id"],
        )


# Sending: each gives the answer and where in it the message's id stands.


def _v1(world: World, to: str) -> tuple[Answer, Callable[[Any], str]]:
    body = {"channel": "email", "to": to, "subject": "Hello", "text": "Good day"}
    return world.client.request("POST", "/api/v1/messages", body), lambda said: said["id"]


def _oasis(world: World, to: str) -> tuple[Answer, Callable[[Any], str]]:
    body = {"recipient": {"email": to}, "subject": "Hello", "content": "Good day"}
    answer = world.client.request("POST", "/api/messaging/send/email", body)
    return answer, lambda said: said["result"]["data"]["id"] if said["result"] else said["metadata"]["messageId"]


def _fluxkit(world: World, to: str) -> tuple[Answer, Callable[[Any], str]]:
    answer = world.client.request("POST", "/messaging/email", {"to": to, "subject": "Hello", "body": "<p>Good day</p>"})
    return answer, lambda said: _logged(world, to)["_id"]


def _campaignos(world: World, to: str) -> tuple[Answer, Callable[[Any], str]]:
    body = {"contactId": world.contact(to), "channel": "EMAIL", "subject": "Hello", "body": "<p>Good day</p>"}
    answer = world.client.request("POST", f"/api/workspaces/{world.workspace}/messages", body)
    return answer, lambda said: said["messageId"]


def _blockv(world: World, to: str) -> tuple[Answer, Callable[[Any], str]]:
    body = {"action_type": "custom", "to": to, "title": "Hello", "content": "Good day", "sync": True}
    answer = world.client.request("POST", "/messages/send", body)
    return answer, lambda said: said["id"] if "id" in said else said["details"]["id"]


SENDS = {"v1": _v1, "oasis": _oasis, "fluxkit": _fluxkit, "campaignos": _campaignos, "blockv": _blockv}


def _logged(world: World, to: str) -> dict[str, Any]:
    answer = world.client.request("GET", f"/messaging/logs?to={to.replace('+', '%2B')}")
    assert (answer.status, answer.body["total"]) == (200, 1), answer
    found: dict[str, Any] = answer.body["logs"][0]
    return found


def _key(id: str) -> str:
    """The id as the canonical API writes it."""
    digits = id.removeprefix("msg_").replace("-", "")
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _words(world: World, key: str, to: str) -> dict[str, str]:
    """What each surface says of where a message stands."""
    ask = world.client.request
    return {
        "v1": world.client.message(key)["status"],
        "oasis": ask("GET", f"/api/messaging/messages/{key}/status").body["result"]["data"]["status"],
        "fluxkit": _logged(world, to)["status"],
        "campaignos": ask("GET", f"/api/workspaces/{world.workspace}/messages/msg_{key.replace('-', '')}").body[
            "status"
        ],
        "blockv": ask("GET", f"/messages/{key}").body["status"],
    }


def _there(world: World, key: str, status: str) -> None:
    eventually(
        lambda: world.client.message(key)["status"] == status,
        lambda: f"{status}: {world.client.message(key)}",
        step=0.1,
    )


@pytest.mark.parametrize("surface", SENDS)
def test_what_one_surface_sent_each_tells_in_its_own_words(world: World, surface: str) -> None:
    to = f"reader+{surface}@example.com"
    answer, told = SENDS[surface](world, to)
    assert answer.status in {200, 202}, answer
    key = _key(told(answer.body))
    _there(world, key, "SENT")
    assert _words(world, key, to) == {
        "v1": "SENT", "oasis": "Sent", "fluxkit": "sent", "campaignos": "SENT", "blockv": "delivered"
    }  # fmt: skip
    assert sum(to in letter["to"] for letter in world.mail.letters) == 1


def test_a_receipt_that_came_is_told_by_all(world: World) -> None:
    """By SMS, whose sandbox reports what the number asks for; CampaignOS has no word for that channel."""
    answer = world.client.request("POST", "/messaging/sms", {"to": "+12025550101", "body": "Good day"})
    assert (answer.status, answer.body["status"]) == (200, "sent"), answer
    key = _logged(world, "+12025550101")["_id"]
    _there(world, key, "OPENED")
    ask = world.client.request
    assert ask("GET", f"/api/messaging/messages/{key}").body["result"]["data"]["status"] == "Read"
    assert ask("GET", f"/messages/{key}").body["status"] == "delivered"
    assert _logged(world, "+12025550101")["status"] == "sent"
    assert ask("GET", f"/api/workspaces/{world.workspace}/messages/{key}").status == 404


def test_what_avatars_write_is_told_where_there_is_a_word_for_it(world: World) -> None:
    path = f"/api/messaging/send-message-to-avatar/{world.avatar}"
    assert world.client.request("POST", path, "Hello to me").body["result"] is True
    listed = eventually(
        lambda: world.client.request("GET", f"/api/messaging/conversation/{world.avatar}").body["result"], "it arrives"
    )
    key = listed[0]["id"]
    _there(world, key, "DELIVERED")
    assert world.client.request("POST", "/api/messaging/mark-messages-read", [key]).body["result"] is True
    assert world.client.message(key)["status"] == "OPENED"
    row = world.client.request("GET", "/api/messaging/messages?type=In-App").body["result"][0]
    assert (row["id"], row["status"], row["isRead"], row["content"]) == (key, "Read", True, "Hello to me")
    assert world.client.request("GET", f"/messages/{key}").status == 404
    assert world.client.request("GET", f"/api/workspaces/{world.workspace}/messages/{key}").status == 404


def _said(surface: str, body: Any) -> Any:
    """What an answer says of the outcome."""
    return {
        "oasis": lambda: body["errorCode"] if body["isError"] else body["result"]["data"]["status"],
        "fluxkit": lambda: body["error"]["code"] if "error" in body else body["status"],
        "campaignos": lambda: (body["status"], (body.get("error") or {}).get("code")),
        "blockv": lambda: (body.get("status") or body["details"].get("reason"), body.get("code")),
    }[surface]()


WAITING = [name for name in SENDS if name != "v1"]
REFUSED = {
    "oasis": (502, "MESSAGE_SEND_FAILED"),
    "fluxkit": (500, "SEND_FAILED"),
    "campaignos": (422, ("FAILED", "PROVIDER_ERROR")),
}
"""Status and words of a refusal; blockv gives the provider's own code."""
SENT = {
    "oasis": (200, "Sent"),
    "fluxkit": (200, "sent"),
    "campaignos": (200, ("SENT", None)),
    "blockv": (200, ("delivered", None)),
}
QUEUED = {
    "oasis": (202, "Pending"),
    "fluxkit": (200, "queued"),
    "campaignos": (200, ("QUEUED", None)),
    "blockv": (200, ("pending", None)),
}


@pytest.mark.parametrize("surface", WAITING)
@pytest.mark.parametrize("refusal", ["rcpt-550", "rcpt-450"])
def test_a_refusal_is_told_in_the_same_call_and_is_final(world: World, surface: str, refusal: str) -> None:
    """For good or for now: whoever waited was told that it failed, and it is never sent later."""
    to = f"{refusal}+{surface}@example.com"
    answer, told = SENDS[surface](world, to)
    code = refusal.removeprefix("rcpt-")
    refused = REFUSED.get(surface, (500, (f"smtp_{code}", int(code))))
    assert (answer.status, _said(surface, answer.body)) == refused, answer
    message = world.client.message(_key(told(answer.body)))
    assert (message["status"], message["attempts"], message["next_attempt_at"]) == ("FAILED", 1, None)
    assert not any(to in letter["to"] for letter in world.mail.letters)
    assert world.ledger.violations() == []


@pytest.mark.parametrize("surface", WAITING)
def test_a_quick_provider_answers_in_the_same_call(world: World, surface: str) -> None:
    to = f"quick+{surface}@example.com"
    answer, told = SENDS[surface](world, to)
    assert (answer.status, _said(surface, answer.body)) == SENT[surface], answer
    assert world.client.message(_key(told(answer.body)))["status"] == "SENT"


@pytest.mark.parametrize("surface", WAITING)
def test_a_provider_that_takes_longer_than_the_wait_leaves_the_message_queued(world: World, surface: str) -> None:
    """The answer says queued, and so does the row until the provider answers after all: once another letter came."""
    to = f"pair+{surface}@example.com"
    answer, told = SENDS[surface](world, to)
    assert (answer.status, _said(surface, answer.body)) == QUEUED[surface], answer
    key = _key(told(answer.body))
    assert world.client.message(key)["status"] == "SENDING"
    world.client.send(f"pair+with-{surface}@example.com")
    _there(world, key, "SENT")
    assert sum(to in letter["to"] for letter in world.mail.letters) == 1
