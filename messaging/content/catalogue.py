"""Lists templates in any order, from any place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import reduce
from operator import or_
from uuid import UUID

from django.db.models import F, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce, Collate, NullIf

from messaging.content.templates import Edition, TemplateFilter, matching, newest
from messaging.models import Template


class Sort(StrEnum):
    """What a list goes by. Templates that are equal in it go by their ids."""

    CREATED = "created"
    """By id, which is the order of time."""
    MODIFIED = "modified"
    NAME = "name"
    CHANNEL = "channel"


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogueFilter(TemplateFilter):
    """Which templates are wanted, by more than their own words."""

    ids: frozenset[UUID] | None = None
    root: str | None = None
    """A language with its regional forms: `pt` is `pt-BR`, too."""
    other_roots: frozenset[str] = frozenset()
    """Languages that are not wanted, in none of their forms."""
    other_action_types: frozenset[str] = frozenset()
    """Kinds of action that are not wanted."""
    created_after: datetime | None = None
    """The first moment that is wanted."""
    created_before: datetime | None = None
    """The first moment that is not wanted any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stand:
    """Where a template stands in an order: its value there, as text, and its id."""

    value: str | None
    id: UUID


_COLUMNS = {
    Sort.MODIFIED: F("updated_at"),
    # By code points, whatever the database's own order of letters is: a place is compared as it was sorted.
    Sort.NAME: Collate(Coalesce(NullIf("name", Value("")), Cast("key", TextField()), output_field=TextField()), "C"),
    Sort.CHANNEL: F("channel"),
}


def listed(
    *, workspace_id: UUID, where: CatalogueFilter, sort: Sort, ascending: bool, after: Stand | None, limit: int
) -> list[Edition]:
    """A stretch of a workspace's templates, as their newest versions say them, behind a place."""
    way = "" if ascending else "-"
    rows = _narrowed(matching(workspace_id=workspace_id, where=where), where)
    if sort is Sort.CREATED:
        rows = rows.order_by(f"{way}id")
    else:
        rows = rows.annotate(place=_COLUMNS[sort]).order_by(f"{way}place", f"{way}id")
    if after is not None:
        rows = rows.filter(_behind(after, sort, "gt" if ascending else "lt"))
    return newest(list(rows[:limit]))


def stand_of(edition: Edition, sort: Sort) -> Stand:
    """Where a template stands in an order."""
    row = edition.template
    value = {
        Sort.CREATED: None,
        Sort.MODIFIED: row.updated_at.isoformat(),
        Sort.NAME: row.name or row.key,
        Sort.CHANNEL: row.channel,
    }[sort]
    return Stand(value=value, id=row.id)


def _behind(after: Stand, sort: Sort, than: str) -> Q:
    beyond = Q(**{f"id__{than}": after.id})
    if sort is Sort.CREATED:
        return beyond
    value = datetime.fromisoformat(after.value or "") if sort is Sort.MODIFIED else after.value
    return Q(**{f"place__{than}": value}) | (Q(place=value) & beyond)


def _narrowed(rows: QuerySet[Template], where: CatalogueFilter) -> QuerySet[Template]:
    if where.ids is not None:
        rows = rows.filter(id__in=where.ids)
    if where.root is not None:
        rows = rows.filter(_rooted([where.root]))
    if where.other_roots:
        rows = rows.exclude(_rooted(where.other_roots))
    if where.other_action_types:
        rows = rows.exclude(action_type__in=sorted(where.other_action_types))
    if where.created_after is not None:
        rows = rows.filter(created_at__gte=where.created_after)
    if where.created_before is not None:
        rows = rows.filter(created_at__lt=where.created_before)
    return rows


def _rooted(roots: Iterable[str]) -> Q:
    return reduce(or_, (Q(language=root) | Q(language__startswith=f"{root}-") for root in roots))
