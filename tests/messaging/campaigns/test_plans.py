"""Campaigns before they run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from channels_app.types import Channel
from messaging.campaigns import plans, runs
from messaging.campaigns.audience import Target
from messaging.errors import Conflict, Invalid, NotFound
from messaging.models import Audience, Campaign, Message, Workspace
from tests.factories import make_template, make_workspace
from tests.messaging.campaigns.plans import make_campaign, named
from tests.messaging.people.rows import make_contact

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def test_a_campaign_is_what_its_plan_says(workspace: Workspace):
    make_template(workspace, "news")
    at = timezone.now() + timedelta(days=1)
    plan = plans.Plan(
        name=" Spring ",
        channel=Channel.EMAIL,
        template="news",
        target=Target(tags=("vip", "vip"), filter={"locale": "de"}),
        category="news",
        data={"word": "go"},
        rate=100,
        window={"start": "09:00", "end": "17:30", "time_zone": "Europe/Berlin"},
        scheduled_at=at,
    )

    row = plans.create(workspace_id=workspace.id, author_id=None, test=False, plan=plan)

    assert row.status == "draft"
    assert plans.plan_of(row) == replace(plan, name="Spring", target=Target(tags=("vip",), filter={"locale": "de"}))


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"name": " "}, [("/name", "length")]),
        ({"name": "a\nb"}, [("/name", "control_character")]),
        ({"name": "x" * 201}, [("/name", "length")]),
        ({"category": ""}, [("/category", "length")]),
        ({"rate": 0}, [("/rate", "out_of_range")]),
        ({"rate": 1_000_001}, [("/rate", "out_of_range")]),
        ({"scheduled_at": timezone.now() - timedelta(seconds=1)}, [("/scheduled_at", "in_the_past")]),
        ({"window": {"start": "9:00", "end": "24:00"}}, [("/window/start", "invalid_value")] * 2),
        ({"window": {"start": "09:00", "end": "17:00", "time_zone": "Mars"}}, [("/window/time_zone", "invalid_value")]),
        ({"template": "nothing"}, [("/template", "template_not_found")]),
        ({"channel": Channel.SMS}, [("/template", "template_not_found")]),
        ({"target": Target(filter={"x": 1})}, [("/audience/filter/x", "unknown_field")]),
        ({"rate": 0, "template": ""}, [("/rate", "out_of_range"), ("/template", "template_not_found")]),
    ],
)
def test_a_plan_that_cannot_be_is_refused(workspace: Workspace, fields: dict[str, Any], places: list[tuple[str, str]]):
    row = make_campaign(workspace)
    wanted = replace(plans.plan_of(row), **fields)

    with pytest.raises(Invalid) as refusal:
        plans.create(workspace_id=workspace.id, author_id=None, test=False, plan=wanted)

    if fields.get("window", {}).get("end") == "24:00":
        places = [("/window/start", "invalid_value"), ("/window/end", "invalid_value")]
    assert [(each.pointer, each.code) for each in refusal.value.errors] == places
    with pytest.raises(Invalid):
        plans.change(**named(row), changes=fields)
    assert Campaign.objects.count() == 1


def test_a_template_is_named_by_its_key_and_not_by_the_id_of_one_language(workspace: Workspace):
    edition = make_template(workspace, "news")
    foreign = make_template(make_workspace(), "other")
    for name in (str(edition.template.id), foreign.template.key):
        with pytest.raises(Invalid) as refusal:
            make_template_campaign(workspace, name)
        assert refusal.value.errors[0].code == "template_not_found"


def make_template_campaign(workspace: Workspace, name: str) -> Campaign:
    plan = plans.Plan(name="x", channel=Channel.EMAIL, template=name, target=Target())
    return plans.create(workspace_id=workspace.id, author_id=None, test=False, plan=plan)


def test_a_scheduled_campaign_that_loses_its_time_is_a_draft_again(workspace: Workspace):
    row = runs.start(**named(make_campaign(workspace, scheduled_at=timezone.now() + timedelta(hours=1))))

    row = plans.change(**named(row), changes={"name": "Summer"})
    assert (row.status, row.name) == ("scheduled", "Summer")
    row = plans.change(**named(row), changes={"scheduled_at": None})
    assert (row.status, row.scheduled_at) == ("draft", None)


def test_a_change_of_something_else_is_taken_although_the_time_has_passed(workspace: Workspace):
    row = make_campaign(workspace, scheduled_at=timezone.now() + timedelta(hours=1))
    Campaign.objects.update(scheduled_at=timezone.now() - timedelta(hours=1))

    assert plans.change(**named(row), changes={"name": "Summer"}).name == "Summer"
    with pytest.raises(Invalid):
        plans.change(**named(row), changes={"scheduled_at": timezone.now() - timedelta(minutes=1)})


@pytest.mark.parametrize("status", ["running", "paused", "completed", "partly_failed", "cancelled"])
def test_a_campaign_that_has_started_is_not_changed(workspace: Workspace, status: str):
    row = make_campaign(workspace)
    Campaign.objects.update(status=status)

    with pytest.raises(Conflict, match=status):
        plans.change(**named(row), changes={"name": "Summer"})


def test_a_campaign_that_may_still_write_to_somebody_is_not_deleted(workspace: Workspace):
    row = make_campaign(workspace)
    for status in ("scheduled", "running", "paused", "cancelled"):
        Campaign.objects.update(status=status, finished_at=None)
        with pytest.raises(Conflict, match=status):
            plans.delete(**named(row))


@pytest.mark.parametrize("status", ["completed", "partly_failed", "cancelled"])
def test_the_messages_of_a_deleted_campaign_stay(workspace: Workspace, status: str):
    make_contact(workspace)
    row = runs.start(**named(make_campaign(workspace)))
    Campaign.objects.update(status=status, finished_at=timezone.now())

    plans.delete(**named(row))

    assert not Audience.objects.exists()
    assert Message.objects.filter(campaign_id=row.id).count() == 1
    with pytest.raises(NotFound):
        plans.get(**named(row))


def test_a_draft_is_deleted(workspace: Workspace):
    row = make_campaign(workspace)
    with pytest.raises(NotFound):
        plans.delete(workspace_id=make_workspace().id, campaign_id=row.id)
    plans.delete(**named(row))
    assert not Campaign.objects.exists()
