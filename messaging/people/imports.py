"""Takes in many contacts at once: each row is kept by itself, and those that cannot be are told of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction

from messaging.errors import AlreadyExists, DispatchError, Invalid
from messaging.people import contacts, known

LARGEST = 1_000
"""Rows of one import."""
_FOUND_BY = ("external_id", "email")


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
            with transaction.atomic():
                new = _keep(workspace_id, fields)
        except (Invalid, AlreadyExists) as error:
            done.refused.append(Refused(row=place, error=error))
        else:
            done.created += new
            done.updated += not new
    return done


def _keep(workspace_id: UUID, fields: Mapping[str, Any]) -> bool:
    """Keep one row; tell whether it is a new contact."""
    found, _ = known.by(workspace_id=workspace_id, fields=contacts.cleaned(fields), names=_FOUND_BY)
    if found is None:
        contacts.create(workspace_id=workspace_id, fields=fields)
        return True
    joint = {name: value for name, value in fields.items() if value is not None}
    if "tags" in joint:
        joint["tags"] = [*found.tags, *joint["tags"]]
    if "attributes" in joint:
        joint["attributes"] = {**found.attributes, **joint["attributes"]}
    contacts.update(workspace_id=workspace_id, contact_id=found.id, fields=joint)
    return False
