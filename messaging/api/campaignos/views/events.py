"""What contacts and visitors did."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from messaging.api.campaignos.envelope import View, operation
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers import events as out
from messaging.api.common.operations import Array
from messaging.api.common.rendering import answer
from messaging.people import events

READ, WRITE = "events:read", "events:write"


class EventList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_events", tag="events", answers={200: Array[out.TrackedEvent]}, query=out.EventQuery)
    def get(self, request: Request) -> HttpResponse:
        """List events, the newest first."""
        query = self.query(out.EventQuery)
        rows = events.latest(
            workspace_id=self.caller.workspace_id,
            contact_id=Kind.CONTACT.asked(query.contact_id, "/contactId") if query.contact_id else None,
            type=query.type or None,
            limit=query.limit,
        )
        return answer([out.event(row) for row in rows])

    @operation("track_event", tag="events", takes=out.EventIn, answers={201: out.TrackedEvent})
    def post(self, request: Request) -> HttpResponse:
        """Note something that a contact, or a visitor whom nobody knows, did."""
        happening = self.parsed(out.EventIn).happening()
        return answer(out.event(events.note(workspace_id=self.caller.workspace_id, happening=happening)), 201)
