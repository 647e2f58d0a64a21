"""Finds the contacts that a send names, and where each is reached by a channel.

A name is looked up as a contact's id (that of a merged contact leads to the one that was kept), then as an external
id, then as an avatar's id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import Q

from channels_app.addresses import normalise
from channels_app.types import Channel
from messaging.models import Contact, ContactAlias, Member, User
from messaging.models.people import reached_at

BY_ID: Final = frozenset({Channel.ONSITE, Channel.DIRECT, Channel.PUSH})
"""Channels whose addresses are ids themselves: there a plain `to` may name a contact."""

WEBHOOK_URL: Final = "webhookUrl"
"""The attribute of a contact that says where its webhook messages go."""
_PREFIXES: Final = ("ct_", "ps_", "msg_")
"""What may stand before an id, as surfaces show ids of contacts, subscriptions and messages."""

_PLAIN = "c.id, c.external_id, c.avatar_id, c.name, c.email, c.phone, c.telegram_chat_id, c.locale"
_WHOLE = f"{_PLAIN}, c.time_zone, c.attributes, c.tags, c.first_name, c.last_name"
_BY_ID = "SELECT c.id, {columns} FROM messaging_contact c WHERE c.workspace_id = %s AND c.id = ANY(%s)"
_BY_ALIAS = """
SELECT a.id, {columns} FROM messaging_contactalias a JOIN messaging_contact c ON c.id = a.contact_id
 WHERE a.workspace_id = %s AND a.id = ANY(%s)
"""
_BY_EXTERNAL_ID = """
SELECT c.external_id, {columns} FROM messaging_contact c WHERE c.workspace_id = %s AND c.external_id = ANY(%s)
"""
_BY_AVATAR = (
    "SELECT c.avatar_id, {columns} FROM messaging_contact c WHERE c.workspace_id = %s AND c.avatar_id = ANY(%s)"
)
_SUBSCRIBED = """
SELECT DISTINCT contact_id FROM messaging_pushsubscription WHERE workspace_id = %s AND contact_id = ANY(%s) AND active
"""
_SUBSCRIPTIONS = """
SELECT endpoint, contact_id FROM messaging_pushsubscription
 WHERE workspace_id = %(workspace)s AND endpoint = ANY(%(texts)s)
 UNION ALL
SELECT id::text, contact_id FROM messaging_pushsubscription
 WHERE workspace_id = %(workspace)s AND id = ANY(%(keys)s)
