"""What messages say, with their own data filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from channels_app.types import Channel, Media
from messaging.content import exits, sealing
from messaging.content.contents import media_of, parts_of
from messaging.content.parts import Parts
from messaging.content.rendering import RenderFailed, TemplateRefused, compile, context_of
from messaging.errors import EncryptionFailed
from messaging.models import Attachment, Content, Message


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
    content = Content.objects.select_related("template_version").get(id=message.content_id)
    try:
        names = sealing.reveal_content(content)
    except EncryptionFailed as error:
        sealing.note_unreadable(message, error)
        return NOTHING
    files = list(Attachment.objects.filter(content_id=content.id).defer("data").order_by("id"))
    sealing.reveal_names(files, names)
    found = fill(message=message, parts=parts_of(content), attachments=files, media=media_of(content))
    return replace(found, encrypted=names is not None)


def rendered_many(*, messages: Sequence[Message]) -> dict[UUID, Rendered]:
    """What each of these messages says, without files; contents are read together, and `rendered` tells the rest."""
    sealing.reveal(messages)
    _fetch_data(messages)
    rows = Content.objects.select_related("template_version").in_bulk({row.content_id for row in messages})
    known: dict[UUID, Parts | EncryptionFailed] = {}
    for key, row in rows.items():
        try:
            sealing.reveal_content(row)
            known[key] = parts_of(row)
        except EncryptionFailed as error:
            known[key] = error
    said = {}
    for message in messages:
        parts = known[message.content_id]
        if isinstance(parts, EncryptionFailed):
            sealing.note_unreadable(message, parts)
            said[message.id] = NOTHING
        else:
            said[message.id] = fill(message=message, parts=parts, attachments=())
    return said


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
