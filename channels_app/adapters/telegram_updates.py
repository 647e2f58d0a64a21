"""What people tell a bot: reads the updates that Telegram posts to its webhook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from channels_app.errors import CallbackRejected
from channels_app.types import Signal, SignalKind
from channels_app.words import cleaned

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
"""What a deep link may carry: https://core.telegram.org/bots/features#deep-linking."""
_COMMAND: Final = re.compile(r"/(start|stop)(?:@[A-Za-z0-9_]+)?(?:\s+(\S*)\s*)?\Z", re.IGNORECASE)
_GONE: Final = frozenset({"kicked", "left"})
"""Standings of a bot in a chat that wants it no more; `kicked` is also what a person does who blocks it."""


def signals(body: bytes) -> Iterator[Signal]:
    """Read an update: `/start` and `/stop` in a talk with one person, and that a chat has thrown the bot out.

    Raises:
        CallbackRejected: it is no update.
    """
    update = _update(body)
    key = str(update["update_id"])
    message, standing = update.get("message"), update.get("my_chat_member")
    if isinstance(message, dict):
        yield from _command(key, message)
    elif isinstance(standing, dict) and _part(standing, "new_chat_member").get("status") in _GONE:
        address = _address(standing)
        if address:
            yield Signal(kind=SignalKind.OPTED_OUT, key=key, address=address)


def _update(body: bytes) -> dict[str, Any]:
    try:
        update = json.loads(body)
    except (ValueError, RecursionError):
        update = None
    if not isinstance(update, dict) or not isinstance(update.get("update_id"), int):
        raise CallbackRejected("not an update of Telegram")
    return update


def _command(key: str, message: Mapping[str, Any]) -> Iterator[Signal]:
    text, address = message.get("text"), _address(message)
    command = _COMMAND.match(text) if isinstance(text, str) else None
    # In a group anybody could speak for all.
    if command is None or not address or _part(message, "chat").get("type") != "private":
        return
    token = command[2] or ""
    if command[1].lower() == "stop":
        yield Signal(kind=SignalKind.OPTED_OUT, key=key, address=address)
    elif _TOKEN.match(token):
        yield Signal(kind=SignalKind.LINKED, key=key, address=address, token=token, name=_name(message))
    else:
        yield Signal(kind=SignalKind.OPTED_IN, key=key, address=address, name=_name(message))


def _address(message: Mapping[str, Any]) -> str:
    chat_id = _part(message, "chat").get("id")
    return str(chat_id) if isinstance(chat_id, int) and chat_id and abs(chat_id) < 2**63 else ""


def _name(message: Mapping[str, Any]) -> str:
    person = _part(message, "from")
    parts = (person.get("first_name"), person.get("last_name"))
    return cleaned(" ".join(part for part in parts if isinstance(part, str)).encode("utf-8", "replace"))[:255]


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = whole.get(name)
    return part if isinstance(part, dict) else {}
