"""What an answer must never be, beside what the schema says; schemathesis loads this module.

A surface may answer 5xx where its document says that a send failed; any other 5xx is a fault of ours. Answers that
take longer than a person waits are told too.
"""

from __future__ import annotations

import json
from typing import Any

import schemathesis

NAMED: dict[str, frozenset[str]] = {
    "/api/messaging": frozenset(
        {"MESSAGE_SEND_FAILED", "PROVIDER_NOT_AVAILABLE", "PROVIDER_ERROR", "PROVIDER_TIMEOUT", "ENCRYPTION_ERROR"}
    ),
    "/messaging": frozenset({"SEND_FAILED"}),
}
"""By the beginning of the path, the codes that its document answers with 5xx."""
SLOWEST = 5.0
"""Seconds: a waited send takes two at the most, and a list gives up after five."""


@schemathesis.check
def only_named_failures(ctx: Any, response: Any, case: Any) -> None:
    """A 5xx has a code that the surface's document names."""
    if response.status_code < 500:
        return
    known = next((codes for prefix, codes in NAMED.items() if case.path.startswith(prefix)), frozenset())
    code = _code(response.content)
    assert code in known, f"{response.status_code} with the code {code!r}"


@schemathesis.check
def soon(ctx: Any, response: Any, case: Any) -> None:
    """Nobody is kept waiting."""
    assert response.elapsed <= SLOWEST, f"answered after {response.elapsed:.1f} s"


def _code(body: bytes) -> str | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    inner = found.get("error")
    code = found.get("errorCode") or (inner.get("code") if isinstance(inner, dict) else found.get("code"))
    return str(code) if code is not None else None
