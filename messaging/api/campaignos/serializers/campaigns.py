"""Campaigns, in and out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from messaging import models
from messaging.api.campaignos.ids import LONGEST, Kind
from messaging.api.campaignos.serializers.contacts import Tags, channel_word
from messaging.api.campaignos.serializers.messages import Id, MessageRow, Moment
from messaging.api.campaignos.vocabulary import CAMPAIGN_OUT, CHANNEL_IN, CampaignWord, ChannelWord
from messaging.api.common.cursors import LARGEST as LARGEST_PAGE
from messaging.api.common.queries import PageQuery
from messaging.api.common.rendering import stamp
from messaging.campaigns import runs
from messaging.campaigns.audience import LARGEST, Target
from messaging.campaigns.plans import BROADCAST, NAME_LENGTH, Plan
from messaging.campaigns.sizes import Size
from messaging.content.templates import Edition
from messaging.errors import Invalid
from messaging.models import CampaignStatus

CampaignName = Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH)]
CampaignType = Annotated[
    str,
    Meta(pattern="^[A-Z][A-Z_]{0,49}$", description=f"`{BROADCAST}` can be started; any other is kept as it is."),
]
MomentIn = Annotated[datetime, Meta(tz=True)]
Workflow = Annotated[dict[str, Any], Meta(description="`nodes` and `edges`, kept and given back as they are.")]
SettingsIn = Annotated[dict[str, Any], Meta(description="`frequencyCap` and `quietHours`, and what else there is.")]
NextWord = Literal["ACTIVE", "PAUSED", "ARCHIVED"]

DEEDS: dict[NextWord, Callable[..., models.Campaign]] = {
    "ACTIVE": runs.resume,
    "PAUSED": runs.pause,
    "ARCHIVED": runs.cancel,
}
"""What is done to a running campaign by changing its status."""

FindTemplate = Callable[[UUID], Edition]


class CampaignQuery(PageQuery, kw_only=True, frozen=True):
    """Which stretch of the campaigns is wanted."""

    limit: Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Items per page.")] = LARGEST_PAGE


class AudienceIn(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Whom a campaign goes to: contacts that have all of the tags, and those that are named."""

    tags: Tags = []
    contact_ids: Annotated[list[Annotated[str, Meta(max_length=LONGEST)]], Meta(max_length=LARGEST)] = []

    def target(self) -> Target:
        """The same in the domain's words.

        Raises:
            Invalid: an id is none.
        """
        keys = [Kind.CONTACT.read(text) for text in self.contact_ids]
        if None in keys:
            raise Invalid.at(f"/audience/contactIds/{keys.index(None)}", "invalid_value", "There is no such contact.")
        return Target(tags=tuple(self.tags), contacts=tuple(key for key in keys if key is not None))


