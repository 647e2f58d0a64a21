"""Templates and their versions, in and out."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from channels_app.types import Channel
from messaging import models
from messaging.api.common.rendering import stamp
from messaging.api.v1.serializers.messages import Moment
from messaging.content import parts
from messaging.content.languages import LENGTH as LANGUAGE_LENGTH
from messaging.content.parts import Parts
from messaging.content.templates import Edition

Key = Annotated[str, Meta(min_length=1, max_length=100)]
Name = Annotated[str, Meta(max_length=200)]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
Language = Annotated[
    str,
    Meta(min_length=1, max_length=LANGUAGE_LENGTH, description="A tag such as `en`, `pt-BR` or `zh-Hant`."),
]
Contact = Annotated[
    str,
    Meta(min_length=1, max_length=255, description="A contact's id, else its external id, else its avatar's id."),
]


class _Texts(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    subject: str | None = None
    body: str | None = None
    text: str | None = None

    def parts(self) -> Parts:
        return Parts(subject=self.subject or "", body=self.body or "", text=self.text or "")


class TemplateIn(_Texts, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A template to make, with its first version; without a language it is in the workspace's own."""

    key: Key
    channel: Channel
    language: Language | None = None
    name: Name | None = None
    action_type: Word | None = None


class TemplateRevision(_Texts, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What the next version says: a part that is left out is not there any more. The names stay where left out."""

    name: Name | None = None
    action_type: Word | None = None


class TemplateNames(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What can change without another version; what is left out stays."""

    name: Name | None = None
    action_type: Word | None = None


class PreviewIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Whom a preview is for: data of its own, a contact, or both."""

    data: dict[str, Any] | None = None
    contact_id: Contact | None = None


class Template(Struct, kw_only=True, frozen=True):
    """A template as its newest version says it; `variables` are the paths that it reads."""

    id: UUID
    key: str
    name: str | None
    channel: Channel
    language: str
    action_type: str
    version: int
    subject: str | None
    body: str | None
    text: str | None
    variables: list[str]
    created_at: Moment
    updated_at: Moment


class TemplateVersion(Struct, kw_only=True, frozen=True):
    """What a template said from one save to the next."""

    version: int
    subject: str | None
    body: str | None
    text: str | None
    variables: list[str]
    created_at: Moment


class Preview(Struct, kw_only=True, frozen=True):
    """A template filled in, with blanks for the variables that are `missing`."""

    subject: str | None
    body: str | None
    text: str | None
    missing: list[str]


def template(edition: Edition) -> Template:
    """A template as it is shown."""
    row, said = edition.template, edition.said
    return Template(
        id=row.id,
        key=row.key,
        name=row.name or None,
        channel=Channel(row.channel),
        language=row.language,
        action_type=row.action_type,
        version=said.version,
        subject=said.subject or None,
        body=said.body or None,
        text=said.text or None,
        variables=said.variables,
        created_at=stamp(row.created_at),
        updated_at=stamp(row.updated_at),
    )


def version(said: models.TemplateVersion) -> TemplateVersion:
    """A version as it is shown."""
    return TemplateVersion(
        version=said.version,
        subject=said.subject or None,
        body=said.body or None,
        text=said.text or None,
        variables=said.variables,
        created_at=stamp(said.created_at),
    )


def preview(filled: parts.Preview) -> Preview:
    """A preview as it is shown."""
    return Preview(
        subject=filled.subject or None, body=filled.body or None, text=filled.text or None, missing=filled.missing
    )
