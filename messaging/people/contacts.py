"""Contacts: what is known of a person, checked, kept and given back.

A contact can be reached: it has an e-mail address, a phone number or a Telegram chat, or an external id or an avatar's
id, by which push, onsite and direct messages find it. Addresses are kept in the one spelling that their channel uses.
Two contacts may share an address; external ids and avatars belong to one contact each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from uuid import UUID
from zoneinfo import available_timezones

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from channels_app.addresses import normalise
from channels_app.errors import InvalidAddress
from channels_app.types import Channel
from messaging.errors import AlreadyExists, FieldError, Invalid, NotFound
from messaging.models import ConsentStatus, Contact, Reason, Suppression
from messaging.models.keys import uuid7
from messaging.people import changes, names
from messaging.people.changes import Change, Changed
from messaging.people.lines import line

ID_LENGTH = 255
NAME_LENGTH = 500
TAGS = 100
TAG_LENGTH = 100
ATTRIBUTES_BYTES = 32_768

REACHED_BY: Final = ("email", "phone", "telegram_chat_id", "external_id", "avatar_id")
"""Fields of which a contact has one at least."""
CHANNELS: Final[Mapping[str, tuple[Channel, ...]]] = {
    "email": (Channel.EMAIL,),
    "phone": (Channel.SMS, Channel.WHATSAPP),
    "telegram_chat_id": (Channel.TELEGRAM,),
}
"""The channels that go to each address."""

_LOCALE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*", re.ASCII)


def contacts_of(*, workspace_id: UUID) -> QuerySet[Contact]:
    """A workspace's contacts."""
    return Contact.objects.filter(workspace_id=workspace_id)


def get(*, workspace_id: UUID, contact_id: UUID) -> Contact:
    """Give one contact with its consents; the id of one that was merged gives the contact that was kept.

    Raises:
        NotFound: the workspace has no such contact.
    """
    known = contacts_of(workspace_id=workspace_id).prefetch_related("consents")
    contact = known.filter(pk=contact_id).first() or known.filter(aliases__pk=contact_id).first()
    if contact is None:
        raise missing()
    return contact


def kept_id(*, workspace_id: UUID, contact_id: UUID) -> UUID:
    """The id of the contact that one was merged into; any other id as it is."""
    merged = contacts_of(workspace_id=workspace_id).filter(aliases__pk=contact_id).values_list("id", flat=True)
    return merged.first() or contact_id


def missing() -> NotFound:
    """The refusal of an id that no contact of the workspace has."""
    return NotFound("There is no such contact.", code="contact_not_found")


def create(*, workspace_id: UUID, fields: Mapping[str, Any]) -> Contact:
    """Keep a new contact.

    Raises:
        Invalid: a value is malformed, or there is nothing to reach the contact by.
        AlreadyExists: the external id or the avatar belongs to another contact.
    """
    contact = Contact(id=uuid7(), workspace_id=workspace_id)
    _write(contact, cleaned(fields))
    _demand_reach(contact)
    with _unique():
        contact.save(force_insert=True)
        changes.tell(Change.CREATED, Changed(workspace_id=workspace_id, contact_id=contact.id))
    return get(workspace_id=workspace_id, contact_id=contact.id)


def update(*, workspace_id: UUID, contact_id: UUID, fields: Mapping[str, Any]) -> Contact:
    """Change the fields that are given; None empties one. Attributes and tags are replaced as a whole.

    Raises:
        NotFound: the workspace has no such contact.
        Invalid: a value is malformed, or nothing would be left to reach the contact by.
        AlreadyExists: the external id or the avatar belongs to another contact.
    """
    wanted = cleaned(fields)
    with _unique():
        contact = held(workspace_id=workspace_id, contact_id=contact_id)
        changed = _write(contact, wanted)
        _demand_reach(contact)
        contact.updated_at = Now()
        contact.save(update_fields=[*changed, "folded_name", "folded_email", "updated_at"])
        changes.tell(Change.UPDATED, Changed(workspace_id=workspace_id, contact_id=contact.id))
    return get(workspace_id=workspace_id, contact_id=contact.id)


def delete(*, workspace_id: UUID, contact_id: UUID) -> None:
    """Forget a contact. Its messages stay; what it opted out of stays with its addresses, as suppressions.

    Raises:
        NotFound: the workspace has no such contact.
    """
    with transaction.atomic():
        contact = held(workspace_id=workspace_id, contact_id=contact_id)
        _keep_opt_outs(contact)
        contact.delete()


