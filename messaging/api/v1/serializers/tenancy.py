"""Callers, keys, members and workspaces, in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from messaging import models
from messaging.api.common.rendering import stamp
from messaging.api.v1.vocabulary import MODE_OUT, ROLE_OUT, ModeWord, RoleWord
from messaging.models import Mode, Role
from messaging.tenancy.access import Caller

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
RateLimit = Annotated[int, Meta(ge=1, le=1_000_000, description="Requests in any minute.")]


class Credentials(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Who signs in."""

    username: Annotated[str, Meta(max_length=150)]
    password: Annotated[str, Meta(max_length=1024)]


class Refresh(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A refresh token to get a new access token for."""

    refresh: Annotated[str, Meta(max_length=4096)]


class Tokens(Struct, kw_only=True, frozen=True):
    """A pair of tokens: one to call with, one to get the next by."""

    access: str
    refresh: str


class Access(Struct, kw_only=True, frozen=True):
    """A new token to call with."""

    access: str


class Workspace(Struct, kw_only=True, frozen=True):
    """A tenant."""

    id: UUID
    name: str
    slug: str
    created_at: Moment


class WorkspaceIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A workspace to make; without a slug, one is made from the name."""

    name: Text
    slug: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class Me(Struct, kw_only=True, frozen=True):
    """The caller, as recognised."""

    username: str
    avatar_id: UUID
    workspace: Workspace
    role: RoleWord
    scopes: list[str]
    mode: ModeWord
    api_key_id: UUID | None


class KeyIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """An API key to make."""

    name: Text
    scopes: Annotated[list[str], Meta(min_length=1, max_length=50)]
    mode: ModeWord = "live"
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    rate_limit: RateLimit | None = None


class KeyLimit(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How many requests in any minute a key may make; null is as many as it likes."""

    rate_limit: RateLimit | None


class Key(Struct, kw_only=True, frozen=True):
    """An API key without its secret; `prefix` is how it begins."""

    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    mode: ModeWord
    rate_limit: int | None
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Moment | None


class ShownKey(Key, kw_only=True, frozen=True):
    """An API key that was just made: the only time that `key` is shown."""

    key: str


class MemberIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A member to add. Without a password the person must exist already."""

    username: Annotated[str, Meta(min_length=1, max_length=150)]
    password: str | None = None
    role: RoleWord


class RoleIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A member's new role."""

    role: RoleWord


class Member(Struct, kw_only=True, frozen=True):
    """A person's place in the workspace."""

    id: UUID
    username: str
    avatar_id: UUID
    role: RoleWord
    created_at: Moment


def workspace(row: models.Workspace) -> Workspace:
    """A workspace as it is shown."""
    return Workspace(id=row.id, name=row.name, slug=row.slug, created_at=stamp(row.created_at))


def me(caller: Caller, user: models.User, row: models.Workspace) -> Me:
    """The caller as it is shown."""
    return Me(
        username=user.username,
        avatar_id=user.avatar_id,
        workspace=workspace(row),
        role=ROLE_OUT[caller.role],
        scopes=sorted(caller.scopes),
        mode=MODE_OUT[Mode.TEST if caller.test else Mode.LIVE],
        api_key_id=caller.api_key_id,
    )


def key(row: models.ApiKey) -> Key:
    """A key as the list shows it."""
    return Key(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=row.scopes,
        mode=MODE_OUT[Mode(row.mode)],
        rate_limit=row.rate_limit,
        created_at=stamp(row.created_at),
        expires_at=stamp(row.expires_at),
        revoked_at=stamp(row.revoked_at),
        last_used_at=stamp(row.last_used_at),
    )


def shown_key(row: models.ApiKey, raw: str) -> ShownKey:
    """A key as it is shown once."""
    shown = key(row)
    return ShownKey(**{name: getattr(shown, name) for name in shown.__struct_fields__}, key=raw)


def member(row: models.Member) -> Member:
    """A member as it is shown."""
    return Member(
        id=row.id,
        username=row.user.username,
        avatar_id=row.user.avatar_id,
        role=ROLE_OUT[Role(row.role)],
        created_at=stamp(row.created_at),
    )
