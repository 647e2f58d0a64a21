"""Templates: as they come in, and as they go out."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from channels_app.types import Channel
from messaging.api.blockv.serializers.messages import Moment
from messaging.api.blockv.vocabulary import (
    CHANNEL_IN,
    CHANNEL_OUT,
    OTHER_LANGUAGE,
    ActionWord,
    ContentWord,
    LanguageWord,
    SystemWord,
    action_word,
    language_word,
)
from messaging.api.common.rendering import stamp
from messaging.content.authoring import KEY_LENGTH, NAME_LENGTH
from messaging.content.parts import Parts
from messaging.content.templates import Edition
from messaging.errors import Invalid
from messaging.models.keys import uuid7

Name = Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH)]

Project = Annotated[str, Meta(max_length=40, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]

_PROJECT_END = ":"
"""What parts the project from the rest of a template's key."""
_UNFIT = re.compile(r"[^a-z0-9]+")


class TemplateIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A template to make. One of the same project, name and system in another language is its translation."""

    name: Name
    system: SystemWord
    action_type: ActionWord
    content: Annotated[str, Meta(min_length=1)]
    content_type: ContentWord = "text"
    language: LanguageWord = OTHER_LANGUAGE
    title: str | None = None
    project: Project | None = None
    org_id: Annotated[str, Meta(max_length=100)] = ""

    def key(self) -> str:
        """The key under which its translations are kept together: the project, and the name in plain letters."""
        start = f"{self.project}{_PROJECT_END}" if self.project else ""
        plain = _UNFIT.sub("-", self.name.lower()).strip("-") or f"template-{uuid7().hex[-12:]}"
        return f"{start}{plain}"[:KEY_LENGTH].rstrip("-")

    def parts(self) -> Parts:
        """What it says.

        Raises:
            Invalid: it is HTML, and the system carries text only.
        """
        return parts_of(CHANNEL_IN[self.system], self.title or "", self.content, self.content_type)


class TemplateChanges(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What to change of a template; what is left out stays. Its system, language and project are its own for ever."""

    name: Name | UnsetType = UNSET
    action_type: ActionWord | UnsetType = UNSET
    title: str | UnsetType | None = UNSET
    content: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    content_type: ContentWord | UnsetType = UNSET
    system: SystemWord | UnsetType = UNSET
    language: LanguageWord | UnsetType = UNSET
    project: Project | UnsetType = UNSET
    org_id: Annotated[str, Meta(max_length=100)] = ""

    def parts(self, edition: Edition) -> Parts | None:
        """What the next version says; None where the one that there is stays.

        Raises:
            Invalid: the system or the language is another, or HTML is too much for the system.
        """
        shown = template(edition)
        for field in ("system", "language", "project"):
            wish = getattr(self, field)
            if wish is not UNSET and wish != getattr(shown, field):
                detail = f"the {field} of a template does not change: make another one of the same name"
                raise Invalid.at(f"/{field}", "not_changeable", detail)
        if self.title is UNSET and self.content is UNSET and self.content_type is UNSET:
            return None
        title = shown.title if self.title is UNSET else self.title
        content = shown.content if self.content is UNSET else self.content
        kind = shown.content_type if self.content_type is UNSET else self.content_type
        if self.content is UNSET and self.content_type is UNSET:
            said = edition.parts
            return Parts(subject=title or "", body=said.body, text=said.text)
        return parts_of(Channel(edition.template.channel), title or "", content, kind)


class Template(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A template as its newest version says it."""

    id: UUID
    org_id: UUID
    name: str
    language: LanguageWord
    system: SystemWord
    action_type: ActionWord
    title: str | UnsetType = UNSET
    content: str
    content_type: ContentWord
    project: str | UnsetType = UNSET
    when_modified: Moment
    when_created: Moment


class Templates(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A page of the list; `next` leads to the page after, where there is one."""

    templates: list[Template]
    next: str | UnsetType = UNSET


class Made(Struct, kw_only=True, frozen=True):
    """What was made."""

    id: UUID


def parts_of(channel: Channel, title: str, content: str, kind: ContentWord) -> Parts:
    """What a template or a message says that is written in this form.

    Raises:
        Invalid: it is HTML, and the channel carries text only.
    """
    if kind == "html" and channel is not Channel.EMAIL:
        raise Invalid.at("/content_type", "not_carried", f"the system {channel} carries text only")
    return Parts(subject=title, body=content) if kind == "html" else Parts(subject=title, text=content)


def template(edition: Edition) -> Template:
    """A template as it is shown."""
    row, said = edition.template, edition.said
    project, parted, _ = row.key.partition(_PROJECT_END)
    system = CHANNEL_OUT[Channel(row.channel)]
    assert system is not None  # noqa: S101 - templates for other channels are looked for nowhere
    return Template(
        id=row.id,
        org_id=row.workspace_id,
        name=row.name or row.key,
        language=language_word(row.language),
        system=system,
        action_type=action_word(row.action_type),
        title=said.subject or UNSET,
        content=said.body or said.text,
        content_type="html" if said.body and system == "email" else "text",
        project=project if parted else UNSET,
        when_modified=stamp(row.updated_at),
        when_created=stamp(row.created_at),
    )
