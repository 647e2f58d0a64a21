"""Accepts messages: checks them, renders their subjects, writes them in one transaction, then rings the lane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction
from psycopg.errors import CheckViolation

from messaging import models
from messaging.content import encryption
from messaging.content.encryption import Sealer
from messaging.content.rendering import context_of
from messaging.content.sealing import NOTHING, Own, seal_own
from messaging.dispatch import contents, partitions, providers, queue, steps, transitions, wake
from messaging.dispatch.draft import Draft, Fallback, Recipient, problems
from messaging.dispatch.queue import Lane
from messaging.dispatch.sieve import Rejected, Taken, sift
from messaging.dispatch.steps import Step
from messaging.dispatch.transitions import NewMessage
from messaging.dispatch.wording import Wording, Wordings
from messaging.errors import FieldError, Invalid, Unavailable
from messaging.models.keys import uuid7
from messaging.people import refusals
from messaging.state import Cause, Priority
from messaging.tenancy import quota
from messaging.tenancy.quota import Terms

__all__ = ["LARGEST_BATCH", "Acceptance", "Draft", "Fallback", "Recipient", "Rejected", "accept", "explain"]

LARGEST_BATCH = 10_000
_SHOWN = 100
"""Places that one refusal names at the most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """What was committed; `ids` are in the order of the recipients that were taken."""

    batch_id: UUID | None
    ids: list[UUID]
    rejected: list[Rejected]
    wording: Wording
    """What the first of them says."""


def accept(
    *,
    workspace_id: UUID,
    author_id: UUID | None,
    test: bool,
    draft: Draft,
    recipients: Sequence[Recipient],
    batch: bool,
    awaited: bool = False,
) -> Acceptance:
    """Commit messages QUEUED, or SCHEDULED where the draft says when, and ring their lane after the commit.

    A batch takes the recipients that pass and tells of the others. Nothing is stored when nobody passes. Where the
    first message is awaited, it takes the urgent lane, and its outcome is told by `wake`; one that is scheduled is not.

    Raises:
        Invalid: the draft, the one recipient, or every recipient of a batch is refused.
        QuotaExceeded: the workspace has fewer messages left for today; none of a batch is taken then.
        EncryptionFailed: it is to be encrypted, and the workspace's key does not open.
        Unavailable: the partition of the month cannot be made just now, or there is nothing to encrypt with.
    """
    terms = _agreed(draft, workspace_id)
    wordings = _examined(draft, workspace_id=workspace_id, test=test)
    taken, rejected, further = _reached(draft, wordings, recipients, workspace_id, test=test, batch=batch)
    if not taken:
        raise _all_refused(rejected, batch=batch or draft.campaign_id is not None)
    terms.check(len(taken))
    sealer = Sealer(workspace_id) if draft.encrypted or terms.encrypted else None
    used = list({one.wording.content_id: one.wording for one in taken}.values())
    batch_id = uuid7() if batch else None
    rows = list(_rows(draft, taken, workspace_id, author_id, batch_id, sealer, test=test))
    if awaited and draft.scheduled_at is None:
        rows[0] = replace(rows[0], priority=Priority.URGENT, awaited_for=settings.SYNC_WAIT_SECONDS + wake.MARGIN)
    for last_try in (False, True):
        try:
            with transaction.atomic():
                if batch_id is not None:
                    models.Batch.objects.create(
                        id=batch_id, workspace_id=workspace_id, accepted=len(taken), rejected=len(rejected)
                    )
                contents.write(draft, workspace_id, used, sealer)
                transitions.begin_many(rows, cause=Cause.API)
                steps.keep(rows, further)
                _suppress(rows, draft)
                if terms.daily_quota is not None:
                    # The last thing: until the commit every other accept of the workspace waits for this row.
                    quota.spend(workspace_id=workspace_id, number=len(rows), quota=terms.daily_quota)
            break
        except IntegrityError as error:
            if not isinstance(error.__cause__, CheckViolation):
                raise
            if last_try:
                raise Unavailable("there is no partition for this month yet") from error
            _make_months(rows)
    if draft.scheduled_at is None:
        lanes = {Lane(draft.channel, row.priority) for row in rows[:2]}
        transaction.on_commit(lambda: queue.ring(*lanes))
    return Acceptance(batch_id=batch_id, ids=[row.id for row in rows], rejected=rejected, wording=taken[0].wording)


def _reached(
    draft: Draft,
    wordings: Wordings,
    recipients: Sequence[Recipient],
    workspace_id: UUID,
    *,
    test: bool,
    batch: bool = False,
) -> tuple[list[Taken], list[Rejected], dict[int, list[Step]]]:
    """The recipients that are reached, by the fallbacks too, those that are not, and the fallbacks of each by place."""
    taken, rejected = sift(
        workspace_id=workspace_id, channel=draft.channel, wordings=wordings, recipients=recipients, test=test
    )
    if not (draft.fallback and taken):
        return taken, rejected, {}
    planned, unreached = steps.plan(draft, taken, workspace_id=workspace_id, test=test, batch=batch)
    gone = {one.index for one in rejected}
    indexes = [index for index in range(len(recipients)) if index not in gone]
    rejected += [replace(one, index=indexes[one.index]) for one in unreached]
    places = sorted(planned)
    own = {number: planned[place] for number, place in enumerate(places)}
    return [taken[place] for place in places], sorted(rejected, key=lambda one: one.index), own


