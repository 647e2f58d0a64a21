"""How far batches have come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Max
from django.db.models.functions import Coalesce

from messaging.dispatch.selectors.rows import bounded
from messaging.errors import NotFound
from messaging.models import Batch, Message
from messaging.state import WAITING, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchProgress:
    """How far the messages of a batch have come."""

    id: UUID
    accepted: int
    rejected: int
    counts: dict[str, int]
    """By status, those that occur."""
    created_at: datetime
    finished_at: datetime | None
    """When the last message went out or ended; None while any waits."""


def batch(*, workspace_id: UUID, batch_id: UUID) -> BatchProgress:
    """Give a batch and where its messages stand; what was deleted of it since is counted where it stands.

    Raises:
        NotFound: the workspace has no such batch.
    """
    row = Batch.objects.filter(workspace_id=workspace_id, id=batch_id).first()
    if row is None:
        raise NotFound("There is no such batch.", code="batch_not_found")
    ended = Coalesce("sent_at", "failed_at", "cancelled_at")
    with bounded():
        found = list(
            Message.objects.filter(batch_id=batch_id, workspace_id=workspace_id)
            .order_by()
            .values("status")
            .annotate(number=Count("id"), ended=Max(ended))
        )
    waits = any(Status(each["status"]) in WAITING for each in found)
    times = [each["ended"] for each in found if each["ended"] is not None]
    return BatchProgress(
        id=row.id,
        accepted=row.accepted,
        rejected=row.rejected,
        counts={each["status"]: each["number"] for each in found},
        created_at=row.created_at,
        finished_at=max(times) if times and not waits else None,
    )
