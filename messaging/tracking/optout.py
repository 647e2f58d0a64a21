"""Lets recipients opt out by the links in their messages: at once, on record, and told to the message that it was."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from channels_app.types import Channel, Receipt, ReceiptKind
from messaging.content.links import Link
from messaging.dispatch import receipts, selectors
from messaging.errors import Invalid, NotFound
from messaging.models import ConsentStatus, Message
from messaging.people import contacts, events, preferences, refusals, suppressions
from messaging.people.preferences import Preference

VIA = "link"
"""How the record says that it was by a link."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipient:
    """Who opts out: a contact, or an address that belongs to nobody who is known."""

    workspace_id: UUID
    channel: Channel
    category: str
    contact_id: UUID | None
    address: str
    message: Message | None


def recipient_of(link: Link) -> Recipient:
    """Whom a link speaks for, as far as it is still known.

    Raises:
        NotFound: the contact or the message is gone.
        Invalid: the link is about no channel.
    """
    if link.channel is None:
        raise Invalid.at("/token", "invalid_token", "The token is for something else.")
    message = None
    if link.message_id is not None:
        try:
            message = selectors.message(workspace_id=link.workspace_id, message_id=link.message_id)
        except NotFound:
            # Messages are kept for a time; who they went to may still be known.
            if link.contact_id is None:
                raise
    contact_id = link.contact_id or (message.contact_id if message else None)
    if contact_id is not None:
        try:
            contact_id = contacts.get(workspace_id=link.workspace_id, contact_id=contact_id).id
        except NotFound:
            if message is None:
                raise
            contact_id = None
    return Recipient(
        workspace_id=link.workspace_id,
        channel=link.channel,
        category=link.category,
        contact_id=contact_id,
        address=message.recipient if message else "",
        message=message,
    )


def is_out(recipient: Recipient) -> bool:
    """Whether the recipient gets nothing more of this already."""
    who = [(recipient.contact_id, recipient.address)]
    return bool(
        refusals.refused(
            workspace_id=recipient.workspace_id,
            channel=recipient.channel,
            category=recipient.category,
            recipients=who,
        )
    )


def opt_out(recipient: Recipient) -> None:
    """Send the recipient nothing more of this, from now on. To do it again changes nothing."""
    message_id = recipient.message.id if recipient.message else None
    kept: list[UUID] = []
    with transaction.atomic():
        if recipient.contact_id is not None:
            wish = Preference(channel=recipient.channel, status=ConsentStatus.OPTED_OUT, category=recipient.category)
            preferences.say(
                workspace_id=recipient.workspace_id,
                contact_id=recipient.contact_id,
                preferences=[wish],
                via=VIA,
                message_id=message_id,
            )
        elif not is_out(recipient):
            _keep_from(recipient, message_id)
        if recipient.message is not None:
            kept = _report(recipient.message)
    # Not in the same transaction: it holds the contact, which whoever applies reports asks for after the message.
    receipts.attempt(kept)


def _keep_from(recipient: Recipient, message_id: UUID | None) -> None:
    """Suppress an address that belongs to no contact."""
    suppressions.opt_out(
        workspace_id=recipient.workspace_id,
        channel=recipient.channel,
        address=recipient.address,
        category=recipient.category,
        message_id=message_id,
    )
    events.note_consent(
        workspace_id=recipient.workspace_id,
        contact_id=None,
        channel=recipient.channel,
        category=recipient.category,
        status=ConsentStatus.OPTED_OUT,
        via=VIA,
        message_id=message_id,
    )


def _report(message: Message) -> list[UUID]:
    """Leave the message a report that its recipient opted out through it, once; it is applied like any provider's."""
    report = Receipt(
        kind=ReceiptKind.UNSUBSCRIBED,
        key=f"{VIA} {ReceiptKind.UNSUBSCRIBED} {message.id}",
        message_id=message.id,
        detail={"via": VIA},
    )
    return receipts.keep(message.provider, [report])
