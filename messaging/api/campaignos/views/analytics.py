"""What became of a workspace's messages, in figures."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from analytics import counting, statistics
from analytics.counting import Scope
from analytics.windows import calendar_days, days_until_now
from messaging import models
from messaging.api.campaignos.envelope import View, operation
from messaging.api.campaignos.serializers import analytics as out
from messaging.api.campaignos.vocabulary import CHANNELS
from messaging.api.common.queries import Query
from messaging.api.common.rendering import answer
from messaging.campaigns import plans, progress
from messaging.errors import NotFound
from messaging.people import contacts, events
from messaging.tenancy.access import Caller, mode_seen

READ = "analytics:read"
DAYS = 30


def scope_of(caller: Caller, *, campaign_id: UUID | None = None) -> Scope:
    """The messages that this surface shows; a test key counts those of test mode, and no others."""
    return Scope(workspace_id=caller.workspace_id, channels=CHANNELS, campaign_id=campaign_id, test=mode_seen(caller))


def shown_here(rows: QuerySet[models.Campaign]) -> QuerySet[models.Campaign]:
    """Those of the campaigns that this surface shows: of its channels, and of none yet."""
    return rows.filter(channel__in=["", *CHANNELS])


class Overview(View):
    scopes = {"GET": READ}

    @operation("get_overview", tag="analytics", answers={200: out.Overview}, query=Query)
    def get(self, request: Request) -> HttpResponse:
        """Give the figures of the workspace and of its last 30 days."""
        self.query(Query)
        workspace_id, window = self.caller.workspace_id, days_until_now(DAYS)
        shown = out.overview(
            counting.count(scope_of(self.caller), window=window).together(),
            period=f"{DAYS}d",
            contacts=contacts.contacts_of(workspace_id=workspace_id).count(),
            campaigns=shown_here(plans.campaigns_of(workspace_id=workspace_id)).count(),
            events=events.events_of(workspace_id=workspace_id).filter(at__gte=window.since).count(),
        )
        return answer(shown)


class CampaignReport(View):
    scopes = {"GET": READ}

    @operation("get_campaign_report", tag="analytics", answers={200: out.CampaignReport}, query=out.PeriodQuery)
    def get(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Give the figures of a campaign's messages in a period that ends now."""
        query = self.query(out.PeriodQuery)
        campaign = self._campaign(campaign_id)
        window = days_until_now(query.days)
        counts = counting.count(scope_of(self.caller, campaign_id=campaign.id), window=window).together()
        standing = progress.standing_of(campaign, since=window.since)
        return answer(out.report(campaign, counts, standing, period=query.period))

    def _campaign(self, campaign_id: UUID) -> models.Campaign:
        rows = shown_here(plans.campaigns_of(workspace_id=self.caller.workspace_id))
        found = rows.filter(id=campaign_id).first()
        if found is None:
            raise NotFound("There is no such campaign.", code="campaign_not_found")
        return found


class Series(View):
    scopes = {"GET": READ}

    @operation("get_timeseries", tag="analytics", answers={200: out.Series}, query=out.DaysQuery)
    def get(self, request: Request) -> HttpResponse:
        """Give what became of the messages of each day (UTC)."""
        window = calendar_days(self.query(out.DaysQuery).days)
        return answer(out.series(statistics.series(scope_of(self.caller), window=window, by="day")))
