"""Accepts messages: checks them, renders their subjects, writes them in one transaction, then rings the lane."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone
from psycopg.errors import CheckViolation

from channels_app.adapters import mime
from channels_app.addresses import normalise_many
from channels_app.carriage import CARRIES, NEEDS_SUBJECT
from channels_app.errors import InvalidAddress, InvalidMessage
from channels_app.types import Attachment, Channel, SharedContent
from messaging import models
from messaging.content import screen
from messaging.content.rendering import Compiled, RenderFailed, TemplateRefused, compile, context_of, render_subject
from messaging.dispatch import partitions, providers, queue, transitions
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import NewMessage
from messaging.errors import FieldError, Invalid, Unavailable
from messaging.models.keys import uuid7
from messaging.people import refusals
from messaging.people.recipients import BY_ID, Found, Missing, Person, resolve
from messaging.state import Cause, Priority

LARGEST_BATCH = 10_000
_LONGEST_WORD = 100
_LONGEST_DETAIL = 500
_SHOWN = 100
"""Places that one refusal names at the most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What all messages of one accept share. Times carry a time zone."""

    channel: Channel
    subject: str = ""
    body: str = field(default="", repr=False)
    text: str = field(default="", repr=False)
    sender: str = ""
    reply_to: str = ""
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    priority: Priority = Priority.NORMAL
    category: str = "transactional"
    action_type: str = "custom"
    language: str = "en"
    on_unknown: str = ""
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipient:
    """One message's own part: an address, or a contact by any of its ids, or by its avatar's."""

    to: str = ""
    contact_id: str = ""
    avatar_id: UUID | None = None
    name: str = ""
    data: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """A recipient that was not taken; `index` is its place in the request, from 0."""

    index: int
    code: str
    detail: str
    pointer: str = "/to"
    """The place within the recipient."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """What was committed; `ids` are in the order of the recipients that were taken."""

    batch_id: UUID | None
    ids: list[UUID]
    rejected: list[Rejected]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Templates:
    subject: Compiled
    body: Compiled
    text: Compiled

    @property
    def static(self) -> bool:
        return self.subject.static and self.body.static and self.text.static

    def missing(self, context: Mapping[str, Any]) -> list[str]:
        wanted = [*self.subject.missing(context), *self.body.missing(context), *self.text.missing(context)]
        return sorted(set(wanted))

    @property
    def read_contact(self) -> bool:
        """Whether anything of the contact is to be filled in."""
        read = (*self.subject.variables, *self.body.variables, *self.text.variables)
        return any(re.match(r"contact(?:[.\[]|\Z)", name) for name in read)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Taken:
    """A recipient that passed, with the normalised address, the rendered subject, and the contact that it is."""

    recipient: Recipient
    address: str
    subject: str
    contact_id: UUID | None = None


def accept(
    *,
    workspace_id: UUID,
    author_id: UUID | None,
    test: bool,
    draft: Draft,
    recipients: Sequence[Recipient],
    batch: bool,
) -> Acceptance:
    """Commit messages QUEUED, or SCHEDULED where the draft says when, and ring their lane after the commit.

    A batch takes the recipients that pass and tells of the others. Nothing is stored when nobody passes.

    Raises:
        Invalid: the draft, the one recipient, or every recipient of a batch is refused.
        Unavailable: the partition of the month cannot be made just now.
    """
    templates = check(draft, test=test)
    taken, rejected = _sift(workspace_id, draft, templates, recipients)
    if not taken:
        raise _all_refused(rejected, batch=batch)
    content_id = uuid7()
    batch_id = uuid7() if batch else None
    rows = list(_rows(draft, taken, workspace_id, author_id, content_id, batch_id, test=test))
    for last_try in (False, True):
        try:
            with transaction.atomic():
                if batch_id is not None:
                    models.Batch.objects.create(
                        id=batch_id, workspace_id=workspace_id, accepted=len(taken), rejected=len(rejected)
                    )
                _write_content(draft, workspace_id, content_id)
                transitions.begin_many(rows, cause=Cause.API)
                _suppress(rows, draft)
            break
        except IntegrityError as error:
            if not isinstance(error.__cause__, CheckViolation):
                raise
            if last_try:
                raise Unavailable("there is no partition for this month yet") from error
            _make_months(rows)
    if draft.scheduled_at is None:
        lane = Lane(draft.channel, draft.priority)
        transaction.on_commit(lambda: queue.ring(lane))
    return Acceptance(batch_id=batch_id, ids=[row.id for row in rows], rejected=rejected)


def _make_months(rows: Sequence[NewMessage]) -> None:
    try:
        partitions.ensure_for([rows[0].id, rows[-1].id])
    except OperationalError as waited:
        raise Unavailable("the partition of this month cannot be made just now") from waited


def _suppress(rows: Sequence[NewMessage], draft: Draft) -> None:
    """End the messages whose recipients must not be written to, before anybody can see them wait."""
    told = refusals.refused(
        workspace_id=rows[0].workspace_id,
        channel=draft.channel,
        category=draft.category,
        recipients=[(row.contact_id, row.recipient) for row in rows],
    )
    moves = [transitions.suppression(rows[place].id, refusal) for place, refusal in told.items()]
    transitions.advance_many(moves, cause=Cause.API)


def explain(*, workspace_id: UUID, test: bool, draft: Draft, recipient: Recipient) -> dict[str, Any]:
    """What an accept of this would do: lane, provider, address and rendered content. Nothing is stored.

    Raises:
        Invalid: the accept would be refused.
    """
    templates = check(draft, test=test)
    taken, rejected = _sift(workspace_id, draft, templates, [recipient])
    if not taken:
        raise _all_refused(rejected, batch=False)
    who = [(taken[0].contact_id, taken[0].address)]
    told = refusals.refused(workspace_id=workspace_id, channel=draft.channel, category=draft.category, recipients=who)
    context = context_of(taken[0].recipient.data or {}, taken[0].recipient.name, taken[0].address)
    adapter = providers.adapter(draft.channel.value, test=test)
    return {
        "channel": draft.channel.value,
        "lane": Lane(draft.channel, draft.priority).name,
        "provider": adapter.provider if adapter else None,
        "status": "FAILED" if told else "QUEUED" if draft.scheduled_at is None else "SCHEDULED",
        "error": {"code": refusals.CODE, "detail": refusals.sentence(told[0])} if told else None,
        "to": taken[0].address,
        "contact_id": taken[0].contact_id,
        "subject": taken[0].subject,
        "body": templates.body.render(context),
        "text": templates.text.render(context),
        "scheduled_at": draft.scheduled_at,
        "expires_at": draft.expires_at,
        "max_attempts": settings.MAX_ATTEMPTS,
    }


def check(draft: Draft, *, test: bool) -> _Templates:
    """Check what the messages share and compile its templates.

    Raises:
        Invalid: with every place that is wrong.
    """
    errors = [*_field_errors(draft), *_time_errors(draft)]
    if providers.adapter(draft.channel.value, test=test) is None:
        errors.append(FieldError("/channel", "provider_not_configured", f"the channel {draft.channel} has no provider"))
    compiled: dict[str, Compiled] = {}
    for name, source, html in (
        ("subject", draft.subject, False),
        ("body", draft.body, draft.channel is Channel.EMAIL),
        ("text", draft.text, False),
    ):
        try:
            compiled[name] = compile(source, html=html, field=name)
        except TemplateRefused as error:
            place = f"line {error.line}, column {error.column}: {error.detail}"
            errors.append(FieldError(f"/{name}", "template_refused", place))
    if draft.channel is Channel.EMAIL:
        try:
            mime.check(_shared(draft, uuid7()), default_from=settings.DEFAULT_FROM_EMAIL)
        except InvalidMessage as error:
            errors.append(FieldError(_pointer(error.field), error.code, str(error)))
    if errors:
        raise Invalid(errors[0].detail, errors=errors[:_SHOWN])
    return _Templates(**compiled)


def _pointer(field_name: str) -> str:
    """A message's field, as channels name it (`attachments[0].filename`), as a JSON pointer."""
    name = "from" if field_name == "sender" else field_name
    return "/" + name.replace("[", "/").replace("]", "").replace(".", "/")


