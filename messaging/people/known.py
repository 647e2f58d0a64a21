"""Finds the one contact that something is said of, for whoever makes it a contact where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from messaging.models import Contact
from messaging.models.people import reached_at
from messaging.people import contacts

# In one order for everybody, or two who look by the same values would wait for each other.
_HOLD = "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(%s::text[]) AS name"


def by(
    *, workspace_id: UUID, fields: Mapping[str, Any], names: Sequence[str]
) -> tuple[Contact, str] | tuple[None, None]:
    """The first contact that has the first of these fields that anybody has, and which field that was.

    Until the transaction ends nobody else looks by these values, so that what is made of them is made once.
    """
    given = {name: fields[name] for name in names if fields.get(name)}
    _hold(f"contact {workspace_id} {name} {value.lower()}" for name, value in given.items())
    rows = contacts.contacts_of(workspace_id=workspace_id).order_by("id")
    for name, value in given.items():
        found = rows.filter(reached_at(name, value)).first()
        if found is not None:
            return found, name
    return None, None


def _hold(names: Iterable[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, [sorted(names)])
