"""What messages take along beside what they say, read for a whole claim at once: devices, secrets, headers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog
from django.db import Error, close_old_connections, connection

from channels_app.types import Channel, Device
from messaging.content import signatures
from messaging.dispatch.transitions import Claimed
from messaging.errors import EncryptionFailed

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """What one message takes along."""

    headers: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    document: str | None = field(default=None, repr=False)
    devices: tuple[Device, ...] = ()
    problem: EncryptionFailed | None = None
    """Why what it takes along cannot be read; such a message does not go out."""


NOTHING: Final = Carried()

_DEVICES = """
SELECT id, workspace_id, contact_id, endpoint, p256dh, auth, active FROM messaging_pushsubscription
 WHERE workspace_id = ANY(%(workspaces)s) AND endpoint = ANY(%(texts)s)
 UNION
SELECT id, workspace_id, contact_id, endpoint, p256dh, auth, active FROM messaging_pushsubscription
 WHERE id = ANY(%(keys)s)
 UNION
SELECT id, workspace_id, contact_id, endpoint, p256dh, auth, active FROM messaging_pushsubscription
 WHERE contact_id = ANY(%(keys)s)
 UNION
SELECT s.id, s.workspace_id, a.id, s.endpoint, s.p256dh, s.auth, s.active
  FROM messaging_contactalias a JOIN messaging_pushsubscription s ON s.contact_id = a.contact_id
 WHERE a.id = ANY(%(keys)s)
 ORDER BY id
"""
_LEAVE = "UPDATE messaging_pushsubscription SET active = false WHERE id = ANY(%s) AND active"


def load(channel: Channel, messages: Sequence[Claimed]) -> Mapping[UUID, Carried]:
    """What these messages of a channel take along; those that are left out take nothing."""
    loader = _LOADERS.get(channel)
    return loader(messages) if loader is not None and messages else {}


def leave(devices: Collection[UUID]) -> None:
    """Send nothing more to devices that are gone. Never raises: they will say so again."""
    if not devices:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(_LEAVE, [sorted(devices)])
    except Error as error:
        log.warning("devices_not_left", error=type(error).__name__)
        close_old_connections()


def _devices(messages: Sequence[Claimed]) -> Mapping[UUID, Carried]:
    """The devices of each recipient: the one that it names, else all of its contact's."""
    keys = {key for message in messages if (key := _key(message.recipient)) is not None}
    keys |= {message.contact_id for message in messages if message.contact_id is not None}
    named: dict[tuple[UUID, str], tuple[Device, bool]] = {}
    owned: dict[tuple[UUID, UUID], list[Device]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            _DEVICES,
            {
                "workspaces": list({message.workspace_id for message in messages}),
                "texts": [message.recipient for message in messages],
                "keys": list(keys),
            },
        )
        for key, workspace, contact, endpoint, p256dh, auth, active in cursor.fetchall():
            device = Device(id=key, endpoint=endpoint, p256dh=p256dh, auth=auth)
            named[workspace, endpoint] = named[workspace, str(key)] = device, active
            if active:
                owned[workspace, contact].append(device)
    found: dict[UUID, Carried] = {}
    for message in messages:
        one = named.get((message.workspace_id, message.recipient))
        if one is not None:
            devices = [one[0]] if one[1] else []
        else:
            owner = message.contact_id or _key(message.recipient)
            devices = owned.get((message.workspace_id, owner), []) if owner else []
        found[message.id] = Carried(devices=tuple(devices))
    return found


def _signers(messages: Sequence[Claimed]) -> Mapping[UUID, Carried]:
    """What signs each message: the secrets of the endpoint that it goes to, else the workspace's own."""
    urls: dict[UUID, set[str]] = defaultdict(set)
    for message in messages:
        urls[message.workspace_id].add(message.recipient)
    found: dict[UUID, Mapping[str, Mapping[str, str]]] = {}
    problems: dict[UUID, EncryptionFailed] = {}
    for workspace_id, several in urls.items():
        try:
            found[workspace_id] = signatures.credentials_for(workspace_id, several)
        except EncryptionFailed as error:
            found[workspace_id], problems[workspace_id] = {}, error
    return {
        message.id: Carried(
            credentials=found[message.workspace_id].get(message.recipient, {}),
            problem=problems.get(message.workspace_id),
        )
        for message in messages
    }


def _key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


_LOADERS: Final[Mapping[Channel, Callable[[Sequence[Claimed]], Mapping[UUID, Carried]]]] = {
    Channel.PUSH: _devices,
    Channel.WEBHOOK: _signers,
}
"""A channel's loader reads for all messages of a claim at once, never for each."""
