"""Callers, API keys, members and workspaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from messaging.api.common import bodies, cursors
from messaging.api.common.rendering import answer, empty
from messaging.api.v1.envelope import Page, page
from messaging.api.v1.filters import Listing, PageFilters
from messaging.api.v1.operations import View, operation
from messaging.api.v1.parameters import PAGE
from messaging.api.v1.serializers import tenancy as out
from messaging.models import Mode, User
from messaging.tenancy import keys, members, workspaces
from messaging.tenancy.access import ADMIN, Caller


class Me(View):
    scopes = {"GET": None}

    @operation("get_me", answers={200: out.Me}, tag="tenancy")
    def get(self, request: Request) -> HttpResponse:
        """Tell who the caller is, in which workspace, and with which scopes."""
        workspace = workspaces.get(caller=self.caller, workspace_id=self.caller.workspace_id)
        return answer(out.me(self.caller, User.objects.get(id=self.caller.user_id), workspace))


class KeyList(View):
    scopes = {"GET": ADMIN, "POST": ADMIN}

    @operation("list_api_keys", answers={200: Page[out.Key]}, parameters=PAGE, tag="tenancy")
    def get(self, request: Request) -> HttpResponse:
        """List the workspace's API keys, the oldest first."""
        return listed(request._request, self.caller, keys.keys_of(workspace_id=self.caller.workspace_id), out.key)

    @operation("create_api_key", takes=out.KeyIn, answers={201: out.ShownKey}, tag="tenancy")
    def post(self, request: Request) -> HttpResponse:
        """Make an API key; its text is shown this once."""
        wanted = self.parsed(out.KeyIn)
        made = keys.create(
            caller=self.caller,
            name=wanted.name,
            scopes=wanted.scopes,
            mode=Mode(wanted.mode),
            expires_at=bodies.utc(wanted.expires_at, "/expires_at"),
            rate_limit=wanted.rate_limit,
        )
        return answer(out.shown_key(made.row, made.raw), 201)


class KeyDetail(View):
    scopes = {"PATCH": ADMIN, "DELETE": ADMIN}

    @operation("change_api_key", takes=out.KeyLimit, answers={200: out.Key}, tag="tenancy")
    def patch(self, request: Request, key_id: UUID) -> HttpResponse:
        """Change how many requests a minute an API key may make."""
        wanted = self.parsed(out.KeyLimit)
        return answer(out.key(keys.limit(caller=self.caller, key_id=key_id, rate_limit=wanted.rate_limit)))

    @operation("revoke_api_key", answers={204: None}, tag="tenancy")
    def delete(self, request: Request, key_id: UUID) -> HttpResponse:
        """Revoke an API key for good."""
        keys.revoke(caller=self.caller, key_id=key_id)
        return empty()


class MemberList(View):
    scopes = {"GET": ADMIN, "POST": ADMIN}

    @operation("list_members", answers={200: Page[out.Member]}, parameters=PAGE, tag="tenancy")
    def get(self, request: Request) -> HttpResponse:
        """List the workspace's members in the order of joining."""
        rows = members.members_of(workspace_id=self.caller.workspace_id)
        return listed(request._request, self.caller, rows, out.member)

    @operation("create_member", takes=out.MemberIn, answers={201: out.Member}, tag="tenancy")
    def post(self, request: Request) -> HttpResponse:
        """Add a person to the workspace."""
        wanted = self.parsed(out.MemberIn)
        row = members.create(caller=self.caller, username=wanted.username, password=wanted.password, role=wanted.role)
        return answer(out.member(row), 201)


class MemberDetail(View):
    scopes = {"PATCH": ADMIN, "DELETE": ADMIN}

    @operation("change_member", takes=out.RoleIn, answers={200: out.Member}, tag="tenancy")
    def patch(self, request: Request, member_id: UUID) -> HttpResponse:
        """Give a member another role."""
        role = self.parsed(out.RoleIn).role
        return answer(out.member(members.change_role(caller=self.caller, member_id=member_id, role=role)))

    @operation("remove_member", answers={204: None}, tag="tenancy")
    def delete(self, request: Request, member_id: UUID) -> HttpResponse:
        """Take a person's place in the workspace away, and the person's API keys with it."""
        members.remove(caller=self.caller, member_id=member_id)
        return empty()


class WorkspaceList(View):
    scopes = {"GET": None, "POST": ADMIN}

    @operation("list_workspaces", answers={200: Page[out.Workspace]}, parameters=PAGE, tag="tenancy")
    def get(self, request: Request) -> HttpResponse:
        """List the caller's workspaces."""
        return listed(request._request, self.caller, workspaces.workspaces_of(caller=self.caller), out.workspace)

    @operation("create_workspace", takes=out.WorkspaceIn, answers={201: out.Workspace}, tag="tenancy")
    def post(self, request: Request) -> HttpResponse:
        """Make a workspace that the caller owns."""
        wanted = self.parsed(out.WorkspaceIn)
        return answer(out.workspace(workspaces.create(caller=self.caller, name=wanted.name, slug=wanted.slug)), 201)


class WorkspaceDetail(View):
    scopes = {"GET": None}

    @operation("get_workspace", answers={200: out.Workspace}, tag="tenancy")
    def get(self, request: Request, workspace_id: UUID) -> HttpResponse:
        """Give one of the caller's workspaces."""
        return answer(out.workspace(workspaces.get(caller=self.caller, workspace_id=workspace_id)))


def listed(request: HttpRequest, caller: Caller, rows: QuerySet[Any], show: Callable[[Any], object]) -> HttpResponse:
    """A page of rows in the order of their keys."""
    listing = Listing(request, PageFilters, workspace_id=caller.workspace_id)

    def fetch(beyond: UUID | None, ascending: bool, limit: int) -> list[Any]:
        found = rows.order_by("id" if ascending else "-id")
        if beyond is not None:
            found = found.filter(id__gt=beyond) if ascending else found.filter(id__lt=beyond)
        return list(found[:limit])

    found = cursors.turn(fetch, cursor=listing.cursor, ascending=True, limit=listing.limit)
    return answer(page(request, found, show, query=listing.query))
