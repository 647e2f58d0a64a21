"""What an e-mail service's answer means, as Anymail read it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import requests
from anymail.exceptions import AnymailAPIError
from anymail.message import AnymailStatus

from channels_app.http import Answer
from channels_app.types import Accepted, Ambiguous, NotConfigured, Outcome, Permanent, Throttled, Transient
from channels_app.words import cleaned

THROTTLE_WAIT: Final = 10.0
"""Seconds to wait after a 429 that names none."""

_UNUSABLE: Final = frozenset({401, 402, 403, 404, 405})
"""Statuses that tell of the account or the address of the API, not of the message."""
_AGAIN: Final = frozenset({408, 409, 423, 425})
"""Statuses below 500 that ask to try once more."""
_TAKEN: Final = frozenset({"sent", "queued"})
_REFUSED: Final[Mapping[str, str]] = {"invalid": "recipient_invalid", "rejected": "recipient_rejected"}
"""Anymail's words for a recipient that the service does not write to."""
_NEVER_LEFT: Final = frozenset(
    {
        "ConnectTimeoutError",
        "CredentialRetrievalError",
        "EndpointConnectionError",
        "NoCredentialsError",
        "ParamValidationError",
        "PartialCredentialsError",
        "ProxyConnectionError",
    }
)
"""Errors of Amazon's library that come before a request has left."""
_UNSIGNED: Final = frozenset({"CredentialRetrievalError", "NoCredentialsError", "PartialCredentialsError"})


def told(status: AnymailStatus, address: str) -> Outcome:
    """Tell what became of the recipient; of the others who get a copy only who was refused."""
    found = {known.lower(): recipient for known, recipient in status.recipients.items()}
    own = found.pop(address.lower(), None)
    word, number = (own.status, str(own.message_id or "")) if own else ("unknown", "")
    if word in _TAKEN:
        refused = sorted(known for known, other in found.items() if other.status not in _TAKEN)
        return Accepted(
            provider_message_id=number, detail={"status": word, **({"refused": refused} if refused else {})}
        )
    if word in _REFUSED:
        return Permanent(code=_REFUSED[word], detail=_answer(status.esp_response))
    if word == "failed":
        return Transient(code="service_failed", detail=_answer(status.esp_response))
    return Ambiguous(detail="the service did not tell what became of the recipient")


def failed(error: AnymailAPIError) -> Outcome:
    """Tell what an answer that is no success means, or that it is none at all."""
    if error.__cause__ is not None and not isinstance(error.response, requests.Response):
        return _failed_at_amazon(error)
    response = error.response
    if not isinstance(response, requests.Response):
        return Ambiguous(detail=words_of(error))
    retry_after = Answer(status=0, headers=dict(response.headers.lower_items()), body=b"").retry_after()
    return _by_status(response.status_code, _answer(response), retry_after)


def _failed_at_amazon(error: AnymailAPIError) -> Outcome:
    name = type(error.__cause__).__name__
    detail = cleaned(str(error.__cause__).encode())
    told = error.response if isinstance(error.response, dict) else {}
    status = (told.get("ResponseMetadata") or {}).get("HTTPStatusCode")
    if isinstance(status, int):
        return _by_status(status, detail, None)
    if name in _UNSIGNED:
        return NotConfigured(detail=detail)
    if name in _NEVER_LEFT:
        return Transient(code="connection_failed", detail=detail)
    return Ambiguous(detail=detail)


def _by_status(status: int, told: str, retry_after: float | None) -> Outcome:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled(wait=THROTTLE_WAIT if retry_after is None else retry_after, detail=told)
    if status >= 500 or status in _AGAIN:
        return Transient(code=f"http_{status}", detail=told, retry_after=retry_after)
    if status in _UNUSABLE:
        return NotConfigured(detail=told)
    if 300 <= status < 400:
        return NotConfigured(detail=f"the address of the API leads elsewhere: {told}")
    if status >= 400:
        return Permanent(code=f"http_{status}", detail=told)
    # It took the request, and then said what it does not say.
    return Ambiguous(detail=f"protocol_error {told}")


def _answer(response: Any) -> str:
    if not isinstance(response, requests.Response):
        return ""
    return f"{response.status_code} {cleaned(response.content)}".rstrip()


def words_of(error: BaseException) -> str:
    return cleaned(" ".join(str(word) for word in error.args).encode("utf-8", "replace"))
