"""Push subscriptions of contacts."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from messaging import models
from messaging.api.campaignos.envelope import View, operation
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers import push as out
from messaging.api.common.operations import Array
from messaging.api.common.rendering import answer
from messaging.errors import FieldError, Invalid
from messaging.people import contacts, push

READ, WRITE = "contacts:read", "contacts:write"


class SubscriptionList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation(
        "list_push_subscriptions", tag="push", answers={200: Array[out.PushSubscription]}, query=out.SubscriptionQuery
    )
    def get(self, request: Request) -> HttpResponse:
        """List push subscriptions, the newest first."""
        query, workspace_id = self.query(out.SubscriptionQuery), self.caller.workspace_id
        rows = push.subscriptions_of(workspace_id=workspace_id).select_related("contact").order_by("-id")
        if query.contact_id:
            named = Kind.CONTACT.asked(query.contact_id, "/contactId")
            rows = rows.filter(contact_id=contacts.kept_id(workspace_id=workspace_id, contact_id=named))
        return answer([out.push_subscription(row) for row in rows[query.offset : query.offset + query.limit]])

    @operation(
        "register_push_subscription",
        tag="push",
        takes=out.SubscriptionIn,
        answers={201: out.PushSubscription, 200: out.PushSubscription},
    )
    def post(self, request: Request) -> HttpResponse:
        """Register a browser for a contact; an endpoint that is known is taken over (200)."""
        wanted, workspace_id = self.parsed(out.SubscriptionIn), self.caller.workspace_id
        contact = contacts.get(workspace_id=workspace_id, contact_id=Kind.CONTACT.key(wanted.contact_id))
        row, new = _registered(wanted, workspace_id, contact.id)
        return answer(out.push_subscription(row), 201 if new else 200)


def _registered(
    wanted: out.SubscriptionIn, workspace_id: UUID, contact_id: UUID
) -> tuple[models.PushSubscription, bool]:
    """Keep a subscription; its keys stand beside its endpoint here, not below `keys`."""
    try:
        return push.register(
            workspace_id=workspace_id,
            contact=str(contact_id),
            endpoint=wanted.endpoint,
            p256dh=wanted.p256dh,
            auth=wanted.auth,
            topic=wanted.topic or "",
        )
    except Invalid as error:
        places = [FieldError(each.pointer.removeprefix("/keys"), each.code, each.detail) for each in error.errors]
        raise Invalid(error.detail, code=error.code, errors=places) from error
