"""E-mail servers that fail one after the other, and come back, with real workers between them and the API."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.ledger import Ledger, sink
from tests.peers import smtp
from tests.peers.smtp import Conduct
from tests.running import Stack, eventually, reserved_port
from tests.servers import Pair

pytestmark = pytest.mark.journey

BROKEN = {"smtp", "smtp-2", "smtp-3"}
SOUND = "smtp-4"


@dataclass(frozen=True, kw_only=True)
class World:
    """A stack with four e-mail servers: one is dead, one turns everybody away, one takes connections and says nothing;
    the last works while somebody listens at `port`."""

    client: Client
    stack: Stack
    ledger: Ledger
    port: int


@pytest.fixture(scope="module")
def world(pair: Pair) -> Iterator[World]:
    own = pair.store("servers")
    with ExitStack() as held:
        dead, port = held.enter_context(reserved_port()), held.enter_context(reserved_port())
        busy = held.enter_context(smtp.running(Conduct(greeting="451 come back later"))).port
        stalled = held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        urls = [f"smtp://127.0.0.1:{each}" for each in (dead, busy, f"{stalled}?timeout=1", port)]
        more = {"EMAIL_URL": ",".join(urls), "MAX_ATTEMPTS": "10", "BACKOFF_SECONDS": "1"}
        stack = held.enter_context(Stack(own.env, **more))
        stack.start("api", "email", "inside", "beat")
        yield World(client=Client(stack, own.key), stack=stack, ledger=Ledger(own.url), port=port)


def addresses(name: str, count: int) -> list[str]:
    return [f"{name}{number}@example.com" for number in range(count)]


def test_another_server_sends_what_the_first_cannot(world: World, tmp_path: Path) -> None:
    client, ledger = world.client, world.ledger
    with sink(tmp_path, "--port", str(world.port)) as mail:
        keys = client.batch(addresses("person", 40))
        eventually(lambda: ledger.all_in("SENT"), lambda: f"{ledger.counts()}\n{world.stack.tail('email')}")
        rows = ledger.rows("SELECT provider, attempts, count(*) FROM messaging_message GROUP BY 1, 2")
        assert rows == [(SOUND, 1, 40)]
        tried = [event["detail"].get("tried", []) for key in keys for event in client.events(key)]
        assert {each["provider"] for said in tried for each in said} == BROKEN
        assert len(mail.letters) == 40
        assert mail.repeated == 0
        assert ledger.violations() == []


def test_messages_wait_while_every_server_is_down(world: World, tmp_path: Path) -> None:
    client, ledger = world.client, world.ledger
    everyone = {*BROKEN, SOUND}
    before = ledger.number("SELECT count(*) FROM messaging_message")
    client.batch(addresses("patient", 60))

    def breakers(health: dict[str, Any]) -> dict[str, str]:
        return {each["name"]: each["breaker"] for each in health["channels"]["email"]["providers"]}

    def health() -> dict[str, Any]:
        found: dict[str, Any] = client.request("GET", "/api/v1/health").body
        return found

    eventually(lambda: breakers(health()) == dict.fromkeys(everyone, "open"), lambda: str(breakers(health())))
    late = client.send("late@example.com")

    def all_wait() -> bool:
        """Whether everything says so at once: now and then a message tries whether a server works again."""
        alarmed = {each["subject"] for each in health()["alerts"] if each["code"] == "breaker_open"}
        told = client.request("GET", f"/api/v1/messages/{late}/explain").body
        return (
            {f"email/{name}" for name in everyone} <= alarmed
            and "every provider of its channel fails" in told["why"]
            and ledger.counts() == {"SENT": before, "QUEUED": 61}
        )

    eventually(all_wait, lambda: f"{health()}\n{ledger.counts()}")
    untried = ledger.number("SELECT count(*) FROM messaging_message WHERE attempts = 0")
    assert untried >= 40

    with sink(tmp_path, "--port", str(world.port)) as mail:
        eventually(lambda: ledger.all_in("SENT"), lambda: f"{ledger.counts()}\n{world.stack.tail('email')}")
        assert len(mail.letters) == 61
        assert mail.repeated == 0
        eventually(lambda: breakers(health())[SOUND] == "closed", lambda: str(breakers(health())))
    assert ledger.violations() == []
