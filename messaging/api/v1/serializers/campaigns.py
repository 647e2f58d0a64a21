"""Campaigns, in and out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from channels_app.types import Channel
from messaging import models
from messaging.api.common.rendering import stamp
from messaging.campaigns.audience import LARGEST, TAGS, Target
from messaging.campaigns.plans import CATEGORY_LENGTH, LARGEST_RATE, NAME_LENGTH, Plan
from messaging.campaigns.progress import Progress, Reach
from messaging.errors import Invalid
from messaging.models import CampaignStatus

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
MomentIn = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH)]
Category = Annotated[str, Meta(min_length=1, max_length=CATEGORY_LENGTH)]
TemplateKey = Annotated[str, Meta(min_length=1, max_length=100, description="A template's key.")]
Rate = Annotated[int, Meta(ge=1, le=LARGEST_RATE, description="Messages a minute.")]
Tag = Annotated[str, Meta(min_length=1, max_length=100)]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="HH:MM")]
StatusWord = Literal["draft", "scheduled", "running", "paused", "completed", "partly_failed", "cancelled"]

STATUS_OUT: dict[CampaignStatus, StatusWord] = {
    CampaignStatus.DRAFT: "draft",
    CampaignStatus.SCHEDULED: "scheduled",
    CampaignStatus.RUNNING: "running",
    CampaignStatus.PAUSED: "paused",
    CampaignStatus.COMPLETED: "completed",
    CampaignStatus.PARTLY_FAILED: "partly_failed",
    CampaignStatus.CANCELLED: "cancelled",
}


class Audience(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Contacts with all of the tags that the filter lets through; with neither, every contact.

    The filter is an object of equalities: `id`, `external_id`, `locale`, `time_zone`, and `attributes` with an object
    of attribute and value. A list of values means one of them. Contacts in `contact_ids` are in the audience whatever
    the rest says, and are all of it where the rest is empty.
    """

    tags: Annotated[list[Tag], Meta(max_length=TAGS)] = []
    filter: dict[str, Any] = {}
    contact_ids: Annotated[list[UUID], Meta(max_length=LARGEST)] = []

    def target(self) -> Target:
        return Target(tags=tuple(self.tags), filter=self.filter, contacts=tuple(self.contact_ids))


class Window(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The hours of the day in which messages go out, by the contact's clock where its time zone is known; they may go
    past midnight."""

    start: Clock
    end: Clock
    time_zone: Annotated[str, Meta(max_length=64)] = "UTC"


class CampaignIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A campaign as it shall be: what is left out has its default."""

    name: Name
    channel: Channel
    template: TemplateKey
    audience: Audience
    category: Category = "marketing"
    data: dict[str, Any] | None = None
    rate: Rate | None = None
    window: Window | None = None
    scheduled_at: MomentIn | None = None

    def plan(self) -> Plan:
        """The request in the domain's words.

        Raises:
            Invalid: the time is out of range.
        """
        return Plan(**_words(msgspec.structs.asdict(self)))


class CampaignChanges(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Changes to a campaign: what is left out stays, null empties what can be empty."""

    name: Name | UnsetType = UNSET
    channel: Channel | UnsetType = UNSET
    template: TemplateKey | UnsetType = UNSET
    audience: Audience | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    data: dict[str, Any] | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    window: Window | UnsetType | None = UNSET
    scheduled_at: MomentIn | UnsetType | None = UNSET

    def changes(self) -> dict[str, Any]:
        """The fields of the plan that change.

        Raises:
            Invalid: the time is out of range.
        """
        return _words({name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET})


class Error(Struct, kw_only=True, frozen=True):
    """Why a scheduled campaign did not start."""

    code: str
    detail: str


class Campaign(Struct, kw_only=True, frozen=True):
    """One template to many contacts; `counts` has its messages by status, `progress` the part that is done.

    One that is planned elsewhere step by step may lack a channel or a template as yet.
    """

    id: UUID
    name: str
    channel: Channel | None
    template: str | None
    category: str
    audience: Audience
    data: dict[str, Any]
    status: StatusWord
    error: Error | None
    rate: int | None
    window: Window | None
    counts: dict[str, int]
    progress: float
    eta: Moment | None
    test: bool
    created_at: Moment
    updated_at: Moment
    scheduled_at: Moment | None
    started_at: Moment | None
    finished_at: Moment | None


class CampaignProgress(Struct, kw_only=True, frozen=True):
    """How far a campaign has come; `waiting` are contacts whose turn has not come, `unreached` has those who get no
    message, by the reason."""

    id: UUID
    status: StatusWord
    audience: int
    waiting: int
    unreached: dict[str, int]
    counts: dict[str, int]
    progress: float
    eta: Moment | None


class Retried(Campaign, kw_only=True, frozen=True):
    """A campaign after a retry of its failures; `retried` is how many messages that were."""

    retried: int


def campaign(row: models.Campaign, made: Progress) -> Campaign:
    """A campaign as it is shown."""
    return Campaign(**_fields(row, made))


def retried(row: models.Campaign, made: Progress, number: int) -> Retried:
    """A campaign as it is shown after a retry."""
    return Retried(**_fields(row, made), retried=number)


def progress(row: models.Campaign, made: Progress, reach: Reach) -> CampaignProgress:
    """How far a campaign has come, as it is shown."""
    return CampaignProgress(
        id=row.id,
        status=STATUS_OUT[CampaignStatus(row.status)],
        audience=reach.contacts,
        waiting=made.waiting,
        unreached=dict(reach.unreached),
        counts=dict(made.counts),
        progress=made.done,
        eta=stamp(made.eta),
    )


def _fields(row: models.Campaign, made: Progress) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "channel": Channel(row.channel) if row.channel else None,
        "template": row.template.key if row.template else None,
        "category": row.category,
        "audience": Audience(tags=row.tags, filter=row.filter, contact_ids=row.contact_ids),
        "data": row.data,
        "status": STATUS_OUT[CampaignStatus(row.status)],
        "error": Error(code=row.error_code, detail=row.error_detail) if row.error_code else None,
        "rate": row.rate,
        "window": Window(**row.window) if row.window else None,
        "counts": dict(made.counts),
        "progress": made.done,
        "eta": stamp(made.eta),
        "test": row.test,
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
        "scheduled_at": stamp(row.scheduled_at),
        "started_at": stamp(row.started_at),
        "finished_at": stamp(row.finished_at),
    }


def _words(given: dict[str, Any]) -> dict[str, Any]:
    """Fields of a request as fields of a plan."""
    words = dict(given)
    if "audience" in words:
        words["target"] = words.pop("audience").target()
    if "data" in words:
        words["data"] = words["data"] or {}
    if words.get("window") is not None:
        words["window"] = msgspec.structs.asdict(words["window"])
    if words.get("scheduled_at") is not None:
        try:
            words["scheduled_at"] = words["scheduled_at"].astimezone(UTC)
        except OverflowError as error:
            raise Invalid.at("/scheduled_at", "out_of_range", "The time is out of range.") from error
    return words
