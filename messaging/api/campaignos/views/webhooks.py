"""Webhooks of a workspace: who is told of what happens, and what other systems tell in return."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from messaging.api.campaignos.envelope import Page, Success, View, operation
from messaging.api.campaignos.serializers import webhooks as out
from messaging.api.campaignos.tables import page_of
from messaging.api.common import bodies
from messaging.api.common.queries import PageQuery
from messaging.api.common.rendering import answer
from messaging.webhooks import endpoints, inbound
from messaging.webhooks.endpoints import Format

READ, WRITE = "webhooks:read", "webhooks:write"

SIGNATURE = OpenApiParameter(
    "X-Webhook-Signature",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="HMAC-SHA256 of the body under the webhook's secret, in hexadecimal digits.",
)


class WebhookList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_webhooks", tag="webhooks", answers={200: Page[out.Webhook]}, query=PageQuery)
    def get(self, request: Request) -> HttpResponse:
        """List webhooks, the newest first."""
        rows = endpoints.endpoints_of(workspace_id=self.caller.workspace_id).filter(format=Format.CAMPAIGNOS)
        return answer(page_of(rows.order_by("-id"), out.webhook, query=self.query(PageQuery), read=list))

    @operation("create_webhook", tag="webhooks", takes=out.WebhookIn, answers={201: out.Webhook})
    def post(self, request: Request) -> HttpResponse:
        """Tell a URL of what happens from now on; the secret is shown this once."""
        wanted = self.parsed(out.WebhookIn)
        made = endpoints.create(
            caller=self.caller,
            url=wanted.url,
            description=wanted.description or "",
            types=out.types(wanted.events),
            test=self.caller.test,
            format=Format.CAMPAIGNOS,
        )
        return answer(out.webhook(made.row, made.secret), 201)


class WebhookDetail(View):
    scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @operation("get_webhook", tag="webhooks", answers={200: out.Webhook})
    def get(self, request: Request, webhook_id: UUID) -> HttpResponse:
        """Give one webhook."""
        row = endpoints.get(workspace_id=self.caller.workspace_id, endpoint_id=webhook_id, format=Format.CAMPAIGNOS)
        return answer(out.webhook(row))

    @operation("change_webhook", tag="webhooks", takes=out.WebhookChanges, answers={200: out.Webhook})
    def patch(self, request: Request, webhook_id: UUID) -> HttpResponse:
        """Change where and of what is told, or whether at all."""
        changes = self.parsed(out.WebhookChanges).fields()
        row = endpoints.update(caller=self.caller, endpoint_id=webhook_id, changes=changes, format=Format.CAMPAIGNOS)
        return answer(out.webhook(row))

    @operation("delete_webhook", tag="webhooks", answers={200: Success})
    def delete(self, request: Request, webhook_id: UUID) -> HttpResponse:
        """Forget a webhook."""
        endpoints.delete(caller=self.caller, endpoint_id=webhook_id, format=Format.CAMPAIGNOS)
        return answer(Success())


class Inbound(View):
    authentication_classes = ()

    @operation(
        "receive_webhook", tag="webhooks", takes=out.InboundIn, answers={201: out.Taken}, parameters=(SIGNATURE,)
    )
    def post(self, request: Request, webhook_id: UUID) -> HttpResponse:
        """Note what somebody did elsewhere, as another system tells it."""
        body = bodies.read(request._request)
        signature = request.META.get("HTTP_X_WEBHOOK_SIGNATURE", "")
        endpoint = inbound.recognise(endpoint_id=webhook_id, body=body, signature=signature)
        wanted = bodies.parse(body, out.InboundIn)
        event = inbound.take(endpoint, type=wanted.type, person=wanted.person(), metadata=wanted.metadata or {})
        return answer(out.taken(event), 201)
