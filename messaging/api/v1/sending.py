"""Accepts what comes in to be sent."""

from __future__ import annotations

from dataclasses import replace

from messaging import models
from messaging.api.v1.serializers.messages import BatchAccepted, FullMessage, RejectedOut, full_message
from messaging.api.v1.serializers.sending import ReadBatch, Send
from messaging.dispatch import intake, selectors, steps
from messaging.dispatch.intake import Acceptance, Draft, Recipient, Rejected
from messaging.dispatch.steps import Chain
from messaging.errors import FieldError, Invalid
from messaging.tenancy.access import Caller

_SHOWN = 100


def send(caller: Caller, request: Send, draft: Draft) -> FullMessage:
    """Accept one message and give it as it was stored."""
    accepted = _accept(caller, draft, [request.recipient()], batch=False)
    row = accepted.message or selectors.message(workspace_id=caller.workspace_id, message_id=accepted.ids[0])
    files = [
        models.Attachment(filename=file.filename, content_type=file.content_type, size=len(file.content))
        for file in draft.attachments
    ]
    content = accepted.rendered(row, files)
    further = steps.chain(row.id) if draft.fallback else Chain()
    return full_message(row, content, accepted.origin, further)


def send_batch(caller: Caller, batch: ReadBatch, draft: Draft) -> BatchAccepted:
    """Accept the recipients of a batch that can be sent to, and tell of the others.

    Raises:
        Invalid: there is none that can be sent to.
    """
    if not batch.recipients:
        raise _nobody(batch.malformed)
    try:
        accepted = _accept(caller, draft, batch.recipients, batch=True)
    except Invalid as error:
        raise _replaced(error, batch) from error
    known = [replace(one, index=batch.indexes[one.index]) for one in accepted.rejected]
    rejected = sorted([*known, *batch.malformed], key=lambda one: one.index)
    assert accepted.batch_id is not None  # noqa: S101 - a batch was asked for
    return BatchAccepted(
        batch_id=accepted.batch_id,
        accepted=len(accepted.ids),
        rejected=[RejectedOut(index=one.index, code=one.code, detail=one.detail) for one in rejected],
        ids=accepted.ids,
    )


def _accept(caller: Caller, draft: Draft, recipients: list[Recipient], *, batch: bool) -> Acceptance:
    return intake.accept(
        workspace_id=caller.workspace_id,
        author_id=caller.user_id,
        test=caller.test,
        draft=draft,
        recipients=recipients,
        batch=batch,
    )


def _nobody(rejected: list[Rejected]) -> Invalid:
    return Invalid(
        "No recipient can be sent to.",
        code="no_valid_recipient",
        errors=[FieldError(f"/recipients/{one.index}{one.pointer}", one.code, one.detail) for one in rejected[:_SHOWN]],
    )


def _replaced(error: Invalid, batch: ReadBatch) -> Invalid:
    """Point at the places of the request where the domain points at those recipients that it was given."""
    if error.code != "no_valid_recipient" or not batch.malformed:
        return error
    known = []
    for each in error.errors:
        _, _, index, rest = each.pointer.split("/", 3)
        known.append(Rejected(index=batch.indexes[int(index)], code=each.code, detail=each.detail, pointer=f"/{rest}"))
    return _nobody(sorted([*known, *batch.malformed], key=lambda one: one.index))
