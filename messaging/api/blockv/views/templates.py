"""Templates: made, listed, shown, changed and taken out of use."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from messaging.api.blockv import ids, lists, tokens
from messaging.api.blockv.envelope import View, operation
from messaging.api.blockv.queries import TemplateQuery
from messaging.api.blockv.sending import check_organisation
from messaging.api.blockv.serializers import templates as out
from messaging.api.blockv.vocabulary import CHANNEL_IN, CHANNELS
from messaging.api.common import queries
from messaging.api.common.rendering import answer, empty
from messaging.content import authoring, templates
from messaging.content.templates import Edition
from messaging.errors import NotFound

READ, WRITE = "templates:read", "templates:write"


class TemplateList(View):
    scopes = {"GET": READ, "POST": WRITE}

    @operation(
        "list_templates",
        answers={200: out.Templates},
        parameters=queries.parameters(TemplateQuery),
        tag="templates",
    )
    def get(self, request: Request) -> HttpResponse:
        """List templates."""
        workspace_id = self.caller.workspace_id
        listing = tokens.listing(request._request, TemplateQuery, workspace_id=workspace_id)
        rows, token = listing.page(lists.templates(workspace_id, listing))
        return answer(out.Templates(templates=[out.template(row) for row in rows], next=token))

    @operation("create_template", takes=out.TemplateIn, answers={201: out.Made}, tag="templates")
    def post(self, request: Request) -> HttpResponse:
        """Make a template."""
        wanted = self.parsed(out.TemplateIn)
        check_organisation(self.caller, wanted.org_id)
        made = authoring.create(
            workspace_id=self.caller.workspace_id,
            author_id=self.caller.user_id,
            key=wanted.key(),
            channel=CHANNEL_IN[wanted.system],
            language=wanted.language,
            name=wanted.name,
            action_type=wanted.action_type,
            parts=wanted.parts(),
        )
        return answer(out.Made(id=made.id), 201)


class TemplateDetail(View):
    scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @operation("get_template", answers={200: out.Template}, tag="templates")
    def get(self, request: Request, template_id: str) -> HttpResponse:
        """Give one template."""
        return answer(out.template(found(self.caller.workspace_id, template_id)))

    @operation("change_template", takes=out.TemplateChanges, answers={200: out.Template}, tag="templates")
    def patch(self, request: Request, template_id: str) -> HttpResponse:
        """Change a template. Messages that were accepted before say what it said then."""
        wanted = self.parsed(out.TemplateChanges)
        check_organisation(self.caller, wanted.org_id)
        edition = found(self.caller.workspace_id, template_id)
        name = None if wanted.name is UNSET else wanted.name
        action_type = None if wanted.action_type is UNSET else wanted.action_type
        parts = wanted.parts(edition)
        if parts is None:
            changed = authoring.rename(
                workspace_id=self.caller.workspace_id, template_id=edition.id, name=name, action_type=action_type
            )
        else:
            changed = authoring.revise(
                workspace_id=self.caller.workspace_id,
                template_id=edition.id,
                author_id=self.caller.user_id,
                parts=parts,
                name=name,
                action_type=action_type,
            )
        return answer(out.template(changed))

    @operation("delete_template", answers={204: None}, tag="templates")
    def delete(self, request: Request, template_id: str) -> HttpResponse:
        """Take a template out of use; messages that were made from it stay as they are."""
        edition = found(self.caller.workspace_id, template_id)
        authoring.delete(workspace_id=self.caller.workspace_id, template_id=edition.id)
        return empty()


def found(workspace_id: UUID, template_id: str) -> Edition:
    """One of the templates that this surface shows.

    Raises:
        NotFound: there is none of that id.
    """
    edition = templates.get(workspace_id=workspace_id, template_id=ids.template_key(template_id))
    if edition.template.channel not in CHANNELS:
        raise NotFound("There is no such template.", code="template_not_found")
    return edition
