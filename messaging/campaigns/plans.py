"""Campaigns before they run: made, changed, looked up and thrown away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.types import Channel
from messaging.campaigns import audience, pace
from messaging.campaigns.audience import Target
from messaging.content import screen, templates
from messaging.errors import FieldError, Forbidden, Invalid, NotFound, TransitionRefused
from messaging.models import Campaign, CampaignStatus, Template
from messaging.models.keys import uuid7

NAME_LENGTH = 200
CATEGORY_LENGTH = 100
LARGEST_RATE = 1_000_000
KEPT_BYTES = 262_144
"""Bytes of what is kept as it was drawn or written."""

CHANGEABLE = frozenset({CampaignStatus.DRAFT, CampaignStatus.SCHEDULED})
"""States in which nobody has been written to yet."""
BROADCAST = "BROADCAST"
STARTABLE = frozenset({"", BROADCAST})
"""Kinds of campaigns that can be started: one template to an audience, once."""
ENDED = frozenset({CampaignStatus.COMPLETED, CampaignStatus.PARTLY_FAILED, CampaignStatus.CANCELLED})

_KIND = re.compile(r"[A-Z][A-Z_]{0,49}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a campaign is to be. Times carry a time zone.

    One that has a kind may be planned step by step: what it lacks is demanded when it is to start.
    """

    name: str
    channel: Channel | None
    template: str
    """A template's key: each contact gets it in the language that fits."""
    target: Target
    language: str = ""
    """In which language the template is shown, where there are several."""
    kind: str = ""
    description: str = ""
    category: str = "marketing"
    data: Mapping[str, Any] = field(default_factory=dict)
    rate: int | None = None
    """Messages a minute."""
    window: Mapping[str, str] | None = None
    """`start` and `end` as HH:MM, and a `time_zone`: the hours of the day in which messages go out."""
    workflow: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    scheduled_at: datetime | None = None
    ends_at: datetime | None = None


def campaigns_of(*, workspace_id: UUID) -> QuerySet[Campaign]:
    """A workspace's campaigns with their templates."""
    return Campaign.objects.filter(workspace_id=workspace_id).select_related("template")


def get(*, workspace_id: UUID, campaign_id: UUID) -> Campaign:
    """Give one campaign.

    Raises:
        NotFound: the workspace has no such campaign.
    """
    row = campaigns_of(workspace_id=workspace_id).filter(id=campaign_id).first()
    if row is None:
        raise NotFound("There is no such campaign.", code="campaign_not_found")
    return row


def held(*, workspace_id: UUID, campaign_id: UUID, by_test_key: bool = False) -> Campaign:
    """Give one campaign, locked until the transaction ends.

    Raises:
        NotFound: the workspace has no such campaign.
        Forbidden: it goes to real people, and whoever asks has a test key.
    """
    known = Campaign.objects.filter(workspace_id=workspace_id, id=campaign_id)
    if known.select_for_update(no_key=True).first() is None:
        raise NotFound("There is no such campaign.", code="campaign_not_found")
    row = get(workspace_id=workspace_id, campaign_id=campaign_id)
    if by_test_key and not row.test:
        raise Forbidden("A test key cannot change or send a live campaign.", code="test_key")
    return row


def create(*, workspace_id: UUID, author_id: UUID | None, test: bool, plan: Plan) -> Campaign:
    """Make a campaign, a draft until it is started. `test` says that all of it goes to the sandbox.

    Raises:
        Invalid: with every place that is wrong.
    """
    template = _checked(plan, workspace_id=workspace_id)
    row = Campaign(
        id=uuid7(), workspace_id=workspace_id, author_id=author_id, test=test, status=CampaignStatus.DRAFT.value
    )
    _write(row, plan, template)
    row.save(force_insert=True)
    return get(workspace_id=workspace_id, campaign_id=row.id)


def change(*, workspace_id: UUID, campaign_id: UUID, changes: Mapping[str, Any], by_test_key: bool = False) -> Campaign:
    """Change the fields of a plan that are named. A scheduled campaign that loses its time is a draft again.

    Raises:
        NotFound: the workspace has no such campaign.
        Forbidden: see `held`.
        Conflict: it has started.
        Invalid: with every place that is wrong.
    """
    with transaction.atomic():
        row = held(workspace_id=workspace_id, campaign_id=campaign_id, by_test_key=by_test_key)
        if row.status not in CHANGEABLE:
            raise TransitionRefused(f"A campaign that is {row.status} cannot be changed.", code="campaign_started")
        plan = replace(plan_of(row), **changes)
        # A time that has passed since it was set is no fault of this change.
        same_time = plan.scheduled_at == row.scheduled_at
        template = _checked(plan, workspace_id=workspace_id, at_any_time=same_time)
        _write(row, plan, template)
        row.error_code = row.error_detail = ""
        row.updated_at = timezone.now()
        row.save()
        if plan.scheduled_at is None:
            Campaign.objects.filter(id=row.id).update(status=CampaignStatus.DRAFT.value)
    return get(workspace_id=workspace_id, campaign_id=campaign_id)


