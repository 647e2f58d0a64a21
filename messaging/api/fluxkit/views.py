"""The operations of /messaging."""

from __future__ import annotations

from dataclasses import replace

from django.http import HttpResponse
from rest_framework.request import Request

from analytics import health
from messaging.api.common import bodies, queries
from messaging.api.common.operations import IDEMPOTENCY_KEY, PREFER
from messaging.api.common.rendering import answer
from messaging.api.common.sending import send
from messaging.api.fluxkit import sending
from messaging.api.fluxkit import serializers as out
from messaging.api.fluxkit.envelope import View, operation
from messaging.api.fluxkit.serializers import Email, LogsQuery, Sms, TemplateEmail, WhatsApp
from messaging.dispatch import selectors
from messaging.tenancy.access import mode_seen

READ, WRITE = "messages:read", "messages:write"
SENDING = (IDEMPOTENCY_KEY, PREFER)


class SendView(View):
    """A path that sends."""

    scopes = {"POST": WRITE}

    def send(self, request: Request, into: type[Email | TemplateEmail | Sms | WhatsApp]) -> HttpResponse:
        """Send what the body says, and answer with the outcome."""
        body = bodies.read(request._request)
        wish = bodies.parse(body, into).wish()
        self.template = wish.draft.template
        return send(
            request,
            self.caller,
            body,
            accept=lambda awaited: sending.accept(self.caller, wish, awaited=awaited),
            show=lambda sent: sending.shown(sent, wish),
            whole=True,
        )


class EmailSend(SendView):
    channel = "email"

    @operation("send_email", takes=Email, answers={200: out.Result}, parameters=SENDING)
    def post(self, request: Request) -> HttpResponse:
        """Send an e-mail."""
        return self.send(request, Email)


class TemplateSend(SendView):
    channel = "email"

    @operation("send_email_template", takes=TemplateEmail, answers={200: out.TemplateResult}, parameters=SENDING)
    def post(self, request: Request) -> HttpResponse:
        """Send an e-mail by a template."""
        return self.send(request, TemplateEmail)


class SmsSend(SendView):
    channel = "sms"

    @operation("send_sms", takes=Sms, answers={200: out.Result}, parameters=SENDING)
    def post(self, request: Request) -> HttpResponse:
        """Send a text message."""
        return self.send(request, Sms)


class WhatsAppSend(SendView):
    channel = "whatsapp"

    @operation("send_whatsapp", takes=WhatsApp, answers={200: out.Result}, parameters=SENDING)
    def post(self, request: Request) -> HttpResponse:
        """Send a WhatsApp message."""
        return self.send(request, WhatsApp)


class LogList(View):
    scopes = {"GET": READ}

    @operation("list_logs", answers={200: out.Logs}, parameters=queries.parameters(LogsQuery))
    def get(self, request: Request) -> HttpResponse:
        """List messages, the newest first."""
        query = self.query(LogsQuery)
        workspace_id, where = self.caller.workspace_id, replace(query.where(), test=mode_seen(self.caller))
        rows = selectors.messages(workspace_id=workspace_id, where=where, offset=query.offset, limit=query.limit)
        return answer(out.logs(rows, selectors.total(workspace_id=workspace_id, where=where), query))


class Health(View):
    authentication_classes = ()

    @operation("get_health", answers={200: out.HealthOut})
    def get(self, request: Request) -> HttpResponse:
        """Tell how the platform was when it was last looked at. Open to everybody."""
        return answer(out.health_out(health.health()))
