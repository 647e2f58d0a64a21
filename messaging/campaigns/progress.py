"""How far campaigns have come: their messages by status, the part that is done, and when the rest may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count
from django.utils import timezone

from channels_app.types import Channel
from messaging.campaigns import audience, feeder, messages
from messaging.campaigns.plans import ENDED
from messaging.models import Audience, Campaign, CampaignStatus, Message
from messaging.models.keys import lowest_key
from messaging.state import WAITING, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a campaign's messages stand."""

    counts: Mapping[str, int]
    """By status, those that occur."""
    waiting: int
    """Contacts whose turn to be written to has not come, or to be written to again."""
    done: float
    """The part of both that waits for nothing more, from 0 to 1."""
    eta: datetime | None
    """When the last message will have gone out: by the campaign's own pace, or should it go on as it went so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """The frozen audience in numbers."""

    contacts: int
    unreached: Mapping[str, int]
    """Contacts without a message, by the reason."""


def of_many(campaigns: Sequence[Campaign]) -> dict[UUID, Progress]:
    """The progress of these campaigns of one workspace, counted together."""
    started = [row.id for row in campaigns if row.started_at is not None]
    counts: dict[UUID, dict[str, int]] = {row.id: {} for row in campaigns}
    if started:
        rows = Message.objects.filter(campaign_id__in=started).order_by().values_list("campaign_id", "status")
        for campaign, status, number in rows.annotate(number=Count("id")):
            counts[campaign][status] = number
    fed = [row.id for row in campaigns if row.feed_at is not None]
    rest = audience.waiting(fed).order_by().values_list("campaign_id")
    left: dict[UUID, int] = dict(rest.annotate(number=Count("id"))) if fed else {}
    again = {row.id: messages.awaiting_retry(row).count() for row in campaigns if row.feed_at is not None}
    now = timezone.now()
    return {row.id: _progress(row, counts[row.id], left.get(row.id, 0), again.get(row.id, 0), now) for row in campaigns}


def of(campaign: Campaign) -> Progress:
    """The progress of one campaign."""
    return of_many([campaign])[campaign.id]


def reach(campaign: Campaign) -> Reach:
    """Count a campaign's audience; nobody is in it before the start."""
    rows = Audience.objects.filter(campaign_id=campaign.id).values_list("error_code")
    counted = dict(rows.annotate(number=Count("id")))
    return Reach(contacts=sum(counted.values()), unreached={code: n for code, n in counted.items() if code})


def _progress(campaign: Campaign, counts: Mapping[str, int], left: int, again: int, now: datetime) -> Progress:
    total = sum(counts.values()) + left
    waiting = sum(counts.get(status.value, 0) for status in WAITING) + again
    done = total - left - waiting
    share = done / total if total else float(campaign.status in ENDED)
    eta = None
    if campaign.status == CampaignStatus.RUNNING and campaign.started_at is not None:
        eta = feeder.done_at(campaign, left + again, now=now)
        if eta is None and done and waiting:
            eta = now + (now - campaign.started_at) / done * waiting
    return Progress(counts=counts, waiting=left + again, done=round(share, 4), eta=eta)


def standing_of(campaign: Campaign, *, since: datetime) -> list[tuple[Channel, Status, int]]:
    """How many of a campaign's messages since a moment stand where, by channel: those that occur, in order."""
    rows = Message.objects.filter(
        campaign_id=campaign.id, workspace_id=campaign.workspace_id, id__gte=lowest_key(since), created_at__gte=since
    )
    counted = rows.order_by("channel", "status").values_list("channel", "status").annotate(number=Count("id"))
    return [(Channel(channel), Status(status), number) for channel, status, number in counted]
