"""Turns to the next channel when a message does not arrive: it failed, came back, or took too long.

A sweep looks at the messages that steps watch. Each step is taken once: in one transaction the message is locked, then
its step, the new message is accepted, and the step notes its id; whatever is killed meanwhile, either all of that
happened or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now

from channels_app.registry import reports_delivery
from channels_app.types import Channel
from messaging.content import sealing
from messaging.content.contents import media_of, parts_of
from messaging.content.parts import Parts
from messaging.dispatch import intake, steps, transitions
from messaging.dispatch.draft import Draft, Recipient
from messaging.dispatch.transitions import Move
from messaging.errors import EncryptionFailed, Invalid, KeyMissing, QuotaExceeded, Unavailable
from messaging.models import Content, FallbackStep, Message
from messaging.state import CANCELLABLE, Cause, Priority, Status

log = structlog.get_logger(__name__)

BATCH: Final = 500
ROUNDS: Final = 10
SOONEST: Final = timedelta(seconds=1)
LATEST: Final = timedelta(minutes=1)
"""How often a message on its way is looked at: the less, the longer it takes."""

SUPERSEDED: Final = "superseded"
"""The code of a message that was not sent in time, and whose fallback goes out instead."""
_SANDBOX: Final = "sandbox"
_ARRIVED: Final = frozenset({Status.DELIVERED, Status.OPENED, Status.CLICKED, Status.UNSUBSCRIBED})
_CAME_BACK: Final = frozenset({Status.FAILED, Status.BOUNCED})
_REFUSALS: Final = (Invalid, QuotaExceeded, EncryptionFailed)


class Deed(StrEnum):
    """What to do about a step."""

    TAKE = "take"
    SPARE = "spare"
    DROP = "drop"
    WAIT = "wait"


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A step that waits, and how the message before it stands."""

    step_id: UUID
    message_id: UUID
    after_seconds: int | None
    now: datetime
    status: Status
    held: bool
    """Whether a worker has it in hand."""
    provider: str
    error_code: str
    suppressed_for: str
    complained: bool
    deleted: bool
    begun_at: datetime
    """From when its time counts."""
    next_attempt_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What to do about a step, and why; `due` is when to look again."""

    deed: Deed
    reason: str = ""
    due: datetime | None = None


def judge(watched: Watched) -> Verdict:
    """Say what follows from how the message stands: a pure rule.

    Whoever complained is not written to by another way either. Any other refusal speaks for its own channel alone.
    """
    if ended := _unwanted(watched):
        return Verdict(deed=Deed.DROP, reason=ended)
    if watched.status in _CAME_BACK:
        return Verdict(deed=Deed.TAKE, reason=watched.error_code or watched.status.event)
    if watched.status in _ARRIVED:
        return Verdict(deed=Deed.SPARE)
    deadline = None if watched.after_seconds is None else watched.begun_at + timedelta(seconds=watched.after_seconds)
    if watched.status is Status.SENT and (deadline is None or not reports_delivery(watched.provider)):
        # Nothing more is awaited; should it come back after all, the receipt has it looked at again.
        return Verdict(deed=Deed.SPARE)
    if deadline is not None and deadline <= watched.now:
        if watched.held:
            # It may reach the provider at this moment. Its outcome is known within the provider's deadline.
            return Verdict(deed=Deed.WAIT, due=watched.now + SOONEST)
        return Verdict(deed=Deed.TAKE, reason="too_late")
    return Verdict(deed=Deed.WAIT, due=_next_look(watched, deadline))


def _unwanted(watched: Watched) -> str:
    """Why nobody wants the message to arrive by any way; empty where somebody may."""
    if watched.status is Status.CANCELLED or watched.deleted:
        return "cancelled"
    if watched.error_code == "expired" or (watched.expires_at is not None and watched.expires_at <= watched.now):
        return "expired"
    if watched.complained or watched.suppressed_for == "complained":
        return "complained"
    return ""


def _next_look(watched: Watched, deadline: datetime | None) -> datetime:
    if watched.status is Status.SENT and deadline is not None:
        return deadline
    if watched.status is Status.SCHEDULED and watched.next_attempt_at is not None:
        return max(watched.next_attempt_at, watched.now) + SOONEST
    age = watched.now - watched.begun_at
    due = watched.now + max(SOONEST, min(age / 4, LATEST))
    return due if deadline is None else min(due, deadline)


def fall_back(*, limit: int = BATCH) -> int:
    """Look at the steps that are due, and take those whose message did not arrive; give how many were taken."""
    taken = 0
    for _ in range(ROUNDS):
        looked, wanted = _look(limit)
        for watched in wanted:
            try:
                taken += _take(watched)
            except Exception as error:
                # One that cannot be taken now holds up no other.
                log.warning("fallback_not_taken", step=str(watched.step_id), error=type(error).__name__)
                _put_off(watched)
        if looked < limit:
            break
    return taken


_DUE = """
SELECT watched_id FROM messaging_fallbackstep
 WHERE state = 'waiting' AND due_at <= clock_timestamp() AND watched_id IS NOT NULL ORDER BY due_at LIMIT %s
