"""Campaigns: planned, started once, watched, and stopped or tried again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import django_filters
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from channels_app.types import Channel
from messaging import models
from messaging.api.common import cursors
from messaging.api.common.rendering import answer, empty
from messaging.api.common.sending import once
from messaging.api.v1.envelope import Page, page
from messaging.api.v1.filters import Listing, PageFilters
from messaging.api.v1.operations import IDEMPOTENCY_KEY, View, operation
from messaging.api.v1.parameters import PAGE
from messaging.api.v1.serializers import campaigns as out
from messaging.campaigns import plans, progress, runs
from messaging.models import CampaignStatus
from messaging.state import Cause

READ, WRITE = "campaigns:read", "campaigns:write"

CAMPAIGNS = (
    OpenApiParameter("status", str, enum=[status.value for status in CampaignStatus]),
    OpenApiParameter("channel", str, enum=[channel.value for channel in Channel]),
    *PAGE,
)


class CampaignFilters(PageFilters):
    """The filters of the list of campaigns."""

    status = django_filters.ChoiceFilter(choices=CampaignStatus.choices)
    channel = django_filters.ChoiceFilter(choices=[(channel.value, channel.value) for channel in Channel])


class CampaignView(View):
    """A path of campaigns."""

    @property
    def named(self) -> dict[str, Any]:
        """Whose campaigns they are."""
        return {"workspace_id": self.caller.workspace_id}

    @property
    def writing(self) -> dict[str, Any]:
        """The same for whatever a test key may do to test campaigns only."""
        return {**self.named, "by_test_key": self.caller.test}

    def shown(self, row: models.Campaign, status: int = 200) -> HttpResponse:
        return answer(out.campaign(row, progress.of(row)), status)


class CampaignList(CampaignView):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_campaigns", answers={200: Page[out.Campaign]}, parameters=CAMPAIGNS, tag="campaigns")
    def get(self, request: Request) -> HttpResponse:
        """List campaigns, the newest first."""
        listing = Listing(request._request, CampaignFilters, workspace_id=self.caller.workspace_id)
        wanted = {name: listing.values[name] for name in ("status", "channel") if listing.values[name]}
        rows = plans.campaigns_of(**self.named).filter(**wanted)

        def fetch(beyond: UUID | None, ascending: bool, limit: int) -> list[models.Campaign]:
            found = rows if beyond is None else rows.filter(**{f"id__{'gt' if ascending else 'lt'}": beyond})
            return list(found.order_by("id" if ascending else "-id")[:limit])

        found = cursors.turn(fetch, cursor=listing.cursor, ascending=False, limit=listing.limit)
        made = progress.of_many(found.rows)
        return answer(page(request._request, found, lambda row: out.campaign(row, made[row.id]), query=listing.query))

    @operation("create_campaign", takes=out.CampaignIn, answers={201: out.Campaign}, tag="campaigns")
    def post(self, request: Request) -> HttpResponse:
        """Make a campaign; it is a draft until it is started."""
        plan = self.parsed(out.CampaignIn).plan()
        row = plans.create(**self.named, author_id=self.caller.user_id, test=self.caller.test, plan=plan)
        return self.shown(row, 201)


class CampaignDetail(CampaignView):
    scopes = {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE}

    @operation("get_campaign", answers={200: out.Campaign}, tag="campaigns")
    def get(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Give one campaign with the counts of its messages."""
        return self.shown(plans.get(**self.named, campaign_id=campaign_id))

    @operation("replace_campaign", takes=out.CampaignIn, answers={200: out.Campaign}, tag="campaigns")
    def put(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Plan a campaign anew that has not started."""
        plan = self.parsed(out.CampaignIn).plan()
        changes = {name: getattr(plan, name) for name in plan.__slots__}
        return self.shown(plans.change(**self.writing, campaign_id=campaign_id, changes=changes))

    @operation("change_campaign", takes=out.CampaignChanges, answers={200: out.Campaign}, tag="campaigns")
    def patch(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Change some fields of a campaign that has not started."""
        changes = self.parsed(out.CampaignChanges).changes()
        return self.shown(plans.change(**self.writing, campaign_id=campaign_id, changes=changes))

    @operation("delete_campaign", answers={204: None}, tag="campaigns")
    def delete(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Forget a campaign that never started or has ended; its messages stay."""
        plans.delete(**self.writing, campaign_id=campaign_id)
        return empty()


class CampaignProgress(CampaignView):
    scopes = {"GET": READ}

    @operation("get_campaign_progress", answers={200: out.CampaignProgress}, tag="campaigns")
    def get(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Tell how far a campaign has come, and whom it does not reach."""
        row = plans.get(**self.named, campaign_id=campaign_id)
        return answer(out.progress(row, progress.of(row), progress.reach(row)))


class CampaignStart(CampaignView):
    scopes = {"POST": WRITE}

    @operation("start_campaign", answers={200: out.Campaign}, parameters=(IDEMPOTENCY_KEY,), tag="campaigns")
    def post(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Write to the audience as it is now, once; or at `scheduled_at`, to the audience as it is then."""

        def work() -> out.Campaign:
            row = runs.start(**self.writing, campaign_id=campaign_id)
            return out.campaign(row, progress.of(row))

        return once(request, self.caller, b"", work, status=200)


class CampaignPause(CampaignView):
    scopes = {"POST": WRITE}

    @operation("pause_campaign", answers={200: out.Campaign}, tag="campaigns")
    def post(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Hold back the messages that no worker has begun to send."""
        return self.shown(runs.pause(**self.named, campaign_id=campaign_id, cause=Cause.API))


class CampaignResume(CampaignView):
    scopes = {"POST": WRITE}

    @operation("resume_campaign", answers={200: out.Campaign}, tag="campaigns")
    def post(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Let the messages of a paused campaign go on."""
        return self.shown(runs.resume(**self.writing, campaign_id=campaign_id, cause=Cause.API))


class CampaignCancel(CampaignView):
    scopes = {"POST": WRITE}

    @operation("cancel_campaign", answers={200: out.Campaign}, tag="campaigns")
    def post(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """End a campaign for good and cancel the messages that no worker has begun to send."""
        return self.shown(runs.cancel(**self.named, campaign_id=campaign_id, cause=Cause.API))


class CampaignRetry(CampaignView):
    scopes = {"POST": WRITE}

    @operation("retry_campaign", answers={200: out.Retried}, parameters=(IDEMPOTENCY_KEY,), tag="campaigns")
    def post(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Try the messages of a campaign that failed or bounced once more."""

        def work() -> out.Retried:
            row, number = runs.retry_failed(**self.writing, campaign_id=campaign_id, cause=Cause.API)
            return out.retried(row, progress.of(row), number)

        return once(request, self.caller, b"", work, status=200)
