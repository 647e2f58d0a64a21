"""Rows about people, for tests."""

from __future__ import annotations

from typing import Any

from messaging.dispatch import intake
from messaging.models import Consent, Contact, Message, Suppression, Workspace
from tests.factories import draft, message


def make_contact(workspace: Workspace, **fields: Any) -> Contact:
    return Contact.objects.create(workspace=workspace, **{"name": "Ann", "email": "ann@example.com", **fields})


def say(contact: Contact, category: str, status: str, channel: str = "email", **fields: Any) -> Consent:
    return Consent.objects.create(
        workspace_id=contact.workspace_id, contact=contact, channel=channel, category=category, status=status, **fields
    )


def said(contact: Contact) -> dict[tuple[str, str], str]:
    return {(each.channel, each.category): each.status for each in contact.consents.all()}


def suppress(workspace: Workspace, category: str = "*", reason: str = "bounced", **fields: Any) -> Suppression:
    known = {"channel": "email", "address": "ann@example.com", **fields}
    return Suppression.objects.create(workspace=workspace, category=category, reason=reason, **known)


def accept_to(workspace: Workspace, contact: Contact, **fields: Any) -> Message:
    """Accept a message to a contact by its id."""
    own = {name: fields.pop(name) for name in ("name", "data", "metadata") if name in fields}
    accepted = intake.accept(
        workspace_id=workspace.id,
        author_id=None,
        test=False,
        draft=draft(**fields),
        recipients=[intake.Recipient(contact_id=str(contact.id), **own)],
        batch=False,
    )
    return message(accepted.ids[0])
