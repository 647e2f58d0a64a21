"""Whose messages a caller sees and may change.

Whoever manages messages sees all of the workspace: operators, admins and owners, and every API key that may read
messages. Anybody else sees what they sent and what was sent to them, and changes only what they sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from messaging.api.oasis.operations import READ
from messaging.api.oasis.vocabulary import OFFERED, STATUS_OUT
from messaging.dispatch import selectors
from messaging.dispatch.selectors import MessageFilter, Party
from messaging.errors import Forbidden, Invalid, NotFound, TransitionRefused
from messaging.inbox import feed
from messaging.models import Message, Role
from messaging.state import Standing
from messaging.tenancy.access import Caller, demand_mode

MANAGERS: Final = frozenset({Role.OPERATOR, Role.ADMIN, Role.OWNER})
_ID: Final = re.compile(
    r"(?:(?:msg_)?([0-9a-f]{32})|([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}))\Z",
    re.IGNORECASE | re.ASCII,
)
_SHOWN: Final = 100


def manages(caller: Caller) -> bool:
    """Whether the caller sees the whole workspace's messages."""
    return caller.role in MANAGERS or (caller.api_key_id is not None and READ in caller.scopes)


def party_of(caller: Caller) -> Party:
    """The caller as somebody who sends and is written to."""
    addresses = feed.addresses_of(workspace_id=caller.workspace_id, avatar_id=caller.avatar_id)
    return Party(user_id=caller.user_id, addresses=frozenset(addresses))


def key_of(text: str) -> UUID | None:
    """The id that a text spells: a UUID, its 32 digits, or `msg_` and those."""
    spelled = _ID.match(text)
    return UUID(spelled[1] or spelled[2]) if spelled else None


def guid_of(text: str, name: str) -> UUID:
    """The id of an avatar.

    Raises:
        Invalid: the text is none.
    """
    key = None if text.lower().startswith("msg_") else key_of(text)
    if key is None:
        raise Invalid.at(f"/{name}", "invalid_guid", f"{name} is a UUID.")
    return key


def keys_of(texts: list[str]) -> list[UUID]:
    """The ids that texts spell.

    Raises:
        Invalid: one spells none.
    """
    keys = []
    for index, text in enumerate(texts):
        key = key_of(text)
        if key is None:
            raise Invalid.at(f"/{index}", "invalid_guid", "This is not the id of a message.")
        keys.append(key)
    return keys


def find(caller: Caller, text: str) -> Message:
    """A message that the caller sees.

    Raises:
        NotFound: there is none of that id.
    """
    key = key_of(text)
    if key is not None and (manages(caller) or _is_party(caller, key)):
        with _named(text):
            row = selectors.message(workspace_id=caller.workspace_id, message_id=key)
            if row.channel in OFFERED:
                return row
    raise _nothing(text)


def find_own(caller: Caller, text: str) -> Message:
    """A message that the caller may change.

    Raises:
        NotFound: there is none of that id.
        Forbidden: somebody else wrote it, and the caller does not manage messages; or a test key is used, and it
            goes to real providers.
    """
    row = find(caller, text)
    demand_mode(caller, test=row.test)
    if row.author_id != caller.user_id and not manages(caller):
        raise Forbidden("Only whoever sent a message, or manages messages, may change it.")
    return row


@contextmanager
def changing(caller: Caller, row: Message, deed: str) -> Iterator[None]:
    """Tell a refused change in this surface's words.

    Raises:
        NotFound: the message has gone meanwhile.
        TransitionRefused: it does not stand where that can be done.
    """
    try:
        with _named(str(row.id)):
            yield
    except TransitionRefused as error:
        now = selectors.standing_of(selectors.message(workspace_id=caller.workspace_id, message_id=row.id))
        # Pending stands for what waits, too, with which it could be done.
        word = f"{STATUS_OUT[now]}, being sent," if now is Standing.SENDING else STATUS_OUT[now]
        raise TransitionRefused(f"The message is {word} and cannot be {deed}.") from error


def _is_party(caller: Caller, key: UUID) -> bool:
    where = MessageFilter(ids=frozenset({key}), party=party_of(caller))
    return bool(selectors.messages(workspace_id=caller.workspace_id, where=where, limit=1))


@contextmanager
def _named(text: str) -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise _nothing(text) from error


def _nothing(text: str) -> NotFound:
    return NotFound(f"There is no message with the id {text[:_SHOWN]}.", code="message_not_found")
