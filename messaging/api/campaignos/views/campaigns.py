"""Campaigns: planned, started, held, ended, and sent to one contact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from messaging import models
from messaging.api.campaignos import sending
from messaging.api.campaignos.envelope import Success, View, operation
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers import campaigns as out
from messaging.api.campaignos.serializers.messages import Undispatched, dispatched
from messaging.api.campaignos.vocabulary import CHANNELS
from messaging.api.common import bodies
from messaging.api.common.operations import IDEMPOTENCY_KEY, PREFER, Array
from messaging.api.common.rendering import answer
from messaging.api.common.sending import once, send
from messaging.campaigns import plans, runs, sizes
from messaging.content import templates
from messaging.content.templates import Edition
from messaging.dispatch.sending import Sent
from messaging.errors import DispatchError, Invalid, NotFound
from messaging.state import Cause

READ, WRITE = "campaigns:read", "campaigns:write"


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

    def row(self, campaign_id: UUID) -> models.Campaign:
        """The campaign that the path names.

        Raises:
            NotFound: the workspace has none of that id, or its channel is not one of this surface.
        """
        found = plans.get(**self.named, campaign_id=campaign_id)
        if found.channel and found.channel not in CHANNELS:
            raise NotFound("There is no such campaign.", code="campaign_not_found")
        return found

    def find(self, template_id: UUID) -> Edition:
        """A template that a campaign names.

        Raises:
            Invalid: the workspace has none of that id.
        """
        try:
            return templates.get(**self.named, template_id=template_id)
        except NotFound as error:
            raise Invalid.at("/template", error.code, error.detail) from error


def shown(row: models.Campaign) -> out.Campaign:
    """A campaign with its size."""
    return out.campaign(row, sizes.of(row))


class CampaignList(CampaignView):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_campaigns", tag="campaigns", answers={200: Array[out.Campaign]}, query=out.CampaignQuery)
    def get(self, request: Request) -> HttpResponse:
        """List campaigns, the newest first, with how large they are."""
        query = self.query(out.CampaignQuery)
        rows = plans.campaigns_of(**self.named).filter(channel__in=["", *CHANNELS]).order_by("-id")
        found = list(rows[query.offset : query.offset + query.limit])
        counted = sizes.of_many(found)
        return answer([out.campaign(row, counted[row.id]) for row in found])

    @operation("create_campaign", tag="campaigns", takes=out.CampaignIn, answers={201: out.Campaign})
    def post(self, request: Request) -> HttpResponse:
        """Plan a campaign; it is a draft until it is executed."""
        plan = self.parsed(out.CampaignIn).plan(self.find)
        row = plans.create(**self.named, author_id=self.caller.user_id, test=self.caller.test, plan=plan)
        return answer(shown(row), 201)


class CampaignDetail(CampaignView):
    scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @operation("get_campaign", tag="campaigns", answers={200: out.Campaign})
    def get(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Give one campaign."""
        return answer(shown(self.row(campaign_id)))

    @operation("change_campaign", tag="campaigns", takes=out.CampaignChanges, answers={200: out.Campaign})
    def patch(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Change a campaign that has not started, or the status of one that has."""
        wanted, key = self.parsed(out.CampaignChanges), self.row(campaign_id).id
        if wanted.deed is not None:
            return answer(shown(self._do(wanted.deed, key)))
        return answer(shown(plans.change(**self.writing, campaign_id=key, changes=wanted.changes(self.find))))

    @operation("delete_campaign", tag="campaigns", answers={200: Success})
    def delete(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Forget a campaign that never started or has ended; its messages stay."""
        plans.delete(**self.writing, campaign_id=self.row(campaign_id).id)
        return answer(Success())

    def _do(self, deed: Callable[..., models.Campaign], campaign_id: UUID) -> models.Campaign:
        allowed = self.writing if deed is runs.resume else self.named
        return deed(**allowed, campaign_id=campaign_id, cause=Cause.API)


class CampaignExecute(CampaignView):
    scopes = {"POST": WRITE}
    _one: bool = False

    @operation(
        "execute_campaign",
        tag="campaigns",
        takes=out.ExecuteIn,
        answers={200: out.Executed, 422: Undispatched},
        parameters=(IDEMPOTENCY_KEY, PREFER),
    )
    def post(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Write to one contact as the campaign does, and tell of the outcome; or without a contact start the broadcast,
        at `startAt` where that is to come."""
        key, body = self.row(campaign_id).id, bodies.read_if_any(request._request)
        wanted = bodies.parse(body, out.ExecuteIn) if body else out.ExecuteIn()
        if wanted.contact_id is None:
            return once(request, self.caller, body, lambda: self._start(key), status=200)
        self._one = True
        contact_id = Kind.CONTACT.key(wanted.contact_id)
        return send(
            request,
            self.caller,
            body,
            accept=lambda awaited: [
                runs.enrol(**self.writing, campaign_id=key, contact_id=contact_id, awaited=awaited)
            ],
            show=lambda sent: self._sent(key, sent),
        )

    def refuse(self, error: DispatchError) -> HttpResponse:
        undone = sending.refusal(error) if self._one else None
        return answer(undone, 422) if undone else super().refuse(error)

    def _start(self, campaign_id: UUID) -> out.Executed:
        return out.Executed(success=True, campaign=shown(runs.start(**self.writing, campaign_id=campaign_id)))

    def _sent(self, campaign_id: UUID, sent: Sent) -> tuple[int, object]:
        status, told = sending.show(sent)
        if status != 200:
            return status, told
        own = dispatched(sent.message)
        campaign = shown(plans.get(**self.named, campaign_id=campaign_id))
        return status, out.Executed(
            success=True, campaign=campaign, message_id=own.message_id, status=own.status, message=own.message
        )