def _field_errors(draft: Draft) -> Iterator[FieldError]:
    given = {
        "subject": draft.subject,
        "from": draft.sender,
        "reply_to": draft.reply_to,
        "cc": draft.cc,
        "bcc": draft.bcc,
        "headers": draft.headers,
        "attachments": draft.attachments,
    }
    for name, value in given.items():
        if value and name not in CARRIES[draft.channel]:
            yield FieldError(f"/{name}", "not_carried", f"the channel {draft.channel} does not carry {name}")
    if draft.channel in NEEDS_SUBJECT and not draft.subject.strip():
        yield FieldError("/subject", "required", f"a message by {draft.channel} needs a subject")
    if not draft.body and not draft.text:
        yield FieldError("/body", "required", "a message needs a body or a text")
    for name, word in (
        ("subject", draft.subject),
        ("category", draft.category),
        ("action_type", draft.action_type),
        ("language", draft.language),
    ):
        try:
            screen.one_line(word)
        except screen.Unclean as error:
            yield FieldError(f"/{name}", error.code, error.detail)
        if name != "subject" and not 0 < len(word) <= _LONGEST_WORD:
            yield FieldError(f"/{name}", "length", f"{name} has 1 to {_LONGEST_WORD} characters")


def _time_errors(draft: Draft) -> Iterator[FieldError]:
    now = timezone.now()
    if draft.scheduled_at is not None and draft.scheduled_at <= now:
        yield FieldError("/scheduled_at", "in_the_past", "scheduled_at lies in the past")
    if draft.expires_at is not None and draft.expires_at <= (draft.scheduled_at or now):
        yield FieldError("/expires_at", "in_the_past", "expires_at does not lie after the time of sending")


