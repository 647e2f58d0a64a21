"""Templates, their versions, and what they give when they are filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import django_filters
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from channels_app.types import Channel
from messaging import models
from messaging.api.common import cursors
from messaging.api.common.rendering import answer, empty
from messaging.api.v1.envelope import Page, page
from messaging.api.v1.filters import Listing, PageFilters, WordsFilter
from messaging.api.v1.operations import View, operation
from messaging.api.v1.parameters import PAGE
from messaging.api.v1.serializers import templates as out
from messaging.content import authoring, templates
from messaging.content.rendering import context_of
from messaging.content.templates import Edition, TemplateFilter
from messaging.errors import Invalid
from messaging.people import recipients
from messaging.tenancy.access import demand

READ, WRITE = "templates:read", "templates:write"
READ_CONTACTS = "contacts:read"

TEMPLATES = (
    OpenApiParameter("key", str),
    OpenApiParameter(
        "channel",
        {"type": "array", "items": {"type": "string", "enum": list(Channel)}},
        style="form",
        explode=False,
    ),
    OpenApiParameter("language", str),
    OpenApiParameter("action_type", str),
    OpenApiParameter("q", str, description="How a name or a key begins."),
    *PAGE,
)


class TemplateFilters(PageFilters):
    """The filters of the list of templates."""

    key = django_filters.CharFilter(max_length=100)
    channel = WordsFilter(words=Channel)
    language = django_filters.CharFilter(max_length=35)
    action_type = django_filters.CharFilter(max_length=100)
    q = django_filters.CharFilter(max_length=200)


class TemplateList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_templates", answers={200: Page[out.Template]}, parameters=TEMPLATES, tag="templates")
    def get(self, request: Request) -> HttpResponse:
        """List templates, the newest first."""
        workspace_id = self.caller.workspace_id
        listing = Listing(request._request, TemplateFilters, workspace_id=workspace_id)
        named = {name: listing.values[name] or None for name in ("key", "language", "action_type", "q")}
        where = TemplateFilter(**named, channels=listing.values["channel"])

        def fetch(beyond: UUID | None, ascending: bool, limit: int) -> list[Edition]:
            return templates.listed(
                workspace_id=workspace_id, where=where, ascending=ascending, beyond=beyond, limit=limit
            )

        found = cursors.turn(fetch, cursor=listing.cursor, ascending=False, limit=listing.limit)
        return answer(page(request._request, found, out.template, query=listing.query))

    @operation("create_template", takes=out.TemplateIn, answers={201: out.Template}, tag="templates")
    def post(self, request: Request) -> HttpResponse:
        """Make a template; this is its version 1."""
        wanted = self.parsed(out.TemplateIn)
        made = authoring.create(
            workspace_id=self.caller.workspace_id,
            author_id=self.caller.user_id,
            key=wanted.key,
            channel=wanted.channel,
            language=wanted.language or "",
            name=wanted.name or "",
            action_type=wanted.action_type or "",
            parts=wanted.parts(),
        )
        return answer(out.template(made), 201)


class TemplateDetail(View):
    scopes = {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE}

    @operation("get_template", answers={200: out.Template}, tag="templates")
    def get(self, request: Request, template_id: UUID) -> HttpResponse:
        """Give a template as its newest version says it."""
        return answer(out.template(templates.get(workspace_id=self.caller.workspace_id, template_id=template_id)))

    @operation("revise_template", takes=out.TemplateRevision, answers={200: out.Template}, tag="templates")
    def put(self, request: Request, template_id: UUID) -> HttpResponse:
        """Make the next version. Messages that were accepted before keep the version that they were made from."""
        wanted = self.parsed(out.TemplateRevision)
        made = authoring.revise(
            workspace_id=self.caller.workspace_id,
            template_id=template_id,
            author_id=self.caller.user_id,
            parts=wanted.parts(),
            name=wanted.name,
            action_type=wanted.action_type,
        )
        return answer(out.template(made))

    @operation("rename_template", takes=out.TemplateNames, answers={200: out.Template}, tag="templates")
    def patch(self, request: Request, template_id: UUID) -> HttpResponse:
        """Change what a template is called and what it is for, without another version."""
        wanted = self.parsed(out.TemplateNames)
        renamed = authoring.rename(
            workspace_id=self.caller.workspace_id,
            template_id=template_id,
            name=wanted.name,
            action_type=wanted.action_type,
        )
        return answer(out.template(renamed))

    @operation("delete_template", answers={204: None}, tag="templates")
    def delete(self, request: Request, template_id: UUID) -> HttpResponse:
        """Take a template out of use; messages that were made from it stay as they are, and its key is free again."""
        authoring.delete(workspace_id=self.caller.workspace_id, template_id=template_id)
        return empty()


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A version in a list whose order is that of the numbers."""

    said: models.TemplateVersion

    @property
    def id(self) -> UUID:
        return UUID(int=self.said.version)


class TemplateVersions(View):
    scopes = {"GET": READ}

    @operation("list_template_versions", answers={200: Page[out.TemplateVersion]}, parameters=PAGE, tag="templates")
    def get(self, request: Request, template_id: UUID) -> HttpResponse:
        """List everything that a template has ever said, the newest version first."""
        workspace_id = self.caller.workspace_id
        rows = templates.versions_of(workspace_id=workspace_id, template_id=template_id)
        listing = Listing(request._request, PageFilters, workspace_id=workspace_id)

        def fetch(beyond: UUID | None, ascending: bool, limit: int) -> list[_Numbered]:
            found = rows.order_by("version" if ascending else "-version")
            if beyond is not None:
                found = found.filter(**{"version__gt" if ascending else "version__lt": beyond.int})
            return [_Numbered(said) for said in found[:limit]]

        found = cursors.turn(fetch, cursor=listing.cursor, ascending=False, limit=listing.limit)
        return answer(page(request._request, found, lambda row: out.version(row.said), query=listing.query))


class TemplatePreview(View):
    scopes = {"POST": READ}

    @operation("preview_template", takes=out.PreviewIn, answers={200: out.Preview}, tag="templates")
    def post(self, request: Request, template_id: UUID) -> HttpResponse:
        """Fill a template in for nobody, or for a contact (which needs `contacts:read` too), with blanks for gaps."""
        wanted = self.parsed(out.PreviewIn)
        edition = templates.get(workspace_id=self.caller.workspace_id, template_id=template_id)
        context = context_of(wanted.data or {}, None, None)
        if wanted.contact_id is not None:
            demand(self.caller, READ_CONTACTS)
            context = contact_context(self.caller.workspace_id, wanted.contact_id, edition, wanted.data or {})
        return answer(out.preview(edition.preview(context)))


def contact_context(workspace_id: UUID, name: str, edition: Edition, data: dict[str, Any]) -> dict[str, Any]:
    """What a send of the template to a contact would fill in.

    Raises:
        Invalid: the workspace has no such contact.
    """
    person = recipients.find(workspace_id=workspace_id, names=[name], whole=True).get(name)
    if person is None:
        raise Invalid.at("/contact_id", "contact_not_found", "there is no such contact")
    address = person.address(Channel(edition.template.channel))
    return context_of({"contact": person.snapshot(), **data}, person.name, address)
