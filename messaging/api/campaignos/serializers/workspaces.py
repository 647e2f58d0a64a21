"""Workspaces and their members, in and out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from messaging import models
from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.vocabulary import ROLE_OUT, RoleWord
from messaging.api.common.rendering import stamp
from messaging.content import languages
from messaging.errors import Invalid
from messaging.models import Role

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class WorkspaceSettings(Struct, rename="camel", kw_only=True, frozen=True):
    """How a workspace sends."""

    language: str
    """What a template falls back to where it is not there in a recipient's language."""
    encrypted: bool
    """Whether the content of every message is encrypted at rest; operators turn it on."""
    daily_quota: int | None
    """Messages that may be accepted in a day (UTC), where operators set a bound."""


class Workspace(Struct, rename="camel", kw_only=True, frozen=True):
    """A workspace, and what the caller is in it."""

    id: str
    name: str
    slug: str
    role: RoleWord
    settings: WorkspaceSettings
    created_at: Moment


class Member(Struct, rename="camel", kw_only=True, frozen=True):
    """A person's place in a workspace."""

    id: str
    avatar_id: UUID
    username: str
    role: RoleWord
    created_at: Moment


class FullWorkspace(Workspace, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """A workspace as it is shown by itself; its members only to those who may manage them."""

    members: list[Member] | UnsetType = UNSET


class WorkspaceIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A workspace to make."""

    name: Name
    slug: Annotated[str, Meta(min_length=1, max_length=100)]


class SettingsIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The settings that can be changed here."""

    language: Annotated[str, Meta(min_length=1, max_length=35)] | None = None


class WorkspaceChange(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What is to change; what is left out stays."""

    name: Name | None = None
    settings: SettingsIn | None = None

    def changes(self) -> dict[str, str | None]:
        """The change in the domain's words.

        Raises:
            Invalid: there is no such language.
        """
        wish = self.settings.language if self.settings else None
        language = languages.canonical(wish) if wish is not None else None
        if wish is not None and language is None:
            detail = "A language is a tag such as en, pt-BR or zh-Hant."
            raise Invalid.at("/settings/language", "invalid_language", detail)
        return {"name": self.name, "language": language}


def workspace(row: models.Workspace, role: Role) -> Workspace:
    """A workspace as the list shows it."""
    return Workspace(**_fields(row, role))


def full_workspace(row: models.Workspace, role: Role, members: Iterable[models.Member] | None) -> FullWorkspace:
    """A workspace as it is shown by itself."""
    shown = UNSET if members is None else [member(each) for each in members]
    return FullWorkspace(**_fields(row, role), members=shown)


def member(row: models.Member) -> Member:
    """A member as it is shown."""
    return Member(
        id=Kind.MEMBER.show(row.id),
        avatar_id=row.user.avatar_id,
        username=row.user.username,
        role=ROLE_OUT[Role(row.role)],
        created_at=stamp(row.created_at),
    )


def _fields(row: models.Workspace, role: Role) -> dict[str, Any]:
    return {
        "id": Kind.WORKSPACE.show(row.id),
        "name": row.name,
        "slug": row.slug,
        "role": ROLE_OUT[role],
        "settings": WorkspaceSettings(language=row.language, encrypted=row.encrypted, daily_quota=row.daily_quota),
        "created_at": stamp(row.created_at),
    }
