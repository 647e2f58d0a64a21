"""What people may do to a message that exists: cancel it, or try it once more."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.db import transaction

from channels_app.types import Channel
from messaging.dispatch import queue, transitions
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.errors import NotFound, TransitionRefused
from messaging.models import Message
from messaging.state import Cause, Priority, Status


def cancel(*, workspace_id: UUID, message_id: UUID, cause: Cause) -> None:
    """Cancel a message that waits to be sent, or to be tried again; after this no attempt is begun.

    Raises:
        NotFound: the workspace has no such message.
        TransitionRefused: it is being sent, was sent, or has ended.
    """
    if not cancel_many(workspace_id=workspace_id, ids=[message_id], cause=cause):
        raise _refusal(workspace_id, message_id, "cancelled")


def retry(*, workspace_id: UUID, message_id: UUID, cause: Cause) -> None:
    """Queue a FAILED or BOUNCED message once more, with a fresh budget of attempts.

    Raises:
        NotFound: the workspace has no such message.
        TransitionRefused: it has not failed.
    """
    if not retry_many(workspace_id=workspace_id, ids=[message_id], cause=cause):
        raise _refusal(workspace_id, message_id, "retried")


def cancel_many(*, workspace_id: UUID | None, ids: Sequence[UUID], cause: Cause) -> set[UUID]:
    """Cancel those that can be; give them. Without a workspace, for operators of the whole platform."""
    known = _known(workspace_id, ids)
    return transitions.advance_many([Move(id=row.id, to=Status.CANCELLED) for row in known], cause=cause)


def retry_many(*, workspace_id: UUID | None, ids: Sequence[UUID], cause: Cause) -> set[UUID]:
    """Queue those again that have failed; give them. Without a workspace, for operators of the whole platform."""
    known = _known(workspace_id, ids)
    if not known:
        return set()
    moved = transitions.retry_many([row.id for row in known], budget=settings.MAX_ATTEMPTS, cause=cause)
    lanes = {Lane(Channel(row.channel), Priority(row.priority)) for row in known if row.id in moved}
    transaction.on_commit(lambda: queue.ring(*lanes))
    return moved


def _known(workspace_id: UUID | None, ids: Sequence[UUID]) -> list[Message]:
    rows = Message.objects.filter(pk__in=ids).only("id", "channel", "priority")
    return list(rows if workspace_id is None else rows.filter(workspace_id=workspace_id))


def _refusal(workspace_id: UUID, message_id: UUID, deed: str) -> NotFound | TransitionRefused:
    status = Message.objects.filter(pk=message_id, workspace_id=workspace_id).values_list("status", flat=True).first()
    if status is None:
        return NotFound("there is no such message", code="message_not_found")
    return TransitionRefused(f"a message that is {status} cannot be {deed}")
