"""Writes answers: Structs as JSON, moments in UTC with milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, overload

import msgspec
from django.http import HttpResponse

JSON = "application/json"
_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """JSON in UTF-8."""
    return _encoder.encode(value)


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """An answer with a JSON body."""
    return HttpResponse(encode(value), status=status, content_type=JSON, headers=dict(headers or {}))


def empty() -> HttpResponse:
    """An answer without a body."""
    response = HttpResponse(status=204)
    del response["Content-Type"]
    return response


@overload
def stamp(at: datetime) -> str: ...
@overload
def stamp(at: datetime | None) -> str | None: ...
def stamp(at: datetime | None) -> str | None:
    """A moment as ISO 8601 in UTC with milliseconds and Z."""
    if at is None:
        return None
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
