"""Encryption at rest: AES-256-GCM under a key of the workspace, which one of the platform's keys wraps.

A sealed value is `version (1 byte) | key id (16) | nonce (12) | ciphertext and tag`. Workspace, table and row are
bound as associated data, so that a value copied to another row does not open. Keys of the platform come from
DISPATCH_KEYS: the first one wraps, the others still unwrap. Opened keys stay in the process's memory.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any
from uuid import UUID

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, transaction

from messaging.errors import EncryptionFailed, KeyMissing
from messaging.models import WorkspaceKey
from messaging.models.keys import uuid7

log = structlog.get_logger(__name__)

NEWEST_SECONDS = 30.0
"""How long a process seals with the key that it knows before it looks for a newer one."""

_VERSION = b"\x01"
_NONCE = 12
_HEAD = 1 + 16
_TRIED = 5
"""Wrapped keys that may be unreadable by themselves before a key of the platform counts as wrong."""

_opened: dict[UUID, AESGCM] = {}
_newest: dict[UUID, tuple[UUID, float]] = {}
_verified = threading.Event()
_lock = threading.Lock()


class Sealer:
    """Seals values of one workspace under its newest key, which is looked up once; makes the first one if need be.

    Raises:
        KeyMissing: the platform has no keys, or not the one that wraps the workspace's.
        EncryptionFailed: the workspace's key does not open.
    """

    def __init__(self, workspace_id: UUID) -> None:
        key_id = _newest_key(workspace_id)
        self._workspace_id = workspace_id
        self._head = _VERSION + key_id.bytes
        self._cipher = _cipher(key_id, workspace_id)

    def seal(self, value: object, *, table: str, row: UUID) -> bytes:
        """Encrypt a JSON value for one row."""
        return self.seal_bytes(msgspec.json.encode(value), table=table, row=row)

    def seal_bytes(self, value: bytes, *, table: str, row: UUID) -> bytes:
        """Encrypt bytes for one row."""
        nonce = secrets.token_bytes(_NONCE)
        return self._head + nonce + self._cipher.encrypt(nonce, value, _bound(self._workspace_id, table, row))


def unseal(sealed: bytes, *, workspace_id: UUID, table: str, row: UUID) -> Any:
    """Decrypt a JSON value that was sealed for this row.

    Raises:
        KeyMissing: this process was not given the platform's key that it needs.
        EncryptionFailed: it was made for another row, its key is not known, or it was changed.
    """
    return msgspec.json.decode(unseal_bytes(sealed, workspace_id=workspace_id, table=table, row=row))


def unseal_bytes(sealed: bytes, *, workspace_id: UUID, table: str, row: UUID) -> bytes:
    """Decrypt bytes that were sealed for this row; raises as `unseal` does."""
    sealed = bytes(sealed)
    if not is_sealed(sealed):
        raise EncryptionFailed("the stored value is not one of ours")
    key_id = UUID(bytes=sealed[1:_HEAD])
    nonce, ciphertext = sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :]
    try:
        return _cipher(key_id, workspace_id).decrypt(nonce, ciphertext, _bound(workspace_id, table, row))
    except InvalidTag as error:
        raise EncryptionFailed("the stored value does not open with its key") from error


def is_sealed(value: bytes) -> bool:
    """Whether bytes have the form of a sealed value, which no JSON text has."""
    return value[:1] == _VERSION and len(value) >= _HEAD + _NONCE


def configured() -> bool:
    """Whether the platform has keys at all."""
    return bool(settings.DISPATCH_KEYS)


def verify() -> None:
    """Make sure that the platform's keys open what they wrapped, before anything is sent or read.

    Raises:
        ImproperlyConfigured: a key of the platform is missing or is not the one that it was.
    """
    wrappers = WorkspaceKey.objects.order_by("wrapped_by").values_list("wrapped_by", flat=True).distinct()
    for name in list(wrappers):
        if name not in settings.DISPATCH_KEYS:
            raise ImproperlyConfigured(f"DISPATCH_KEYS: the key {name!r} is missing, and rows are encrypted with it")
        if not any(_unwraps(row) for row in WorkspaceKey.objects.filter(wrapped_by=name).order_by("id")[:_TRIED]):
            raise ImproperlyConfigured(f"DISPATCH_KEYS: the key {name!r} is not the one that rows were encrypted with")
    _verified.set()


def verify_at_start() -> None:
    """Verify where the database answers. Where it does not, whoever makes a new key does it first.

    Raises:
        ImproperlyConfigured: as `verify` does.
    """
    try:
        verify()
    except DatabaseError as error:
        log.warning("keys_not_verified", error=type(error).__name__)


def rewrap() -> int:
    """Wrap every workspace's keys by the platform's first key; give how many changed. Rows stay as they are.

    Raises:
        EncryptionFailed: a key does not open; then none was changed.
    """
    first = _first_key()
    changed = 0
    with transaction.atomic():
        for row in WorkspaceKey.objects.exclude(wrapped_by=first).select_for_update().order_by("id"):
            row.wrapped = _wrap(_unwrap(row), row.id, row.workspace_id)
            row.wrapped_by = first
            row.save(update_fields=["wrapped", "wrapped_by"])
            changed += 1
    return changed


def renew_all() -> int:
    """Make a new key for every workspace that has one; give how many."""
    known = WorkspaceKey.objects.order_by("workspace_id").values_list("workspace_id", flat=True).distinct()
    with transaction.atomic():
        return len([renew(workspace_id) for workspace_id in list(known)])


def renew(workspace_id: UUID) -> UUID:
    """Make a new key for a workspace. What is sealed from now on takes it, in other processes within
    `NEWEST_SECONDS`; what was sealed before still opens.

    Raises:
        KeyMissing: the platform has no keys.
        ImproperlyConfigured: they are not those that other keys were wrapped by.
    """
    name = _first_key()
    if not _verified.is_set():
        verify()
    data_key, key_id = AESGCM.generate_key(256), uuid7()
    WorkspaceKey.objects.create(
        id=key_id, workspace_id=workspace_id, wrapped=_wrap(data_key, key_id, workspace_id), wrapped_by=name
    )
    with _lock:
        _newest.pop(workspace_id, None)
    return key_id


def forget() -> None:
    """Drop the keys that this process holds, so that the next use reads and unwraps them again."""
    with _lock:
        _opened.clear()
        _newest.clear()
    _verified.clear()


def _newest_key(workspace_id: UUID) -> UUID:
    now = time.monotonic()
    with _lock:
        known = _newest.get(workspace_id)
    if known is not None and now < known[1]:
        return known[0]
    found = WorkspaceKey.objects.filter(workspace_id=workspace_id).order_by("-id").values_list("id", flat=True).first()
    if found is None:
        # Not remembered: it may yet be rolled back with the caller's transaction.
        return renew(workspace_id)
    with _lock:
        _newest[workspace_id] = (found, now + NEWEST_SECONDS)
    return found


def _cipher(key_id: UUID, workspace_id: UUID) -> AESGCM:
    with _lock:
        known = _opened.get(key_id)
    if known is not None:
        return known
    row = WorkspaceKey.objects.filter(id=key_id, workspace_id=workspace_id).first()
    if row is None:
        raise EncryptionFailed("the key of the stored value is not known")
    opened = AESGCM(_unwrap(row))
    with _lock:
        _opened[key_id] = opened
    return opened


def _first_key() -> str:
    if not configured():
        raise KeyMissing("DISPATCH_KEYS is not set, so nothing can be encrypted")
    return str(next(iter(settings.DISPATCH_KEYS)))


def _wrap(data_key: bytes, key_id: UUID, workspace_id: UUID) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    wrapper = AESGCM(settings.DISPATCH_KEYS[_first_key()])
    return nonce + wrapper.encrypt(nonce, data_key, _bound(workspace_id, "workspacekey", key_id))


def _unwrap(row: WorkspaceKey) -> bytes:
    wrapper = settings.DISPATCH_KEYS.get(row.wrapped_by)
    if wrapper is None:
        raise KeyMissing(f"the platform's key {row.wrapped_by!r} is missing")
    wrapped = bytes(row.wrapped)
    bound = _bound(row.workspace_id, "workspacekey", row.id)
    try:
        return AESGCM(wrapper).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], bound)
    except (InvalidTag, ValueError) as error:
        raise EncryptionFailed("the workspace's key does not open with the platform's") from error


def _unwraps(row: WorkspaceKey) -> bool:
    try:
        _unwrap(row)
    except EncryptionFailed:
        return False
    return True


def _bound(workspace_id: UUID, table: str, row: UUID) -> bytes:
    return b"|".join((_VERSION, workspace_id.bytes, table.encode(), row.bytes))
