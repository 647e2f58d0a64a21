"""What a site shows to one of its contacts: on-site messages that were not read, and the reading of one."""

from __future__ import annotations

from uuid import UUID

from django.db.models.functions import Now

from channels_app.types import Channel
from messaging.dispatch import selectors, transitions
from messaging.dispatch.transitions import Move
from messaging.errors import NotFound, TransitionRefused
from messaging.inbox.feed import ARRIVED, stretch
from messaging.models import Message, sent_to
from messaging.people import contacts
from messaging.people.recipients import as_key
from messaging.state import Cause, Status


def unread(*, workspace_id: UUID, contact_id: UUID, test: bool, limit: int) -> list[Message]:
    """The newest messages that arrived for a contact and that nobody has read or put away; opened where sealed.

    Raises:
        NotFound: the workspace has no such contact.
    """
    rows = Message.objects.filter(
        workspace_id=workspace_id,
        channel__in=[Channel.ONSITE.value],
        status__in=[status.value for status in ARRIVED],
        test=test,
        opened_at__isnull=True,
        archived_at__isnull=True,
        deleted_at__isnull=True,
    )
    branches = [rows.filter(sent_to([address])) for address in _addresses(workspace_id, contact_id)]
    return stretch(branches, ascending=False, beyond=None, limit=limit)


def read(*, workspace_id: UUID, message_id: UUID, test: bool) -> Message:
    """Note that an on-site message was read: it is OPENED. To do it again changes nothing.

    Raises:
        NotFound: the workspace has no such message on its sites.
        Conflict: it has not arrived.
    """
    row = selectors.message(workspace_id=workspace_id, message_id=message_id)
    if row.channel != Channel.ONSITE or row.test != test:
        raise NotFound("There is no such message on the site.", code="message_not_found")
    if row.opened_at is None:
        if row.status not in ARRIVED:
            raise TransitionRefused(f"A message that is {row.status} cannot be read.", code="not_arrived")
        moved = transitions.advance_many([Move(id=row.id, to=Status.OPENED)], cause=Cause.API)
        Message.objects.filter(id__in=moved, seen_at__isnull=True).update(seen_at=Now())
        row = selectors.message(workspace_id=workspace_id, message_id=message_id)
    return row


def _addresses(workspace_id: UUID, contact_id: UUID) -> list[str]:
    """Every recipient that means this contact; an external id that is spelled as an id could be somebody else's."""
    contact = contacts.get(workspace_id=workspace_id, contact_id=contact_id)
    keys = [contact.id, *contact.aliases.values_list("id", flat=True)]
    keys += [contact.avatar_id] if contact.avatar_id else []
    own = [str(key) for key in keys]
    if contact.external_id and as_key(contact.external_id) is None:
        own.append(contact.external_id)
    return own