def _agreed(draft: Draft, workspace_id: UUID) -> Terms:
    """What the accept is bound by.

    Raises:
        Invalid: the draft asks for encryption, and there is nothing to encrypt with.
        Unavailable: the workspace does.
    """
    terms = quota.terms_of(workspace_id)
    if encryption.configured():
        return terms
    code = "encryption_not_configured"
    if draft.encrypted:
        raise Invalid.at("/encrypted", code, "this server has no keys to encrypt with (DISPATCH_KEYS)")
    if terms.encrypted:
        detail = "the workspace encrypts everything, and this server has no keys to encrypt with (DISPATCH_KEYS)"
        raise Unavailable(detail, code=code, retry_after=60)
    return terms


def _make_months(rows: Sequence[NewMessage]) -> None:
    try:
        partitions.ensure_for([rows[0].id, rows[-1].id])
    except OperationalError as waited:
        raise Unavailable("the partition of this month cannot be made just now") from waited


def _suppress(rows: Sequence[NewMessage], draft: Draft) -> None:
    """End the messages whose recipients must not be written to, before anybody can see them wait."""
    told = refusals.refused(
        workspace_id=rows[0].workspace_id,
        channel=draft.channel,
        category=draft.category,
        recipients=[(row.contact_id, row.recipient) for row in rows],
    )
    moves = [transitions.suppression(rows[place].id, refusal) for place, refusal in told.items()]
    transitions.advance_many(moves, cause=Cause.API)


def explain(*, workspace_id: UUID, test: bool, draft: Draft, recipient: Recipient) -> dict[str, Any]:
    """What an accept of this would do: lane, provider, address and rendered content. Nothing is stored.

    Raises:
        Invalid, QuotaExceeded, Unavailable: the accept would be refused.
    """
    _agreed(draft, workspace_id).check(1)
    wordings = _examined(draft, workspace_id=workspace_id, test=test)
    taken, rejected, _ = _reached(draft, wordings, [recipient], workspace_id, test=test)
    if not taken:
        raise _all_refused(rejected, batch=False)
    prepared = taken[0].wording.prepared
    who = [(taken[0].contact_id, taken[0].address)]
    told = refusals.refused(workspace_id=workspace_id, channel=draft.channel, category=draft.category, recipients=who)
    context = prepared.offered(context_of(taken[0].recipient.data or {}, taken[0].recipient.name, taken[0].address))
    adapter = providers.adapter(draft.channel.value, test=test)
    return {
        "channel": draft.channel.value,
        "lane": Lane(draft.channel, draft.priority).name,
        "provider": adapter.provider if adapter else None,
        "status": "FAILED" if told else "QUEUED" if draft.scheduled_at is None else "SCHEDULED",
        "error": {"code": refusals.CODE, "detail": refusals.sentence(told[0])} if told else None,
        "to": taken[0].address,
        "contact_id": taken[0].contact_id,
        "subject": taken[0].subject,
        "body": prepared.body.render(context),
        "text": prepared.text.render(context),
        "scheduled_at": draft.scheduled_at,
        "expires_at": draft.expires_at,
        "max_attempts": settings.MAX_ATTEMPTS,
    }


def _examined(draft: Draft, *, workspace_id: UUID, test: bool) -> Wordings:
    """Check what the messages share, and find what they say.

    Raises:
        Invalid: with every place that is wrong.
    """
    errors = list(problems(draft, test=test))
    try:
        wordings = Wordings(draft, workspace_id=workspace_id)
    except Invalid as error:
        if not errors:
            raise
        errors = [*error.errors, *errors]
    if errors:
        raise Invalid(errors[0].detail, errors=errors[:_SHOWN])
    return wordings


def _all_refused(rejected: Sequence[Rejected], *, batch: bool) -> Invalid:
    errors = [
        FieldError(f"/recipients/{one.index}{one.pointer}" if batch else one.pointer, one.code, one.detail)
        for one in rejected[:_SHOWN]
    ]
    if batch:
        return Invalid("no recipient can be sent to", code="no_valid_recipient", errors=errors)
    return Invalid(errors[0].detail, code=errors[0].code, errors=errors)


def _rows(
    draft: Draft,
    taken: Sequence[Taken],
    workspace_id: UUID,
    author_id: UUID | None,
    batch_id: UUID | None,
    sealer: Sealer | None,
    *,
    test: bool,
) -> Iterator[NewMessage]:
    encode = msgspec.json.encode
    for one in taken:
        recipient, wording, key, sealed = one.recipient, one.wording, uuid7(), None
        own = Own(name=recipient.name, subject=one.subject, data=recipient.data)
        if sealer is not None:
            own, sealed = NOTHING, seal_own(sealer, own, row=key)
        yield NewMessage(
            id=key,
            workspace_id=workspace_id,
            content_id=wording.content_id,
            batch_id=batch_id,
            author_id=author_id,
            contact_id=one.contact_id,
            template_id=wording.template_id,
            campaign_id=draft.campaign_id,
            channel=draft.channel.value,
            priority=draft.priority,
            recipient=one.address,
            name=own.name,
            subject=own.subject,
            data=encode(own.data).decode() if own.data else None,
            sealed=sealed,
            metadata=encode(recipient.metadata).decode() if recipient.metadata else "{}",
            category=draft.category,
            action_type=wording.action_type,
            language=wording.language,
            test=test,
            on_unknown=draft.on_unknown,
            max_attempts=settings.MAX_ATTEMPTS,
            scheduled_at=draft.scheduled_at,
            expires_at=draft.expires_at,
        )
