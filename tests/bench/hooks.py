"""What endpoints are told of, against a bare loop of requests: as many at a time, signed in the same way."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg

from config.stack.servers import free_port
from tests.bench.ground import Ground
from tests.bench.stacks import PATIENCE, Stack

TELLER: Final = "web"
"""The process that tells endpoints."""
TYPE: Final = "message.sent"
_PATH: Final = "/api/v1/webhook-endpoints"
_LOOK: Final = 0.1


class Listener:
    """An endpoint of the workspace that the benchmark sends from, and the server behind it."""

    def __init__(self, ground: Ground, stack: Stack) -> None:
        self.port = free_port()
        self._api = stack.port
        self._headers = {"Authorization": stack.authorization, "Content-Type": "application/json"}
        ground.start(f"endpoint-{self.port}", ["tests.bench.endpoint", str(self.port)], ground.env)
        ground.await_http(f"endpoint-{self.port}", self.port, "/", code=200)
        made = self._ask("POST", _PATH, {"url": f"http://127.0.0.1:{self.port}/hook", "types": [TYPE]})
        self._id = made["id"]

    def taken(self) -> dict[str, float]:
        """How many requests came, and when the first and the last did."""
        told: dict[str, float] = _request(self.port, "GET", "/", {}, None)
        return told

    def leave(self) -> None:
        """Be told of nothing more."""
        self._ask("DELETE", f"{_PATH}/{self._id}", None)

    def _ask(self, method: str, path: str, body: Any) -> Any:
        return _request(self._api, method, path, self._headers, body)


def await_waiting(url: str, count: int) -> None:
    """Wait until so many events wait to be told."""
    query = "SELECT count(*) FROM messaging_webhookdelivery WHERE state = 'pending'"
    with psycopg.connect(url, autocommit=True) as connection:

        def all_wait() -> bool:
            row = connection.execute(query).fetchone()
            return row is not None and row[0] >= count

        _await(all_wait, f"{count} events to tell")


def rate(listener: Listener, count: int) -> float:
    """Events a second from the first that came to the last."""
    _await(lambda: listener.taken()["number"] >= count, f"{count} webhooks")
    told = listener.taken()
    if told["number"] != count:
        raise RuntimeError(f"of {count} events {told['number']:.0f} were told")
    return (count - 1) / (told["last"] - told["first"])


def _await(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(_LOOK)


def _request(port: int, method: str, path: str, headers: dict[str, str], body: Any) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {said[:500]!r}")
    return json.loads(said) if said else None
