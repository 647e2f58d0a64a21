"""Lists and searches contacts.

A search gives first the contacts of which the text is an id, the external id or the phone number, then those whose name
begins with it, by name, then those whose e-mail address does, by address. Each part is a range of an index, read from
where the page begins, so that a page costs the same among a million contacts as among a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db.models import Q, QuerySet

from channels_app.addresses import normalise
from channels_app.errors import InvalidAddress
from channels_app.types import Channel
from messaging.errors import Invalid
from messaging.models import Contact
from messaging.models.people import folded
from messaging.people.contacts import contacts_of
from messaging.people.recipients import as_key

_EXACT = 100
"""Contacts with one phone number that a search shows at the most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactFilter:
    """Which contacts of a workspace are wanted; what is left out narrows nothing."""

    q: str | None = None
    tag: str | None = None
    external_id: str | None = None


ALL = ContactFilter()


class Sort(StrEnum):
    """What the rows of a table of contacts are sorted by; those that are equal, by their ids."""

    CREATED = "id"
    UPDATED = "updated_at"
    NAME = "folded_name"
    EMAIL = "folded_email"


@dataclass(frozen=True, slots=True)
class _Part:
    """Contacts that match a search in one way, and the field that sorts them."""

    rows: QuerySet[Contact]
    field: str


def contacts(
    *, workspace_id: UUID, where: ContactFilter = ALL, ascending: bool = False, beyond: UUID | None = None, limit: int
) -> list[Contact]:
    """A stretch of a workspace's contacts with their consents: the newest first, or in the order of a search.

    `beyond` starts after a contact. A search runs backwards where `ascending`, as the list does.

    Raises:
        Invalid: the contact that a search should go on after is gone.
    """
    rows = contacts_of(workspace_id=workspace_id)
    if where.tag is not None:
        rows = rows.filter(tags__contains=[where.tag])
    if where.external_id is not None:
        rows = rows.filter(external_id=where.external_id)
    if where.q is None:
        found = _beyond(rows, beyond, ascending).order_by("id" if ascending else "-id")
        return list(found.prefetch_related("consents")[:limit])
    return _search(rows, _parts(rows, where.q.strip()), back=ascending, beyond=beyond, limit=limit)


def table(
    *, workspace_id: UUID, where: ContactFilter = ALL, sort: Sort = Sort.CREATED, ascending: bool = False
) -> QuerySet[Contact]:
    """The contacts that `contacts` finds, with their consents, in any order, as rows that can be counted and paged."""
    rows = contacts_of(workspace_id=workspace_id)
    if where.tag is not None:
        rows = rows.filter(tags__contains=[where.tag])
    if where.external_id is not None:
        rows = rows.filter(external_id=where.external_id)
    if where.q is not None:
        q = where.q.strip()
        start = folded(q)
        begins = Q(folded_name__startswith=start) | Q(folded_email__startswith=start)
        rows = rows.filter(Q(id__in=_exact(rows, q)) | begins)
    sign = "" if ascending else "-"
    order = [f"{sign}{sort.value}", f"{sign}id"] if sort is not Sort.CREATED else [f"{sign}id"]
    return rows.order_by(*order).prefetch_related("consents")


def _beyond(rows: QuerySet[Contact], beyond: UUID | None, ascending: bool) -> QuerySet[Contact]:
    if beyond is None:
        return rows
    return rows.filter(id__gt=beyond) if ascending else rows.filter(id__lt=beyond)


def _parts(rows: QuerySet[Contact], q: str) -> list[_Part]:
    exact = _exact(rows, q)
    start = folded(q)
    by_name = Q(folded_name__startswith=start)
    others = rows.exclude(id__in=exact)
    return [
        _Part(rows.filter(id__in=exact), "id"),
        _Part(others.filter(by_name), "folded_name"),
        _Part(others.exclude(by_name).filter(folded_email__startswith=start), "folded_email"),
    ]


def _exact(rows: QuerySet[Contact], q: str) -> list[UUID]:
    """The contacts that the text names: each index is asked by itself, since an OR over them would read the table."""
    ways = [Q(external_id=q)]
    key = as_key(q)
    if key is not None:
        ways += [Q(id=key), Q(avatar_id=key), Q(aliases__id=key)]
    with suppress(InvalidAddress):
        ways.append(Q(phone=normalise(Channel.SMS, q)) & ~Q(phone=""))
    found: set[UUID] = set()
    for way in ways:
        found.update(rows.filter(way).order_by("id").values_list("id", flat=True)[:_EXACT])
    return sorted(found)


def _search(
    rows: QuerySet[Contact], parts: Sequence[_Part], *, back: bool, beyond: UUID | None, limit: int
) -> list[Contact]:
    """Read the parts one after the other from where the page begins."""
    place = 0 if not back else len(parts) - 1
    last: Contact | None = None
    if beyond is not None:
        place, last = _where(parts, beyond)
    found: list[Contact] = []
    for part in reversed(parts[: place + 1]) if back else parts[place:]:
        found += _stretch(part, last, back=back, limit=limit - len(found))
        last = None
        if len(found) >= limit:
            break
    return found


def _where(parts: Sequence[_Part], beyond: UUID) -> tuple[int, Contact]:
    for place, part in enumerate(parts):
        contact = part.rows.filter(id=beyond).first()
        if contact is not None:
            return place, contact
    raise Invalid.at("/cursor", "invalid_cursor", "The contact at which the page begins is gone; start again.")


def _stretch(part: _Part, last: Contact | None, *, back: bool, limit: int) -> list[Contact]:
    rows = part.rows
    sign, step = ("-", "lt") if back else ("", "gt")
    if last is not None:
        value = getattr(last, part.field)
        same = Q(**{part.field: value, f"id__{step}": last.id})
        rows = rows.filter(Q(**{f"{part.field}__{step}e": value}) & (Q(**{f"{part.field}__{step}": value}) | same))
    ordered = rows.order_by(f"{sign}{part.field}", f"{sign}id")
    return list(ordered.prefetch_related("consents")[:limit])
