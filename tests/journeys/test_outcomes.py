"""The table of outcomes once more, with real workers: what each provider does ends as the same thing in the events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from channels_app.types import Accepted, Ambiguous, Outcome, Permanent, Throttled, Transient
from tests.channels_app.contract import EXPECTED, ROWS, Behaviour
from tests.client import Client
from tests.peers import http, postmark, providers
from tests.running import Stack, eventually

pytestmark = pytest.mark.journey

PARTS = ("api", "email", "phone", "web", "inside", "beat")
PATIENT = {"PROVIDER_DEADLINE_SECONDS": "6", "BACKOFF_SECONDS": "600", "UNKNOWN_SECONDS": "600"}
"""A message that is struck is not tried again while others are watched."""

Send = Callable[[Client, str], str]
"""Accepts a message for an address of the table and gives its id."""


def on(channel: str, spell: Callable[[str], str] = str) -> Send:
    subject = "Hello" if channel == "email" else None
    return lambda client, address: client.send(spell(address), channel=channel, subject=subject)


def named(path: str) -> str:
    """The name of Apprise's destination that has this path."""
    return "at" + path.partition("?")[0].replace("/", "-")


@contextmanager
def smtp_and_others(folder: Path) -> Iterator[tuple[dict[str, str], dict[str, tuple[str, Send]]]]:
    """The variables of a stack, and by provider the row of the table and how to send by it."""
    paths = [path for path in ROWS["apprise"].values() if isinstance(path, str)]
    with providers.running(folder, destinations={named(path): path for path in paths}) as running:

        def to_device(client: Client, path: str) -> str:
            browser = running.service.subscribe(path)
            keys = {"p256dh": browser.p256dh, "auth": browser.auth}
            ann = {"name": "Ann", "email": f"ann{len(running.service.browsers)}@example.com"}
            contact = client.request("POST", "/api/v1/contacts", ann).body["id"]
            device = {"contact_id": contact, "endpoint": running.browsers.url(path), "keys": keys}
            assert client.request("POST", "/api/v1/push-subscriptions", device).status in {200, 201}
            return client.send(running.browsers.url(path), channel="push")

        yield (
            running.env,
            {
                "smtp": ("smtp", on("email")),
                "twilio on sms": ("twilio", on("sms")),
                "twilio on whatsapp": ("twilio", on("whatsapp")),
                "telegram": ("telegram", on("telegram")),
                "webpush": ("webpush", to_device),
                "webhook": ("webhook", on("webhook", running.hooks.url)),
                "apprise": ("apprise", on("webhook", named)),
                "inapp": ("inapp", on("onsite")),
            },
        )


@contextmanager
def a_service(folder: Path) -> Iterator[tuple[dict[str, str], dict[str, tuple[str, Send]]]]:
    with http.running(postmark.Postmark().answer) as peer:
        env = {
            "EMAIL_URL": "anymail://postmark",
            "ANYMAIL_POSTMARK_SERVER_TOKEN": postmark.TOKEN,
            "ANYMAIL_POSTMARK_API_URL": peer.url(""),
            "DEFAULT_FROM_EMAIL": "sender@example.com",
        }
        yield env, {"anymail": ("anymail", on("email"))}


@contextmanager
def sandbox(folder: Path) -> Iterator[tuple[dict[str, str], dict[str, tuple[str, Send]]]]:
    yield {}, {"sandbox": ("sandbox", on("email"))}


WORLDS = {"smtp": smtp_and_others, "service": a_service, "sandbox": sandbox}


UNASKED = {"not_begun", "provider_busy"}
"""Codes of what was given back before its provider was asked."""


def answers(client: Client, key: str) -> list[Mapping[str, Any]]:
    """The events in which a provider answered."""
    later = [event for event in client.events(key)[1:] if event["type"] != "sending"]
    return [event for event in later if event["provider"] and event["detail"].get("code") not in UNASKED]


def became(client: Client, key: str) -> type[Outcome]:
    """What a message's events say of the first attempt in which its provider was asked."""
    first = eventually(lambda: answers(client, key), lambda: f"an outcome of {client.message(key)}")[0]
    if first["type"] == "sent":
        return Accepted
    if first["type"] == "outcome_unknown" or first["detail"].get("code") == "outcome_unknown":
        return Ambiguous
    if first["type"] == "failed":
        return Permanent
    assert first["type"] == "queued", first
    # Being told to wait costs no attempt; one that is tried again just now counts it until it is told again.
    waits = eventually(
        lambda: (message := client.message(key))["status"] == "QUEUED" and message, lambda: f"{key} to wait again"
    )
    return Transient if waits["attempts"] else Throttled


def taken(client: Client, key: str) -> None:
    eventually(
        lambda: "sent" in [event["type"] for event in client.events(key)], lambda: f"{client.message(key)} to be sent"
    )


def go_through(client: Client, adapter: str, send: Send) -> dict[str, object]:
    """Show every behaviour of a row, with a message that is taken after each; give what came out otherwise."""
    wrong: dict[str, object] = {}
    row = ROWS[adapter]
    accepted = row[Behaviour.ACCEPT]
    assert isinstance(accepted, str)
    for behaviour, address in row.items():
        if not isinstance(address, str):
            continue
        struck = send(client, address)
        found = became(client, struck)
        # It may share a hand-over with the other's next try and be released once: what counts is that it is taken.
        taken(client, send(client, accepted))
        if found is not EXPECTED[behaviour]:
            wrong[behaviour] = found, client.events(struck)
    return wrong


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_workers_make_of_it_what_the_table_says(
    own: dict[str, str], tmp_path: Path, world: Callable[[Path], Any]
) -> None:
    with world(tmp_path) as (env, ways), Stack(own, **env, **PATIENT) as stack:
        stack.start(*PARTS)
        client = Client(stack)
        with ThreadPoolExecutor(len(ways)) as pool:
            begun = {name: pool.submit(go_through, client, row, send) for name, (row, send) in ways.items()}
            wrong = {name: found.result() for name, found in begun.items()}
        assert wrong == {name: {} for name in ways}


def test_every_row_of_the_table_is_gone_through(tmp_path: Path) -> None:
    rows: set[str] = set()
    for world in WORLDS.values():
        with world(tmp_path) as (_, ways):
            rows |= {row for row, _ in ways.values()}
    assert rows == set(ROWS)
