"""Sends what a request asks for, waits for the outcome, and tells it in the words of /messaging."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from django.db import transaction
from msgspec import UNSET

from channels_app.types import Channel
from messaging import models
from messaging.api.fluxkit.envelope import REASONS, Code, Details, Refusal, refusal
from messaging.api.fluxkit.serializers import Result, TemplateResult, Wish, message_id
from messaging.api.fluxkit.vocabulary import CHANNEL_OUT, CHANNEL_SPOKEN, STATUS_OUT, ChannelWord
from messaging.dispatch import intake
from messaging.dispatch.intake import Acceptance, Draft, Recipient
from messaging.dispatch.selectors import standing_of
from messaging.dispatch.sending import Sent
from messaging.errors import Invalid
from messaging.state import Status
from messaging.tenancy.access import Caller


def accept(caller: Caller, wish: Wish, *, awaited: bool) -> Acceptance | list[UUID]:
    """Accept a message for each recipient, all or none; copies go with the first.

    Raises:
        Invalid: something of it cannot be sent.
        QuotaExceeded, EncryptionFailed, Unavailable: as intake says.
    """
    first, *others = wish.recipients
    if not others:
        return _accept(caller, wish.draft, [first], awaited=awaited)
    with transaction.atomic():
        ids = _accept(caller, wish.draft, [first], awaited=awaited).ids
        return ids + _accept(caller, replace(wish.draft, cc=(), bcc=()), others).ids


def _accept(caller: Caller, draft: Draft, recipients: Sequence[Recipient], *, awaited: bool = False) -> Acceptance:
    accepted = intake.accept(
        workspace_id=caller.workspace_id,
        author_id=caller.user_id,
        test=caller.test,
        draft=draft,
        recipients=recipients,
        batch=False,
        awaited=awaited,
    )
    if accepted.rejected:
        found = accepted.rejected[0]
        raise Invalid.at(found.pointer, found.code, found.detail)
    return accepted


def shown(sent: Sent, wish: Wish) -> tuple[int, Result | Refusal]:
    """The outcome with its HTTP status: a result, or a refusal where the first message was not sent."""
    row = sent.message
    channel = CHANNEL_OUT[Channel(row.channel)]
    assert channel is not None  # noqa: S101 - this surface sends on no other
    ids = [str(key) for key in sent.ids] if len(sent.ids) > 1 else UNSET
    status = STATUS_OUT[standing_of(row)]
    if status == "failed":
        code = REASONS.get(row.error_code, Code.SEND_FAILED)
        details = Details(channel=channel, provider=row.provider or UNSET, message_ids=ids)
        return refusal(code, _sentence(row, channel), details)
    result = Result(message_id=message_id(row), status=status, channel=channel, to=wish.to, message_ids=ids)
    if not wish.draft.template:
        return 200, result
    return 200, TemplateResult(
        message_id=result.message_id,
        status=status,
        channel=channel,
        to=wish.to,
        message_ids=ids,
        template=wish.draft.template,
    )


def _sentence(row: models.Message, channel: ChannelWord) -> str:
    if row.status == Status.CANCELLED:
        reason = "it was cancelled"
    else:
        reason = row.error_detail or row.error_code.replace("_", " ") or "it was not delivered"
    return f"Failed to send {CHANNEL_SPOKEN[channel]}: {reason}"
