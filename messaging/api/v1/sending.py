"""Accepts what comes in to be sent, once for each Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from django.http import HttpResponse
from rest_framework.request import Request

from messaging import models
from messaging.api.common.rendering import JSON, encode
from messaging.api.v1.serializers.messages import BatchAccepted, FullMessage, RejectedOut, full_message
from messaging.api.v1.serializers.sending import ReadBatch, Send
from messaging.dispatch import idempotency, intake, selectors
from messaging.dispatch.idempotency import Answer
from messaging.dispatch.intake import Acceptance, Draft, Recipient, Rejected
from messaging.errors import FieldError, Invalid
from messaging.tenancy.access import Caller

_SHOWN = 100


def once(
    request: Request,
    caller: Caller,
    body: bytes,
    work: Callable[[], object],
    *,
    status: int = 202,
    encrypted: bool = False,
) -> HttpResponse:
    """Do the work in one transaction and answer; a repeat of the request gets the first answer again."""
    path = request.path.rstrip("/").encode()
    mode = b"test" if caller.test else b"live"
    answer = idempotency.once(
        workspace_id=caller.workspace_id,
        key=request.META.get("HTTP_IDEMPOTENCY_KEY"),
        fingerprint=idempotency.fingerprint(str(request.method).encode(), path, mode, body),
        work=lambda: Answer(status=status, body=encode(work())),
        encrypted=encrypted,
    )
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    return HttpResponse(answer.body, status=answer.status, content_type=JSON, headers=headers)


def send(caller: Caller, request: Send, draft: Draft) -> FullMessage:
    """Accept one message and give it as it was stored."""
    accepted = _accept(caller, draft, [request.recipient()], batch=False)
    row = selectors.message(workspace_id=caller.workspace_id, message_id=accepted.ids[0])
    files = [
        models.Attachment(filename=file.filename, content_type=file.content_type, size=len(file.content))
        for file in draft.attachments
    ]
    said = accepted.wording
    content = selectors.fill(message=row, parts=said.prepared.parts, attachments=files)
    return full_message(row, content, said.edition.origin if said.edition else None)


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
