"""Feeds campaigns: writes to those of an audience whose turn it is, at the campaign's rate and in its hours, and tries
again what failed where somebody asked for that.

Nothing of either is in the queue before its turn. `feed_at` says when the next one comes; it is stored with the
messages, and what went out in the last minute is counted by them, so that neither a restart nor another worker
changes the rate. Time in which nobody fed is not made up for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import F, QuerySet
from django.utils import timezone

from messaging.campaigns import audience, messages, pace
from messaging.models import Campaign
from messaging.models.keys import lowest_key
from messaging.state import Cause
from messaging.tenancy import quota

_MINUTE: Final = timedelta(minutes=1)
_LATE: Final = timedelta(seconds=2)
"""How late a sweep may come without slowing the campaign down."""
_ROUNDS: Final = 20
"""How often others are taken at once where nobody of those whose turn it was could be reached."""
EXPIRED: Final = "expired"
"""The error of a contact whose turn had not come when the campaign ended."""

_Rows = QuerySet[Any]
"""Of an audience or of messages, each with its `home`."""


def feed(campaign: Campaign, *, now: datetime | None = None) -> int:
    """Write to those whose turn it is, inside the transaction of the caller, who holds the campaign; give how many.

    Raises:
        DispatchError: the messages cannot be accepted.
    """
    at = now or timezone.now()
    if campaign.feed_at is None or campaign.feed_at > at:
        return 0
    left, again = _left(campaign)
    if campaign.ends_at is not None and campaign.ends_at <= at:
        left.update(error_code=EXPIRED)
    written = _write(campaign, left, again, at)
    if not (left.exists() or again.exists()):
        campaign.feed_at = None
    campaign.save(update_fields=["feed_at"])
    return written


def _left(campaign: Campaign) -> tuple[_Rows, _Rows]:
    """Those who have not been written to, and the messages that are to be tried again, each with its `home`."""
    unwritten = audience.waiting([campaign.id]).annotate(home=F("contact__time_zone"))
    return unwritten, messages.with_home(messages.awaiting_retry(campaign))


def _write(campaign: Campaign, left: _Rows, again: _Rows, at: datetime) -> int:
    assert campaign.feed_at is not None  # noqa: S101 - the caller has made sure
    first = max(campaign.feed_at, at - _LATE)
    times, homes = pace.timetable(campaign), _homes(campaign, left, again)
    if times:
        at_home = [home for home in homes if times.closed_by(at, home) is None]
        left, again = left.filter(home__in=at_home), again.filter(home__in=at_home)
    number = _turns(campaign, first, at)
    written = _accept(campaign, left, number)
    if number > written:
        written += messages.retry(campaign, again, cause=Cause.SWEEPER, most=number - written)
    if campaign.rate is not None:
        campaign.feed_at = first + written * (_MINUTE / campaign.rate)
    if not written and homes:
        # Not further ahead: that would take long for many time zones, and somebody may move house meanwhile.
        opens = min(times.opens(at, home, until=at + _MINUTE) for home in homes)
        campaign.feed_at = max(campaign.feed_at, opens)
    return written


def _accept(campaign: Campaign, ready: _Rows, turns: int) -> int:
    """Write to so many, as far as the workspace has messages left for the day. Where it has none it is one, so that
    whoever accepts it says so."""
    room = quota.terms_of(campaign.workspace_id).left
    number = turns if room is None else min(turns, max(room, 1))
    written = 0
    for _ in range(_ROUNDS):
        rows = list(ready.order_by("id")[: number - written]) if number > written else []
        if not rows:
            break
        written += audience.write_to(campaign, rows)
    return written


def _turns(campaign: Campaign, first: datetime, at: datetime) -> int:
    """To how many the campaign may write by now."""
    if campaign.rate is None:
        return audience.LARGEST
    since = at - _MINUTE
    sent = messages.of(campaign)
    gone = sent.filter(id__gte=lowest_key(since)).count()
    if campaign.retry_before is not None:
        gone += sent.filter(id__lt=lowest_key(since), retried_at__gte=since).count()
    return min((at - first) // (_MINUTE / campaign.rate) + 1, campaign.rate - gone)


def _homes(campaign: Campaign, left: _Rows, again: _Rows) -> set[str]:
    """The time zones of those who are left, where they matter."""
    if not pace.timetable(campaign):
        return set()
    return {home for rows in (left, again) for home in rows.order_by().values_list("home", flat=True).distinct()}


def done_at(campaign: Campaign, left: int, *, now: datetime) -> datetime | None:
    """When the last of so many will have been written to, at the campaign's rate and in its hours."""
    if campaign.feed_at is None or not left:
        return None
    work = _MINUTE / campaign.rate * (left - 1) if campaign.rate is not None else timedelta(0)
    start = max(campaign.feed_at, now)
    times = pace.timetable(campaign)
    homes = _homes(campaign, *_left(campaign)) or {""}
    return max(times.after(work, at=start, home=home) for home in homes) if times else start + work
