"""Takes in many contacts at once: each row is kept by itself, and those that cannot be are told of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from messaging.errors import AlreadyExists, DispatchError, Invalid
from messaging.models import Contact
from messaging.models.people import reached_at
from messaging.people import contacts

LARGEST = 1_000
"""Rows of one import."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A row that was not kept, by its place from 0."""

    row: int
    error: DispatchError


@dataclass(kw_only=True, slots=True)
class Imported:
    """What became of the rows of an import."""

    created: int = 0
    updated: int = 0
    refused: list[Refused] = field(default_factory=list)


def take_in(*, workspace_id: UUID, rows: Sequence[Mapping[str, Any] | DispatchError]) -> Imported:
    """Keep contacts. One whose external id, or else whose e-mail address, is known changes the contact that has it,
    and adds its tags and attributes to those that are there. A row that could not be read comes as what is wrong.

    Raises:
        Invalid: these are too many rows.
    """
    if len(rows) > LARGEST:
        raise Invalid.at("/contacts", "too_long", f"An import has at most {LARGEST} contacts.")
    done = Imported()
    for place, fields in enumerate(rows):
        if isinstance(fields, DispatchError):
            done.refused.append(Refused(row=place, error=fields))
            continue
        try:
            new = _keep(workspace_id, fields)
        except (Invalid, AlreadyExists) as error:
            done.refused.append(Refused(row=place, error=error))
        else:
            done.created += new
            done.updated += not new
    return done


def _keep(workspace_id: UUID, fields: Mapping[str, Any]) -> bool:
    """Keep one row; tell whether it is a new contact."""
    known = _known(workspace_id, contacts.cleaned(fields))
    if known is None:
        contacts.create(workspace_id=workspace_id, fields=fields)
        return True
    joint = {name: value for name, value in fields.items() if value is not None}
    if "tags" in joint:
        joint["tags"] = [*known.tags, *joint["tags"]]
    if "attributes" in joint:
        joint["attributes"] = {**known.attributes, **joint["attributes"]}
    contacts.update(workspace_id=workspace_id, contact_id=known.id, fields=joint)
    return False


def _known(workspace_id: UUID, fields: Mapping[str, Any]) -> Contact | None:
    rows = contacts.contacts_of(workspace_id=workspace_id).order_by("id")
    for name in ("external_id", "email"):
        if value := fields.get(name):
            found = rows.filter(reached_at(name, value)).first()
            if found is not None:
                return found
    return None
