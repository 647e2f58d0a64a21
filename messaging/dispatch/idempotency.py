"""One answer for each Idempotency-Key: the work is done once, and its answer is kept beside it.

The answer is written in the transaction of the work, so either both are there or neither is. Where the answer tells of
an outcome that comes later, the messages are written there instead, until the request that waits has its answer, or
has had time enough for it: then whoever repeats it answers. Where what was sent is encrypted, so is the answer; the
fingerprint is keyed, so that it cannot be tried out what it was made of.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from messaging.content.encryption import Sealer, is_sealed, unseal_bytes
from messaging.errors import IdempotencyInFlight, IdempotencyMismatch, Invalid
from messaging.models.keys import uuid7
from messaging.tenancy.quota import terms_of

KEY_LENGTH = 255
_TABLE = "idempotencyrecord"
_UNANSWERED = 0
"""The status of a record that has no answer yet; its body is the messages' keys."""
_IN_FLIGHT = "A request with this Idempotency-Key is being worked on."

# Two statements in one round trip: the second sees what whoever held the lock before has committed. The lock is held
# until the transaction ends; a unique index alone would make the second request wait.
_FIND = """
SELECT pg_try_advisory_xact_lock(%s);
SELECT fingerprint, status, body, id, pending_until IS NOT NULL, pending_until > now()
  FROM messaging_idempotencyrecord WHERE workspace_id = %s AND key = %s AND expires_at > now()
"""
# The row of an expired key is taken over. What is plain is not stored where the workspace encrypts everything.
_KEEP = """
INSERT INTO messaging_idempotencyrecord
       (id, workspace_id, key, fingerprint, status, body, message_id, pending_until, expires_at)
SELECT %s::uuid, %s::uuid, %s, %s, %s, %s, %s::uuid, now() + %s::float8 * interval '1 second',
       now() + %s * interval '1 hour'
 WHERE NOT (%s AND EXISTS (SELECT FROM messaging_workspace WHERE id = %s AND encrypted))
ON CONFLICT (workspace_id, key) DO UPDATE
   SET id = EXCLUDED.id, fingerprint = EXCLUDED.fingerprint, status = EXCLUDED.status, body = EXCLUDED.body,
       message_id = EXCLUDED.message_id, pending_until = EXCLUDED.pending_until, expires_at = EXCLUDED.expires_at
"""
_SETTLE = """
UPDATE messaging_idempotencyrecord SET status = %s, body = %s, pending_until = NULL
 WHERE id = %s AND pending_until IS NOT NULL
"""
_KEPT = "SELECT status, body FROM messaging_idempotencyrecord WHERE id = %s"
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """A request whose answer was never given: the record that keeps its place, and what it sent."""

    record: UUID
    ids: tuple[UUID, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What a request is known by when it comes again."""

    workspace_id: UUID
    value: str
    """The Idempotency-Key."""
    fingerprint: bytes = field(repr=False)
    encrypted: bool = False
    """Whether the kept answer is encrypted; where the workspace encrypts everything, it is anyway."""

    def find(self) -> Answer | Pending | None:
        """What is kept under the key, which nobody else can use until the transaction ends.

        Raises:
            Invalid: the key is malformed.
            IdempotencyInFlight: a request with this key is being worked on.
            IdempotencyMismatch: the key was used for another request.
        """
        if not (0 < len(self.value) <= KEY_LENGTH and self.value.isascii() and self.value.isprintable()):
            raise Invalid(
                f"An Idempotency-Key has 1 to {KEY_LENGTH} printable ASCII characters.", code="invalid_idempotency_key"
            )
        digest = hashlib.sha256(self.workspace_id.bytes + self.value.encode()).digest()
        lock = int.from_bytes(digest[:8], "big", signed=True)
        with connection.cursor() as cursor:
            cursor.execute(_FIND, [lock, self.workspace_id, self.value])
            (held,) = cursor.fetchone()
            cursor.nextset()
            row = cursor.fetchone()
        if not held:
            raise IdempotencyInFlight(_IN_FLIGHT)
        if row is None:
            return None
        fingerprint, status, body, record, unanswered, waits = row
        if bytes(fingerprint) != self.fingerprint:
            raise IdempotencyMismatch("This Idempotency-Key was used for another request.")
        if waits:
            raise IdempotencyInFlight(_IN_FLIGHT)
        if unanswered:
            return Pending(record=record, ids=_ids(bytes(body)))
        return Answer(status=status, body=self._opened(bytes(body), record), replayed=True)

    def keep(self, answer: Answer) -> None:
        """Keep the answer of a request. Runs in the transaction of its work."""
        record = uuid7()
        if self.encrypted or not self._insert(record, answer.status, answer.body, plain=True):
            self._insert(record, answer.status, self._sealed(answer.body, record))

    def hold(self, ids: Sequence[UUID], *, seconds: float) -> Pending:
        """Keep the place of an answer that is given within so many seconds. Runs in the transaction of the work."""
        record = uuid7()
        self._insert(record, _UNANSWERED, b"".join(key.bytes for key in ids), message_id=ids[0], seconds=seconds)
        return Pending(record=record, ids=tuple(ids))

    def settle(self, pending: Pending, answer: Answer) -> Answer:
        """Keep the answer that was awaited and give it; where another was given meanwhile, give that one."""
        body = self._sealed(answer.body, pending.record)
        with connection.cursor() as cursor:
            cursor.execute(_SETTLE, [answer.status, body, pending.record])
            if cursor.rowcount:
                return answer
            cursor.execute(_KEPT, [pending.record])
            kept = cursor.fetchone()
        if kept is None:
            return answer
        return Answer(status=kept[0], body=self._opened(bytes(kept[1]), pending.record), replayed=True)

    def _insert(
        self,
        record: UUID,
        status: int,
        body: bytes,
        *,
        message_id: UUID | None = None,
        seconds: float | None = None,
        plain: bool = False,
    ) -> bool:
        """Store a row; false where it is plain and must not be."""
        values: list[Any] = [record, self.workspace_id, self.value, self.fingerprint, status, body, message_id, seconds]
        with connection.cursor() as cursor:
            cursor.execute(_KEEP, [*values, settings.IDEMPOTENCY_HOURS, plain, self.workspace_id])
            return bool(cursor.rowcount)

    def _sealed(self, body: bytes, record: UUID) -> bytes:
        if not (self.encrypted or terms_of(self.workspace_id).encrypted):
            return body
        return Sealer(self.workspace_id).seal_bytes(body, table=_TABLE, row=record)

    def _opened(self, body: bytes, record: UUID) -> bytes:
        return unseal_bytes(body, workspace_id=self.workspace_id, table=_TABLE, row=record) if is_sealed(body) else body


def once(key: Key | None, work: Callable[[], Answer]) -> Answer:
    """Do the work in a transaction and give its answer, or the answer it had under the same key.

    Without a key the work is simply done, in transactions of its own. Work that raises leaves nothing behind, and its
    key can be used again.

    Raises:
        Invalid, IdempotencyInFlight, IdempotencyMismatch: as `find` does.
    """
    if key is None:
        return work()
    with transaction.atomic():
        kept = key.find()
        if isinstance(kept, Pending):
            # Told by whoever can show messages.
            raise IdempotencyInFlight(_IN_FLIGHT)
        if kept is None:
            kept = work()
            key.keep(kept)
    return kept


def forget_expired(limit: int) -> int:
    """Delete answers that were kept long enough, at most `limit`; give how many went."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [limit])
        return int(cursor.rowcount)


def _ids(packed: bytes) -> tuple[UUID, ...]:
    return tuple(UUID(bytes=packed[at : at + 16]) for at in range(0, len(packed), 16))
