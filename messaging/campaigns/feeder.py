"""Feeds campaigns: writes to those of an audience whose turn it is, at the campaign's rate and in its hours.

Nothing of an audience is in the queue before its turn. `feed_at` says when the next one comes; it is stored with the
messages, and what went out in the last minute is counted by their keys, so that neither a restart nor another worker
changes the rate. Time in which nobody fed is not made up for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet
from django.utils import timezone

from messaging.campaigns import audience, pace
from messaging.models import Audience, Campaign, Message
from messaging.models.keys import lowest_key
from messaging.tenancy import quota

_MINUTE: Final = timedelta(minutes=1)
_LATE: Final = timedelta(seconds=2)
"""How late a sweep may come without slowing the campaign down."""
_ROUNDS: Final = 20
"""How often others are taken at once where nobody of those whose turn it was could be reached."""
EXPIRED: Final = "expired"
"""The error of a contact whose turn had not come when the campaign ended."""


def feed(campaign: Campaign, *, now: datetime | None = None) -> int:
    """Write to those whose turn it is, inside the transaction of the caller, who holds the campaign; give how many.

    Raises:
        DispatchError: the messages cannot be accepted.
    """
    at = now or timezone.now()
    if campaign.feed_at is None or campaign.feed_at > at:
        return 0
    left = audience.waiting([campaign.id])
    if campaign.ends_at is not None and campaign.ends_at <= at:
        left.update(error_code=EXPIRED)
    written = _write(campaign, left, at)
    if not left.exists():
        campaign.feed_at = None
    campaign.save(update_fields=["feed_at"])
    return written


def _write(campaign: Campaign, left: QuerySet[Audience], at: datetime) -> int:
    assert campaign.feed_at is not None  # noqa: S101 - the caller has made sure
    first = max(campaign.feed_at, at - _LATE)
    ready = _ready(campaign, left, at)
    number = _turns(campaign, first, at)
    written = 0
    for _ in range(_ROUNDS):
        rows = list(ready.order_by("id")[: number - written]) if number > written else []
        if not rows:
            break
        written += audience.write_to(campaign, rows)
    if campaign.rate is not None:
        campaign.feed_at = first + written * (_MINUTE / campaign.rate)
    if not written and (zones := _zones(campaign, left)):
        # Whoever moves house meanwhile is looked at again soon enough.
        opens = min(pace.timetable(campaign).opens(at, zone) for zone in zones)
        campaign.feed_at = max(campaign.feed_at, min(opens, at + _MINUTE))
    return written


def _turns(campaign: Campaign, first: datetime, at: datetime) -> int:
    """To how many the campaign may write by now. Where the workspace has no messages left for the day it is one, so
    that whoever accepts it says so."""
    left = quota.terms_of(campaign.workspace_id).left
    most = audience.LARGEST if left is None else max(left, 1)
    if campaign.rate is None:
        return most
    messages = Message.objects.filter(campaign_id=campaign.id, id__gte=lowest_key(at - _MINUTE))
    return min((at - first) // (_MINUTE / campaign.rate) + 1, campaign.rate - messages.count(), most)


def _ready(campaign: Campaign, left: QuerySet[Audience], at: datetime) -> QuerySet[Audience]:
    """Those who may be written to at this time of their day."""
    times = pace.timetable(campaign)
    if not times:
        return left
    zones = [zone for zone in _zones(campaign, left) if times.closed_by(at, zone) is None]
    return left.filter(contact__time_zone__in=zones)


def _zones(campaign: Campaign, left: QuerySet[Audience]) -> list[str]:
    """The time zones of those who are left, where they matter."""
    if not pace.timetable(campaign):
        return []
    return list(left.order_by().values_list("contact__time_zone", flat=True).distinct())


def done_at(campaign: Campaign, left: int, *, now: datetime) -> datetime | None:
    """When the last of so many will have been written to, at the campaign's rate and in its hours."""
    if campaign.feed_at is None or not left:
        return None
    work = _MINUTE / campaign.rate * (left - 1) if campaign.rate is not None else timedelta(0)
    start = max(campaign.feed_at, now)
    times = pace.timetable(campaign)
    zones: Sequence[str] = _zones(campaign, audience.waiting([campaign.id])) or [""]
    return max(times.after(work, at=start, home=zone) for zone in zones) if times else start + work
