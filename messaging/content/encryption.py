"""Encryption at rest: AES-256-GCM under a key of the workspace, which one of the platform's keys wraps.

A sealed value is `version (1 byte) | key id (16) | nonce (12) | ciphertext and tag`. Workspace, table and row are
bound as associated data, so that a value copied to another row does not open. Keys of the platform come from
DISPATCH_KEYS: the first one wraps, the others still unwrap.
"""

from __future__ import annotations

import secrets
import threading
from typing import Any
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from messaging.errors import EncryptionFailed
from messaging.models import WorkspaceKey
from messaging.models.keys import uuid7

_VERSION = b"\x01"
_NONCE = 12
_HEAD = 1 + 16

_opened: dict[UUID, bytes] = {}
_newest: dict[UUID, UUID] = {}
_lock = threading.Lock()


def seal(value: object, *, workspace_id: UUID, table: str, row: UUID) -> bytes:
    """Encrypt a JSON value for one row, under the workspace's newest key; makes the first key where there is none.

    Raises:
        EncryptionFailed: the platform has no keys.
    """
    return seal_bytes(msgspec.json.encode(value), workspace_id=workspace_id, table=table, row=row)


def unseal(sealed: bytes, *, workspace_id: UUID, table: str, row: UUID) -> Any:
    """Decrypt what `seal` made for this row.

    Raises:
        EncryptionFailed: it was made for another row, its key is not known, or it was changed.
    """
    return msgspec.json.decode(unseal_bytes(sealed, workspace_id=workspace_id, table=table, row=row))


def seal_bytes(value: bytes, *, workspace_id: UUID, table: str, row: UUID) -> bytes:
    """Encrypt bytes for one row, as `seal` does."""
    key_id = _newest_key(workspace_id)
    nonce = secrets.token_bytes(_NONCE)
    cipher = AESGCM(_data_key(key_id, workspace_id))
    return _VERSION + key_id.bytes + nonce + cipher.encrypt(nonce, value, _bound(workspace_id, table, row))


def unseal_bytes(sealed: bytes, *, workspace_id: UUID, table: str, row: UUID) -> bytes:
    """Decrypt what `seal_bytes` made for this row; raises EncryptionFailed as `unseal` does."""
    sealed = bytes(sealed)
    if sealed[:1] != _VERSION or len(sealed) < _HEAD + _NONCE:
        raise EncryptionFailed("the stored value is not one of ours")
    key_id = UUID(bytes=sealed[1:_HEAD])
    nonce, ciphertext = sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :]
    try:
        return AESGCM(_data_key(key_id, workspace_id)).decrypt(nonce, ciphertext, _bound(workspace_id, table, row))
    except InvalidTag as error:
        raise EncryptionFailed("the stored value does not open with its key") from error


def verify() -> None:
    """Make sure that every wrapped key opens, before anything is sent or read.

    Raises:
        ImproperlyConfigured: a key of the platform is missing or is not the one that it was.
    """
    seen: set[str] = set()
    for row in WorkspaceKey.objects.order_by("wrapped_by", "id").iterator():
        if row.wrapped_by not in settings.DISPATCH_KEYS:
            raise ImproperlyConfigured(f"DISPATCH_KEYS: the key {row.wrapped_by!r} is missing and rows need it")
        if row.wrapped_by in seen:
            continue
        seen.add(row.wrapped_by)
        try:
            _unwrap(row)
        except EncryptionFailed as error:
            raise ImproperlyConfigured(
                f"DISPATCH_KEYS: the key {row.wrapped_by!r} is not the one that rows were encrypted with"
            ) from error


def rewrap() -> int:
    """Wrap every workspace's keys by the platform's first key; gives how many changed. Rows stay as they are."""
    first = _first_key()
    changed = 0
    for row in WorkspaceKey.objects.exclude(wrapped_by=first).iterator():
        row.wrapped = _wrap(_unwrap(row), row.id, row.workspace_id)
        row.wrapped_by = first
        row.save(update_fields=["wrapped", "wrapped_by"])
        changed += 1
    return changed


def renew(workspace_id: UUID) -> UUID:
    """Make a new key for a workspace; what is sealed from now on takes it, what was sealed still opens."""
    data_key, key_id = AESGCM.generate_key(256), uuid7()
    WorkspaceKey.objects.create(
        id=key_id,
        workspace_id=workspace_id,
        wrapped=_wrap(data_key, key_id, workspace_id),
        wrapped_by=_first_key(),
    )
    return key_id


def _newest_key(workspace_id: UUID) -> UUID:
    with _lock:
        known = _newest.get(workspace_id)
    if known is not None:
        return known
    found = WorkspaceKey.objects.filter(workspace_id=workspace_id).order_by("-id").values_list("id", flat=True).first()
    key_id = found or renew(workspace_id)
    if found is not None:
        # A key that was just made may yet be rolled back with the caller's transaction.
        with _lock:
            _newest[workspace_id] = key_id
    return key_id


def _data_key(key_id: UUID, workspace_id: UUID) -> bytes:
    with _lock:
        known = _opened.get(key_id)
    if known is not None:
        return known
    row = WorkspaceKey.objects.filter(id=key_id, workspace_id=workspace_id).first()
    if row is None:
        raise EncryptionFailed("the key of the stored value is not known")
    opened = _unwrap(row)
    with _lock:
        _opened[key_id] = opened
    return opened


def _first_key() -> str:
    if not settings.DISPATCH_KEYS:
        raise EncryptionFailed("DISPATCH_KEYS is not set, so nothing can be encrypted")
    return str(next(iter(settings.DISPATCH_KEYS)))


def _wrap(data_key: bytes, key_id: UUID, workspace_id: UUID) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    wrapper = AESGCM(settings.DISPATCH_KEYS[_first_key()])
    return nonce + wrapper.encrypt(nonce, data_key, _bound(workspace_id, "workspacekey", key_id))


def _unwrap(row: WorkspaceKey) -> bytes:
    wrapper = settings.DISPATCH_KEYS.get(row.wrapped_by)
    if wrapper is None:
        raise EncryptionFailed(f"the platform's key {row.wrapped_by!r} is missing")
    wrapped = bytes(row.wrapped)
    try:
        return AESGCM(wrapper).decrypt(
            wrapped[:_NONCE], wrapped[_NONCE:], _bound(row.workspace_id, "workspacekey", row.id)
        )
    except InvalidTag as error:
        raise EncryptionFailed("the workspace's key does not open with the platform's") from error


def _bound(workspace_id: UUID, table: str, row: UUID) -> bytes:
    return b"|".join((_VERSION, workspace_id.bytes, table.encode(), row.bytes))
