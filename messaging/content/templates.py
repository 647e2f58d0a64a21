"""Reads templates: texts under a key, for each channel and language, of which every save makes another version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from django.db import connection
from django.db.models import F, Max, Q, QuerySet

from channels_app.types import Channel
from messaging.content import languages
from messaging.content.parts import Parts, Prepared, Preview, prepare
from messaging.errors import Invalid, NotFound
from messaging.models import Content, Message, Template, TemplateVersion

_TEMPLATE = tuple(field.attname for field in Template._meta.concrete_fields)
_VERSION = tuple(field.attname for field in TemplateVersion._meta.concrete_fields)

# Plain SQL: each send that names a template asks these, and the ORM would take longer to phrase them than the database
# to answer.
_OFFERED = f"""
SELECT w.language, {", ".join(f"t.{name}" for name in _TEMPLATE)}
  FROM messaging_template t JOIN messaging_workspace w ON w.id = t.workspace_id
 WHERE t.workspace_id = %s AND t.channel = %s AND t.deleted_at IS NULL AND"""  # noqa: S608
_OFFERED_BY_KEY = f"{_OFFERED} t.key = %s ORDER BY t.id"
_OFFERED_BY_ID = f"{_OFFERED} t.id = %s"
_SAID = f"SELECT {', '.join(_VERSION)} FROM messaging_templateversion WHERE template_id = %s AND version = %s"  # noqa: S608


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The version of a template that a message was made from."""

    key: str
    version: int
    language: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Edition:
    """A template as one of its versions says it."""

    template: Template
    said: TemplateVersion

    @property
    def id(self) -> UUID:
        """The template's key, which gives lists their order."""
        return self.template.id

    @property
    def origin(self) -> Origin:
        """What a message made from it remembers."""
        return Origin(key=self.template.key, version=self.said.version, language=self.template.language)

    @property
    def parts(self) -> Parts:
        return Parts(subject=self.said.subject, body=self.said.body, text=self.said.text)

    def prepared(self) -> Prepared:
        """Its parts compiled, from memory where they have just been used.

        Raises:
            Invalid: they are not accepted any more.
        """
        return prepare(self.parts, channel=Channel(self.template.channel), whole=False)

    def preview(self, context: Mapping[str, Any]) -> Preview:
        """Its parts filled in, with blanks for what is missing.

        Raises:
            RenderFailed: they cannot be rendered with this data.
        """
        return self.prepared().preview(context)


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """The languages that a template can be had in, and the workspace's own."""

    templates: Mapping[str, Template]
    """By language, in the order in which they are the last resort."""
    default: str

    def choose(self, *wishes: str) -> Template:
        """The template for the first wish that it can be had in, or in what the wish falls back to: `pt` for `pt-BR`.

        After the wishes comes the workspace's language, and at the very last whatever there is.
        """
        for wish in (*wishes, self.default):
            for language in languages.chain(wish):
                if language in self.templates:
                    return self.templates[language]
        return next(iter(self.templates.values()))


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateFilter:
    """Which templates of a workspace are wanted; what is left out narrows nothing."""

    key: str | None = None
    channels: frozenset[Channel] = frozenset()
    language: str | None = None
    action_type: str | None = None
    q: str | None = None
    """How a name or a key begins, in either case."""


def templates_of(*, workspace_id: UUID) -> QuerySet[Template]:
    """The workspace's templates, without those that were deleted."""
    return Template.objects.filter(workspace_id=workspace_id, deleted_at=None)


def find_row(*, workspace_id: UUID, template_id: UUID, lock: bool = False) -> Template:
    """Give a template without what it says.

    Raises:
        NotFound: the workspace has no such template.
    """
    rows = templates_of(workspace_id=workspace_id)
    row = (rows.select_for_update(no_key=True) if lock else rows).filter(id=template_id).first()
    if row is None:
        raise NotFound("There is no such template.", code="template_not_found")
    return row


def get(*, workspace_id: UUID, template_id: UUID) -> Edition:
    """Give a template as its newest version says it.

    Raises:
        NotFound: the workspace has no such template.
    """
    return newest([find_row(workspace_id=workspace_id, template_id=template_id)])[0]


def newest(rows: Sequence[Template]) -> list[Edition]:
    """The newest version of each of these templates, in their order."""
    current = TemplateVersion.objects.filter(template__in=[row.id for row in rows], version=F("template__version"))
    said = {version.template_id: version for version in current.select_related("template")}
    return [Edition(template=said[row.id].template, said=said[row.id]) for row in rows]


def listed(
    *, workspace_id: UUID, where: TemplateFilter, ascending: bool = False, beyond: UUID | None = None, limit: int
) -> list[Edition]:
    """A stretch of a workspace's templates, the newest first, as their newest versions say them."""
    rows = matching(workspace_id=workspace_id, where=where)
    if beyond is not None:
        rows = rows.filter(**{"id__gt" if ascending else "id__lt": beyond})
    return newest(list(rows.order_by("id" if ascending else "-id")[:limit]))


