"""The API keys of a workspace."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from messaging.api.campaignos.envelope import Page, Success, View, operation, paged
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers import keys as out
from messaging.api.common import bodies
from messaging.api.common.queries import PageQuery
from messaging.api.common.rendering import answer
from messaging.models import Mode
from messaging.tenancy import keys
from messaging.tenancy.access import ADMIN


class KeyList(View):
    scopes = {"GET": ADMIN, "POST": ADMIN, "DELETE": ADMIN}

    @operation("list_keys", tag="keys", answers={200: Page[out.Key]}, query=PageQuery)
    def get(self, request: Request) -> HttpResponse:
        """List the workspace's API keys, the oldest first, revoked ones too; none is shown whole."""
        query = self.query(PageQuery)
        rows = keys.keys_of(workspace_id=self.caller.workspace_id)
        found = rows.order_by("id")[query.offset : query.offset + query.limit]
        return answer(paged(found, out.key, query=query, total=rows.count()))

    @operation("create_key", tag="keys", takes=out.KeyIn, answers={201: out.Key})
    def post(self, request: Request) -> HttpResponse:
        """Make an API key; its text is shown this once."""
        wanted = self.parsed(out.KeyIn)
        made = keys.create(
            caller=self.caller,
            name=wanted.name,
            scopes=wanted.scopes,
            mode=Mode(wanted.mode),
            expires_at=bodies.utc(wanted.expires_at, "/expires_at"),
        )
        return answer(out.shown_key(made.row, made.raw), 201)

    @operation("revoke_key", tag="keys", takes=out.KeyRef, answers={200: Success})
    def delete(self, request: Request) -> HttpResponse:
        """Revoke the API key that the body names, for good."""
        keys.revoke(caller=self.caller, key_id=Kind.API_KEY.key(self.parsed(out.KeyRef).key_id))
        return answer(Success())
