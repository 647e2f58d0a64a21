"""The ways out that a message offers its recipient: links in what it says, and the headers by which mail programs show
a button (RFC 2369, RFC 8058).

A template reads them as `unsubscribe_url` and `preferences_url`, or `unsubscribeUrl` and `preferencesUrl`, unless the
data has values of these names. They are made for a message that reads them, and the same again whenever it is looked
at: their time counts from its sending.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID

from django.conf import settings

from channels_app.types import Channel
from messaging.content import links

_UNSUBSCRIBE: Final = frozenset({"unsubscribe_url", "unsubscribeUrl"})
_PREFERENCES: Final = frozenset({"preferences_url", "preferencesUrl"})
NAMES: Final = _UNSUBSCRIBE | _PREFERENCES

TRANSACTIONAL: Final = "transactional"
_ALL: Final = "*"
_HEADER: Final = "List-Unsubscribe"
_ONE_CLICK: Final = {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


class Whom(Protocol):
    """A message, however it was read."""

    @property
    def id(self) -> UUID: ...
    @property
    def workspace_id(self) -> UUID: ...
    @property
    def contact_id(self) -> UUID | None: ...
    @property
    def category(self) -> str: ...
    @property
    def sending_at(self) -> datetime | None: ...


def read_by(variables: Iterable[str]) -> frozenset[str]:
    """The links among the variables of a template."""
    return NAMES.intersection(variables)


def stand_ins(names: Collection[str]) -> dict[str, str]:
    """Links that lead nowhere, for a message that there is not yet."""
    base = f"{settings.PUBLIC_BASE_URL}/api"
    return {name: f"{base}/{'unsubscribe' if name in _UNSUBSCRIBE else 'preferences'}?token=" for name in names}


def of(message: Whom, channel: Channel, names: Collection[str]) -> dict[str, str]:
    """The links of one message, those of these names."""
    found: dict[str, str] = {}
    # An address that is nobody's has nothing to choose among.
    choosing = _PREFERENCES.intersection(names) if message.contact_id is not None else frozenset()
    if choosing:
        found.update(dict.fromkeys(choosing, _preferences_url(message)))
    if leaving := set(names) - choosing:
        found.update(dict.fromkeys(leaving, _unsubscribe_url(message, channel)))
    return found


def headers(message: Whom, channel: Channel, given: Mapping[str, Any]) -> dict[str, str]:
    """The headers of one e-mail by which its recipient opts out; none where the sender gave his own, where the e-mail
    is one that nobody opts out of, or where nobody said how we are reached.
    """
    if channel is not Channel.EMAIL or message.category == TRANSACTIONAL or not settings.PUBLIC_BASE_URL_IS_SET:
        return {}
    if given and any(name.lower() == _HEADER.lower() for name in given):
        return {}
    # RFC 8058, 3.1: one click is for https alone.
    secure = settings.PUBLIC_BASE_URL.startswith("https://")
    return {_HEADER: f"<{_unsubscribe_url(message, channel)}>", **(_ONE_CLICK if secure else {})}


def _unsubscribe_url(message: Whom, channel: Channel) -> str:
    return links.unsubscribe_url(
        workspace_id=message.workspace_id,
        channel=channel,
        contact_id=message.contact_id,
        message_id=message.id,
        # Nobody can leave what he cannot do without: whoever leaves that, leaves all the rest.
        category=_ALL if message.category == TRANSACTIONAL else message.category,
        expires_at=_expiry(message),
    )


def _preferences_url(message: Whom) -> str:
    assert message.contact_id is not None  # noqa: S101
    return links.preferences_url(
        workspace_id=message.workspace_id, contact_id=message.contact_id, expires_at=_expiry(message)
    )


def _expiry(message: Whom) -> datetime:
    """When the links of a message are over. Until it is sent its id tells its time: it begins with milliseconds."""
    return (message.sending_at or datetime.fromtimestamp((message.id.int >> 80) / 1_000, UTC)) + links.LIFETIME
