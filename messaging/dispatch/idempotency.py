"""One answer for each Idempotency-Key: the work is done once, and its answer is kept beside it.

The answer is written in the transaction of the work, so either both are there or neither is. Where what was sent is
encrypted, so is the answer; the fingerprint is keyed, so that it cannot be tried out what it was made of.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from messaging.content.encryption import Sealer, is_sealed, unseal_bytes
from messaging.errors import IdempotencyInFlight, IdempotencyMismatch, Invalid
from messaging.models.keys import uuid7
from messaging.tenancy.quota import terms_of

KEY_LENGTH = 255
_TABLE = "idempotencyrecord"

_LOCK = "SELECT pg_try_advisory_xact_lock(%s)"
_FIND = """
SELECT fingerprint, status, body, id FROM messaging_idempotencyrecord
 WHERE workspace_id = %s AND key = %s AND expires_at > now()
"""
# The row of an expired key is taken over.
_KEEP = """
INSERT INTO messaging_idempotencyrecord (id, workspace_id, key, fingerprint, status, body, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, now() + %s * interval '1 hour')
ON CONFLICT (workspace_id, key) DO UPDATE
   SET id = EXCLUDED.id, fingerprint = EXCLUDED.fingerprint, status = EXCLUDED.status, body = EXCLUDED.body,
       expires_at = EXCLUDED.expires_at
"""
_FORGET = """
DELETE FROM messaging_idempotencyrecord WHERE id IN (
    SELECT id FROM messaging_idempotencyrecord WHERE expires_at <= now()
     ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a request was answered; `replayed` where it is the answer of an earlier one."""

    status: int
    body: bytes = field(repr=False)
    replayed: bool = False


def fingerprint(*parts: bytes) -> bytes:
    """What makes two requests the same: the keyed digest of their parts, each with its length."""
    digest = hmac.new(_derived(settings.SECRET_KEY), digestmod="sha256")
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


@lru_cache(maxsize=8)
def _derived(secret: str) -> bytes:
    """A key for this purpose alone."""
    return hmac.digest(secret.encode(), b"dispatch idempotency", "sha256")


def once(
    *, workspace_id: UUID, key: str | None, fingerprint: bytes, work: Callable[[], Answer], encrypted: bool = False
) -> Answer:
    """Do the work in a transaction and give its answer, or the answer it had under the same key.

    Without a key the work is simply done, in transactions of its own. Work that raises leaves nothing behind, and its
    key can be used again. The kept answer is encrypted where `encrypted` says so or the workspace encrypts everything.

    Raises:
        Invalid: the key is malformed.
        IdempotencyInFlight: a request with this key is being worked on.
        IdempotencyMismatch: the key was used for another request.
    """
    if key is None:
        return work()
    if not (0 < len(key) <= KEY_LENGTH and key.isascii() and key.isprintable()):
        raise Invalid(
            f"An Idempotency-Key has 1 to {KEY_LENGTH} printable ASCII characters.", code="invalid_idempotency_key"
        )
    with transaction.atomic():
        _lock(workspace_id, key)
        kept = _find(workspace_id, key, fingerprint)
        if kept is not None:
            return kept
        answer = work()
        row = uuid7()
        body = answer.body
        if encrypted or terms_of(workspace_id).encrypted:
            body = Sealer(workspace_id).seal_bytes(body, table=_TABLE, row=row)
        with connection.cursor() as cursor:
            cursor.execute(
                _KEEP,
                [
                    row,
                    workspace_id,
                    key,
                    fingerprint,
                    answer.status,
                    body,
                    settings.IDEMPOTENCY_HOURS,
                ],
            )
    return answer


def forget_expired(limit: int) -> int:
    """Delete answers that were kept long enough, at most `limit`; give how many went."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [limit])
        return int(cursor.rowcount)


def _lock(workspace_id: UUID, key: str) -> None:
    """Hold the key until the transaction ends. A unique index alone would make the second request wait."""
    digest = hashlib.sha256(workspace_id.bytes + key.encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [int.from_bytes(digest[:8], "big", signed=True)])
        (held,) = cursor.fetchone()
    if not held:
        raise IdempotencyInFlight("A request with this Idempotency-Key is being worked on.")


def _find(workspace_id: UUID, key: str, fingerprint: bytes) -> Answer | None:
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [workspace_id, key])
        row = cursor.fetchone()
    if row is None:
        return None
    if bytes(row[0]) != fingerprint:
        raise IdempotencyMismatch("This Idempotency-Key was used for another request.")
    body = bytes(row[2])
    if is_sealed(body):
        body = unseal_bytes(body, workspace_id=workspace_id, table=_TABLE, row=row[3])
    return Answer(status=row[1], body=body, replayed=True)
