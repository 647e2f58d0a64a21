"""How often and when a campaign may write to a contact, as its settings say: a frequency cap and quiet hours.

`frequencyCap` is a number of messages in a day, or `{max, hours}`. `quietHours` is `{start, end, timezone?}` with
times of the day as HH:MM, which may go past midnight; without a time zone the contact's own counts, else UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeGuard
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django.db.models import QuerySet
from django.utils import timezone

from messaging.errors import Conflict, FieldError
from messaging.models import Campaign, Contact, Message
from messaging.state import Status

MOST = 10_000
LONGEST_HOURS = 24 * 365
_DAY: Final = 24
_CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)
_NEVER_SENT: Final = (Status.FAILED, Status.CANCELLED)


class Held(Conflict):
    """A campaign may not write to a contact now."""


@dataclass(frozen=True, slots=True)
class Cap:
    """So many messages in so many hours."""

    most: int
    hours: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """The time of the day in which nobody is written to; the end does not belong to it."""

    start: str
    end: str
    time_zone: str

    def holds(self, at: datetime, *, home: str) -> bool:
        """Whether it is quiet for somebody who lives in this time zone, if that is known."""
        clock = f"{at.astimezone(ZoneInfo(self.time_zone or home or 'UTC')):%H:%M}"
        if self.start <= self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


def problems(settings: Mapping[str, Any]) -> Iterator[FieldError]:
    """Everything that is wrong with what settings say about the pace; what else they say is their maker's."""
    cap, quiet = settings.get("frequencyCap"), settings.get("quietHours")
    if cap is not None and _cap(cap) is None:
        detail = (
            f"A cap is a number of messages a day, or an object of max (1 to {MOST}) and hours (1 to {LONGEST_HOURS})."
        )
        yield FieldError("/settings/frequencyCap", "invalid_value", detail)
    if quiet is not None and _quiet(quiet) is None:
        detail = "Quiet hours are an object of start and end as HH:MM, and a timezone where it is not the contact's."
        yield FieldError("/settings/quietHours", "invalid_value", detail)


def is_quiet(campaign: Campaign, *, now: datetime | None = None) -> bool:
    """Whether the campaign as a whole is quiet now: where its settings name no time zone, by UTC."""
    quiet = _quiet(campaign.settings.get("quietHours"))
    return quiet is not None and quiet.holds(now or timezone.now(), home="")


def demand(campaign: Campaign, *, contact_id: UUID, now: datetime | None = None) -> None:
    """Refuse to let the campaign write to a contact once more.

    With a cap the contact stays locked until the transaction ends, so that of two messages at once each counts.

    Raises:
        Held: it wrote often enough, or it is quiet now where the contact lives.
    """
    cap, quiet = _cap(campaign.settings.get("frequencyCap")), _quiet(campaign.settings.get("quietHours"))
    at = now or timezone.now()
    if quiet is not None:
        home = Contact.objects.filter(id=contact_id).values_list("time_zone", flat=True).first() or ""
        if quiet.holds(at, home=home):
            raise Held(f"The campaign is quiet from {quiet.start} to {quiet.end}.", code="quiet_hours")
    if cap is not None:
        Contact.objects.select_for_update(no_key=True).filter(id=contact_id).first()
        since = at - timedelta(hours=cap.hours)
        if _written(campaign, contact_id, since)[: cap.most].count() >= cap.most:
            raise Held(f"The campaign may send {cap.most} in {cap.hours} hours to a contact.", code="frequency_capped")


def _written(campaign: Campaign, contact_id: UUID, since: datetime) -> QuerySet[Message]:
    rows = Message.objects.filter(contact_id=contact_id, campaign_id=campaign.id, created_at__gte=since)
    return rows.exclude(status__in=_NEVER_SENT)


def _cap(value: Any) -> Cap | None:
    given = value if isinstance(value, Mapping) else {"max": value}
    most, hours = given.get("max"), given.get("hours", _DAY)
    if _is_count(most, MOST) and _is_count(hours, LONGEST_HOURS) and set(given) <= {"max", "hours"}:
        return Cap(most, hours)
    return None


def _is_count(value: Any, largest: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= largest


def _quiet(value: Any) -> Quiet | None:
    if not isinstance(value, Mapping) or not set(value) <= {"start", "end", "timezone"}:
        return None
    start, end, zone = (value.get(name, "") for name in ("start", "end", "timezone"))
    if not _is_clock(start) or not _is_clock(end):
        return None
    known = isinstance(zone, str) and (zone == "" or zone in available_timezones())
    return Quiet(start, end, zone) if known else None


def _is_clock(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and _CLOCK.fullmatch(value) is not None
