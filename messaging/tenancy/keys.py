"""API keys: made once, shown once, kept as a keyed hash.

A key reads `dk_live_<prefix>_<secret>` or `dk_test_…`. Everything before the secret is public and finds the row.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from messaging.errors import Invalid, NotFound, Unauthenticated
from messaging.models import ApiKey, Mode, Role, Workspace
from messaging.models.statements import prepared
from messaging.tenancy.access import ROLES, Caller, appearance, checked_scopes, demand_live, whole

log = structlog.get_logger(__name__)

START = "dk_"
NAME_LENGTH = 200
_KEY = re.compile(r"(dk_(live|test)_[0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_TOUCH_SECONDS = 60

# One indexed look-up a request finds the key, the person behind it and the place that the person still has in the
# workspace.
_FIND = """
SELECT k.id, k.workspace_id, k.user_id, u.avatar_id, k.digest, k.scopes, k.mode, m.role,
       u.first_name, u.last_name, u.username,
       k.last_used_at IS NULL OR k.last_used_at < now() - %(touch)s * interval '1 second' AS stale, k.rate_limit
  FROM messaging_apikey k
  JOIN messaging_user u ON u.id = k.user_id AND u.is_active
  JOIN messaging_member m ON m.workspace_id = k.workspace_id AND m.user_id = k.user_id
 WHERE k.prefix = %(prefix)s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
"""
_TOUCH = """
UPDATE messaging_apikey SET last_used_at = now()
 WHERE id = (SELECT id FROM messaging_apikey WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewKey:
    """A key that was just made, with the only copy of its text."""

    row: ApiKey
    raw: str = field(repr=False)


def create(
    *,
    caller: Caller,
    name: str,
    scopes: list[str],
    mode: Mode = Mode.LIVE,
    expires_at: datetime | None = None,
    rate_limit: int | None = None,
) -> NewKey:
    """Make a key that acts for the caller, with some of the caller's scopes.

    Raises:
        Invalid: the name or a scope is malformed, or the key would have expired already.
        Forbidden: a scope is not among the caller's, or a test key asks for a live one.
    """
    if mode is Mode.LIVE:
        demand_live(caller)
    if not 0 < len(name.strip()) <= NAME_LENGTH:
        raise Invalid.at("/name", "invalid_length", f"A name has 1 to {NAME_LENGTH} characters.")
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid.at("/expires_at", "in_the_past", "The time lies in the past.")
    return make(
        workspace_id=caller.workspace_id,
        user_id=caller.user_id,
        name=name.strip(),
        scopes=checked_scopes(scopes, caller=caller),
        mode=mode,
        expires_at=expires_at,
        rate_limit=rate_limit,
    )


def make(
    *,
    workspace_id: UUID,
    user_id: UUID,
    name: str,
    scopes: list[str],
    mode: Mode,
    expires_at: datetime | None = None,
    rate_limit: int | None = None,
) -> NewKey:
    """Write a new key without asking who wants it; the bootstrap does, every caller goes through `create`."""
    prefix = f"{START}{mode.value}_{secrets.token_hex(6)}"
    raw = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKey.objects.create(
        workspace_id=workspace_id,
        user_id=user_id,
        name=name,
        prefix=prefix,
        digest=_digest(settings.SECRET_KEY, raw),
        scopes=scopes,
        mode=mode,
        expires_at=expires_at,
        rate_limit=rate_limit,
    )
    row.refresh_from_db(fields=["created_at"])
    return NewKey(row=row, raw=raw)


def keys_of(*, workspace_id: UUID) -> QuerySet[ApiKey]:
    """The workspace's keys, revoked ones included."""
    return ApiKey.objects.filter(workspace_id=workspace_id)


def limit(*, caller: Caller, key_id: UUID, rate_limit: int | None) -> ApiKey:
    """Say how many requests in any minute a key may make; None is as many as it likes.

    Raises:
        NotFound: the workspace has no such key.
        Forbidden: a test key asks to change a live one.
    """
    key = _within_reach(caller, key_id)
    key.rate_limit = rate_limit
    key.save(update_fields=["rate_limit"])
    return key


def revoke(*, caller: Caller, key_id: UUID) -> None:
    """End a key for good. Revoking it again changes nothing.

    Raises:
        NotFound: the workspace has no such key.
        Forbidden: a test key asks to revoke a live one.
    """
    key = _within_reach(caller, key_id)
    end(keys_of(workspace_id=caller.workspace_id).filter(id=key.id))


def _within_reach(caller: Caller, key_id: UUID) -> ApiKey:
    key = keys_of(workspace_id=caller.workspace_id).filter(id=key_id).first()
    if key is None:
        raise NotFound("There is no such API key.")
    if key.mode == Mode.LIVE:
        demand_live(caller)
    return key


def end(found: QuerySet[ApiKey]) -> None:
    """Revoke those of the keys that are in use."""
    found.filter(revoked_at=None).update(revoked_at=Now())


def authenticate(raw: str, *, workspace: str | None = None) -> Caller:
    """Recognise the caller behind a key; nothing is remembered between requests, so a revoked key ends at once.

    `workspace` is the id or slug that the request names, if it names one.

    Raises:
        Unauthenticated: the key is malformed, unknown, revoked or expired, or its maker has left.
        NotFound: the request names another workspace than the key's.
    """
    shape = _KEY.fullmatch(raw)
    if shape is None:
        raise Unauthenticated("This is not a valid API key.", code="invalid_key")
    with prepared(_FIND, {"touch": _TOUCH_SECONDS, "prefix": shape[1]}) as cursor:
        row = cursor.fetchone()
    if row is None or not _matches(raw, bytes(row[4])):
        raise Unauthenticated("This is not a valid API key.", code="invalid_key")
    key_id, workspace_id, user_id, avatar_id, _, scopes, mode, role, *names, stale, rate_limit = row
    if workspace is not None and workspace.lower() != str(workspace_id):
        _check_slug(workspace_id, workspace.lower())
    if stale:
        _touch(key_id)
    return Caller(
        workspace_id=workspace_id,
        user_id=user_id,
        avatar_id=avatar_id,
        name=appearance(*names),
        role=Role(role),
        scopes=ROLES[Role(role)].intersection(whole(scopes)),
        test=mode == Mode.TEST,
        api_key_id=key_id,
        rate_limit=rate_limit,
    )


def _check_slug(workspace_id: UUID, slug: str) -> None:
    if not Workspace.objects.filter(id=workspace_id, slug=slug).exists():
        raise NotFound("There is no such workspace.", code="workspace_not_found")


def _touch(key_id: UUID) -> None:
    """Note that the key is in use; whoever holds the row, or a database that takes no writes, is not waited for."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_TOUCH, [key_id])
    except DatabaseError as error:
        log.warning("key_use_not_noted", error=type(error).__name__)


def _matches(raw: str, digest: bytes) -> bool:
    return any(
        hmac.compare_digest(_digest(str(secret), raw), digest)
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )


def _digest(secret: str, raw: str) -> bytes:
    return hmac.digest(_derived(secret), raw.encode(), "sha256")


@lru_cache(maxsize=8)
def _derived(secret: str) -> bytes:
    """A key for this purpose alone."""
    return hmac.digest(secret.encode(), b"dispatch api keys", "sha256")
