"""Whom a campaign goes to: contacts with all of its tags that its filter lets through, frozen when it starts.

A filter is an object of equalities, all of which must hold. `id`, `external_id`, `locale` and `time_zone` name a
contact's own fields, `attributes` is an object of attribute → value. Wherever a value stands, a list means one of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from channels_app.types import Channel
from messaging.campaigns import filling
from messaging.dispatch import intake
from messaging.dispatch.intake import Draft, Recipient
from messaging.errors import AlreadyExists, FieldError, Invalid
from messaging.models import Audience, Campaign, Contact, ContactAlias
from messaging.models.keys import uuid7
from messaging.people import contacts as people
from messaging.people.recipients import as_key
from messaging.state import Priority

LARGEST = 10_000
"""Contacts that one campaign goes to at the most."""
TAGS = 100
VALUES = 10_000
ATTRIBUTES = 50
_LONGEST = 255
_ROWS = 2_000

_FIELDS: Final = ("id", "external_id", "locale", "time_zone")
_ADDRESSES: Final[Mapping[Channel, str]] = {
    Channel.EMAIL: "lower(email)",
    Channel.SMS: "phone",
    Channel.WHATSAPP: "phone",
    Channel.TELEGRAM: "telegram_chat_id",
}
"""Fields with addresses that several contacts may share; on other channels each contact has its own."""

TWICE: Final = "duplicate_address"
"""The error of a contact whose address another contact of the audience has, who gets the message."""
UNREACHABLE: Final = "contact_unreachable"
"""That of one without an address for the channel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What an audience is chosen by; all of it left empty is every contact of the workspace."""

    tags: Sequence[str] = ()
    filter: Mapping[str, Any] | None = None
    contacts: Sequence[UUID] = ()
    """Contacts that are in it beside those, or alone."""


def problems(target: Target) -> Iterator[FieldError]:
    """Everything that is wrong with what an audience is chosen by."""
    if len(target.tags) > TAGS:
        yield FieldError("/audience/tags", "too_long", f"An audience is chosen by at most {TAGS} tags.")
    if len(target.contacts) > LARGEST:
        yield FieldError("/audience", "too_long", f"An audience names at most {LARGEST} contacts.")
    for place, tag in enumerate(target.tags):
        if not 0 < len(tag) <= _LONGEST:
            yield FieldError(f"/audience/tags/{place}", "length", f"A tag has 1 to {_LONGEST} characters.")
    for name, value in (target.filter or {}).items():
        pointer = f"/audience/filter/{_segment(name)}"
        if name == "attributes":
            yield from _attribute_problems(value, pointer)
        elif name not in _FIELDS:
            known = ", ".join((*_FIELDS, "attributes"))
            yield FieldError(pointer, "unknown_field", f"A filter knows {known}.")
        elif not all(isinstance(each, str) and each for each in _several(value)):
            yield FieldError(pointer, "wrong_type", "A value here is a text, or a list of texts.")
        elif name == "id" and not all(as_key(each) for each in _several(value)):
            yield FieldError(pointer, "invalid_value", "Contacts are named by their ids here.")
        else:
            yield from _number_problems(value, pointer)


def _attribute_problems(value: object, pointer: str) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        yield FieldError(pointer, "wrong_type", "Attributes are an object of attribute and value.")
        return
    if len(value) > ATTRIBUTES:
        yield FieldError(pointer, "too_long", f"A filter has at most {ATTRIBUTES} attributes.")
    for name, wanted in value.items():
        place = f"{pointer}/{_segment(name)}"
        if not all(isinstance(each, str | int | float) for each in _several(wanted)):
            yield FieldError(place, "wrong_type", "A value here is a text, a number, true or false, or a list of them.")
        else:
            yield from _number_problems(wanted, place)


def _number_problems(value: object, pointer: str) -> Iterator[FieldError]:
    if not 0 < len(_several(value)) <= VALUES:
        yield FieldError(pointer, "length", f"A list of values has 1 to {VALUES} of them.")


def _several(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _segment(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")[:_LONGEST]


def contacts(*, workspace_id: UUID, target: Target) -> QuerySet[Contact]:
    """The contacts that belong to an audience now."""
    rows = Contact.objects.filter(workspace_id=workspace_id)
    if not target.contacts:
        return _chosen(rows, target)
    merged = ContactAlias.objects.filter(id__in=target.contacts, workspace_id=workspace_id).values("contact_id")
    named = Q(id__in=target.contacts) | Q(id__in=merged)
    if not target.tags and not target.filter:
        return rows.filter(named)
    return rows.filter(named | Q(id__in=_chosen(rows, target).values("id")))


def _chosen(rows: QuerySet[Contact], target: Target) -> QuerySet[Contact]:
    """Those that have all the tags and pass the filter."""
    if target.tags:
        rows = rows.filter(tags__contains=list(target.tags))
    for name, value in (target.filter or {}).items():
        if name == "attributes":
            for attribute, wanted in value.items():
                rows = rows.filter(_has(attribute, _several(wanted)))
        else:
            rows = rows.filter(**{f"{name}__in": _several(value)})
    return rows


def _has(attribute: str, values: Sequence[Any]) -> Q:
    # Containment takes the name as data; a look-up by key would read what looks like an operator in it.
    wanted = Q()
    for value in values:
        wanted |= Q(attributes__contains={attribute: value})
    return wanted


def freeze(campaign: Campaign) -> None:
    """Write down whom the campaign goes to, and accept their messages unless they are fed by and by, inside the
    caller's transaction.

    A contact who is not reached stays in the audience with the reason.

    Raises:
        Invalid: there is nobody, or nobody who can be reached, or too many; or the messages cannot be accepted.
    """
    target = Target(tags=campaign.tags, filter=campaign.filter, contacts=campaign.contact_ids)
    channel = Channel(campaign.channel)
    if campaign.kind and not (target.tags or target.filter or target.contacts):
        raise Invalid.at("/audience", "required", "The campaign does not say whom it goes to.")
    before = Audience.objects.filter(campaign=campaign, channel=channel.value).values("contact_id")
    found = contacts(workspace_id=campaign.workspace_id, target=target).exclude(id__in=before).order_by("id")
    chosen = _held(list(found.values_list("id", flat=True)[: LARGEST + 1]), campaign)
    if len(chosen) > LARGEST:
        raise Invalid.at("/audience", "audience_too_large", f"An audience has at most {LARGEST} contacts.")
    if not chosen:
        raise Invalid.at("/audience", "audience_empty", "No contact belongs to the audience.")
    rows = [_row(campaign, contact, error) for contact, error in chosen.items()]
    if campaign.feed_at is None:
        _accept(campaign, [row for row in rows if not row.error_code])
    elif all(row.error_code for row in rows):
        raise Invalid.at("/audience", "no_valid_recipient", "No contact of the audience can be sent to.")
    Audience.objects.bulk_create(rows, batch_size=_ROWS)


def waiting(campaigns: Sequence[UUID]) -> QuerySet[Audience]:
    """Those in the audiences of these campaigns who have not been written to yet, and may be."""
    return Audience.objects.filter(campaign_id__in=campaigns, message_id=None, error_code="")


def write_to(campaign: Campaign, rows: Sequence[Audience]) -> int:
    """Accept the messages of some of the audience, inside the caller's transaction; give how many there are.

    A contact who is not reached stays in the audience with the reason.

    Raises:
        Invalid: the messages cannot be accepted, whoever they go to.
    """
    _held([row.contact_id for row in rows], campaign)
    try:
        _accept(campaign, rows)
    except intake.NobodyReached as error:
        for each in error.rejected:
            rows[each.index].error_code = each.code
    Audience.objects.bulk_update(rows, ["message_id", "error_code"], batch_size=_ROWS)
    return sum(row.message_id is not None for row in rows)


def enrol(campaign: Campaign, contact_id: UUID, *, awaited: bool = False) -> UUID:
    """Write to one contact as the campaign does, inside the caller's transaction; give the message's id.

    Raises:
        NotFound: the workspace has no such contact.
        AlreadyExists: the contact is in the audience, and nobody is written to twice.
        Invalid: the contact cannot be reached, or the message is refused.
    """
    contact = people.held(workspace_id=campaign.workspace_id, contact_id=contact_id)
    row = _row(campaign, contact.id)
    known = Audience.objects.filter(campaign=campaign, contact=contact, channel=campaign.channel)
    if known.exists():
        raise AlreadyExists("The campaign has gone to this contact already.", code="already_enrolled")
    _accept(campaign, [row], one=True, awaited=awaited)
    row.save(force_insert=True)
    assert row.message_id is not None  # noqa: S101 - it was accepted
    return row.message_id


def _row(campaign: Campaign, contact_id: UUID, error: str = "") -> Audience:
    return Audience(id=uuid7(), campaign=campaign, contact_id=contact_id, channel=campaign.channel, error_code=error)


def _held(ids: Sequence[UUID], campaign: Campaign) -> dict[UUID, str]:
    """Those of the contacts that still exist, kept from being deleted or merged until the transaction ends.

    Each comes with an error where one before has the same address: nobody is written to twice. Where they are written
    to later, so does one without an address.
    """
    column = _ADDRESSES.get(Channel(campaign.channel), "id")
    nowhere = "" if campaign.feed_at is None else UNREACHABLE
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, {column}::text AS address FROM messaging_contact WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE",  # noqa: S608
            [list(ids)],
        )
        found = cursor.fetchall()
    taken: set[str] = set()
    chosen: dict[UUID, str] = {}
    for contact, address in found:
        chosen[contact] = TWICE if address and address in taken else "" if address else nowhere
        taken.add(address)
    return chosen


def _accept(campaign: Campaign, rows: Sequence[Audience], *, one: bool = False, awaited: bool = False) -> None:
    """Accept the messages, and note on each row what became of it."""
    if campaign.template is None:
        raise Invalid.at("/template", "required", "A campaign has a template.")
    data = filling.data_of(campaign, [row.contact_id for row in rows])
    try:
        accepted = intake.accept(
            workspace_id=campaign.workspace_id,
            author_id=campaign.author_id,
            test=campaign.test,
            draft=Draft(
                channel=Channel(campaign.channel),
                template=campaign.template.key,
                template_at=filling.template_at(campaign),
                priority=Priority.NORMAL if one else Priority.BULK,
                category=campaign.category,
                campaign_id=campaign.id,
                expires_at=campaign.ends_at,
            ),
            recipients=[Recipient(contact_id=str(row.contact_id), data=data[row.contact_id]) for row in rows],
            batch=False,
            awaited=awaited,
        )
    except intake.NobodyReached as error:
        if campaign.feed_at is not None and not one:
            raise
        raise _unreached(error, one=one) from error
    refused = {each.index: each.code for each in accepted.rejected}
    ids = iter(accepted.ids)
    for place, row in enumerate(rows):
        if place in refused:
            row.error_code = refused[place]
        else:
            row.message_id = next(ids)


def _unreached(error: Invalid, *, one: bool) -> Invalid:
    """A refusal of everybody as one of the audience, or of the one contact that was named."""
    first = error.errors[0]
    if one:
        return Invalid.at("/contact", first.code, first.detail)
    reasons = "; ".join(sorted({each.detail for each in error.errors})[:3])
    detail = f"No contact of the audience can be sent to: {reasons}"
    return Invalid.at("/audience", "no_valid_recipient", detail)