_PLAIN = Found(address="")
"""Somebody of whom nothing is known but the address."""


def _sift(
    workspace_id: UUID, draft: Draft, templates: _Templates, recipients: Sequence[Recipient]
) -> tuple[list[_Taken], list[Rejected]]:
    """Tell the recipients that can be sent to from those that cannot."""
    taken: list[_Taken] = []
    rejected: list[Rejected] = []
    people = _people(workspace_id, draft.channel, templates, recipients)
    plain = [each.to for each in recipients] if people is None else [each.address for each in people]
    addresses = normalise_many(draft.channel, plain)
    for index, (recipient, address) in enumerate(zip(recipients, addresses, strict=True)):
        place = _PLAIN if people is None else people[index]
        if isinstance(place, Missing):
            rejected.append(Rejected(index=index, code=place.code, detail=place.detail, pointer=place.pointer))
            continue
        if isinstance(address, InvalidAddress):
            rejected.append(Rejected(index=index, code=address.code, detail=str(address)))
            continue
        if place.person is not None:
            recipient = _filled(recipient, place.person, templates)
        try:
            subject = _subject(templates, recipient, address)
        except Invalid as error:
            wrong = error.errors[0]
            rejected.append(Rejected(index=index, code=wrong.code, detail=wrong.detail, pointer=wrong.pointer))
            continue
        taken.append(_Taken(recipient=recipient, address=address, subject=subject, contact_id=place.contact_id))
    return taken, rejected


def _people(
    workspace_id: UUID, channel: Channel, templates: _Templates, recipients: Sequence[Recipient]
) -> list[Found | Missing] | None:
    """Look up who is named; None where every recipient is a plain address."""
    if channel not in BY_ID and all(each.to and not each.contact_id and not each.avatar_id for each in recipients):
        return None
    return resolve(workspace_id=workspace_id, channel=channel, recipients=recipients, whole=templates.read_contact)


