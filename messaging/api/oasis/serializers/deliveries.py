"""How messages fare: where each stands, what happened to it, and what was done about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct

from analytics import statistics
from messaging import models
from messaging.api.common.rendering import stamp
from messaging.api.oasis.envelope import Moment
from messaging.api.oasis.serializers.messages import Delivery, Tracking, delivery, tracking
from messaging.api.oasis.vocabulary import EVENT_OUT, STATUS_OUT, StatusWord
from messaging.dispatch import selectors
from messaging.state import Standing, Status


class Timestamps(Struct, kw_only=True, frozen=True, rename="camel"):
    """When what happened."""

    created_at: Moment
    sent_at: Moment | None
    delivered_at: Moment | None
    read_at: Moment | None


class MessageStatus(Struct, kw_only=True, frozen=True, rename="camel"):
    """Where a message stands."""

    id: UUID
    status: StatusWord
    delivery: Delivery
    tracking: Tracking
    timestamps: Timestamps
    last_updated: Moment


class TrackingEvent(Struct, kw_only=True, frozen=True):
    """Something that happened to a message."""

    type: str
    timestamp: Moment
    details: dict[str, Any]


class MessageRates(Struct, kw_only=True, frozen=True, rename="camel"):
    """The message's own part in the rates: 1 or 0."""

    open_rate: float
    click_rate: float
    bounce_rate: float
    complaint_rate: float


class MessageTracking(Struct, kw_only=True, frozen=True, rename="camel"):
    """Everything that happened to a message."""

    id: UUID
    tracking: Tracking
    events: list[TrackingEvent]
    analytics: MessageRates
    last_updated: Moment


class Retried(Struct, kw_only=True, frozen=True, rename="camel"):
    """A message that is tried again."""

    id: UUID
    status: StatusWord
    delivery: Delivery
    retried_at: Moment


class Cancelled(Struct, kw_only=True, frozen=True, rename="camel"):
    """A message that will not be sent."""

    id: UUID
    status: StatusWord
    cancelled_at: Moment
    reason: str


class Deleted(Struct, kw_only=True, frozen=True):
    """A message that is out of the lists."""

    id: UUID
    deleted: bool = True


def status(row: models.Message) -> MessageStatus:
    """Where a message stands."""
    return MessageStatus(
        id=row.id,
        status=STATUS_OUT[selectors.standing_of(row)],
        delivery=delivery(row),
        tracking=tracking(row),
        timestamps=Timestamps(
            created_at=stamp(row.created_at),
            sent_at=stamp(row.sent_at),
            delivered_at=stamp(row.delivered_at),
            read_at=stamp(row.opened_at),
        ),
        last_updated=stamp(selectors.modified_at(row)),
    )


def tracked(row: models.Message, events: Sequence[models.MessageEvent]) -> MessageTracking:
    """Everything that happened to a message."""
    shares = statistics.rates(statistics.counts_of(row))
    return MessageTracking(
        id=row.id,
        tracking=tracking(row),
        events=[_event(each) for each in events],
        analytics=MessageRates(
            open_rate=shares.open,
            click_rate=shares.click,
            bounce_rate=shares.bounce,
            complaint_rate=shares.complaint,
        ),
        last_updated=stamp(selectors.modified_at(row)),
    )


def _event(row: models.MessageEvent) -> TrackingEvent:
    again = row.type == Status.QUEUED.event and row.attempt > 0
    details = {"attempt": row.attempt, "provider": row.provider or None, **row.detail}
    return TrackingEvent(
        type="retrying" if again else EVENT_OUT.get(row.type, row.type), timestamp=stamp(row.at), details=details
    )


def retried(row: models.Message) -> Retried:
    """A message that was just put in the queue again, whatever has become of it since."""
    return Retried(
        id=row.id,
        status=STATUS_OUT[Standing.RETRYING],
        delivery=delivery(row),
        retried_at=stamp(row.retried_at or row.created_at),
    )


def cancelled(row: models.Message, reason: str) -> Cancelled:
    """A message that was just cancelled."""
    return Cancelled(
        id=row.id,
        status=STATUS_OUT[Standing.CANCELLED],
        cancelled_at=stamp(row.cancelled_at or row.created_at),
        reason=reason,
    )
