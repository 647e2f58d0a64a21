"""What the tests of status webhooks share: endpoints, deliveries, and signatures checked from the specification."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from uuid import UUID

from django.db import connection

from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.models import Role, WebhookDelivery, WebhookEndpoint, Workspace
from messaging.state import Cause, Status
from messaging.tenancy.access import ROLES, Caller
from messaging.webhooks import endpoints, feeding, sending
from messaging.webhooks.deliveries import Lane
from messaging.webhooks.endpoints import NewSecret
from tests.factories import make_member
from tests.peers.http import Asked


def caller_of(workspace: Workspace, *, test: bool = False) -> Caller:
    """An administrator of the workspace, by a live key unless it is said otherwise."""
    member = make_member(workspace, Role.ADMIN)
    return Caller(
        workspace_id=workspace.id,
        user_id=member.user_id,
        avatar_id=member.user.avatar_id,
        name=member.user.username,
        role=Role.ADMIN,
        scopes=ROLES[Role.ADMIN],
        test=test,
    )


def listen(workspace: Workspace, url: str, **fields: Any) -> NewSecret:
    """Make an endpoint of the workspace."""
    return endpoints.create(caller=caller_of(workspace), url=url, **fields)


def tell() -> int:
    """Feed, and send what is due, until nothing is; give how many requests were made."""
    feeding.feed()
    made = 0
    for lane in Lane:
        made += sending.send(lane)
    return made


def end(key: UUID, to: Status = Status.CANCELLED) -> None:
    """Move a message to another state."""
    transitions.advance_many([Move(id=key, to=to)], cause=Cause.API)


def hurry(endpoint: WebhookEndpoint) -> None:
    """Let the time pass until the next tries are due."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_webhookdelivery SET next_attempt_at = now() WHERE endpoint_id = %s AND state = 'pending'",
            [endpoint.id],
        )


def deliveries(endpoint: WebhookEndpoint) -> list[WebhookDelivery]:
    return list(WebhookDelivery.objects.filter(endpoint=endpoint).order_by("id"))


def only(endpoint: WebhookEndpoint) -> WebhookDelivery:
    (found,) = deliveries(endpoint)
    return found


def types(asked: list[Asked]) -> list[str]:
    return [json.loads(each.body)["type"] for each in asked]


def signatures(asked: Asked) -> list[str]:
    return asked.header("webhook-signature").split(" ")


def signature_by(asked: Asked, secret: str) -> str:
    """The signature that the specification asks for: an HMAC over id, time and body."""
    signed = f"{asked.header('webhook-id')}.{asked.header('webhook-timestamp')}.".encode() + asked.body
    digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
