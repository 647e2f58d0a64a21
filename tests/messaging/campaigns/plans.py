"""Campaigns for tests, made by the domain's own functions."""

from __future__ import annotations

from typing import Any

from channels_app.types import Channel
from messaging.campaigns import plans
from messaging.campaigns.audience import Target
from messaging.campaigns.plans import Plan
from messaging.models import Audience, Campaign, Message, Template, Workspace
from tests.factories import make_template


def make_campaign(workspace: Workspace, *, test: bool = False, **fields: Any) -> Campaign:
    """A draft by e-mail to everybody, with any field of its plan replaced; its template is made where it lacks."""
    target = Target(tags=fields.pop("tags", ()), filter=fields.pop("filter", None))
    named = {"name": "Spring", "channel": Channel.EMAIL, "template": "welcome", "target": target, **fields}
    if not Template.objects.filter(workspace=workspace, key=named["template"], channel=named["channel"]).exists():
        make_template(workspace, key=named["template"], channel=named["channel"])
    return plans.create(workspace_id=workspace.id, author_id=None, test=test, plan=Plan(**named))


def named(row: Campaign) -> dict[str, Any]:
    """How the domain's functions ask for this campaign."""
    return {"workspace_id": row.workspace_id, "campaign_id": row.id}


def reached(row: Campaign) -> list[str]:
    """The addresses that the campaign has messages for, in order."""
    return sorted(Message.objects.filter(campaign_id=row.id).values_list("recipient", flat=True))


def frozen(row: Campaign) -> dict[Any, str]:
    """The frozen audience: contact → what kept the contact from a message, or nothing."""
    return dict(Audience.objects.filter(campaign=row).values_list("contact_id", "error_code"))
