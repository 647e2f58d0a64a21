"""Accepts messages: checks them, renders their subjects, writes them in one transaction, then rings the lane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from msgspec.structs import replace as replace_in
from psycopg.errors import CheckViolation

from channels_app import phones
from channels_app.types import Channel, Media
from messaging import models
from messaging.content import encryption
from messaging.content.encryption import Sealer
from messaging.content.rendering import context_of
from messaging.content.sealing import NOTHING, Own, seal_own
from messaging.content.templates import Origin
from messaging.dispatch import contents, partitions, providers, queue, selectors, steps, transitions, wake
from messaging.dispatch.draft import Draft, Fallback, Recipient, problems
from messaging.dispatch.queue import Lane
from messaging.dispatch.selectors import Rendered
from messaging.dispatch.sieve import Rejected, Taken, sift
from messaging.dispatch.steps import Step
from messaging.dispatch.transitions import Common, NewMessage
from messaging.dispatch.wording import Wording, Wordings
from messaging.errors import FieldError, Invalid, Unavailable
from messaging.models.keys import uuid7, uuid7_many
from messaging.people import refusals
from messaging.state import Cause, Priority
from messaging.tenancy import quota
from messaging.tenancy.quota import Terms

T = TypeVar("T")

__all__ = [
    "LARGEST_BATCH",
    "Acceptance",
    "Draft",
    "Fallback",
    "NobodyReached",
    "Recipient",
    "Rejected",
    "accept",
    "explain",
]

LARGEST_BATCH = 10_000
_SHOWN = 100
"""Places that one refusal names at the most."""


class NobodyReached(Invalid):
    """Every recipient of several is refused; `rejected` says why, for each of them."""

    def __init__(self, rejected: Sequence[Rejected]) -> None:
        errors = [_place(one, f"/recipients/{one.index}") for one in rejected[:_SHOWN]]
        super().__init__("no recipient can be sent to", code="no_valid_recipient", errors=errors)
        self.rejected = rejected


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """What was committed; `ids` are in the order of the recipients that were taken."""

    batch_id: UUID | None
    ids: list[UUID]
    rejected: list[Rejected]
    wording: Wording
    """What the first of them says."""
    message: models.Message | None = None
    """The one message as it was stored, where that is known."""
    media: Media | None = None
    encrypted: bool = False

    def rendered(self, message: models.Message, files: Sequence[models.Attachment] = ()) -> Rendered:
        """What the first message says to its recipient, with its files."""
        parts = self.wording.prepared.parts
        filled = selectors.fill(message=message, parts=parts, attachments=files, media=self.media)
        return replace(filled, encrypted=self.encrypted)

    @property
    def origin(self) -> Origin | None:
        """The version of a template that the first message was made from."""
        return self.wording.edition.origin if self.wording.edition else None


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
    _check_encryption(draft)
    wordings = _examined(draft, workspace_id=workspace_id, test=test)
    taken, rejected, further = _reached(draft, wordings, recipients, workspace_id, test=test, batch=batch)
    if not taken:
        raise _all_refused(rejected, batch=batch or draft.campaign_id is not None)
    sender = _Sender(
        workspace_id=workspace_id,
        author_id=author_id,
        test=test,
        batch_id=uuid7() if batch else None,
        awaited_for=settings.SYNC_WAIT_SECONDS + wake.MARGIN if awaited and draft.scheduled_at is None else None,
    )
    if len(taken) == 1 and not (batch or further or draft.attachments):
        row = _accept_alone(draft, taken[0], sender)
        if row is not None:
            return Acceptance(
                batch_id=None,
                ids=[row.id],
                rejected=rejected,
                wording=taken[0].wording,
                message=row,
                media=draft.media,
                encrypted=draft.encrypted,
            )
    rows = _accept_together(draft, taken, len(rejected), further, sender)
    return Acceptance(
        batch_id=sender.batch_id,
        ids=[row.id for row in rows],
        rejected=rejected,
        wording=taken[0].wording,
        media=draft.media,
        encrypted=rows[0].sealed is not None,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sender:
    """On whose behalf messages are accepted, and how."""

    workspace_id: UUID
    author_id: UUID | None
    test: bool
    batch_id: UUID | None
    awaited_for: float | None
    """Seconds for which a request waits for the first message's outcome, at the longest."""


def _accept_alone(draft: Draft, one: Taken, sender: _Sender) -> models.Message | None:
    """Commit one message at once; None where something stands in its way, and nothing was stored."""
    sealer = Sealer(sender.workspace_id) if draft.encrypted else None
    (row,) = _rows(draft, [one], sender, sealer)
    found = _in_month(
        [row],
        lambda: transitions.begin_alone(
            row,
            cause=Cause.API,
            columns=selectors.ALL_COLUMNS,
            beside=contents.BESIDE,
            parameters=contents.values(draft, sender.workspace_id, one.wording, sealer),
        ),
        atomic=connection.in_atomic_block,
    )
    if found is None:
        return None
    _ring(draft, [row])
    return selectors.opened(selectors.ALL_COLUMNS, [found])[0]


