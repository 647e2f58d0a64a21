"""The list of addresses that get nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from channels_app.types import Channel
from messaging.api.common import cursors
from messaging.api.common.rendering import answer, empty
from messaging.api.v1.envelope import Page, page
from messaging.api.v1.filters import AddressFilter, Listing, PageFilters
from messaging.api.v1.operations import View, operation
from messaging.api.v1.parameters import PAGE
from messaging.api.v1.serializers import people as out
from messaging.errors import Invalid
from messaging.models import Reason
from messaging.people import suppressions

READ, WRITE = "contacts:read", "contacts:write"

SUPPRESSIONS = (
    OpenApiParameter("channel", str, enum=[channel.value for channel in Channel]),
    OpenApiParameter("address", str, description="In any spelling that means it."),
    OpenApiParameter("reason", str, enum=list(Reason.values)),
    OpenApiParameter("active", bool, description="Those in force (true, the default), or those that were lifted."),
    *PAGE,
)


class SuppressionFilters(PageFilters):
    """The filters of the list of suppressions."""

    channel = django_filters.ChoiceFilter(choices=[(channel.value, channel.value) for channel in Channel])
    address = AddressFilter(max_length=2048)
    reason = django_filters.ChoiceFilter(choices=Reason.choices)
    active = django_filters.ChoiceFilter(choices=[("true", "true"), ("false", "false")])


class SuppressionList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_suppressions", answers={200: Page[out.Suppression]}, parameters=SUPPRESSIONS, tag="contacts")
    def get(self, request: Request) -> HttpResponse:
        """List suppressions, the newest first."""
        workspace_id = self.caller.workspace_id
        listing = Listing(request._request, SuppressionFilters, workspace_id=workspace_id)
        values = listing.values
        rows = suppressions.matching(
            workspace_id=workspace_id,
            channel=Channel(values["channel"]) if values["channel"] else None,
            address=values["address"] or None,
            reason=Reason(values["reason"]) if values["reason"] else None,
            active=values["active"] != "false",
        )
        return newest(request._request, listing, rows, out.suppression)

    @operation(
        "create_suppression",
        takes=out.SuppressionIn,
        answers={201: out.Suppression, 200: out.Suppression},
        tag="contacts",
    )
    def post(self, request: Request) -> HttpResponse:
        """Put an address on the list; one that stands there already is given as it is (200)."""
        wanted = self.parsed(out.SuppressionIn)
        if (wanted.address is None) is (wanted.contact_id is None):
            raise Invalid.at("/address", "required", "A suppression names an address or a contact_id.")
        row, new = suppressions.create(
            workspace_id=self.caller.workspace_id,
            author_id=self.caller.user_id,
            channel=wanted.channel,
            address=wanted.address,
            contact=wanted.contact_id,
            category=wanted.category,
            reason=out.REASON_IN[wanted.reason],
        )
        return answer(out.suppression(row), 201 if new else 200)


class SuppressionDetail(View):
    scopes = {"GET": READ, "DELETE": WRITE}

    @operation("get_suppression", answers={200: out.Suppression}, tag="contacts")
    def get(self, request: Request, suppression_id: UUID) -> HttpResponse:
        """Give one suppression, in force or lifted."""
        row = suppressions.get(workspace_id=self.caller.workspace_id, suppression_id=suppression_id)
        return answer(out.suppression(row))

    @operation("lift_suppression", answers={204: None}, tag="contacts")
    def delete(self, request: Request, suppression_id: UUID) -> HttpResponse:
        """Lift a suppression; it stays on record with who lifted it."""
        workspace_id = self.caller.workspace_id
        row = suppressions.get(workspace_id=workspace_id, suppression_id=suppression_id)
        suppressions.lift(workspace_id=workspace_id, ids=[row.id], user_id=self.caller.user_id)
        return empty()


def newest(request: HttpRequest, listing: Listing, rows: QuerySet[Any], show: Callable[[Any], object]) -> HttpResponse:
    """A page of rows, those with the newest keys first."""

    def fetch(beyond: UUID | None, ascending: bool, limit: int) -> list[Any]:
        found = rows.order_by("id" if ascending else "-id")
        if beyond is not None:
            found = found.filter(id__gt=beyond) if ascending else found.filter(id__lt=beyond)
        return list(found[:limit])

    found = cursors.turn(fetch, cursor=listing.cursor, ascending=False, limit=listing.limit)
    return answer(page(request, found, show, query=listing.query))
