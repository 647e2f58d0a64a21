"""Twilio's own client on our way out, and what its refusals mean."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from twilio.base.values import unset
from twilio.http import HttpClient
from twilio.http.response import Response

from channels_app import http
from channels_app.adapters.twilio_codes import BLOCKED, Meaning, meaning
from channels_app.types import (
    NotConfigured,
    OutboundMessage,
    Outcome,
    Permanent,
    Receipt,
    ReceiptKind,
    Throttled,
    Transient,
)
from channels_app.words import cleaned

THROTTLE_WAIT: Final = 5.0
"""Seconds to wait where Twilio names none."""
LIST_LIMIT: Final = 1024 * 1024
"""Bytes that a page of messages may have."""
_CODES: Final = range(1, 1_000_000)


class Way(HttpClient):  # type: ignore[misc]  # no stubs
    """Twilio's client on our way out: bounded in time and size, without the environment's proxies, to any base."""

    def __init__(self, base: str, account: str, token: str, *, deadline: float, connections: int) -> None:
        self._base = urlsplit(base)
        self._client = http.Client(egress=None, deadline=deadline, connections=connections)
        self._headers = {
            "Authorization": "Basic " + b64encode(f"{account}:{token}".encode()).decode(),
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Send a request of the client's to our base.

        Raises:
            Refused: the answer is an error.
            http.Unanswered: there is no answer.
        """
        parts = urlsplit(url)
        query = urlencode(_pairs(params)) or parts.query
        target = urlunsplit((self._base.scheme, self._base.netloc, self._base.path.rstrip("/") + parts.path, query, ""))
        answer = self._client.request(
            method,
            target,
            body=urlencode(_pairs(data)).encode(),
            headers=self._headers,
            limit=LIST_LIMIT if method == "GET" else http.BODY_LIMIT,
        )
        if answer.status >= 300:
            raise Refused(answer)
        return Response(answer.status, answer.body.decode("utf-8", "replace"), dict(answer.headers))


class Refused(Exception):
    """Twilio answered that it will not."""

    def __init__(self, answer: http.Answer) -> None:
        super().__init__(str(answer.status))
        self.status = answer.status
        self.retry_after = answer.retry_after()
        try:
            said = json.loads(answer.body)
        except (ValueError, RecursionError):
            said = None
        told = said if isinstance(said, dict) else {}
        code = told.get("code")
        self.code: int | None = code if isinstance(code, int) and code in _CODES else None
        message = told.get("message")
        self.detail = cleaned(message.encode("utf-8", "replace")) if isinstance(message, str) else ""

    def outcome(self, message: OutboundMessage) -> Outcome:
        """Tell what that means for the message."""
        return refusal(message, code=self.code, status=self.status, detail=self.detail, wait=self.retry_after)


def refusal(
    message: OutboundMessage, *, code: int | None, status: int, detail: str, wait: float | None = None
) -> Outcome:
    """What follows for a message from an error code, or where there is none from the HTTP status beside it."""
    word = f"twilio_{code}" if code else f"http_{status}"
    match meaning(code, status):
        case Meaning.PERMANENT:
            return Permanent(code=word, detail=detail)
        case Meaning.OPTED_OUT:
            key = f"{message.id}:{message.attempt}:{word}"
            left = Receipt(kind=ReceiptKind.UNSUBSCRIBED, key=key, message_id=message.id, code=BLOCKED)
            return Permanent(code="recipient_opted_out", detail=detail, receipts=(left,))
        case Meaning.CONFIGURATION:
            return NotConfigured(code="provider_refused_credentials", detail=f"{word} {detail}".strip())
        case Meaning.THROTTLED:
            return Throttled(wait=THROTTLE_WAIT if wait is None else wait, code=word, detail=detail)
        case Meaning.TRANSIENT:
            return Transient(code=word, detail=detail, retry_after=wait)


def _pairs(values: Mapping[str, object] | None) -> list[tuple[str, str]]:
    """The fields of a form, each value of a list for itself, without those that are not set."""
    found: list[tuple[str, str]] = []
    for name, value in (values or {}).items():
        several = value if isinstance(value, list | tuple) else [value]
        found += [(name, str(each)) for each in several if each is not None and each is not unset]
    return found