def _accept_together(
    draft: Draft, taken: Sequence[Taken], rejected: int, further: Mapping[int, Sequence[Step]], sender: _Sender
) -> list[NewMessage]:
    """Commit messages in one transaction, all that can be said against them looked at."""
    terms = _agreed(draft, sender.workspace_id)
    terms.check(len(taken))
    sealer = Sealer(sender.workspace_id) if draft.encrypted or terms.encrypted else None
    rows = _rows(draft, taken, sender, sealer)
    used = list({id(one.wording): one.wording for one in taken}.values())

    def write() -> None:
        if sender.batch_id is not None:
            models.Batch.objects.create(
                id=sender.batch_id, workspace_id=sender.workspace_id, accepted=len(taken), rejected=rejected
            )
        contents.write(draft, sender.workspace_id, used, sealer)
        transitions.begin_many(rows, cause=Cause.API)
        steps.keep(rows, further)
        _suppress(rows, draft)
        if terms.daily_quota is not None:
            # The last thing: until the commit every other accept of the workspace waits for this row.
            quota.spend(workspace_id=sender.workspace_id, number=len(rows), quota=terms.daily_quota)

    _in_month(rows, write, atomic=True)
    _ring(draft, rows)
    return rows


def _in_month(rows: Sequence[NewMessage], write: Callable[[], T], *, atomic: bool) -> T:
    """Write messages, all or none; where their month has no partition yet, it is made first."""
    for last_try in (False, True):
        try:
            with transaction.atomic() if atomic else nullcontext():
                return write()
        except IntegrityError as error:
            if not isinstance(error.__cause__, CheckViolation):
                raise
            if last_try:
                raise Unavailable("there is no partition for this month yet") from error
            _make_months(rows)
    raise AssertionError("two tries end either way")


def _ring(draft: Draft, rows: Sequence[NewMessage]) -> None:
    if draft.scheduled_at is None:
        lanes = {Lane(draft.channel, row.common.priority) for row in rows[:2]}
        transaction.on_commit(lambda: queue.ring(*lanes))


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


def _check_encryption(draft: Draft) -> None:
    """Refuse a draft that asks for encryption where there is nothing to encrypt with."""
    if draft.encrypted and not encryption.configured():
        detail = "this server has no keys to encrypt with (DISPATCH_KEYS)"
        raise Invalid.at("/encrypted", "encryption_not_configured", detail)


def _agreed(draft: Draft, workspace_id: UUID) -> Terms:
    """What the accept is bound by.

    Raises:
        Invalid: the draft asks for encryption, and there is nothing to encrypt with.
        Unavailable: the workspace does.
    """
    _check_encryption(draft)
    terms = quota.terms_of(workspace_id)
    if terms.encrypted and not encryption.configured():
        detail = "the workspace encrypts everything, and this server has no keys to encrypt with (DISPATCH_KEYS)"
        raise Unavailable(detail, code="encryption_not_configured", retry_after=60)
    return terms


def _make_months(rows: Sequence[NewMessage]) -> None:
    try:
        partitions.ensure_for([rows[0].id, rows[-1].id])
    except OperationalError as waited:
        raise Unavailable("the partition of this month cannot be made just now") from waited


def _suppress(rows: Sequence[NewMessage], draft: Draft) -> None:
    """End the messages whose recipients must not be written to, before anybody can see them wait."""
    told = refusals.refused(
        workspace_id=rows[0].common.workspace_id,
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
        "warnings": _doubts(draft.channel, taken[0].address),
    }


def _doubts(channel: Channel, address: str) -> list[str]:
    """What speaks against an address that is taken all the same."""
    doubt = phones.doubt(address) if channel in phones.BY_NUMBER else ""
    return [f"{address} may reach nobody: {doubt}."] if doubt else []


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
    if batch:
        return NobodyReached(rejected)
    errors = [_place(one) for one in rejected[:_SHOWN]]
    return Invalid(errors[0].detail, code=errors[0].code, errors=errors)


def _place(one: Rejected, whose: str = "") -> FieldError:
    return FieldError(f"{whose}{one.pointer}", one.code, one.detail)


def _rows(draft: Draft, taken: Sequence[Taken], sender: _Sender, sealer: Sealer | None) -> list[NewMessage]:
    encode = msgspec.json.encode
    rows: list[NewMessage] = []
    known: dict[int, Common] = {}
    for one, key in zip(taken, uuid7_many(len(taken)), strict=True):
        recipient, wording, sealed = one.recipient, one.wording, None
        common = known.get(id(wording))
        if common is None:
            common = known[id(wording)] = _common(draft, wording, sender)
        own = Own(name=recipient.name, subject=one.subject, data=recipient.data)
        if sealer is not None:
            own, sealed = NOTHING, seal_own(sealer, own, row=key)
        rows.append(
            NewMessage(
                id=key,
                common=common,
                contact_id=one.contact_id,
                recipient=one.address,
                name=own.name,
                subject=own.subject,
                data=encode(own.data).decode() if own.data else None,
                metadata=encode(recipient.metadata).decode() if recipient.metadata else "{}",
                sealed=sealed,
            )
        )
    if sender.awaited_for is not None:
        urgent = replace_in(rows[0].common, priority=Priority.URGENT, awaited_for=sender.awaited_for)
        rows[0] = replace_in(rows[0], common=urgent)
    return rows


def _common(draft: Draft, wording: Wording, sender: _Sender) -> Common:
    return Common(
        workspace_id=sender.workspace_id,
        content_id=wording.content_id,
        batch_id=sender.batch_id,
        author_id=sender.author_id,
        template_id=wording.template_id,
        campaign_id=draft.campaign_id,
        channel=draft.channel.value,
        priority=draft.priority,
        category=draft.category,
        action_type=wording.action_type,
        language=wording.language,
        test=sender.test,
        on_unknown=draft.on_unknown,
        max_attempts=settings.MAX_ATTEMPTS,
        scheduled_at=draft.scheduled_at,
        expires_at=draft.expires_at,
    )
