"""What webhooks are signed with: each endpoint's own secrets, and for any other URL one of the workspace.

A secret is written `whsec_` and its bytes in base64, as Standard Webhooks has it. Endpoints' secrets are encrypted at
rest where the platform has keys. A workspace's own secret is not kept: it is made of the platform's, so that nobody
who verifies the messages of one workspace could sign for another.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64encode
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from messaging.content import encryption
from messaging.content.encryption import Sealer, unseal_bytes
from messaging.models import WebhookEndpoint

CREDENTIAL: Final = "secrets"
"""The name by which the webhook adapter looks for them among a message's credentials."""
KEY_BYTES: Final = 32

_PREFIX: Final = "whsec_"
_TABLE: Final = "webhookendpoint"
_PURPOSE: Final = b"dispatch webhook secrets"


def new_secret() -> str:
    """A secret that nobody had before."""
    return _PREFIX + b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def kept(secret: str, *, workspace_id: UUID, endpoint_id: UUID) -> bytes:
    """A secret as its endpoint's row keeps it.

    Raises:
        EncryptionFailed: the workspace's key does not open.
    """
    if not encryption.configured():
        return secret.encode()
    return Sealer(workspace_id).seal_bytes(secret.encode(), table=_TABLE, row=endpoint_id)


def secrets_of(endpoint: WebhookEndpoint, *, now: datetime | None = None) -> tuple[str, ...]:
    """What an endpoint's webhooks are signed with, the newest first.

    Raises:
        EncryptionFailed: one does not open; KeyMissing where this process lacks the key.
    """
    found = [_opened(bytes(endpoint.secret), endpoint)]
    until = endpoint.previous_until
    if endpoint.previous_secret is not None and until is not None and until > (now or timezone.now()):
        found.append(_opened(bytes(endpoint.previous_secret), endpoint))
    return tuple(found)


def workspace_secrets(workspace_id: UUID) -> tuple[str, ...]:
    """What messages on the channel webhook are signed with where their URL is no endpoint's, the newest first."""
    return tuple(_PREFIX + b64encode(_derived(given, workspace_id)).decode() for given in settings.WEBHOOK_SECRETS)


def credentials_for(workspace_id: UUID, urls: Collection[str]) -> dict[str, Mapping[str, str]]:
    """What messages to these URLs take along to be signed with, by URL; nothing where there are no secrets.

    Raises:
        EncryptionFailed: a secret does not open; KeyMissing where this process lacks the key.
    """
    now = timezone.now()
    found: dict[str, list[str]] = {}
    rows = WebhookEndpoint.objects.filter(workspace_id=workspace_id, url__in=set(urls))
    for endpoint in rows.order_by("id"):
        found.setdefault(endpoint.url, []).extend(secrets_of(endpoint, now=now))
    others = list(workspace_secrets(workspace_id))
    told = {url: found.get(url, others) for url in urls}
    return {url: {CREDENTIAL: " ".join(dict.fromkeys(several))} for url, several in told.items() if several}


def _opened(stored: bytes, endpoint: WebhookEndpoint) -> str:
    if not encryption.is_sealed(stored):
        return stored.decode()
    return unseal_bytes(stored, workspace_id=endpoint.workspace_id, table=_TABLE, row=endpoint.id).decode()


def _derived(secret: str, workspace_id: UUID) -> bytes:
    return hmac.digest(secret.encode(), _PURPOSE + workspace_id.bytes, "sha256")
