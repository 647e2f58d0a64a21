"""What a site shows to a contact, and what the contact has read of it."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from messaging.api.campaignos.envelope import View, operation
from messaging.api.campaignos.serializers import onsite as out
from messaging.api.common.cursors import LARGEST
from messaging.api.common.operations import Array
from messaging.api.common.rendering import answer
from messaging.dispatch import selectors
from messaging.inbox import onsite
from messaging.tenancy.access import mode_seen

READ, WRITE = "messages:read", "messages:write"


class OnsiteInbox(View):
    scopes = {"GET": READ}

    @operation("list_onsite_messages", tag="onsite", answers={200: Array[out.OnsiteMessage]})
    def get(self, request: Request, contact_id: UUID) -> HttpResponse:
        """List what arrived for a contact on the site and was not read, the newest first, 200 at the most."""
        rows = onsite.unread(
            workspace_id=self.caller.workspace_id, contact_id=contact_id, test=mode_seen(self.caller), limit=LARGEST
        )
        said = selectors.rendered_many(messages=rows)
        return answer([out.onsite_message(row, said[row.id].body or said[row.id].text) for row in rows])


class OnsiteRead(View):
    scopes = {"POST": WRITE}

    @operation("read_onsite_message", tag="onsite", answers={200: out.OnsiteMessage})
    def post(self, request: Request, message_id: UUID) -> HttpResponse:
        """Note that an on-site message was read; it is OPENED."""
        row = onsite.read(workspace_id=self.caller.workspace_id, message_id=message_id, test=mode_seen(self.caller))
        said = selectors.rendered(message=row)
        return answer(out.onsite_message(row, said.body or said.text))
