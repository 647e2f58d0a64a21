"""Writes templates: makes them, makes their next versions, takes them out of use.

A version never changes, and a message remembers the one that it was made from. So a deleted template only leaves the
lists and takes no new messages; its versions stay for the messages that have them.
"""

from __future__ import annotations

import re
import secrets
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils.text import slugify

from channels_app.types import Channel
from messaging.content import languages, screen
from messaging.content.parts import Parts, prepare
from messaging.content.rendering import LONG_LENGTH, SHORT_LENGTH
from messaging.content.templates import Edition, as_id, find_row, newest
from messaging.errors import AlreadyExists, Conflict, FieldError, Invalid
from messaging.models import Campaign, CampaignStatus, Template, TemplateVersion, Workspace

KEY_LENGTH = 100
NAME_LENGTH = 200
WORD_LENGTH = 100

_KEY = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.:-]{{0,{KEY_LENGTH - 1}}}", re.ASCII)
_LENGTHS = {"subject": SHORT_LENGTH, "body": LONG_LENGTH, "text": LONG_LENGTH}
_UNFINISHED = (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED, CampaignStatus.RUNNING, CampaignStatus.PAUSED)


def create(
    *,
    workspace_id: UUID,
    author_id: UUID | None,
    key: str,
    channel: Channel,
    language: str = "",
    name: str = "",
    action_type: str = "",
    parts: Parts,
) -> Edition:
    """Make a template with its version 1; without a language it is in the workspace's own.

    Raises:
        Invalid: a value is malformed, or a part is no template.
        AlreadyExists: the workspace has one for this key, channel and language.
    """
    language = language or Workspace.objects.values_list("language", flat=True).get(id=workspace_id)
    spelled = languages.canonical(language)
    errors = _word_errors(name, action_type)
    if not _KEY.fullmatch(key):
        detail = f"a key has 1 to {KEY_LENGTH} of the characters A-Z a-z 0-9 _ . : - and does not begin with . : -"
        errors.append(FieldError("/key", "invalid_key", detail))
    elif as_id(key) is not None:
        errors.append(FieldError("/key", "invalid_key", "a key must not look like an id"))
    if spelled is None:
        errors.append(FieldError("/language", "invalid_language", "a language is a tag such as en, pt-BR or zh-Hant"))
    variables = _checked(parts, channel, errors)
    template = Template(
        workspace_id=workspace_id,
        key=key,
        name=name.strip(),
        channel=channel.value,
        language=spelled or "",
        action_type=action_type or "custom",
        version=1,
    )
    with transaction.atomic():
        Template.objects.bulk_create([template], ignore_conflicts=True)
        if not Template.objects.filter(id=template.id).exists():
            detail = f"There is a template {key} for {channel} in {template.language} already."
            raise AlreadyExists(detail, code="template_exists", errors=[FieldError("/key", "template_exists", detail)])
        _add_version(template.id, 1, parts, variables, author_id)
        return _as_saved(template)


def create_named(
    *,
    workspace_id: UUID,
    author_id: UUID | None,
    name: str,
    channel: Channel,
    language: str = "",
    parts: Parts,
) -> Edition:
    """Make a template that is called by its name; the key is made from that, so that the same text in another language
    comes under the same key.

    Raises:
        Invalid: a value is malformed, or a part is no template.
        AlreadyExists: several have this name, channel and language already.
    """
    made = slugify(name)[: KEY_LENGTH - 9].strip("-_")
    base = made if made and as_id(made) is None else "template"
    for key in (base, *(f"{base}-{secrets.token_hex(4)}" for _ in range(2))):
        try:
            return create(
                workspace_id=workspace_id,
                author_id=author_id,
                key=key,
                channel=channel,
                language=language,
                name=name,
                parts=parts,
            )
        except AlreadyExists as error:
            taken = error
    raise taken


def revise(
    *,
    workspace_id: UUID,
    template_id: UUID,
    author_id: UUID | None,
    parts: Parts,
    name: str | None = None,
    action_type: str | None = None,
) -> Edition:
    """Make the next version, which says `parts` and nothing of the version before; the names stay unless given.

    Raises:
        NotFound: the workspace has no such template.
        Invalid: a value is malformed, or a part is no template.
    """
    row = find_row(workspace_id=workspace_id, template_id=template_id)
    errors = _word_errors(name or "", action_type or "")
    variables = _checked(parts, Channel(row.channel), errors)
    with transaction.atomic():
        row = _held(workspace_id, template_id)
        _add_version(row.id, row.version + 1, parts, variables, author_id)
        _write(row, version=row.version + 1, **_words(name, action_type))
        return _as_saved(row)


