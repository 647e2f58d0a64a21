"""A client of our own API over HTTP, as anybody could write it with the standard library."""

from __future__ import annotations

import http.client
import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from django.core.management.base import CommandError


class ApiClient:
    """Keeps one connection open. What the API refuses ends the command with its words."""

    def __init__(self, base_url: str, api_key: str, *, timeout: float) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CommandError(f"{base_url} is not the URL of an API")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)
        self._prefix = parts.path.rstrip("/")
        self._base_url = base_url
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, path: str) -> Any:
        """Read a resource.

        Raises:
            CommandError: the API does not answer, or refuses.
        """
        return self._ask("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        """Send a resource.

        Raises:
            CommandError: the API does not answer, or refuses.
        """
        return self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None) -> Any:
        try:
            self._connection.request(method, self._prefix + path, body=body, headers=self._headers)
            answer = self._connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
            self._connection.close()
            raise CommandError(f"{self._base_url} does not answer: {error or type(error).__name__}") from error
        try:
            told = json.loads(text)
        except ValueError:
            told = None
        if answer.status >= 400 or told is None:
            reason = told.get("detail") if isinstance(told, dict) else None
            raise CommandError(f"{method} {path} was answered {answer.status}: {reason or answer.reason}")
        return told
