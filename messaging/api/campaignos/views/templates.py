"""Templates, and what they give when they are filled in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from channels_app.types import Channel
from messaging.api.campaignos.envelope import Page, Success, View, operation
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers import templates as out
from messaging.api.campaignos.tables import page_of
from messaging.api.campaignos.vocabulary import CHANNEL_IN, CHANNELS
from messaging.api.common import bodies
from messaging.api.common.rendering import answer
from messaging.campaigns import filling
from messaging.content import authoring, templates
from messaging.content.parts import Parts
from messaging.content.rendering import context_of
from messaging.content.templates import Edition
from messaging.errors import NotFound
from messaging.people import contacts, recipients
from messaging.tenancy.access import demand

READ, WRITE = "templates:read", "templates:write"
READ_CONTACTS = "contacts:read"


class TemplateView(View):
    """A path of templates."""

    def edition(self, template_id: UUID) -> Edition:
        """The template that the path names.

        Raises:
            NotFound: the workspace has none of that id, or its channel is not one of this surface.
        """
        found = templates.get(workspace_id=self.caller.workspace_id, template_id=template_id)
        if found.template.channel not in CHANNELS:
            raise NotFound("There is no such template.", code="template_not_found")
        return found


class TemplateList(TemplateView):
    scopes = {"GET": READ, "POST": WRITE}

    @operation("list_templates", tag="templates", answers={200: Page[out.Template]}, query=out.TemplateQuery)
    def get(self, request: Request) -> HttpResponse:
        """List templates, the newest first."""
        query = self.query(out.TemplateQuery)
        rows = templates.matching(workspace_id=self.caller.workspace_id, where=query.where()).order_by("-id")
        return answer(page_of(rows, out.template, query=query, read=templates.newest))

    @operation("create_template", tag="templates", takes=out.TemplateIn, answers={201: out.Template})
    def post(self, request: Request) -> HttpResponse:
        """Make a template."""
        wanted = self.parsed(out.TemplateIn)
        made = authoring.create_named(
            workspace_id=self.caller.workspace_id,
            author_id=self.caller.user_id,
            name=wanted.name,
            channel=CHANNEL_IN[wanted.channel],
            language=wanted.language or "",
            parts=Parts(subject=wanted.subject or "", body=wanted.body),
        )
        return answer(out.template(made), 201)


class TemplateDetail(TemplateView):
    scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @operation("get_template", tag="templates", answers={200: out.Template})
    def get(self, request: Request, template_id: UUID) -> HttpResponse:
        """Give a template."""
        return answer(out.template(self.edition(template_id)))

    @operation("change_template", tag="templates", takes=out.TemplateChanges, answers={200: out.Template})
    def patch(self, request: Request, template_id: UUID) -> HttpResponse:
        """Change a template. Messages that were accepted before keep what they say."""
        wanted = self.parsed(out.TemplateChanges)
        made = authoring.amend(
            workspace_id=self.caller.workspace_id,
            template_id=self.edition(template_id).id,
            author_id=self.caller.user_id,
            **wanted.changes(),
        )
        return answer(out.template(made))

    @operation("delete_template", tag="templates", answers={200: Success})
    def delete(self, request: Request, template_id: UUID) -> HttpResponse:
        """Take a template out of use; messages that were made from it stay as they are."""
        authoring.delete(workspace_id=self.caller.workspace_id, template_id=self.edition(template_id).id)
        return answer(Success())


class TemplatePreview(TemplateView):
    scopes = {"POST": READ}

    @operation("preview_template", tag="templates", takes=out.PreviewIn, answers={200: out.TemplatePreview})
    def post(self, request: Request, template_id: UUID) -> HttpResponse:
        """Fill a template in for nobody, or for a contact (which needs `contacts:read` too), with blanks for gaps."""
        body = bodies.read_if_any(request._request)
        wanted = bodies.parse(body, out.PreviewIn) if body else out.PreviewIn()
        edition = self.edition(template_id)
        context = context_of(wanted.variables or {}, None, None)
        if wanted.contact_id is not None:
            demand(self.caller, READ_CONTACTS)
            context = self._context(Kind.CONTACT.key(wanted.contact_id), edition, wanted.variables or {})
        return answer(out.preview(edition.preview(context)))

    def _context(self, contact_id: UUID, edition: Edition, variables: dict[str, Any]) -> dict[str, Any]:
        """What a send of the template to the contact would fill in."""
        workspace_id, channel = self.caller.workspace_id, Channel(edition.template.channel)
        person = recipients.find(workspace_id=workspace_id, names=[str(contact_id)], whole=True).get(str(contact_id))
        if person is None:
            raise contacts.missing()
        read = filling.names_in(edition.said.variables)
        known = filling.known(person, read)
        return context_of({"contact": person.snapshot(), **variables, **known}, person.name, person.address(channel))
