"""What campaigns do by themselves: start when their time has come, write to those whose turn it is, and end when
nothing waits any more.

Every sweep is stateless and passes by what another holds, so that two at once are harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from messaging.campaigns import feeder, pace, runs
from messaging.errors import DispatchError, EncryptionFailed, QuotaExceeded, Unavailable
from messaging.models import Campaign, CampaignStatus
from messaging.state import Cause

log = structlog.get_logger(__name__)

BATCH = 100
"""Campaigns that one sweep looks at."""
AGAIN = timedelta(minutes=1)
"""When a campaign is tried again whose workspace has no messages left for the day."""

C = CampaignStatus


def start_due() -> int:
    """Start the campaigns whose time has come; give how many started.

    One that is refused is a draft again and says why; one that cannot be started just now is tried at the next sweep.
    """
    due = Campaign.objects.filter(status=C.SCHEDULED, finished_at=None, scheduled_at__lte=timezone.now())
    return sum(_each(_start, list(due.order_by("scheduled_at").values_list("id", flat=True)[:BATCH])))


def feed() -> int:
    """Write to those of running campaigns whose turn it is; give how many campaigns wrote to somebody.

    One that is refused is paused and says why; one that cannot go on just now is tried again.
    """
    due = Campaign.objects.filter(status=C.RUNNING, finished_at=None, feed_at__lte=timezone.now())
    return sum(_each(_feed, list(due.order_by("feed_at").values_list("id", flat=True)[:BATCH])))


def settle() -> int:
    """End what has come to its end, and hold or cancel what came back to the queue meanwhile; give how many ended."""
    going = Campaign.objects.filter(status__in=[C.RUNNING, C.PAUSED, C.CANCELLED], finished_at=None)
    return sum(_each(_settle, list(going.order_by("started_at").values_list("id", flat=True))))


def _start(campaign_id: UUID) -> bool:
    with transaction.atomic():
        row = _held(campaign_id)
        if row is None or row.status != C.SCHEDULED or row.scheduled_at is None or row.scheduled_at > timezone.now():
            return False
        if pace.is_quiet(row):
            # It begins with the first sweep after the quiet hours.
            return False
        try:
            with transaction.atomic():
                runs.launch(row)
        except (Unavailable, EncryptionFailed):
            raise
        except DispatchError as error:
            runs.send_back(row, error)
            log.warning("campaign_not_started", campaign=str(campaign_id), code=error.code)
            return False
    log.info("campaign_started", campaign=str(campaign_id))
    return True


def _feed(campaign_id: UUID) -> bool:
    with transaction.atomic():
        row = _held(campaign_id)
        if row is None or row.status != C.RUNNING:
            return False
        try:
            with transaction.atomic():
                return feeder.feed(row) > 0
        except (Unavailable, EncryptionFailed):
            raise
        except QuotaExceeded as error:
            Campaign.objects.filter(id=row.id).update(feed_at=timezone.now() + AGAIN)
            log.warning("campaign_not_fed", campaign=str(campaign_id), code=error.code)
        except DispatchError as error:
            row.refresh_from_db(fields=["feed_at"])
            runs.halt(row, error)
            log.warning("campaign_halted", campaign=str(campaign_id), code=error.code)
    return False


def _settle(campaign_id: UUID) -> bool:
    with transaction.atomic():
        row = _held(campaign_id)
        if row is None or row.finished_at is not None:
            return False
        match row.status:
            case C.PAUSED:
                runs.hold(row, cause=Cause.SWEEPER)
            case C.CANCELLED:
                runs.cancel_waiting(row, cause=Cause.SWEEPER)
            case C.RUNNING:
                pass
            case _:
                return False
        return runs.settle(row)


def _held(campaign_id: UUID) -> Campaign | None:
    rows = Campaign.objects.select_for_update(no_key=True, skip_locked=True, of=("self",)).select_related("template")
    return rows.filter(id=campaign_id).first()


def _each(deed: Callable[[UUID], bool], ids: Sequence[UUID]) -> Iterator[bool]:
    """Do it to each; one that cannot be treated does not hold up the others."""
    for campaign_id in ids:
        try:
            yield deed(campaign_id)
        except Exception:
            log.exception("campaign_not_swept", campaign=str(campaign_id))
