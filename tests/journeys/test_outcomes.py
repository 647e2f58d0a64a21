"""The table of outcomes once more, with real workers: what each provider does ends as the same thing in the events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from channels_app.types import Accepted, Ambiguous, Outcome, Permanent, Throttled, Transient
from tests.channels_app.contract import EXPECTED, ROWS, Behaviour
from tests.client import Client
from tests.peers import http, postmark, providers
from tests.running import Stack, eventually
from tests.servers import Pair

pytestmark = pytest.mark.journey

PATIENT = {
    "PROVIDER_DEADLINE_SECONDS": "6",
    "BACKOFF_SECONDS": "600",
    "UNKNOWN_SECONDS": "600",
    "MAX_ATTEMPTS": "2",
}
"""A message that is struck is not tried again while others are watched, or once where its provider may be sent it
twice."""
SMTP_SECONDS = 4
"""For one letter: they go one after the other."""
UNANSWERED = {Behaviour.STALL, Behaviour.DRIP, Behaviour.ENDLESS}
"""What takes as long as we wait. Three faults in a row, and one of another kind, open no breaker."""
LOOK = 0.2
"""Seconds between two looks at first: some thirty messages are looked at side by side."""

Send = Callable[[Client, str], str]
"""Accepts a message for an address of the table and gives its id."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way out of a stack."""

    row: str
    """Of the table."""
    send: Send
    test: bool = False
    """Whether it takes a key of test mode."""
    in_a_row: bool = False
    """Whether messages go by one connection: two that are not answered there make others wait for long."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Peers, and a stack that talks to them."""

    env: Mapping[str, str]
    parts: tuple[str, ...]
    ways: Mapping[str, Way]


def accepted(client: Client, channel: str, to: str) -> str:
    """The id of a message, once it is accepted: there are many at one time, and none that must not be sent twice."""
    subject = "Hello" if channel == "email" else None
    body = {"channel": channel, "to": to, "subject": subject, "text": "Good day"}
    answer = client.insist("POST", "/api/v1/messages", body)
    assert answer.status == 202, answer
    return str(answer.body["id"])


def on(channel: str, spell: Callable[[str], str] = str) -> Send:
    return lambda client, address: accepted(client, channel, spell(address))


def named(path: str) -> str:
    """The name of Apprise's destination that has this path."""
    return "at" + path.partition("?")[0].replace("/", "-")


@contextmanager
def peers(folder: Path) -> Iterator[World]:
    paths = [path for path in ROWS["apprise"].values() if isinstance(path, str)]
    with providers.running(folder, destinations={named(path): path for path in paths}) as running:

        def to_device(client: Client, path: str) -> str:
            browser = running.service.subscribe(path)
            keys = {"p256dh": browser.p256dh, "auth": browser.auth}
            ann = {"name": "Ann", "email": f"ann{len(running.service.browsers)}@example.com"}
            contact = client.insist("POST", "/api/v1/contacts", ann).body["id"]
            device = {"contact_id": contact, "endpoint": running.browsers.url(path), "keys": keys}
            assert client.insist("POST", "/api/v1/push-subscriptions", device).status in {200, 201}
            return accepted(client, "push", running.browsers.url(path))

        yield World(
            env={**running.env, "EMAIL_URL": f"{running.env['EMAIL_URL']}?timeout={SMTP_SECONDS}"},
            parts=("api", "email", "phone", "web", "inside", "beat"),
            ways={
                "smtp": Way(row="smtp", send=on("email"), in_a_row=True),
                "twilio on sms": Way(row="twilio", send=on("sms")),
                "twilio on whatsapp": Way(row="twilio", send=on("whatsapp")),
                "telegram": Way(row="telegram", send=on("telegram")),
                "webpush": Way(row="webpush", send=to_device),
                "webhook": Way(row="webhook", send=on("webhook", running.hooks.url)),
                "apprise": Way(row="apprise", send=on("webhook", named)),
                "inapp": Way(row="inapp", send=on("onsite")),
            },
        )


@contextmanager
def a_service(folder: Path) -> Iterator[World]:
    with http.running(postmark.Postmark().answer) as peer:
        yield World(
            env={
                "EMAIL_URL": "anymail://postmark",
                "ANYMAIL_POSTMARK_SERVER_TOKEN": postmark.TOKEN,
                "ANYMAIL_POSTMARK_API_URL": peer.url(""),
                "DEFAULT_FROM_EMAIL": "sender@example.com",
            },
            parts=("api", "email", "inside", "beat"),
            ways={
                "anymail": Way(row="anymail", send=on("email")),
                "sandbox": Way(row="sandbox", send=on("email"), test=True),
            },
        )


