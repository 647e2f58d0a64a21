"""API keys, in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from messaging import models
from messaging.api.campaignos.ids import LONGEST, Kind
from messaging.api.campaignos.vocabulary import MODE_OUT, ModeWord
from messaging.api.common.rendering import stamp
from messaging.models import Mode

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class KeyIn(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """An API key to make; one of mode `test` reaches the sandbox only."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    scopes: Annotated[list[str], Meta(min_length=1, max_length=50)]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    mode: ModeWord = "live"


class KeyRef(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Which API key is to be revoked."""

    key_id: Annotated[str, Meta(min_length=1, max_length=LONGEST)]


class Key(Struct, rename="camel", kw_only=True, frozen=True):
    """An API key; of its text only the public beginning is shown."""

    id: str
    name: str
    key: str
    scopes: list[str]
    mode: ModeWord
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    revoked_at: Moment | None


def key(row: models.ApiKey) -> Key:
    """A key as the list shows it."""
    return Key(**_fields(row), key=f"{row.prefix}_…")


def shown_key(row: models.ApiKey, raw: str) -> Key:
    """A key as it is shown once, when it was made."""
    return Key(**_fields(row), key=raw)


def _fields(row: models.ApiKey) -> dict[str, Any]:
    return {
        "id": Kind.API_KEY.show(row.id),
        "name": row.name,
        "scopes": row.scopes,
        "mode": MODE_OUT[Mode(row.mode)],
        "created_at": stamp(row.created_at),
        "expires_at": stamp(row.expires_at),
        "last_used_at": stamp(row.last_used_at),
        "revoked_at": stamp(row.revoked_at),
    }
