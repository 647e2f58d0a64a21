"""How often and when a campaign may write to a contact: its window, and what its settings say.

`window` is `{start, end, time_zone?}`, hours of the day in which messages go out: by the contact's own clock where its
time zone is known, else by that of the campaign, else by UTC. In the settings, `frequencyCap` is a number of messages
in a day, or `{max, hours}`, and `quietHours` is `{start, end, timezone?}`, in which none go out: by the time zone that
is named, else by the contact's, else by UTC. Times of the day are HH:MM and may go past midnight.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import chain, pairwise, takewhile
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
_NEAR: Final = timedelta(days=3)
_LOOKED_AHEAD: Final = 400
"""Days."""
_NEVER_SENT: Final = (Status.FAILED, Status.CANCELLED)


class Held(Conflict):
    """A campaign may not write to a contact now."""


@dataclass(frozen=True, slots=True)
class Cap:
    """So many messages in so many hours."""

    most: int
    hours: int


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of each day; its end does not belong to it."""

    start: str
    end: str
    time_zone: str

    def hold(self, clock: str) -> bool:
        """Whether a time of the day belongs to it."""
        if self.start <= self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a campaign may write to somebody."""

    window: Hours | None
    quiet: Hours | None

    def __bool__(self) -> bool:
        return self.window is not None or self.quiet is not None

    def closed_by(self, at: datetime, home: str) -> Hours | None:
        """What keeps the campaign from writing now to somebody who lives in this time zone, if that is known."""
        window, quiet = self.window, self.quiet
        if window is not None and not window.hold(_clock(at, home or window.time_zone)):
            return window
        return quiet if quiet is not None and quiet.hold(_clock(at, quiet.time_zone or home)) else None

    def opens(self, at: datetime, home: str, *, until: datetime) -> datetime:
        """The first moment from `at` on when it may write to such a person, or `until` where none comes before."""
        moments = takewhile(lambda moment: moment < until, self._moments(at, home))
        return next((moment for moment in moments if self.closed_by(moment, home) is None), until)

    def after(self, work: timedelta, *, at: datetime, home: str) -> datetime:
        """When so much time has passed in which it may write to such a person, should all days be as the next one is;
        a moment far ahead where it may on none of the next days."""
        moment = self.opens(at, home, until=at + _NEAR)
        if moment == at + _NEAR:
            return at + timedelta(days=_LOOKED_AHEAD) + work
        daily = sum((end - start for start, end in self._stretches(moment, home, days=1)), timedelta(0))
        days = max(work // daily - 1, 0)
        work -= days * daily
        for start, end in self._stretches(moment + timedelta(days=days), home, days=_LOOKED_AHEAD):
            if start + work <= end:
                return start + work
            work -= end - start
        return moment + timedelta(days=days + _LOOKED_AHEAD) + work

    def _stretches(self, at: datetime, home: str, *, days: int) -> Iterator[tuple[datetime, datetime]]:
        """When it may write to such a person within so many days, from when to when."""
        end = at + timedelta(days=days)
        moments = takewhile(lambda moment: moment < end, self._moments(at, home))
        for start, later in pairwise(chain(moments, [end])):
            if self.closed_by(start, home) is None:
                yield start, later

    def _moments(self, at: datetime, home: str) -> Iterator[datetime]:
        """`at`, and the moments after it when it may open or close, for so many days."""
        hours = [(self.window, home or self.window.time_zone)] if self.window else []
        hours += [(self.quiet, self.quiet.time_zone or home)] if self.quiet else []
        clocks = [(clock, _zone(zone)) for each, zone in hours for clock in (each.start, each.end)]
        yield at
        yield from heapq.merge(*(_daily(clock, zone, at) for clock, zone in clocks))


def _daily(clock: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """When a clock shows this time, after a moment, for so many days."""
    today, hour = after.astimezone(zone).date(), time.fromisoformat(clock)
    for day in range(_LOOKED_AHEAD):
        moment = datetime.combine(today + timedelta(days=day), hour, zone).astimezone(UTC)
        if moment > after:
            yield moment


def _clock(at: datetime, zone: str) -> str:
    return f"{at.astimezone(_zone(zone)):%H:%M}"


def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name or "UTC")


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


def window_problems(window: Mapping[str, str] | None) -> Iterator[FieldError]:
    """Everything that is wrong with the hours of the day in which a campaign writes."""
    if window is None:
        return
    for name in ("start", "end"):
        if not _is_clock(window.get(name)):
            yield FieldError(f"/window/{name}", "invalid_value", "A time of the day is HH:MM.")
    if _is_clock(window.get("start")) and window.get("start") == window.get("end"):
        yield FieldError("/window/end", "invalid_value", "A window ends at another time of the day than it begins.")
    if window.get("time_zone", "UTC") not in available_timezones():
        yield FieldError("/window/time_zone", "invalid_value", "There is no such time zone.")


def timetable(campaign: Campaign) -> Timetable:
    """When a campaign may write to somebody."""
    window = campaign.window and Hours(
        campaign.window["start"], campaign.window["end"], campaign.window.get("time_zone", "")
    )
    return Timetable(window or None, _quiet(campaign.settings.get("quietHours")))


def is_paced(campaign: Campaign) -> bool:
    """Whether a campaign writes to its audience by and by rather than at once."""
    return campaign.rate is not None or bool(timetable(campaign))


def is_quiet(campaign: Campaign, *, now: datetime | None = None) -> bool:
    """Whether the campaign as a whole is quiet now: where its settings name no time zone, by UTC."""
    quiet = _quiet(campaign.settings.get("quietHours"))
    return quiet is not None and quiet.hold(_clock(now or timezone.now(), quiet.time_zone))


def demand(campaign: Campaign, *, contact_id: UUID, now: datetime | None = None) -> None:
    """Refuse to let the campaign write to a contact once more.

    With a cap the contact stays locked until the transaction ends, so that of two messages at once each counts.

    Raises:
        Held: it wrote often enough, or it is quiet now where the contact lives.
    """
    cap, times = _cap(campaign.settings.get("frequencyCap")), timetable(campaign)
    at = now or timezone.now()
    if times:
        home = Contact.objects.filter(id=contact_id).values_list("time_zone", flat=True).first() or ""
        closed = times.closed_by(at, home)
        if closed is not None:
            how = "is quiet" if closed is times.quiet else "writes"
            raise Held(f"The campaign {how} from {closed.start} to {closed.end}.", code="quiet_hours")
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


def _quiet(value: Any) -> Hours | None:
    if not isinstance(value, Mapping) or not set(value) <= {"start", "end", "timezone"}:
        return None
    start, end, zone = (value.get(name, "") for name in ("start", "end", "timezone"))
    if not _is_clock(start) or not _is_clock(end):
        return None
    known = isinstance(zone, str) and (zone == "" or zone in available_timezones())
    return Hours(start, end, zone) if known else None


def _is_clock(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and _CLOCK.fullmatch(value) is not None
