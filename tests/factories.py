"""Rows for tests: plain functions over the domain's own doors."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from channels_app.types import Channel
from messaging.content import authoring
from messaging.content.parts import Parts
from messaging.content.templates import Edition
from messaging.dispatch import intake
from messaging.models import Member, Message, Role, User, Workspace
from messaging.models.keys import uuid7


def make_workspace(name: str = "Acme") -> Workspace:
    return Workspace.objects.create(name=name, slug=f"{name.lower()}-{uuid7().hex[-12:]}")


def make_user(username: str = "", **fields: Any) -> User:
    return User.objects.create_user(
        username=username or f"user-{uuid7().hex[-12:]}", password="correct horse", **fields
    )


def make_member(workspace: Workspace, role: str = Role.MEMBER, **fields: Any) -> Member:
    return Member.objects.create(workspace=workspace, user=make_user(**fields), role=role)


def draft(**fields: Any) -> intake.Draft:
    """A draft for e-mail, with any field replaced."""
    return intake.Draft(**{"channel": Channel.EMAIL, "subject": "Hello", "text": "Good day", **fields})


def accept_message(workspace: Workspace, to: str = "ann@example.com", *, test: bool = False, **fields: Any) -> UUID:
    """Accept one message and give its key; fields of the recipient may be named too."""
    own = {name: fields.pop(name) for name in ("name", "data", "metadata") if name in fields}
    accepted = intake.accept(
        workspace_id=workspace.id,
        author_id=None,
        test=test,
        draft=draft(**fields),
        recipients=[intake.Recipient(to=to, **own)],
        batch=False,
    )
    return accepted.ids[0]


def accept_batch(workspace: Workspace, addresses: list[str], *, test: bool = False, **fields: Any) -> intake.Acceptance:
    return intake.accept(
        workspace_id=workspace.id,
        author_id=None,
        test=test,
        draft=draft(**fields),
        recipients=[intake.Recipient(to=address) for address in addresses],
        batch=True,
    )


def message(key: UUID) -> Message:
    return Message.objects.get(pk=key)


def make_template(workspace: Workspace, key: str = "welcome", **fields: Any) -> Edition:
    """Save a template for e-mail, with any field replaced; parts may be named one by one."""
    said = {"subject": "Welcome", "text": "Good day", **fields}
    parts = Parts(**{name: said.pop(name) for name in ("subject", "body", "text") if name in said})
    return authoring.create(
        workspace_id=workspace.id, author_id=None, key=key, parts=parts, **{"channel": Channel.EMAIL, **said}
    )


def revise_template(edition: Edition, **parts: str) -> Edition:
    """Save the next version of a template, with any part replaced."""
    template = edition.template
    said = {"subject": edition.said.subject, "body": edition.said.body, "text": edition.said.text, **parts}
    return authoring.revise(
        workspace_id=template.workspace_id, template_id=template.id, author_id=None, parts=Parts(**said)
    )
