"""Templates, in and out."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers.contacts import channel_word
from messaging.api.campaignos.serializers.messages import Id, Moment
from messaging.api.campaignos.vocabulary import CHANNEL_IN, CHANNELS, ChannelWord
from messaging.api.common.queries import PageQuery
from messaging.api.common.rendering import stamp
from messaging.content.languages import LENGTH as LANGUAGE_LENGTH
from messaging.content.parts import Preview
from messaging.content.templates import Edition, TemplateFilter

TemplateName = Annotated[str, Meta(min_length=1, max_length=200)]
TemplateText = Annotated[str, Meta(min_length=1)]


class TemplateQuery(PageQuery, rename="camel", kw_only=True, frozen=True):
    """Which templates are wanted."""

    channel: ChannelWord | UnsetType = UNSET
    search: Annotated[str, Meta(max_length=200, description="How a name begins.")] | UnsetType = UNSET

    def where(self) -> TemplateFilter:
        """The same in the domain's words."""
        channels = CHANNELS if self.channel is UNSET else frozenset({CHANNEL_IN[self.channel]})
        return TemplateFilter(channels=channels, q=None if self.search is UNSET else self.search)


class TemplateIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A template to make; without a language it is in the workspace's own."""

    name: TemplateName
    channel: ChannelWord
    body: TemplateText
    subject: str | None = None
    language: Annotated[str, Meta(min_length=1, max_length=LANGUAGE_LENGTH)] | None = None


class TemplateChanges(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What is to change; what is left out stays, null empties the subject. Channel and language stay for ever."""

    name: TemplateName | UnsetType = UNSET
    subject: str | UnsetType | None = UNSET
    body: TemplateText | UnsetType = UNSET

    def changes(self) -> dict[str, str]:
        """The texts that change."""
        return {name: text or "" for name, text in msgspec.structs.asdict(self).items() if text is not UNSET}


class PreviewIn(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Whom a preview is for, and what its places are filled with where the contact says nothing."""

    contact_id: Id | None = None
    variables: dict[str, Any] | None = None


class Template(Struct, rename="camel", kw_only=True, frozen=True):
    """A template as it says now; `variables` are the paths that it reads."""

    id: str
    name: str
    channel: ChannelWord
    subject: str | None
    body: str
    variables: list[str]
    language: str
    created_at: Moment
    updated_at: Moment


class TemplatePreview(Struct, kw_only=True, frozen=True):
    """A template filled in, with blanks for the variables that are `missing`."""

    subject: str | None
    body: str
    missing: list[str]


def template(edition: Edition) -> Template:
    """A template as it is shown."""
    made, said = edition.template, edition.said
    return Template(
        id=Kind.TEMPLATE.show(made.id),
        name=made.name or made.key,
        channel=channel_word(made.channel),
        subject=said.subject or None,
        body=said.body or said.text,
        variables=said.variables,
        language=made.language,
        created_at=stamp(made.created_at),
        updated_at=stamp(made.updated_at),
    )


def preview(filled: Preview) -> TemplatePreview:
    """A preview as it is shown."""
    return TemplatePreview(subject=filled.subject or None, body=filled.body or filled.text, missing=filled.missing)
