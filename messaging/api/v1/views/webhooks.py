"""Webhook endpoints: who is told of events, and what became of telling them."""

from __future__ import annotations

from uuid import UUID

import django_filters
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from messaging.api.common import bodies
from messaging.api.common.rendering import answer, empty
from messaging.api.v1.envelope import Page
from messaging.api.v1.filters import Listing, PageFilters
from messaging.api.v1.operations import View, operation
from messaging.api.v1.parameters import PAGE
from messaging.api.v1.serializers import webhooks as out
from messaging.api.v1.views.suppressions import newest
from messaging.content import signatures
from messaging.webhooks import deliveries, endpoints
from messaging.webhooks.deliveries import State

READ, WRITE = "webhooks:read", "webhooks:write"

DELIVERIES = (OpenApiParameter("state", str, enum=[state.value for state in State]), *PAGE)


class DeliveryFilters(PageFilters):
    """The filters of the list of what was sent to an endpoint."""

    state = django_filters.ChoiceFilter(choices=State.choices)


class EndpointList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_webhook_endpoints", answers={200: Page[out.Endpoint]}, parameters=PAGE, tag="webhooks")
    def get(self, request: Request) -> HttpResponse:
        """List webhook endpoints, the newest first."""
        workspace_id = self.caller.workspace_id
        listing = Listing(request._request, PageFilters, workspace_id=workspace_id)
        return newest(request._request, listing, endpoints.endpoints_of(workspace_id=workspace_id), out.endpoint)

    @operation("create_webhook_endpoint", takes=out.EndpointIn, answers={201: out.ShownEndpoint}, tag="webhooks")
    def post(self, request: Request) -> HttpResponse:
        """Tell a URL of what happens from now on; its secret is shown this once."""
        wanted = self.parsed(out.EndpointIn)
        made = endpoints.create(
            caller=self.caller,
            url=wanted.url,
            description=wanted.description,
            types=wanted.types,
            test=wanted.test,
        )
        return answer(out.shown_endpoint(made.row, made.secret), 201)


class EndpointDetail(View):
    scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @operation("get_webhook_endpoint", answers={200: out.Endpoint}, tag="webhooks")
    def get(self, request: Request, endpoint_id: UUID) -> HttpResponse:
        """Give one webhook endpoint."""
        return answer(out.endpoint(endpoints.get(workspace_id=self.caller.workspace_id, endpoint_id=endpoint_id)))

    @operation("change_webhook_endpoint", takes=out.EndpointChanges, answers={200: out.Endpoint}, tag="webhooks")
    def patch(self, request: Request, endpoint_id: UUID) -> HttpResponse:
        """Change where and of what an endpoint is told, or whether at all."""
        changes = self.parsed(out.EndpointChanges).fields()
        return answer(out.endpoint(endpoints.update(caller=self.caller, endpoint_id=endpoint_id, changes=changes)))

    @operation("delete_webhook_endpoint", answers={204: None}, tag="webhooks")
    def delete(self, request: Request, endpoint_id: UUID) -> HttpResponse:
        """Forget an endpoint, with what was sent and what was to be sent to it."""
        endpoints.delete(caller=self.caller, endpoint_id=endpoint_id)
        return empty()


class EndpointRotation(View):
    scopes = {"POST": WRITE}

    @operation("rotate_webhook_secret", takes=out.Rotation, answers={200: out.ShownEndpoint}, tag="webhooks")
    def post(self, request: Request, endpoint_id: UUID) -> HttpResponse:
        """Give an endpoint a new secret, which is shown this once; both sign while they overlap."""
        body = bodies.read_if_any(request._request)
        wanted = bodies.parse(body, out.Rotation) if body else out.Rotation()
        made = endpoints.rotate(caller=self.caller, endpoint_id=endpoint_id, overlap_hours=wanted.overlap_hours)
        return answer(out.shown_endpoint(made.row, made.secret))


class EndpointTest(View):
    scopes = {"POST": WRITE}

    @operation("test_webhook_endpoint", answers={202: out.Delivery}, tag="webhooks")
    def post(self, request: Request, endpoint_id: UUID) -> HttpResponse:
        """Send an event `endpoint.test`, to see whether an endpoint takes it."""
        row = endpoints.get(workspace_id=self.caller.workspace_id, endpoint_id=endpoint_id)
        return answer(out.delivery(deliveries.test(caller=self.caller, endpoint=row)), 202)


class DeliveryList(View):
    scopes = {"GET": READ}

    @operation("list_webhook_deliveries", answers={200: Page[out.Delivery]}, parameters=DELIVERIES, tag="webhooks")
    def get(self, request: Request, endpoint_id: UUID) -> HttpResponse:
        """List what was sent to an endpoint in the last 30 days and what will be, the newest first."""
        workspace_id = self.caller.workspace_id
        row = endpoints.get(workspace_id=workspace_id, endpoint_id=endpoint_id)
        listing = Listing(request._request, DeliveryFilters, workspace_id=workspace_id)
        state = listing.values["state"]
        rows = deliveries.deliveries_of(row, states=[State(state)] if state else ())
        return newest(request._request, listing, rows, out.delivery)


class DeliveryDetail(View):
    scopes = {"GET": READ}

    @operation("get_webhook_delivery", answers={200: out.Delivery}, tag="webhooks")
    def get(self, request: Request, endpoint_id: UUID, delivery_id: UUID) -> HttpResponse:
        """Give one delivery with its tries."""
        row = endpoints.get(workspace_id=self.caller.workspace_id, endpoint_id=endpoint_id)
        return answer(out.delivery(deliveries.get(row, delivery_id)))


class DeliveryResend(View):
    scopes = {"POST": WRITE}

    @operation("resend_webhook_delivery", answers={202: out.Delivery}, tag="webhooks")
    def post(self, request: Request, endpoint_id: UUID, delivery_id: UUID) -> HttpResponse:
        """Send an event once more, under the same id and with a fresh budget of tries."""
        row = endpoints.get(workspace_id=self.caller.workspace_id, endpoint_id=endpoint_id)
        sent = deliveries.resend(caller=self.caller, endpoint=row, delivery_id=delivery_id)
        return answer(out.delivery(sent), 202)


class WorkspaceSecrets(View):
    scopes = {"GET": WRITE}

    @operation("get_webhook_secrets", answers={200: out.Secrets}, tag="webhooks")
    def get(self, request: Request) -> HttpResponse:
        """Give the secrets that sign messages on the channel webhook to any URL that is no endpoint's."""
        return answer(out.Secrets(secrets=list(signatures.workspace_secrets(self.caller.workspace_id))))
