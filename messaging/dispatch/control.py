"""What people may do to messages that exist: cancel them, try them once more, hold them back for a while, or delete
them. What they say is changed by `revision`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from channels_app.types import Channel
from messaging.dispatch import queue, steps, transitions
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.errors import NotFound, TransitionRefused
from messaging.models import Message
from messaging.state import Cause, Priority, Status


def cancel(*, workspace_id: UUID, message_id: UUID, cause: Cause, reason: str = "") -> None:
    """Cancel a message that waits to be sent, or to be tried again; after this no attempt is begun.

    The event keeps the reason.

    Raises:
        NotFound: the workspace has no such message.
        TransitionRefused: it is being sent, was sent, or has ended.
    """
    if not cancel_many(workspace_id=workspace_id, ids=[message_id], cause=cause, reason=reason):
        raise _refusal(workspace_id, message_id, "cancelled")


def retry(*, workspace_id: UUID, message_id: UUID, cause: Cause) -> None:
    """Queue a FAILED or BOUNCED message once more, with a fresh budget of attempts.

    Raises:
        NotFound: the workspace has no such message.
        TransitionRefused: it has not failed.
    """
    if not retry_many(workspace_id=workspace_id, ids=[message_id], cause=cause):
        raise _refusal(workspace_id, message_id, "retried")


def delete(*, workspace_id: UUID, message_id: UUID, cause: Cause) -> None:
    """Take a message out of the workspace's lists; one that waits is cancelled first.

    What is being sent or was sent is not recalled: it stays in its recipient's feed, and in statistics.

    Raises:
        NotFound: the workspace has no such message, or deleted it before.
    """
    with transaction.atomic():
        cancel_many(workspace_id=workspace_id, ids=[message_id], cause=cause)
        known = [row.id for row in _known(workspace_id, [message_id])]
        if not transitions.hide_many(known, cause=cause):
            raise NotFound("there is no such message", code="message_not_found")


def cancel_many(*, workspace_id: UUID | None, ids: Sequence[UUID], cause: Cause, reason: str = "") -> set[UUID]:
    """Cancel those that can be, and the fallbacks that would take their place; give them. Without a workspace, for
    operators of the whole platform."""
    detail = {"reason": reason} if reason else {}
    moves = [Move(id=row.id, to=Status.CANCELLED, detail=detail) for row in _known(workspace_id, ids)]
    with transaction.atomic():
        cancelled = transitions.advance_many(moves, cause=cause)
        steps.drop(cancelled, code="cancelled")
    return cancelled


def retry_many(*, workspace_id: UUID | None, ids: Sequence[UUID], cause: Cause) -> set[UUID]:
    """Queue those again that have failed; give them. Without a workspace, for operators of the whole platform."""
    known = _known(workspace_id, ids)
    if not known:
        return set()
    moved = transitions.retry_many([row.id for row in known], budget=settings.MAX_ATTEMPTS, cause=cause)
    lanes = {Lane(Channel(row.channel), Priority(row.priority)) for row in known if row.id in moved}
    transaction.on_commit(lambda: queue.ring(*lanes))
    return moved


def hold_many(*, ids: Sequence[UUID], cause: Cause) -> set[UUID]:
    """Hold back those that are QUEUED; give them. They keep their place, and can be cancelled and released."""
    with transaction.atomic():
        transitions.lock(ids)
        held = loose(Message.objects.filter(id__in=ids)).values_list("id", flat=True)
        moves = [Move(id=key, type="paused", due=transitions.HELD.total_seconds()) for key in held]
        return transitions.advance_many(moves, cause=cause)


def release_many(*, ids: Sequence[UUID], cause: Cause) -> set[UUID]:
    """Let those go on that are held back, due at once; give them."""
    with transaction.atomic():
        transitions.lock(ids)
        rows = list(held_back(Message.objects.filter(id__in=ids)).only("id", "channel", "priority"))
        moved = transitions.advance_many([Move(id=row.id, type="resumed", due=0.0) for row in rows], cause=cause)
        lanes = {Lane(Channel(row.channel), Priority(row.priority)) for row in rows}
        transaction.on_commit(lambda: queue.ring(*lanes))
        return moved


def loose(rows: QuerySet[Message]) -> QuerySet[Message]:
    """Of these messages those that wait in the queue and are not held back."""
    return rows.filter(status=Status.QUEUED).exclude(is_held())


def held_back(rows: QuerySet[Message]) -> QuerySet[Message]:
    """Of these messages those that are held back."""
    return rows.filter(is_held(), status=Status.QUEUED)


def is_held() -> Q:
    """What tells a message that is held back from one that waits for its time."""
    return Q(next_attempt_at__gt=timezone.now() + transitions.FAR)


def _known(workspace_id: UUID | None, ids: Sequence[UUID]) -> list[Message]:
    """Those of these messages that the workspace has and did not delete; operators of the platform see all."""
    rows = Message.objects.filter(pk__in=ids).only("id", "channel", "priority")
    return list(rows if workspace_id is None else rows.filter(workspace_id=workspace_id, deleted_at=None))


def _refusal(workspace_id: UUID, message_id: UUID, deed: str) -> NotFound | TransitionRefused:
    rows = Message.objects.filter(pk=message_id, workspace_id=workspace_id, deleted_at=None)
    status = rows.values_list("status", flat=True).first()
    if status is None:
        return NotFound("there is no such message", code="message_not_found")
    return TransitionRefused(f"a message that is {status} cannot be {deed}")
