"""Changes what a message says, or when and how soon it goes out, before that begins.

Contents are never changed, since messages share them and workers keep them in memory: the message gets another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from channels_app.types import Channel
from messaging.content import sealing, templates
from messaging.content.contents import media_of
from messaging.content.encryption import Sealer
from messaging.content.parts import Parts, Prepared, prepare
from messaging.content.sealing import NOTHING, Names, Own
from messaging.content.templates import Edition
from messaging.dispatch import contents, queue, transitions
from messaging.dispatch.draft import Draft, Recipient, problems
from messaging.dispatch.queue import Lane
from messaging.dispatch.sieve import Wrong, subject_of
from messaging.dispatch.transitions import Amendment
from messaging.dispatch.wording import Wording
from messaging.errors import Invalid, NotFound, TransitionRefused
from messaging.models import Content, Message
from messaging.people import recipients
from messaging.state import CANCELLABLE, Cause, Priority, Status
from messaging.tenancy import quota


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """What is to change; None leaves a thing as it is, and an empty part leaves it to the template.

    A new template takes the place of everything that the message said, but for the parts that are given with it.
    """

    subject: str | None = None
    body: str | None = None
    text: str | None = None
    data: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    template: str | None = None
    priority: Priority | None = None
    scheduled_at: datetime | None = None

    @property
    def fields(self) -> list[str]:
        """The names of what is to change."""
        return [name for name in self.__slots__ if getattr(self, name) is not None]


def revise(*, workspace_id: UUID, message_id: UUID, revision: Revision, cause: Cause) -> None:
    """Change a message that waits; all of it or nothing.

    Raises:
        NotFound: the workspace has no such message.
        TransitionRefused: it does not wait any more, or has a place in the queue and is to be scheduled.
        Invalid: what it would say is refused, as an accept would refuse it.
        EncryptionFailed: it is encrypted, and the workspace's key does not open.
    """
    with transaction.atomic():
        row = _held(workspace_id, message_id)
        if row.status not in CANCELLABLE:
            raise TransitionRefused(f"a message that is {row.status} cannot be revised")
        if revision.scheduled_at is not None and row.status != Status.SCHEDULED:
            raise TransitionRefused(f"a message that is {row.status} cannot be scheduled")
        if not revision.fields:
            return
        if not transitions.amend(_amendment(row, revision), cause=cause):
            raise TransitionRefused("the message does not wait any more")
        if row.status == Status.QUEUED:
            # A claim that came by while the row was held has passed it over.
            priority = Priority(row.priority) if revision.priority is None else revision.priority
            lane = Lane(Channel(row.channel), priority)
            transaction.on_commit(lambda: queue.ring(lane))


def _held(workspace_id: UUID, message_id: UUID) -> Message:
    """The message, kept from workers until the transaction ends."""
    rows = Message.objects.select_for_update().filter(id=message_id, workspace_id=workspace_id, deleted_at=None)
    row = rows.first()
    if row is None:
        raise NotFound("there is no such message", code="message_not_found")
    return row


def _amendment(row: Message, revision: Revision) -> Amendment:
    content = Content.objects.select_related("template_version__template").get(id=row.content_id)
    sealed = row.sealed is not None or content.sealed is not None or quota.terms_of(row.workspace_id).encrypted
    names = sealing.reveal_content(content)
    before = sealing.own_of(row)
    said = _said(row, content, revision)
    draft = _draft(row, content, names, said.own, revision)
    errors = list(problems(draft, test=row.test))
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
    data = _data(row, before, said.wording.prepared, revision)
    sealer = Sealer(row.workspace_id) if sealed else None
    own, closed = Own(name=before.name, subject=_subject(row, before, said.wording, data), data=data), None
    if sealer is not None:
        own, closed = NOTHING, sealing.seal_own(sealer, own, row=row.id)
    content_id = row.content_id
    if said.another:
        contents.write(draft, row.workspace_id, [said.wording], sealer)
        content_id = said.wording.content_id
    metadata = row.metadata if revision.metadata is None else revision.metadata
    encode = msgspec.json.encode
    return Amendment(
        id=row.id,
        content_id=content_id,
        template_id=said.wording.template_id,
        name=own.name,
        subject=own.subject,
        data=encode(own.data).decode() if own.data else None,
        metadata=encode(metadata).decode(),
        priority=row.priority if revision.priority is None else revision.priority.value,
        sealed=closed,
        action_type=said.wording.action_type,
        language=said.wording.language,
        scheduled_at=revision.scheduled_at,
        detail={"fields": revision.fields},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """What the message says after the change: the parts of its own, and with those of its template."""

    own: Parts
    wording: Wording
    another: bool
    """Whether that needs another content."""


def _said(row: Message, content: Content, revision: Revision) -> _Said:
    channel = Channel(row.channel)
    if revision.template is not None:
        offer = templates.offer(workspace_id=row.workspace_id, name=revision.template, channel=channel)
        chosen = offer.choose(row.language)
        edition: Edition | None = templates.edition_of(chosen)
        before, action_type, language = Parts(), chosen.action_type, chosen.language
    else:
        version = content.template_version
        edition = Edition(template=version.template, said=version) if version else None
        before = Parts(subject=content.subject, body=content.body, text=content.text)
        action_type, language = row.action_type, row.language
    own = Parts(
        subject=before.subject if revision.subject is None else revision.subject,
        body=before.body if revision.body is None else revision.body,
        text=before.text if revision.text is None else revision.text,
    )
    prepared = prepare(own.over(edition.parts) if edition else own, channel=channel)
    wording = Wording(prepared=prepared, language=language, action_type=action_type, edition=edition)
    return _Said(own=own, wording=wording, another=revision.template is not None or own != before)


def _draft(row: Message, content: Content, names: Names | None, own: Parts, revision: Revision) -> Draft:
    """The message as it could be accepted anew."""
    return Draft(
        channel=Channel(row.channel),
        subject=own.subject,
        body=own.body,
        text=own.text,
        sender=content.sender,
        reply_to=content.reply_to,
        cc=tuple(content.cc),
        bcc=tuple(content.bcc),
        headers=content.headers,
        attachments=sealing.files_of(content, names),
        media=media_of(content),
        priority=Priority(row.priority),
        category=row.category,
        action_type=row.action_type,
        language=row.language,
        on_unknown=row.on_unknown,
        scheduled_at=revision.scheduled_at,
        expires_at=None if revision.scheduled_at is None else row.expires_at,
    )


def _data(row: Message, before: Own, prepared: Prepared, revision: Revision) -> Mapping[str, Any] | None:
    """The message's own data, with what the contact knew at the accept, or knows now where nothing was asked then."""
    data = before.data if revision.data is None else revision.data
    if not prepared.read_contact or "contact" in (data or {}):
        return data
    if before.data and "contact" in before.data:
        return {"contact": before.data["contact"], **(data or {})}
    name = str(row.contact_id)
    person = recipients.find(workspace_id=row.workspace_id, names=[name] if row.contact_id else [], whole=True)
    return {"contact": person[name].snapshot(), **(data or {})} if name in person else data


def _subject(row: Message, before: Own, wording: Wording, data: Mapping[str, Any] | None) -> str:
    recipient = Recipient(to=row.recipient, name=before.name, data=data)
    subject = subject_of(wording.prepared, recipient, row.recipient, whole=True)
    if isinstance(subject, Wrong):
        raise Invalid.at(subject.pointer, subject.code, subject.detail)
    return subject