def delete(*, workspace_id: UUID, campaign_id: UUID, by_test_key: bool = False) -> None:
    """Forget a campaign that never started or has ended, with its audience. Messages stay and keep its id.

    Raises:
        NotFound: the workspace has no such campaign.
        Forbidden: see `held`.
        Conflict: it may still write to somebody.
    """
    with transaction.atomic():
        row = held(workspace_id=workspace_id, campaign_id=campaign_id, by_test_key=by_test_key)
        if row.status != CampaignStatus.DRAFT and (row.status not in ENDED or row.finished_at is None):
            detail = f"A campaign that is {row.status} and has not ended cannot be deleted; cancel it first."
            raise TransitionRefused(detail, code="campaign_active")
        row.delete()


def plan_of(row: Campaign) -> Plan:
    """The plan that a campaign was made by."""
    return Plan(
        name=row.name,
        channel=Channel(row.channel) if row.channel else None,
        template=row.template.key if row.template else "",
        target=Target(tags=tuple(row.tags), filter=row.filter, contacts=tuple(row.contact_ids)),
        language=row.template.language if row.template and row.kind else "",
        kind=row.kind,
        description=row.description,
        category=row.category,
        data=row.data,
        rate=row.rate,
        window=row.window,
        workflow=row.workflow,
        settings=row.settings,
        scheduled_at=row.scheduled_at,
        ends_at=row.ends_at,
    )


def _write(row: Campaign, plan: Plan, template: Template | None) -> None:
    row.name = plan.name.strip()
    row.description = plan.description
    row.kind = plan.kind
    row.channel = plan.channel.value if plan.channel else ""
    row.template = template
    row.category = plan.category
    row.tags = list(dict.fromkeys(plan.target.tags))
    row.filter = dict(plan.target.filter or {})
    row.contact_ids = list(dict.fromkeys(plan.target.contacts))
    row.data = dict(plan.data)
    row.rate = plan.rate
    row.window = dict(plan.window) if plan.window else None
    row.workflow = dict(plan.workflow) if plan.workflow is not None else None
    row.settings = dict(plan.settings)
    row.scheduled_at = plan.scheduled_at
    row.ends_at = plan.ends_at


def gaps(row: Campaign) -> Iterator[FieldError]:
    """What a campaign lacks to write to anybody."""
    if row.kind not in STARTABLE:
        yield FieldError("/kind", "not_startable", f"Only a campaign of the type {BROADCAST} is run.")
    if not row.channel:
        yield FieldError("/channel", "required", "A campaign has a channel.")
    if row.template is None:
        yield FieldError("/template", "required", "A campaign has a template.")
    if row.ends_at is not None and row.ends_at <= timezone.now():
        yield FieldError("/ends_at", "in_the_past", "The campaign's end has passed.")


def _checked(plan: Plan, *, workspace_id: UUID, at_any_time: bool = False) -> Template | None:
    """Check everything, and give the template in the language that its key has by default."""
    errors = [*_word_problems(plan), *pace.window_problems(plan.window), *audience.problems(plan.target)]
    errors += _size_problems(plan)
    errors += [*_time_problems(plan, at_any_time=at_any_time), *pace.problems(plan.settings)]
    if plan.rate is not None and not 0 < plan.rate <= LARGEST_RATE:
        errors.append(FieldError("/rate", "out_of_range", f"A rate is 1 to {LARGEST_RATE} messages a minute."))
    template: Template | None = None
    if plan.channel is not None and (plan.template or not plan.kind):
        try:
            offer = templates.offer(workspace_id=workspace_id, name=plan.template, channel=plan.channel)
            template = offer.choose(plan.language)
        except Invalid as error:
            errors.extend(error.errors)
    elif plan.template:
        errors.append(FieldError("/channel", "required", "A template is for a channel, which is not said."))
    if template is not None and template.key != plan.template:
        errors.append(FieldError("/template", "template_not_found", "A campaign names a template by its key."))
    if errors:
        raise Invalid(errors[0].detail, code=errors[0].code, errors=errors[:100])
    return template


def _size_problems(plan: Plan) -> Iterator[FieldError]:
    kept = {"description": plan.description, "workflow": plan.workflow, "settings": plan.settings}
    for name, value in kept.items():
        if value and len(msgspec.json.encode(value)) > KEPT_BYTES:
            yield FieldError(f"/{name}", "too_long", f"{name} has at most {KEPT_BYTES} bytes as JSON.")
    if plan.kind and not _KIND.fullmatch(plan.kind):
        yield FieldError("/kind", "invalid_value", "A kind is a word of capital letters and _.")


def _time_problems(plan: Plan, *, at_any_time: bool) -> Iterator[FieldError]:
    if not at_any_time and plan.scheduled_at is not None and plan.scheduled_at <= timezone.now():
        yield FieldError("/scheduled_at", "in_the_past", "scheduled_at lies in the past.")
    if plan.ends_at is not None and plan.scheduled_at is not None and plan.ends_at <= plan.scheduled_at:
        yield FieldError("/ends_at", "out_of_range", "A campaign ends after it has started.")


def _word_problems(plan: Plan) -> Iterator[FieldError]:
    for name, word, longest in (("name", plan.name.strip(), NAME_LENGTH), ("category", plan.category, CATEGORY_LENGTH)):
        try:
            screen.one_line(word)
        except screen.Unclean as error:
            yield FieldError(f"/{name}", error.code, error.detail)
        if not 0 < len(word) <= longest:
            yield FieldError(f"/{name}", "length", f"{name} has 1 to {longest} characters.")
