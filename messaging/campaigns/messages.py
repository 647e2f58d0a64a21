"""A campaign's messages: which they are, which of them failed, and how those are tried again.

All at once, or as their turn comes where the campaign has a pace. Which those are is told by one moment of the
campaign: what failed before, and was not tried since, waits for its turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Coalesce

from messaging.dispatch import control
from messaging.models import Campaign, ContactAlias, Message
from messaging.people import refusals
from messaging.state import RETRYABLE, Cause

_CHUNK = 1_000


def of(row: Campaign) -> QuerySet[Message]:
    """A campaign's messages."""
    return Message.objects.filter(campaign_id=row.id, workspace_id=row.workspace_id)


def failures(row: Campaign) -> QuerySet[Message]:
    """Those that did not get through and could have."""
    return of(row).filter(status__in=RETRYABLE).exclude(error_code=refusals.CODE)


def awaiting_retry(row: Campaign) -> QuerySet[Message]:
    """Those that failed and are to be tried again when their turn comes."""
    asked = row.retry_before
    if asked is None:
        return Message.objects.none()
    before = Q(failed_at__lt=asked) | Q(bounced_at__lt=asked)
    untried = Q(retried_at=None) | Q(retried_at__lt=asked)
    return failures(row).filter(before, untried, deleted_at=None)


def with_home(rows: QuerySet[Message]) -> QuerySet[Message]:
    """Messages with the time zone of whom they went to as `home`; empty where it is not known."""
    merged = ContactAlias.objects.filter(id=OuterRef("contact_id")).values("contact__time_zone")
    home = Coalesce("contact__time_zone", Subquery(merged), Value(""), output_field=TextField())
    return rows.annotate(home=home)


def retry(row: Campaign, rows: QuerySet[Message], *, cause: Cause, most: int | None = None) -> int:
    """Queue these of its messages again, or the oldest of them; give how many were."""
    parts = chunks(rows, most=most)
    return sum(len(control.retry_many(workspace_id=row.workspace_id, ids=ids, cause=cause)) for ids in parts)


def chunks(rows: QuerySet[Message], *, most: int | None = None) -> Iterator[Sequence[UUID]]:
    """The keys of these messages as they are now, in order, in parts."""
    ids = list(rows.order_by("id").values_list("id", flat=True)[:most])
    for start_at in range(0, len(ids), _CHUNK):
        yield ids[start_at : start_at + _CHUNK]