def held(*, workspace_id: UUID, contact_id: UUID) -> Contact:
    """Give a contact, by its own id or that of one merged into it, and lock it until the transaction ends.

    Raises:
        NotFound: the workspace has no such contact.
    """
    known = contacts_of(workspace_id=workspace_id).select_for_update(of=("self",))
    contact = known.filter(pk=contact_id).first() or known.filter(aliases__pk=contact_id).first()
    if contact is None:
        raise missing()
    return contact


def _write(contact: Contact, wanted: Mapping[str, Any]) -> list[str]:
    """Change the fields in memory; give the names of those that changed."""
    whole = names.united(wanted, contact)
    for name, value in whole.items():
        setattr(contact, name, value)
    return list(whole)


def _keep_opt_outs(contact: Contact) -> None:
    addresses = {
        channel.value: address
        for name, channels in CHANNELS.items()
        for channel in channels
        if (address := getattr(contact, name))
    }
    said = contact.consents.filter(status=ConsentStatus.OPTED_OUT, channel__in=addresses).order_by(
        "channel", "category"
    )
    Suppression.objects.bulk_create(
        [
            Suppression(
                workspace_id=contact.workspace_id,
                channel=each.channel,
                address=addresses[each.channel],
                category=each.category,
                reason=Reason.OPTED_OUT,
                message_id=each.message_id,
                author_id=each.author_id,
            )
            for each in said
        ],
        ignore_conflicts=True,
    )


def _demand_reach(contact: Contact) -> None:
    if not any(getattr(contact, name) for name in REACHED_BY):
        detail = "A contact has an e-mail address, a phone number, a Telegram chat, an external id or an avatar."
        raise Invalid.at("/email", "no_address", detail)


@contextmanager
def _unique() -> Iterator[None]:
    """A transaction in which a taken external id or avatar is refused."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        for name, constraint in (("external_id", "contact_external_id"), ("avatar_id", "contact_avatar")):
            if constraint in str(error):
                detail = f"Another contact has this {name.replace('_', ' ')}."
                places = [FieldError(f"/{name}", f"{name}_taken", detail)]
                raise AlreadyExists(detail, code=f"{name}_taken", errors=places) from error
        raise


def cleaned(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are kept.

    Raises:
        Invalid: with every value that is malformed.
    """
    found: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, value in fields.items():
        try:
            found[name] = _CLEANERS[name](value)
        except InvalidAddress as error:
            errors.append(FieldError(f"/{name}", error.code, str(error)))
        except Invalid as error:
            errors += [FieldError(f"/{name}{each.pointer}", each.code, each.detail) for each in error.errors]
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
    return found


def _address(channel: Channel) -> Callable[[str | None], str]:
    return lambda value: normalise(channel, value) if value else ""


def _external_id(value: str | None) -> str | None:
    return line(value or "", pointer="", longest=ID_LENGTH) or None


def _name(value: str | None) -> str:
    return line(value or "", pointer="", longest=NAME_LENGTH)


def _locale(value: str | None) -> str:
    text = value or ""
    if text and not (len(text) <= 35 and _LOCALE.fullmatch(text)):
        raise Invalid.at("", "invalid_locale", "A locale is a language tag, as in en or pt-BR.")
    return text.replace("_", "-")


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _time_zone(value: str | None) -> str:
    text = value or ""
    if text and text not in _zones():
        raise Invalid.at("", "invalid_time_zone", "A time zone is a name of the IANA database, as in Europe/Zurich.")
    return text


def _tags(value: list[str] | None) -> list[str]:
    given = (line(tag, pointer=f"/{n}", longest=TAG_LENGTH, shortest=1) for n, tag in enumerate(value or ()))
    tags = list(dict.fromkeys(given))
    if len(tags) > TAGS:
        raise Invalid.at("", "too_long", f"A contact has at most {TAGS} tags.")
    return tags


def _attributes(value: dict[str, Any] | None) -> dict[str, Any]:
    if len(msgspec.json.encode(value or {})) > ATTRIBUTES_BYTES:
        raise Invalid.at("", "too_long", f"Attributes have at most {ATTRIBUTES_BYTES} bytes as JSON.")
    return value or {}


_CLEANERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "external_id": _external_id,
    "avatar_id": lambda value: value,
    "name": _name,
    "first_name": _name,
    "last_name": _name,
    "email": _address(Channel.EMAIL),
    "phone": _address(Channel.SMS),
    "telegram_chat_id": _address(Channel.TELEGRAM),
    "locale": _locale,
    "time_zone": _time_zone,
    "attributes": _attributes,
    "tags": _tags,
}
FIELDS: Final = tuple(_CLEANERS)
"""What a caller may set."""