def _filled(recipient: Recipient, person: Person, templates: _Templates) -> Recipient:
    """The recipient with what the contact knows and the request does not say."""
    data = recipient.data
    if templates.read_contact:
        data = {"contact": person.snapshot(), **(data or {})}
    return replace(recipient, name=recipient.name or person.name, data=data)


def _subject(templates: _Templates, recipient: Recipient, address: str) -> str:
    """Check a recipient's own part and render the subject for it."""
    if not recipient.name.isprintable():
        try:
            screen.one_line(recipient.name)
        except screen.Unclean as error:
            raise Invalid.at("/name", error.code, error.detail) from error
    if templates.static:
        return render_subject(templates.subject, {})
    context = context_of(recipient.data or {}, recipient.name, address)
    missing = templates.missing(context)
    if missing:
        raise Invalid.at("/data", "missing_variables", f"the template needs: {', '.join(missing)[:_LONGEST_DETAIL]}")
    try:
        return render_subject(templates.subject, context)
    except RenderFailed as error:
        raise Invalid.at("/data", "render_failed", error.detail) from error


def _all_refused(rejected: Sequence[Rejected], *, batch: bool) -> Invalid:
    errors = [
        FieldError(f"/recipients/{one.index}{one.pointer}" if batch else one.pointer, one.code, one.detail)
        for one in rejected[:_SHOWN]
    ]
    if batch:
        return Invalid("no recipient can be sent to", code="no_valid_recipient", errors=errors)
    return Invalid(errors[0].detail, code=errors[0].code, errors=errors)


def _rows(
    draft: Draft,
    taken: Sequence[_Taken],
    workspace_id: UUID,
    author_id: UUID | None,
    content_id: UUID,
    batch_id: UUID | None,
    *,
    test: bool,
) -> Iterator[NewMessage]:
    encode = msgspec.json.encode
    for one in taken:
        recipient = one.recipient
        yield NewMessage(
            id=uuid7(),
            workspace_id=workspace_id,
            content_id=content_id,
            batch_id=batch_id,
            author_id=author_id,
            contact_id=one.contact_id,
            channel=draft.channel.value,
            priority=draft.priority,
            recipient=one.address,
            name=recipient.name,
            subject=one.subject,
            data=encode(recipient.data).decode() if recipient.data else None,
            metadata=encode(recipient.metadata).decode() if recipient.metadata else "{}",
            category=draft.category,
            action_type=draft.action_type,
            language=draft.language,
            test=test,
            on_unknown=draft.on_unknown,
            max_attempts=settings.MAX_ATTEMPTS,
            scheduled_at=draft.scheduled_at,
            expires_at=draft.expires_at,
        )


def _write_content(draft: Draft, workspace_id: UUID, content_id: UUID) -> None:
    models.Content.objects.create(
        id=content_id,
        workspace_id=workspace_id,
        subject=draft.subject,
        body=draft.body,
        text=draft.text,
        sender=draft.sender,
        reply_to=draft.reply_to,
        cc=list(draft.cc),
        bcc=list(draft.bcc),
        headers=dict(draft.headers),
    )
    if draft.attachments:
        models.Attachment.objects.bulk_create(
            models.Attachment(
                content_id=content_id,
                filename=file.filename,
                content_type=file.content_type,
                inline_id=file.content_id or "",
                size=len(file.content),
                data=file.content,
            )
            for file in draft.attachments
        )


def _shared(draft: Draft, key: UUID) -> SharedContent:
    return SharedContent(
        key=key,
        sender=draft.sender or None,
        reply_to=draft.reply_to or None,
        cc=draft.cc,
        bcc=draft.bcc,
        headers=draft.headers,
        attachments=draft.attachments,
    )
