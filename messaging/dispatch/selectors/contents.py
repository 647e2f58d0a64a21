"""What messages say, with their own data filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from channels_app.types import Channel, Media
from messaging.content import contents, exits, sealing
from messaging.content.parts import Parts
from messaging.content.rendering import RenderFailed, TemplateRefused, compile, context_of, is_template
from messaging.errors import EncryptionFailed
from messaging.models import Attachment, Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """What a message says to its recipient, and the files that go with it."""

    body: str
    text: str
    attachments: Sequence[Attachment]
    media: Media | None = None
    encrypted: bool = False
    """Whether it is encrypted at rest."""


NOTHING = Rendered(body="", text="", attachments=())


def rendered(*, message: Message) -> Rendered:
    """The content of a message with its own data filled in; what cannot be rendered or opened is left empty.

    What was sealed of the message is filled in, too; where something does not open, the message's error says so.
    """
    sealing.reveal([message])
    try:
        found = contents.said(message.content_id)
    except EncryptionFailed as error:
        sealing.note_unreadable(message, error)
        return NOTHING
    filled = fill(message=message, parts=found.parts, attachments=found.files, media=found.media)
    return replace(filled, encrypted=found.encrypted)


def rendered_many(*, messages: Sequence[Message]) -> dict[UUID, Rendered]:
    """What each of these messages says, without files; contents are read together, and `rendered` tells the rest."""
    sealing.reveal(messages)
    known = contents.parts_of_many({row.content_id for row in messages})
    fixed = {key: each for key, parts in known.items() if isinstance(parts, Parts) and (each := _fixed(parts))}
    _fetch_data([row for row in messages if row.content_id not in fixed])
    return {row.id: _say(row, known[row.content_id], fixed.get(row.content_id)) for row in messages}


def _fixed(parts: Parts) -> Rendered | None:
    """What all messages of a content say; None where their data is filled in."""
    if is_template(parts.body) or is_template(parts.text):
        return None
    return Rendered(body=parts.body, text=parts.text, attachments=())


def _say(message: Message, parts: Parts | EncryptionFailed, fixed: Rendered | None) -> Rendered:
    if isinstance(parts, EncryptionFailed):
        sealing.note_unreadable(message, parts)
        return NOTHING
    if fixed is not None and message.sealed is None:
        return fixed
    return fill(message=message, parts=parts, attachments=())


def _fetch_data(messages: Sequence[Message]) -> None:
    """Read the data of those messages that were read without, at once."""
    bare = {row.id: row for row in messages if "data" in row.get_deferred_fields()}
    if bare:
        for key, data in Message.objects.filter(id__in=bare).values_list("id", "data"):
            bare[key].data = data


def fill(*, message: Message, parts: Parts, attachments: Sequence[Attachment], media: Media | None = None) -> Rendered:
    """The same for whoever has the content at hand, and a message with nothing sealed; else it is left empty."""
    if message.sealed is not None:
        return Rendered(body="", text="", attachments=attachments, media=media)
    context = context_of(message.data or {}, message.name, message.recipient)
    html = message.channel == Channel.EMAIL
    return Rendered(
        body=_render(message, parts.body, context, html=html, field="body"),
        text=_render(message, parts.text, context, html=False, field="text"),
        attachments=attachments,
        media=media,
    )


def _render(message: Message, source: str, context: dict[str, Any], *, html: bool, field: str) -> str:
    try:
        compiled = compile(source, html=html, field=field)
        links = exits.of(message, Channel(message.channel), exits.read_by(compiled.variables))
        return compiled.render({**links, **context})
    except (RenderFailed, TemplateRefused):
        return ""