WORLDS: Mapping[str, Callable[[Path], AbstractContextManager[World]]] = {"peers": peers, "service": a_service}


UNASKED = {"not_begun", "provider_busy", "server_in_trouble", "server_silent"}
"""Codes of what was given back before its provider was asked."""


def answers(client: Client, key: str) -> list[Mapping[str, Any]]:
    """The events in which a provider answered."""
    later = [event for event in client.events(key)[1:] if event["type"] != "sending"]
    return [event for event in later if event["provider"] and event["detail"].get("code") not in UNASKED]


def became(client: Client, key: str) -> type[Outcome]:
    """What a message's events say of the first attempt in which its provider was asked."""
    first = eventually(lambda: answers(client, key), lambda: f"an outcome of {client.message(key)}", step=LOOK)[0]
    if first["type"] == "sent":
        return Accepted
    if first["type"] == "outcome_unknown" or first["detail"].get("code") == "outcome_unknown":
        return Ambiguous
    if first["type"] == "failed":
        return Permanent
    assert first["type"] == "queued", first
    # Being told to wait costs no attempt; one that is tried again just now counts it until it is told again.
    waits = eventually(
        lambda: (message := client.message(key))["status"] == "QUEUED" and message,
        lambda: f"{key} to wait again",
        step=LOOK,
    )
    return Transient if waits["attempts"] else Throttled


def taken(client: Client, key: str) -> None:
    eventually(
        lambda: "sent" in [event["type"] for event in client.events(key)],
        lambda: f"{client.message(key)} to be sent",
        step=LOOK,
    )


def show(client: Client, behaviour: Behaviour, way: Way) -> dict[Behaviour, object]:
    """Show one behaviour, with a message that is taken after it; give what came out if it should not have."""
    struck, sound = (ROWS[way.row][each] for each in (behaviour, Behaviour.ACCEPT))
    assert isinstance(struck, str)
    assert isinstance(sound, str)
    key = way.send(client, struck)
    found = became(client, key)
    # It may share a hand-over with the other's next try and be released once: what counts is that it is taken.
    taken(client, way.send(client, sound))
    return {} if found is EXPECTED[behaviour] else {behaviour: (found, client.events(key))}


def go_through(client: Client, way: Way) -> dict[Behaviour, object]:
    """Show every behaviour of a row: what takes long beside the rest where that can be, and at last what makes all
    the others wait."""
    shown = [behaviour for behaviour, address in ROWS[way.row].items() if isinstance(address, str)]
    long = [] if way.in_a_row else [behaviour for behaviour in shown if behaviour in UNANSWERED]
    last = [behaviour for behaviour in shown if behaviour is Behaviour.THROTTLE]
    wrong: dict[Behaviour, object] = {}
    with ThreadPoolExecutor(len(UNANSWERED)) as pool:
        begun = [pool.submit(show, client, behaviour, way) for behaviour in long]
        for behaviour in shown:
            if behaviour not in long and behaviour not in last:
                wrong |= show(client, behaviour, way)
        for each in begun:
            wrong |= each.result()
    for behaviour in last:
        wrong |= show(client, behaviour, way)
    return wrong


def test_workers_make_of_it_what_the_table_says(pair: Pair, tmp_path: Path) -> None:
    with ExitStack() as held:
        ready: dict[str, tuple[Client, Way]] = {}
        for name, world in WORLDS.items():
            folder = tmp_path / name
            folder.mkdir()
            found, own = held.enter_context(world(folder)), pair.store(name)
            stack = held.enter_context(Stack(own.env, **found.env, **PATIENT))
            stack.start(*found.parts)
            live, test = Client(stack, own.key), Client(stack, own.test_key)
            ready |= {name: (test if way.test else live, way) for name, way in found.ways.items()}
        pool = held.enter_context(ThreadPoolExecutor(len(ready)))
        begun = {name: pool.submit(go_through, client, way) for name, (client, way) in ready.items()}
        assert {name: went.result() for name, went in begun.items()} == {name: {} for name in ready}


def test_every_row_of_the_table_is_gone_through(tmp_path: Path) -> None:
    rows: set[str] = set()
    for world in WORLDS.values():
        with world(tmp_path) as where:
            rows |= {way.row for way in where.ways.values()}
    assert rows == set(ROWS)