def amend(
    *,
    workspace_id: UUID,
    template_id: UUID,
    author_id: UUID | None,
    name: str | None = None,
    subject: str | None = None,
    body: str | None = None,
) -> Edition:
    """Change what is given and leave the rest; another version is made where the subject or the body changes.

    Raises:
        NotFound: the workspace has no such template.
        Invalid: a value is malformed, or a part is no template.
    """
    with transaction.atomic():
        row = _held(workspace_id, template_id)
        before = newest([row])[0].parts
        # A text of its own would go on saying what the body said.
        parts = Parts(
            subject=before.subject if subject is None else subject,
            body=before.body if body is None else body,
            text=before.text if body is None else "",
        )
        errors = _word_errors(name or "", "")
        variables = _checked(parts, Channel(row.channel), errors)
        if parts != before:
            _add_version(row.id, row.version + 1, parts, variables, author_id)
            row.version += 1
        _write(row, version=row.version, **_words(name, None))
        return _as_saved(row)


def rename(
    *, workspace_id: UUID, template_id: UUID, name: str | None = None, action_type: str | None = None
) -> Edition:
    """Change what a template is called and what it is for, without another version.

    Raises:
        NotFound: the workspace has no such template.
        Invalid: a value is malformed.
    """
    errors = _word_errors(name or "", action_type or "")
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
    with transaction.atomic():
        row = _held(workspace_id, template_id)
        _write(row, **_words(name, action_type))
        return _as_saved(row)


def delete(*, workspace_id: UUID, template_id: UUID) -> None:
    """Take a template out of use. Messages that were made from it keep what they say, and its key is free again.

    Raises:
        NotFound: the workspace has no such template.
        Conflict: a campaign that has not ended uses it.
    """
    with transaction.atomic():
        row = _held(workspace_id, template_id)
        if Campaign.objects.filter(template=row, status__in=_UNFINISHED).exists():
            raise Conflict("A campaign that has not ended uses this template.", code="template_in_use")
        Template.objects.filter(id=row.id).update(deleted_at=Now())


def _held(workspace_id: UUID, template_id: UUID) -> Template:
    """The template, locked: of two who save at once the second makes the version after the first one's."""
    return find_row(workspace_id=workspace_id, template_id=template_id, lock=True)


def _as_saved(row: Template) -> Edition:
    """What was just written; read while nobody else can write the next version."""
    return newest([row])[0]


def _checked(parts: Parts, channel: Channel, errors: list[FieldError]) -> list[str]:
    """The variables of the parts; refuses them together with what else was found wrong."""
    screen.screen({"subject": parts.subject, "body": parts.body, "text": parts.text})
    too_long = [
        FieldError(f"/{name}", "too_long", f"{name} has at most {longest} characters")
        for name, longest in _LENGTHS.items()
        if len(getattr(parts, name)) > longest
    ]
    try:
        variables = [] if too_long else prepare(parts, channel=channel, whole=False).variables
    except Invalid as error:
        errors.extend(error.errors)
    errors.extend(too_long)
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
    return variables


def _word_errors(name: str, action_type: str) -> list[FieldError]:
    errors = []
    for field, word, longest in (("name", name, NAME_LENGTH), ("action_type", action_type, WORD_LENGTH)):
        try:
            screen.one_line(word)
        except screen.Unclean as error:
            errors.append(FieldError(f"/{field}", error.code, error.detail))
        if len(word) > longest:
            errors.append(FieldError(f"/{field}", "too_long", f"{field} has at most {longest} characters"))
    return errors


def _words(name: str | None, action_type: str | None) -> dict[str, str]:
    words = {} if name is None else {"name": name.strip()}
    return words if action_type is None else {**words, "action_type": action_type or "custom"}


def _write(row: Template, **changes: str | int) -> None:
    Template.objects.filter(id=row.id).update(**changes, updated_at=Now())


def _add_version(template_id: UUID, version: int, parts: Parts, variables: list[str], author_id: UUID | None) -> None:
    TemplateVersion.objects.create(
        template_id=template_id,
        version=version,
        subject=parts.subject,
        body=parts.body,
        text=parts.text,
        variables=variables,
        author_id=author_id,
    )