"""


class Asked(Protocol):
    """What a send says about one recipient: one of these, the others empty; or an address with the contact whose it is,
    if there is such a contact."""

    @property
    def to(self) -> str: ...
    @property
    def contact_id(self) -> str: ...
    @property
    def avatar_id(self) -> UUID | None: ...


class Person(NamedTuple):
    """A contact as sends need it."""

    id: UUID
    external_id: str | None
    avatar_id: UUID | None
    name: str
    email: str
    phone: str
    telegram_chat_id: str
    locale: str = ""
    time_zone: str = ""
    attributes: Any = None
    tags: Any = None
    first_name: str = ""
    last_name: str = ""

    def address(self, channel: Channel) -> str:
        """Where the channel reaches the contact; empty where it does not. A push also needs a subscription."""
        match channel:
            case Channel.EMAIL:
                return self.email
            case Channel.SMS | Channel.WHATSAPP:
                return self.phone
            case Channel.TELEGRAM:
                return self.telegram_chat_id
            case Channel.ONSITE | Channel.PUSH:
                return str(self.id)
            case Channel.DIRECT:
                return str(self.avatar_id) if self.avatar_id else ""
            case Channel.WEBHOOK:
                url = self.told().get(WEBHOOK_URL)
                return url if isinstance(url, str) else ""

    def told(self) -> dict[str, Any]:
        """The attributes, of a person that was found whole; Django's cursors hand JSON out as text."""
        return msgspec.json.decode(self.attributes) if isinstance(self.attributes, str) else self.attributes or {}

    def snapshot(self) -> dict[str, Any]:
        """What templates may read as `contact`; only of a person that was found whole."""
        return {
            "id": str(self.id),
            "external_id": self.external_id,
            "avatar_id": str(self.avatar_id) if self.avatar_id else None,
            "name": self.name or None,
            "email": self.email or None,
            "phone": self.phone or None,
            "telegram_chat_id": self.telegram_chat_id or None,
            "locale": self.locale or None,
            "time_zone": self.time_zone or None,
            "attributes": self.told(),
            "tags": list(self.tags or ()),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A recipient with an address; `person` is the contact behind it, where it is one."""

    address: str
    contact_id: UUID | None = None
    person: Person | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A recipient that cannot be reached, and why; `pointer` is the place within the recipient."""

    code: str
    detail: str
    pointer: str
    address: str = ""


def resolve(
    *, workspace_id: UUID, channel: Channel, recipients: Sequence[Asked], whole: bool = False, invented: bool = False
) -> list[Found | Missing]:
    """Say for each recipient where it is reached; `whole` reads what a snapshot needs as well.

    A direct message goes to an avatar of the workspace; where it reaches nobody anyway, as in the sandbox, `invented`
    lets it go to an id that nobody bears.
    """
    names = {each.contact_id for each in recipients if each.contact_id}
    if channel in BY_ID:
        names.update(each.to for each in recipients if each.to)
    avatars = {each.avatar_id for each in recipients if each.avatar_id is not None}
    whole = whole or channel is Channel.WEBHOOK
    known = find(workspace_id=workspace_id, names=names, whole=whole)
    faces = _by_avatar(workspace_id, avatars, whole=whole)
    subscribed: set[UUID] = set()
    devices: dict[str, UUID] = {}
    members: set[UUID] = set()
    taken: set[UUID] | None = None
    if channel is Channel.DIRECT:
        spelled = {key for each in recipients if (key := as_key(each.to)) is not None}
        members = members_among(workspace_id=workspace_id, avatars=avatars | spelled)
        taken = _borne(spelled) if invented else None
    if channel is Channel.PUSH:
        subscribed = _subscribed(workspace_id, [person.id for person in (*known.values(), *faces.values())])
        devices = _devices(workspace_id, [each.to for each in recipients if each.to and each.to not in known])
    found: list[Found | Missing] = []
    for each in recipients:
        pointer = "/contact_id" if each.contact_id else "/avatar_id" if each.avatar_id else "/to"
        person = faces.get(each.avatar_id) if each.avatar_id else known.get(each.contact_id or each.to)
        if channel is Channel.DIRECT and not each.contact_id and _is_another(person, each.to, members):
            person = None
        if each.to and each.contact_id:
            found.append(Found(address=each.to, contact_id=person.id if person else None, person=person))
        elif person is not None:
            found.append(_reached(person, channel, pointer, subscribed))
        elif channel is Channel.DIRECT and not each.contact_id:
            found.append(_faced(each, pointer, members, taken))
        else:
            found.append(_plain(each, pointer, channel, devices))
    return found


def _plain(each: Asked, pointer: str, channel: Channel, devices: Mapping[str, UUID]) -> Found | Missing:
    """A recipient that no contact stands for: an address as it is given."""
    if each.contact_id or each.avatar_id:
        return Missing(code="contact_not_found", detail="there is no such contact", pointer=pointer)
    if not each.to:
        return Missing(code="required", detail="a recipient has a to or a contact_id", pointer="/to")
    key = as_key(each.to) if channel is Channel.ONSITE else None
    return Found(address=str(key or each.to), contact_id=devices.get(each.to))


def _faced(each: Asked, pointer: str, members: Collection[UUID], taken: Collection[UUID] | None) -> Found | Missing:
    """The recipient of a direct message that is no contact: a member of the workspace, by the avatar's id, or where
    there are ids that are `taken` any other."""
    key = each.avatar_id or as_key(each.to)
    if taken is not None and each.to and key not in taken:
        return Found(address=str(key or each.to))
    if key not in members:
        return Missing(code="invalid_recipient", detail="there is no such avatar in the workspace", pointer=pointer)
    return Found(address=str(key))


def _is_another(person: Person | None, to: str, members: Collection[UUID]) -> bool:
    """Whether a member's avatar is meant and a contact only bears its id as a name: nobody takes another's letters."""
    key = as_key(to)
    return person is not None and key in members and person.avatar_id != key


def _borne(ids: Collection[UUID]) -> set[UUID]:
    """Which of these ids are somebody's, as a person or as an avatar, in any workspace."""
    rows = User.objects.filter(Q(avatar_id__in=ids) | Q(id__in=ids)).values_list("id", "avatar_id")
    return {key for row in rows for key in row}


def members_among(*, workspace_id: UUID, avatars: Collection[UUID]) -> set[UUID]:
    """Which of these avatars are members of the workspace."""
    rows = Member.objects.filter(workspace_id=workspace_id, user__avatar_id__in=avatars)
    return set(rows.values_list("user__avatar_id", flat=True)) if avatars else set()


def _reached(person: Person, channel: Channel, pointer: str, subscribed: set[UUID]) -> Found | Missing:
    address = person.address(channel)
    if not address or (channel is Channel.PUSH and person.id not in subscribed):
        what = "subscription" if channel is Channel.PUSH else "address"
        return Missing(code="contact_unreachable", detail=f"the contact has no {what} for {channel}", pointer=pointer)
    return Found(address=address, contact_id=person.id, person=person)


def find(*, workspace_id: UUID, names: Collection[str], whole: bool = False) -> dict[str, Person]:
    """The contacts that are known under these names, by name."""
    if not names:
        return {}
    columns = _WHOLE if whole else _PLAIN
    keys = {name: key for name in names if (key := as_key(name)) is not None}
    found: dict[str, Person] = {}
    with connection.cursor() as cursor:
        for query in (_BY_ID, _BY_ALIAS, _BY_EXTERNAL_ID, _BY_AVATAR):
            external = query is _BY_EXTERNAL_ID
            left = {
                name: name if external else keys[name]
                for name in names
                if name not in found and (external or name in keys)
            }
            if left:
                cursor.execute(query.format(columns=columns), [workspace_id, list(left.values())])
                rows = {row[0]: row[1:] for row in cursor.fetchall()}
                found.update((name, Person(*rows[value])) for name, value in left.items() if value in rows)
    return found


def ids_of(*, workspace_id: UUID, name: str) -> list[UUID]:
    """Every id under which rows of a contact were kept: its own and those of contacts merged into it.

    A contact that is gone is known by the id that it had.
    """
    person = find(workspace_id=workspace_id, names=[name]).get(name)
    if person is None:
        key = as_key(name)
        return [] if key is None else [key]
    return [person.id, *ContactAlias.objects.filter(contact_id=person.id).order_by("id").values_list("id", flat=True)]


def only_bearer(*, workspace_id: UUID, channel: Channel, address: str) -> str:
    """The id of the one contact that has this address for the channel; empty where there is none, or more than one.

    Raises:
        InvalidAddress: the channel cannot reach such an address.
    """
    column = "email" if channel is Channel.EMAIL else "phone"
    spelled = normalise(channel, address)
    rows = Contact.objects.filter(reached_at(column, spelled), workspace_id=workspace_id)
    found = list(rows.order_by("id").values_list("id", flat=True)[:2])
    return str(found[0]) if len(found) == 1 else ""


def as_key(name: str) -> UUID | None:
    """The id that a name spells, if it spells one in a usual way: with dashes or without, after a prefix or not."""
    digits = name.partition("_")[2] if name.startswith(_PREFIXES) else name
    if len(digits) not in {32, 36}:
        return None
    try:
        return UUID(digits)
    except ValueError:
        return None


def _by_avatar(workspace_id: UUID, avatars: Collection[UUID], *, whole: bool) -> dict[UUID, Person]:
    if not avatars:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_BY_AVATAR.format(columns=_WHOLE if whole else _PLAIN), [workspace_id, list(avatars)])
        return {row[0]: Person(*row[1:]) for row in cursor.fetchall()}


def _subscribed(workspace_id: UUID, contacts: Iterable[UUID]) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_SUBSCRIBED, [workspace_id, list(contacts)])
        return {row[0] for row in cursor.fetchall()}


def _devices(workspace_id: UUID, texts: Sequence[str]) -> dict[str, UUID]:
    """The contacts behind single subscriptions, named by their endpoint or id."""
    if not texts:
        return {}
    keys = {str(key): text for text in texts if (key := as_key(text)) is not None}
    with connection.cursor() as cursor:
        cursor.execute(
            _SUBSCRIPTIONS, {"workspace": workspace_id, "texts": list(texts), "keys": [UUID(key) for key in keys]}
        )
        return {keys.get(row[0], row[0]): row[1] for row in cursor.fetchall()}