class CampaignIn(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A campaign as it shall be. What it needs beside its name to be started can come later."""

    name: CampaignName
    type: CampaignType
    workflow: Workflow
    description: str | None = None
    settings: SettingsIn | None = None
    start_at: MomentIn | None = None
    end_at: MomentIn | None = None
    channel: ChannelWord | None = None
    template_id: Id | None = None
    audience: AudienceIn | None = None

    def plan(self, find: FindTemplate) -> Plan:
        """The same in the domain's words.

        Raises:
            Invalid: an id or a time cannot be used.
        """
        whole = {"name": self.name, "channel": None, "template": "", "target": Target(), "kind": self.type}
        return Plan(**{**whole, **_words(msgspec.structs.asdict(self), find)})


class CampaignChanges(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Changes to a campaign that was not started: what is left out stays, null empties what can be empty.

    The status of one that was started is changed by itself: ACTIVE and PAUSED go on and hold, ARCHIVED ends it.
    """

    name: CampaignName | UnsetType = UNSET
    type: CampaignType | UnsetType = UNSET
    workflow: Workflow | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    settings: SettingsIn | UnsetType | None = UNSET
    start_at: MomentIn | UnsetType | None = UNSET
    end_at: MomentIn | UnsetType | None = UNSET
    channel: ChannelWord | UnsetType | None = UNSET
    template_id: Id | UnsetType | None = UNSET
    audience: AudienceIn | UnsetType | None = UNSET
    status: NextWord | UnsetType = UNSET

    def changes(self, find: FindTemplate) -> dict[str, Any]:
        """The fields of the plan that change.

        Raises:
            Invalid: an id or a time cannot be used.
        """
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        return _words(given, find)

    @property
    def deed(self) -> Callable[..., models.Campaign] | None:
        """What is to be done to the campaign instead of planning it anew.

        Raises:
            Invalid: both are asked for.
        """
        if self.status is UNSET:
            return None
        if sum(value is not UNSET for value in msgspec.structs.astuple(self)) > 1:
            raise Invalid.at("/status", "not_alone", "The status is changed by itself.")
        return DEEDS[self.status]


class ExecuteIn(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The one contact that a campaign is to write to; without one the broadcast starts."""

    contact_id: Id | None = None


class CampaignAudience(Struct, rename="camel", kw_only=True, frozen=True):
    """Whom a campaign goes to."""

    tags: list[str]
    contact_ids: list[str]


class CampaignCount(Struct, kw_only=True, frozen=True):
    """How many contacts a campaign has gone to, and how many messages it has made."""

    enrollments: int
    messages: int


class CampaignError(Struct, kw_only=True, frozen=True):
    """Why a campaign did not start when its time had come; it is a draft again then."""

    code: str
    message: str


class Campaign(Struct, rename="camel", kw_only=True, frozen=True):
    """A campaign as it is shown."""

    id: str
    name: str
    description: str | None
    type: str
    status: CampaignWord
    workflow: dict[str, Any] | None
    settings: dict[str, Any]
    channel: ChannelWord | None
    template_id: str | None
    audience: CampaignAudience
    error: CampaignError | None
    start_at: Moment | None
    end_at: Moment | None
    started_at: Moment | None
    finished_at: Moment | None
    created_at: Moment
    updated_at: Moment
    count: CampaignCount = msgspec.field(name="_count")


class Executed(Struct, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """A campaign that was started, or that wrote to one contact, with the message for that one."""

    success: Literal[True]
    campaign: Campaign
    message_id: str | UnsetType = UNSET
    status: Literal["SENT", "QUEUED"] | UnsetType = UNSET
    message: MessageRow | UnsetType = UNSET


def campaign(row: models.Campaign, size: Size) -> Campaign:
    """A campaign as it is shown."""
    error = CampaignError(code=row.error_code, message=row.error_detail) if row.error_code else None
    contacts = [Kind.CONTACT.show(key) for key in row.contact_ids]
    return Campaign(
        id=Kind.CAMPAIGN.show(row.id),
        name=row.name,
        description=row.description or None,
        type=row.kind or BROADCAST,
        status=CAMPAIGN_OUT[CampaignStatus(row.status)],
        workflow=row.workflow,
        settings=row.settings,
        channel=channel_word(row.channel) if row.channel else None,
        template_id=Kind.TEMPLATE.show(row.template_id),
        audience=CampaignAudience(tags=row.tags, contact_ids=contacts),
        error=error,
        start_at=stamp(row.scheduled_at),
        end_at=stamp(row.ends_at),
        started_at=stamp(row.started_at),
        finished_at=stamp(row.finished_at),
        created_at=stamp(row.created_at),
        updated_at=stamp(row.updated_at),
        count=CampaignCount(enrollments=size.enrolments, messages=size.messages),
    )


def _words(given: dict[str, Any], find: FindTemplate) -> dict[str, Any]:
    """Fields of a request as fields of a plan."""
    words: dict[str, Any] = {}
    for name, value in given.items():
        words.update(_WORDS.get(name, _same(name))(value, find))
    return words


def _same(name: str) -> Callable[[Any, FindTemplate], dict[str, Any]]:
    return lambda value, _: {name: value}


def _template(text: str | None, find: FindTemplate) -> dict[str, Any]:
    if text is None:
        return {"template": "", "language": ""}
    key = Kind.TEMPLATE.read(text)
    if key is None:
        raise Invalid.at("/template", "template_not_found", "There is no such template.")
    made = find(key).template
    return {"template": made.key, "language": made.language}


def _moment(name: str, pointer: str) -> Callable[[datetime | None, FindTemplate], dict[str, Any]]:
    def read(at: datetime | None, _: FindTemplate) -> dict[str, Any]:
        try:
            return {name: at.astimezone(UTC) if at else None}
        except OverflowError as error:
            raise Invalid.at(pointer, "out_of_range", "The time is out of range.") from error

    return read


_WORDS: dict[str, Callable[[Any, FindTemplate], dict[str, Any]]] = {
    "type": lambda word, _: {"kind": word},
    "description": lambda text, _: {"description": text or ""},
    "settings": lambda value, _: {"settings": value or {}},
    "channel": lambda word, _: {"channel": CHANNEL_IN[word] if word else None},
    "template_id": _template,
    "audience": lambda value, _: {"target": value.target() if value else Target()},
    "start_at": _moment("scheduled_at", "/startAt"),
    "end_at": _moment("ends_at", "/endAt"),
}
"""How each field of a request reads in the plan; any other is the same."""
