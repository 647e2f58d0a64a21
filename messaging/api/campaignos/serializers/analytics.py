"""Figures, as they go out. Counts are cumulative: a clicked message is counted as opened, delivered and sent too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from analytics.counting import Counts
from analytics.statistics import Point
from channels_app.types import Channel
from messaging import models
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.vocabulary import CHANNEL_OUT, STATUS_OUT, ChannelWord, StatusWord
from messaging.api.common.queries import Query
from messaging.errors import Invalid
from messaging.state import Standing, Status

DAYS = 365
_DIGITS = 4
_PERIOD = r"^(?:[1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-5])d$"

Share = Annotated[float, Meta(ge=0, le=1)]


class PeriodQuery(Query, rename="camel", kw_only=True, frozen=True):
    """Over which time campaign figures are taken."""

    period: Annotated[str, Meta(description="Days, up to `365d`.", extra_json_schema={"pattern": _PERIOD})] = "30d"

    @property
    def days(self) -> int:
        """The period in days.

        Raises:
            Invalid: it is none.
        """
        if re.match(_PERIOD, self.period, re.ASCII) is None:
            raise Invalid.at("/period", "invalid_value", f"A period is 1 to {DAYS} days, as in 30d.")
        return int(self.period.removesuffix("d"))


class DaysQuery(Query, rename="camel", kw_only=True, frozen=True):
    """How many days a series has."""

    days: Annotated[int, Meta(ge=1, le=DAYS, description="Days (UTC), today included.")] = 30


class MessageFigures(Struct, rename="camel", kw_only=True, frozen=True):
    """Messages by what became of them; both rates are shares of what was sent."""

    total: int
    sent: int
    delivered: int
    opened: int
    clicked: int
    bounced: int
    failed: int
    open_rate: Share
    click_rate: Share


class Overview(Struct, rename="camel", kw_only=True, frozen=True):
    """The workspace in figures: its contacts and campaigns as they are, messages and events of the period."""

    period: str
    contacts: int
    campaigns: int
    messages: MessageFigures
    events: int


class CampaignFigures(Struct, rename="camel", kw_only=True, frozen=True):
    """A campaign's messages by what became of them; opened and clicked as shares of what was delivered, delivered and
    bounced of what was sent."""

    total: int
    sent: int
    delivered: int
    opened: int
    clicked: int
    bounced: int
    failed: int
    unsubscribed: int
    delivery_rate: Share
    open_rate: Share
    click_rate: Share
    bounce_rate: Share


class StatusCount(Struct, kw_only=True, frozen=True):
    """How many messages have a status now."""

    status: StatusWord
    count: int


class ChannelCount(Struct, kw_only=True, frozen=True):
    """How many messages took a channel."""

    channel: ChannelWord
    count: int


class CampaignReport(Struct, rename="camel", kw_only=True, frozen=True):
    """A campaign in figures."""

    campaign_id: str
    name: str
    period: str
    messages: CampaignFigures
    status_breakdown: list[StatusCount]
    channel_breakdown: list[ChannelCount]


class Day(Struct, kw_only=True, frozen=True):
    """The messages that were accepted on one day (UTC)."""

    date: str
    total: int
    sent: int
    delivered: int
    opened: int
    clicked: int
    bounced: int
    failed: int


class Series(Struct, kw_only=True, frozen=True):
    """Day by day, the oldest first; days without a message too."""

    days: int
    data: list[Day]


def overview(counts: Counts, *, period: str, contacts: int, campaigns: int, events: int) -> Overview:
    """The workspace in figures."""
    messages = MessageFigures(
        **_counted(counts),
        open_rate=_share(counts.opened, counts.sent),
        click_rate=_share(counts.clicked, counts.sent),
    )
    return Overview(period=period, contacts=contacts, campaigns=campaigns, messages=messages, events=events)


def report(
    campaign: models.Campaign, counts: Counts, standing: Iterable[tuple[Channel, Status, int]], *, period: str
) -> CampaignReport:
    """A campaign in figures."""
    statuses: dict[StatusWord, int] = {}
    channels: dict[ChannelWord, int] = {}
    for channel, status, number in standing:
        word, place = STATUS_OUT[Standing(status)], CHANNEL_OUT[channel]
        if place is not None:
            statuses[word] = statuses.get(word, 0) + number
            channels[place] = channels.get(place, 0) + number
    return CampaignReport(
        campaign_id=Kind.CAMPAIGN.show(campaign.id),
        name=campaign.name,
        period=period,
        messages=CampaignFigures(
            **_counted(counts),
            unsubscribed=counts.unsubscribed,
            delivery_rate=_share(counts.delivered, counts.sent),
            open_rate=_share(counts.opened, counts.delivered),
            click_rate=_share(counts.clicked, counts.delivered),
            bounce_rate=_share(counts.bounced, counts.sent),
        ),
        status_breakdown=[StatusCount(status=word, count=number) for word, number in statuses.items()],
        channel_breakdown=[ChannelCount(channel=word, count=number) for word, number in channels.items()],
    )


def series(points: Sequence[Point]) -> Series:
    """The days as they are shown."""
    return Series(
        days=len(points), data=[Day(date=point.at.date().isoformat(), **_counted(point.counts)) for point in points]
    )


def _counted(counts: Counts) -> dict[str, Any]:
    """The columns of every figure. What was cancelled is FAILED on this surface."""
    names = ("total", "sent", "delivered", "opened", "clicked", "bounced")
    return {**{name: getattr(counts, name) for name in names}, "failed": counts.failed + counts.cancelled}


def _share(part: int, whole: int) -> float:
    return round(part / whole, _DIGITS) if whole else 0.0
