"""Speaks to a running stack over HTTP, as its users do."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.running import PATIENCE, Stack, eventually

LONGEST = PATIENCE
"""Seconds within which any request must be answered."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Client:
    """Uses the API of a stack with a key."""

    def __init__(self, stack: Stack, key: str) -> None:
        self._port = stack.port
        self._key = key
        self.accepted = 0
        eventually(lambda: self._answers("/livez"), lambda: f"the API answers\n{stack.tail('api')}")

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask once, on a connection of its own.

        Raises:
            OSError: nobody answered.
            http.client.HTTPException: the answer was cut off.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LONGEST)
        try:
            sent = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json", **headers}
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            raw = answer.read()
            kind = answer.headers.get_content_type()
            read = json.loads(raw) if kind.endswith("json") else raw
            return Answer(status=answer.status, headers=answer.headers, body=read)
        finally:
            connection.close()

    def batch(self, to: Sequence[str], **fields: Any) -> list[str]:
        """Accept one message for each address and give their ids, in order."""
        shared = {"channel": "email", "subject": "Hello", "text": "Good day", **fields}
        body = {**shared, "recipients": [{"to": address} for address in to]}
        answer = self.request("POST", "/api/v1/messages/batch", body)
        assert (answer.status, answer.body.get("rejected")) == (202, []), answer
        ids: list[str] = answer.body["ids"]
        self.accepted += len(ids)
        return ids

    def ask_for(self, to: str, **fields: Any) -> Answer:
        """Ask to accept one message, whatever the answer."""
        body = {"channel": "email", "to": to, "text": "Good day", **fields}
        if body["channel"] == "email":
            body.setdefault("subject", "Hello")
        return self.request("POST", "/api/v1/messages", body)

    def send(self, to: str, **fields: Any) -> str:
        """Accept one message and give its id."""
        answer = self.ask_for(to, **fields)
        assert answer.status == 202, answer
        self.accepted += 1
        return str(answer.body["id"])

    def message(self, key: str) -> dict[str, Any]:
        """One message as the API tells it."""
        found: dict[str, Any] = self._read(f"/api/v1/messages/{key}")
        return found

    def events(self, key: str) -> list[dict[str, Any]]:
        """Its events, oldest first."""
        found: list[dict[str, Any]] = self._read(f"/api/v1/messages/{key}/events")["results"]
        return found

    def cancel(self, key: str) -> Answer:
        return self.request("POST", f"/api/v1/messages/{key}/cancel")

    def retry(self, key: str) -> Answer:
        return self.request("POST", f"/api/v1/messages/{key}/retry")

    def insist(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask until there is another answer than that the database is busy just now: it may be done twice."""
        answer = eventually(
            lambda: (found := self.request(method, path, body)).status != 503 and found, f"{path} is answered", step=0.2
        )
        assert isinstance(answer, Answer)
        return answer

    def _read(self, path: str) -> Any:
        answer = self.insist("GET", path)
        assert answer.status == 200, answer
        return answer.body

    def _answers(self, path: str) -> bool:
        try:
            return self.request("GET", path).status == 200
        except (OSError, http.client.HTTPException):
            return False
