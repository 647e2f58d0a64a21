"""Accepts what is sent here, and tells its outcome."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from channels_app.types import Channel
from messaging import models
from messaging.api.oasis.envelope import BY_CODE, SEND_FAILED, Done, Failure, done, failed
from messaging.api.oasis.serializers import avatars
from messaging.api.oasis.serializers import messages as out
from messaging.api.oasis.vocabulary import STATUS_OUT
from messaging.api.oasis.wishes import Asked, draft_of, recipient_of
from messaging.content import templates
from messaging.dispatch import selectors
from messaging.dispatch.draft import Draft, Recipient
from messaging.dispatch.intake import Acceptance
from messaging.dispatch.sending import Sent
from messaging.errors import EncryptionFailed, Invalid
from messaging.people import push
from messaging.tenancy.access import Caller

_WAITING: Final = frozenset({"Scheduled", "Pending", "Retrying"})


def created_status() -> int:
    """With what a created message is answered."""
    status: int = settings.OASIS_CREATED_STATUS
    return status


def asked_of(caller: Caller, asked: Asked[Any]) -> tuple[Draft, Recipient]:
    """What is asked for, in the domain's words.

    Raises:
        Invalid: something is missing or cannot be read, or a push names a device that nobody registered.
    """
    draft, recipient = draft_of(asked), recipient_of(asked)
    if draft.channel is Channel.PUSH and not push.is_known(
        workspace_id=caller.workspace_id, name=recipient.to or recipient.contact_id
    ):
        raise Invalid.at("/recipient", "invalid_recipient", "No push subscription is registered for this recipient.")
    return draft, recipient


def shown(caller: Caller, message_id: UUID) -> out.Message:
    """A message as it is shown by itself.

    Raises:
        NotFound: the workspace has none of that id.
        EncryptionFailed: what it says does not open.
    """
    return show(selectors.message(workspace_id=caller.workspace_id, message_id=message_id), caller)


def made(caller: Caller, accepted: Acceptance) -> out.Message:
    """The same of a message that was just accepted.

    Raises:
        EncryptionFailed: what it says does not open.
    """
    if accepted.message is not None:
        return show(accepted.message, caller, accepted)
    return shown(caller, accepted.ids[0])


def show(row: models.Message, caller: Caller, accepted: Acceptance | None = None) -> out.Message:
    """The same of a message that was read, or is known from its accept.

    Raises:
        EncryptionFailed: what it says does not open.
    """
    content = accepted.rendered(row) if accepted else selectors.rendered(message=row)
    if row.sealed is not None or content is selectors.NOTHING:
        raise EncryptionFailed("What the message says is encrypted, and does not open.")
    origin = accepted.origin if accepted else templates.origins([row]).get(row.content_id)
    return out.message(row, content, origin, avatars.senders([row], caller))


def told(request: HttpRequest, caller: Caller, sent: Sent) -> tuple[int, Done[out.Message] | Failure]:
    """The outcome of a send: 200 where it went out, 202 while it waits, else why it did not."""
    row = sent.message
    word = STATUS_OUT[selectors.standing_of(row)]
    if word == "Failed":
        meaning = BY_CODE.get(row.error_code, SEND_FAILED)
        reason = row.error_detail or row.error_code or "The message came back."
        return meaning.status.value, failed(request, meaning, reason, message_id=str(row.id))
    if word == "Cancelled":
        return 200, done(show(row, caller), "Message cancelled")
    if word in _WAITING:
        return 202, done(show(row, caller, sent.accepted), "Message queued")
    return 200, done(show(row, caller), "Message sent successfully")