"""
_WATCHED = """
SELECT s.id, m.id, s.after_seconds, clock_timestamp(), m.status, m.claim_id IS NOT NULL, m.provider, m.error_code,
       CASE WHEN m.error_code = 'suppressed' THEN COALESCE((
           SELECT e.detail ->> 'reason' FROM messaging_messageevent e
            WHERE e.message_id = m.id AND e.type = 'failed' ORDER BY e.at DESC, e.id DESC LIMIT 1), '') ELSE '' END,
       m.complained_at IS NOT NULL, m.deleted_at IS NOT NULL, GREATEST(m.created_at, m.scheduled_at),
       m.next_attempt_at, m.expires_at
  FROM messaging_fallbackstep s JOIN messaging_message m ON m.id = s.watched_id
 WHERE s.watched_id = ANY(%s) AND m.id = ANY(%s) AND s.state = 'waiting' AND s.due_at <= clock_timestamp()
 ORDER BY s.due_at, s.id FOR UPDATE OF s SKIP LOCKED
"""


def _look(limit: int) -> tuple[int, list[Watched]]:
    """Settle the steps that need no new message, put off those to wait for; give how many were due, and the others."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_DUE, [limit])
            ids = [row[0] for row in cursor.fetchall()]
        verdicts = [(watched, judge(watched)) for watched in _locked(ids)]
        _drop_orphans(ids)
        _settle(verdicts)
    return len(ids), [watched for watched, verdict in verdicts if verdict.deed is Deed.TAKE]


def _locked(ids: list[UUID]) -> list[Watched]:
    """Lock the messages, then the steps that watch them: receipts and cancels do it in that order too. What another
    holds is passed by."""
    if not ids:
        return []
    known = transitions.lock(ids, skip_locked=True)
    with connection.cursor() as cursor:
        cursor.execute(_WATCHED, [known, known])
        return [
            Watched(
                step_id=row[0],
                message_id=row[1],
                after_seconds=row[2],
                now=row[3],
                status=Status(row[4]),
                held=row[5],
                provider=row[6],
                error_code=row[7],
                suppressed_for=row[8],
                complained=row[9],
                deleted=row[10],
                begun_at=row[11],
                next_attempt_at=row[12],
                expires_at=row[13],
            )
            for row in cursor.fetchall()
        ]


def _drop_orphans(ids: list[UUID]) -> None:
    """Call off what waits for messages that are not kept any more."""
    gone = set(ids) - set(Message.objects.filter(pk__in=ids).values_list("id", flat=True)) if ids else set()
    steps.drop(gone, code="message_not_found")


def _settle(verdicts: list[tuple[Watched, Verdict]]) -> None:
    """Write down what needs no new message."""
    steps.spare(watched.message_id for watched, verdict in verdicts if verdict.deed is Deed.SPARE)
    dropped: dict[str, list[UUID]] = {}
    for watched, verdict in verdicts:
        if verdict.deed is Deed.DROP:
            dropped.setdefault(verdict.reason, []).append(watched.message_id)
    for reason, messages in dropped.items():
        steps.drop(messages, code=reason)
    waiting = [(watched.step_id, verdict.due) for watched, verdict in verdicts if verdict.deed is Deed.WAIT]
    if waiting:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE messaging_fallbackstep s SET due_at = v.due "
                "FROM unnest(%s::uuid[], %s::timestamptz[]) AS v(id, due) WHERE s.id = v.id",
                [[step for step, _ in waiting], [due for _, due in waiting]],
            )


