"""The same deed through each surface and through /api/v1: what the other words cost, and how long a waited send takes.

Requests go one at a time over one connection, those of a surface and those of /api/v1 by turns, so that whatever else
happens on the machine happens to both.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench import content
from tests.bench.figures import Figures

_FEW = 10
"""Requests of each that are not counted: they find everything cold."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request; `number` makes one send differ from the next."""

    method: str
    path: str
    body: Callable[[int], dict[str, Any]] | None = None
    headers: dict[str, str] = field(default_factory=dict)


ASYNC = {"Prefer": "respond-async"}


def _mail(surface: str, number: int, known: dict[str, str]) -> dict[str, Any]:
    to, subject, text, html = content.address(number), content.SUBJECT, content.TEXT, content.BODY
    return {
        "v1": {"channel": "email", "to": to, "subject": subject, "text": text, "body": html},
        "v1 to a contact": {"channel": "email", "contact_id": known["contact"], "subject": subject, "body": html},
        "oasis": {"recipient": {"email": to}, "subject": subject, "content": text, "htmlContent": html},
        "fluxkit": {"to": to, "subject": subject, "text": text, "body": html},
        "campaignos": {"contactId": known["contact"], "channel": "EMAIL", "subject": subject, "body": html},
        "blockv": {"action_type": "custom", "to": to, "title": subject, "content": html, "content_type": "html"},
    }[surface]


_SENDS = {
    "v1": ("/api/v1/messages", {}),
    "v1 to a contact": ("/api/v1/messages", {}),
    "oasis": ("/api/messaging/send/email", ASYNC),
    "fluxkit": ("/messaging/email", ASYNC),
    "campaignos": ("/api/workspaces/{workspace}/messages", ASYNC),
    "blockv": ("/messages/send", {}),
}
_LISTS = {
    "v1": "/api/v1/messages?limit=50&channel=email",
    "oasis": "/api/messaging/messages?limit=50&type=Email",
    "fluxkit": "/messaging/logs?limit=50&channel=email",
    "campaignos": "/api/workspaces/{workspace}/messages?limit=50&channel=EMAIL",
    "blockv": "/messages?limit=50&system=email",
}


class Client:
    """One connection to the API that stays open."""

    def __init__(self, port: int, authorization: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self.known = {"contact": "", "workspace": self._read("/api/v1/me")["workspace"]["id"]}
        made = self.ask(Ask(method="POST", path="/api/v1/contacts", body=lambda _: {"email": "bench@example.com"}))
        self.known["contact"] = json.loads(made)["id"]

    def _read(self, path: str) -> Any:
        return json.loads(self.ask(Ask(method="GET", path=path)))

    def ask(self, ask: Ask, number: int = 0) -> bytes:
        body = json.dumps(ask.body(number)) if ask.body else None
        self._connection.request(ask.method, ask.path, body, {**self._headers, **ask.headers})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{ask.method} {ask.path}: {answer.status} {said[:500]!r}")
        return said

    def by_turns(self, asks: Sequence[Ask], *, count: int) -> list[float]:
        """The median milliseconds of each."""
        times: list[list[float]] = [[] for _ in asks]
        for number in range(count + _FEW):
            for ask, took in zip(asks, times, strict=True):
                began = time.perf_counter()
                self.ask(ask, number)
                took.append(1000 * (time.perf_counter() - began))
        return [statistics.median(took[_FEW:]) for took in times]

    def send(self, surface: str, *, wait: bool = False) -> Ask:
        path, headers = _SENDS[surface]
        return Ask(
            method="POST",
            path=path.format(**self.known),
            body=lambda number: _mail(surface, number, self.known),
            headers={} if wait else headers,
        )

    def listing(self, surface: str) -> Ask:
        return Ask(method="GET", path=_LISTS[surface].format(**self.known))


def measure(client: Client, figures: Figures, *, count: int) -> None:
    """Note a round: sends that do not wait, lists, and a send that waits."""
    for surface in ("oasis", "fluxkit", "campaignos", "blockv"):
        against = "v1 to a contact" if surface == "campaignos" else "v1"
        ours, theirs = client.by_turns([client.send(surface), client.send(against)], count=count)
        figures.add(f"send through {surface}", against, ours, theirs, unit="ms", floor="1.3x")
    for surface in ("oasis", "fluxkit", "campaignos", "blockv"):
        ours, theirs = client.by_turns([client.listing(surface), client.listing("v1")], count=count)
        figures.add(f"list through {surface}", "v1", ours, theirs, unit="ms", floor="1.3x")
    for surface in ("oasis", "fluxkit"):
        (took,) = client.by_turns([client.send(surface, wait=True)], count=count)
        figures.add(f"send through {surface}, waited for", "", took, unit="ms", floor="50 ms")