def matching(*, workspace_id: UUID, where: TemplateFilter) -> QuerySet[Template]:
    """The templates that a filter lets through, without what they say."""
    rows = templates_of(workspace_id=workspace_id)
    if where.key is not None:
        rows = rows.filter(key=where.key)
    if where.channels:
        rows = rows.filter(channel__in=sorted(where.channels))
    if where.language is not None:
        rows = rows.filter(language=languages.canonical(where.language) or where.language)
    if where.action_type is not None:
        rows = rows.filter(action_type=where.action_type)
    if where.q is not None:
        rows = rows.filter(Q(key__istartswith=where.q) | Q(name__istartswith=where.q))
    return rows


def versions_of(*, workspace_id: UUID, template_id: UUID) -> QuerySet[TemplateVersion]:
    """All versions of a template.

    Raises:
        NotFound: the workspace has no such template.
    """
    row = find_row(workspace_id=workspace_id, template_id=template_id)
    return TemplateVersion.objects.filter(template=row)


def offer(*, workspace_id: UUID, name: str, channel: Channel, at: datetime | None = None) -> Offer:
    """What a send gets that names a template by its key, or one in one language by its id; as it stood at a moment,
    or as it stands now.

    Raises:
        Invalid: the workspace has no such template for the channel.
    """
    key = as_id(name)
    if at is not None:
        named = Template.objects.filter(Q(key=name) if key is None else Q(id=key), workspace_id=workspace_id)
        return _offer_at(named.filter(channel=channel.value), at) or _demand_offer(name, channel)
    with connection.cursor() as cursor:
        cursor.execute(_OFFERED_BY_KEY if key is None else _OFFERED_BY_ID, [workspace_id, channel.value, key or name])
        rows = cursor.fetchall()
    if not rows:
        _demand_offer(name, channel)
    found = [Template.from_db(connection.alias, _TEMPLATE, row[1:]) for row in rows]
    return Offer(templates={row.language: row for row in found}, default=rows[0][0])


def _offer_at(named: QuerySet[Template], at: datetime) -> Offer | None:
    """The templates that there were at a moment, each with the version that was its newest then."""
    there = named.filter(Q(deleted_at=None) | Q(deleted_at__gt=at), versions__created_at__lte=at)
    rows = list(there.annotate(newest=Max("versions__version")).select_related("workspace").order_by("id"))
    for row in rows:
        row.version = row.newest
    return Offer(templates={row.language: row for row in rows}, default=rows[0].workspace.language) if rows else None


def _demand_offer(name: str, channel: Channel) -> NoReturn:
    detail = f"there is no template {name[:100]} for the channel {channel}"
    raise Invalid.at("/template", "template_not_found", detail)


def edition_of(template: Template) -> Edition:
    """What a template says in the version that it was read with."""
    with connection.cursor() as cursor:
        cursor.execute(_SAID, [template.id, template.version])
        said = TemplateVersion.from_db(connection.alias, _VERSION, cursor.fetchone())
    return Edition(template=template, said=said)


def find(*, workspace_id: UUID, action_type: str, channel: Channel, language: str = "") -> Template:
    """The template for a purpose, in a language or what it falls back to; of several the one that was made last.

    Raises:
        Invalid: the workspace has none for this purpose and channel.
    """
    found = offer_for(workspace_id=workspace_id, action_type=action_type, channel=channel)
    return found.choose(language)


def offer_for(*, workspace_id: UUID, action_type: str, channel: Channel) -> Offer:
    """The templates for a purpose, of several in one language the one that was made last.

    Raises:
        Invalid: the workspace has none for this purpose and channel.
    """
    rows = templates_of(workspace_id=workspace_id).filter(action_type=action_type, channel=channel.value)
    each = rows.select_related("workspace").order_by("language", "-id").distinct("language")
    found = sorted(each, key=lambda row: row.id, reverse=True)
    if not found:
        detail = f"there is no template of the type {action_type[:100]} for the channel {channel}"
        raise Invalid.at("/action_type", "template_not_found", detail)
    return Offer(templates={row.language: row for row in found}, default=found[0].workspace.language)


def origins(messages: Iterable[Message]) -> dict[UUID, Origin]:
    """The origins of those messages that have one, by the ids of their contents; deleted templates count."""
    contents = {row.content_id for row in messages if row.template_id is not None}
    if not contents:
        return {}
    place = "template_version__template"
    rows = Content.objects.filter(id__in=contents, template_version__isnull=False).values_list(
        "id", f"{place}__key", "template_version__version", f"{place}__language"
    )
    return {key: Origin(key=name, version=version, language=language) for key, name, version, language in rows}


def ids_of(*, workspace_id: UUID, name: str) -> list[UUID]:
    """The templates of a key, in all channels and languages, or the one of an id; deleted ones count."""
    rows = Template.objects.filter(workspace_id=workspace_id)
    key = as_id(name)
    return list((rows.filter(key=name) if key is None else rows.filter(id=key)).values_list("id", flat=True))


def as_id(text: str) -> UUID | None:
    """The id that a text spells, if it spells one."""
    try:
        return UUID(text)
    except ValueError:
        return None
