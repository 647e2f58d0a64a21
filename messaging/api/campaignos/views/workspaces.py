"""Workspaces: those of the caller, and a new one."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from messaging import models
from messaging.api.campaignos.envelope import Page, Success, View, operation, paged
from messaging.api.campaignos.serializers import workspaces as out
from messaging.api.common.queries import PageQuery
from messaging.api.common.rendering import answer
from messaging.campaigns import closing
from messaging.models import Role
from messaging.tenancy import members, workspaces
from messaging.tenancy.access import ADMIN, Caller

MEMBERS = 200
"""Members that a workspace is shown with, in the order of joining."""


class WorkspaceList(View):
    scopes = {"GET": None, "POST": ADMIN}

    @operation("list_workspaces", tag="workspaces", answers={200: Page[out.Workspace]}, query=PageQuery)
    def get(self, request: Request) -> HttpResponse:
        """List the caller's workspaces, the oldest first, with the caller's role in each."""
        query = self.query(PageQuery)
        rows = workspaces.workspaces_of(caller=self.caller)
        found = list(rows[query.offset : query.offset + query.limit])
        roles = workspaces.roles_of(caller=self.caller, ids=[row.id for row in found])
        return answer(paged(found, lambda row: out.workspace(row, roles[row.id]), query=query, total=rows.count()))

    @operation("create_workspace", tag="workspaces", takes=out.WorkspaceIn, answers={201: out.FullWorkspace})
    def post(self, request: Request) -> HttpResponse:
        """Make a workspace that the caller owns."""
        wanted = self.parsed(out.WorkspaceIn)
        row = workspaces.create(caller=self.caller, name=wanted.name, slug=wanted.slug)
        return answer(out.full_workspace(row, Role.OWNER, members.members_of(workspace_id=row.id)), 201)


class WorkspaceDetail(View):
    scopes = {"GET": None, "PATCH": ADMIN, "DELETE": ADMIN}

    @operation("get_workspace", tag="workspaces", answers={200: out.FullWorkspace})
    def get(self, request: Request) -> HttpResponse:
        """Give a workspace, with its members where the caller may manage them."""
        row = workspaces.get(caller=self.caller, workspace_id=self.caller.workspace_id)
        return answer(shown(self.caller, row))

    @operation("change_workspace", tag="workspaces", takes=out.WorkspaceChange, answers={200: out.FullWorkspace})
    def patch(self, request: Request) -> HttpResponse:
        """Change a workspace's name or settings."""
        wanted = self.parsed(out.WorkspaceChange)
        return answer(shown(self.caller, workspaces.change(caller=self.caller, **wanted.changes())))

    @operation("delete_workspace", tag="workspaces", answers={200: Success})
    def delete(self, request: Request) -> HttpResponse:
        """Close a workspace for good; only an owner can, and only when nothing waits to be sent."""
        closing.close(caller=self.caller)
        return answer(Success())


def shown(caller: Caller, row: models.Workspace) -> out.FullWorkspace:
    """A workspace as this caller may see it."""
    found = members.members_of(workspace_id=row.id)[:MEMBERS] if ADMIN in caller.scopes else None
    return out.full_workspace(row, caller.role, found)
