"""Sends of the four types; each answers with the outcome where that comes in time."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from messaging.api.common import bodies, sending
from messaging.api.oasis import outcomes
from messaging.api.oasis.envelope import Done
from messaging.api.oasis.operations import IDEMPOTENCY_KEY, MANAGEMENT, PREFER, WRITE, View, operation
from messaging.api.oasis.serializers.messages import Message
from messaging.api.oasis.serializers.sending import EmailIn, InAppIn, PushIn, SmsIn
from messaging.api.oasis.wishes import Asked

_ANSWERS = {200: Done[Message], 202: Done[Message]}
_PARAMETERS = (IDEMPOTENCY_KEY, PREFER)


class SendView(View):
    """A path that sends one type of message."""

    scopes = {"POST": WRITE}

    def sent(self, request: Request, into: type[Any]) -> HttpResponse:
        caller, body = self.caller, bodies.read(request._request)
        draft, recipient = outcomes.asked_of(caller, Asked(body, into))
        return sending.send(
            request,
            caller,
            body,
            accept=lambda awaited: sending.accept_one(caller, draft, recipient, awaited=awaited),
            show=lambda sent: outcomes.told(request._request, caller, sent),
            whole=True,
            encrypted=draft.encrypted,
        )


class SendEmail(SendView):
    names = EmailIn.names

    @operation("send_email", takes=EmailIn, answers=_ANSWERS, parameters=_PARAMETERS, tag=MANAGEMENT)
    def post(self, request: Request) -> HttpResponse:
        """Send an e-mail."""
        return self.sent(request, EmailIn)


class SendSms(SendView):
    names = SmsIn.names

    @operation("send_sms", takes=SmsIn, answers=_ANSWERS, parameters=_PARAMETERS, tag=MANAGEMENT)
    def post(self, request: Request) -> HttpResponse:
        """Send a text message."""
        return self.sent(request, SmsIn)


class SendPush(SendView):
    names = PushIn.names

    @operation("send_push", takes=PushIn, answers=_ANSWERS, parameters=_PARAMETERS, tag=MANAGEMENT)
    def post(self, request: Request) -> HttpResponse:
        """Send a push notification."""
        return self.sent(request, PushIn)


class SendInApp(SendView):
    names = InAppIn.names

    @operation("send_in_app", takes=InAppIn, answers=_ANSWERS, parameters=_PARAMETERS, tag=MANAGEMENT)
    def post(self, request: Request) -> HttpResponse:
        """Send an in-app message."""
        return self.sent(request, InAppIn)
