"""What recipients tell a provider about themselves: which contact they are, and whether they want to be written to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from channels_app.types import Channel, Signal, SignalKind
from messaging.content import links
from messaging.dispatch import storable
from messaging.errors import NotFound
from messaging.models import Contact
from messaging.models.keys import uuid7
from messaging.people import chats, contacts

log = structlog.get_logger(__name__)

_ONCE = """
INSERT INTO messaging_receiptrecord (id, provider, key, kind, state, due_at)
VALUES (%s, %s, %s, %s, 'applied', now()) ON CONFLICT (provider, key) DO NOTHING RETURNING id
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """How a contact tells the bot who it is."""

    token: str
    url: str
    """Opens a talk with the bot that begins with the token; empty where the bot's name is not known."""
    expires_at: datetime


def invite(*, workspace_id: UUID, contact_id: UUID) -> Invitation:
    """Make a link by which a contact tells the bot of Telegram who it is. It works once.

    Raises:
        NotFound: the workspace has no such contact.
    """
    contact = contacts.get(workspace_id=workspace_id, contact_id=contact_id)
    expires_at = (timezone.now() + links.CHAT_LIFETIME).replace(microsecond=0)
    token = links.write_chat(contact_id=contact.pk, linked=contact.telegram_chat_id, expires_at=expires_at)
    bot = settings.TELEGRAM_BOT_NAME
    return Invitation(token=token, url=f"https://t.me/{bot}?start={token}" if bot else "", expires_at=expires_at)


def heed(provider: str, channel: Channel, signal: Signal) -> bool:
    """Do what a signal says; false where the same one came before, and nothing changes.

    A token that is forged, too old or used says nothing to whoever shows it; they began to talk all the same.
    """
    with transaction.atomic():
        if not _is_first(provider, f"signal {signal.key}", signal.kind):
            return False
        match signal.kind:
            case SignalKind.OPTED_OUT:
                chats.opt_out(channel=channel, address=signal.address, via=provider)
            case SignalKind.OPTED_IN:
                chats.opt_in(channel=channel, address=signal.address, via=provider)
            case SignalKind.LINKED:
                _link(provider, signal)
                chats.opt_in(channel=channel, address=signal.address, via=provider)
    return True


def _is_first(provider: str, key: str, kind: SignalKind) -> bool:
    """Write down that this was heard; false where it was before."""
    with connection.cursor() as cursor:
        cursor.execute(_ONCE, [uuid7(), provider, storable.name(key), kind.value])
        return cursor.fetchone() is not None


def _link(provider: str, signal: Signal) -> None:
    named = links.contact_of_chat(signal.token)
    contact = None
    if named is not None:
        known = Contact.objects.select_for_update(of=("self",)).order_by("id")
        contact = known.filter(pk=named).first() or known.filter(aliases__pk=named).first()
    if contact is None or not links.holds_chat(signal.token, linked=contact.telegram_chat_id):
        log.info("chat_not_linked")
        return
    # A contact that was unlinked stands as it did when the token was written: the token is worth nothing all the same.
    if not _is_first(provider, f"link {signal.token}", signal.kind):
        log.info("chat_not_linked")
        return
    try:
        chats.link(workspace_id=contact.workspace_id, contact_id=contact.pk, address=signal.address)
    except NotFound:
        log.info("chat_not_linked")