def _put_off(watched: Watched) -> None:
    try:
        FallbackStep.objects.filter(pk=watched.step_id, state=FallbackStep.State.WAITING).update(
            due_at=Now() + 10 * SOONEST
        )
    except DatabaseError:
        log.warning("fallback_not_put_off", step=str(watched.step_id))


def _take(seen: Watched) -> bool:
    """Take one step, unless what called for it has changed; false where it was not taken."""
    with transaction.atomic():
        found = [(watched, judge(watched)) for watched in _locked([seen.message_id])]
        again = next(((watched, verdict) for watched, verdict in found if watched.step_id == seen.step_id), None)
        if again is None or again[1].deed is not Deed.TAKE:
            _settle(found)
            return False
        watched, verdict = again
        step = FallbackStep.objects.get(pk=watched.step_id)
        try:
            with transaction.atomic():
                next_id = _accept(step)
        except (KeyMissing, Unavailable):
            raise
        except _REFUSALS as refusal:
            _refuse(step, watched, refusal.code, refusal.detail)
            return False
        if watched.status in CANCELLABLE:
            late = Move(
                id=watched.message_id,
                to=Status.FAILED,
                code=SUPERSEDED,
                error="it was not sent in time, and its fallback goes out instead",
            )
            transitions.advance_many([late], cause=Cause.SWEEPER)
        detail = {"channel": step.channel, "message_id": str(next_id), "reason": verdict.reason}
        _note(watched, "fallback", detail)
        FallbackStep.objects.filter(pk=step.pk).update(state=FallbackStep.State.TAKEN, next_id=next_id, due_at=None)
        _activate(step, next_id, SOONEST)
        return True


def _refuse(step: FallbackStep, watched: Watched, code: str, detail: str) -> None:
    """Pass a step by that cannot be taken, and have the one after it watch the same message."""
    _note(watched, "fallback_refused", {"channel": step.channel, "code": code, "error": detail})
    FallbackStep.objects.filter(pk=step.pk).update(
        state=FallbackStep.State.REFUSED, error_code=code, error_detail=detail, due_at=None
    )
    _activate(step, watched.message_id, timedelta())


def _note(watched: Watched, kind: str, detail: dict[str, Any]) -> None:
    transitions.advance_many([Move(id=watched.message_id, type=kind, detail=detail)], cause=Cause.SWEEPER)


def _activate(step: FallbackStep, watched_id: UUID, wait: timedelta) -> None:
    """Have the step after this one watch a message."""
    following = FallbackStep.objects.filter(origin_id=step.origin_id, position=step.position + 1)
    following.update(watched_id=watched_id, state=FallbackStep.State.WAITING, due_at=Now() + wait)


def _accept(step: FallbackStep) -> UUID:
    """Accept what the step sends, from what the first message says.

    Raises:
        Invalid: it cannot be sent there, or not any more.
        QuotaExceeded: the workspace has no messages left for today.
        EncryptionFailed: what the first message says does not open.
    """
    origin = Message.objects.get(pk=step.origin_id)
    own = sealing.own_of(origin)
    accepted = intake.accept(
        workspace_id=origin.workspace_id,
        author_id=origin.author_id,
        test=origin.test,
        draft=_draft(step, origin),
        recipients=[
            Recipient(
                to=step.recipient,
                contact_id=str(step.contact_id) if step.contact_id else "",
                name=own.name,
                data=own.data,
                # How the sandbox shall play the first message is not said of the second.
                metadata={name: value for name, value in origin.metadata.items() if name != _SANDBOX},
            )
        ],
        batch=False,
    )
    return accepted.ids[0]


def _draft(step: FallbackStep, origin: Message) -> Draft:
    content = Content.objects.select_related("template_version").get(pk=origin.content_id)
    names = sealing.reveal_content(content)
    own = Parts(subject=content.subject, body=content.body, text=content.text)
    draft = Draft(
        channel=Channel(origin.channel),
        sender=content.sender,
        reply_to=content.reply_to,
        cc=tuple(content.cc),
        bcc=tuple(content.bcc),
        headers=content.headers,
        attachments=sealing.files_of(content, names),
        media=media_of(content),
        priority=Priority(origin.priority),
        category=origin.category,
        action_type=origin.action_type,
        language=origin.language,
        on_unknown=origin.on_unknown,
        expires_at=origin.expires_at,
        encrypted=origin.sealed is not None,
    )
    said = own if step.template else parts_of(content)
    return steps.handed_on(draft, said, channel=Channel(step.channel), template=step.template)
