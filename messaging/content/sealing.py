"""What of each row is sealed, and how it is read again. A row whose `sealed` is set has empty plain columns.

Of a message: its name, subject and data. Of a content: subject, body, text, headers, media, and the names of its files;
of a file: its bytes. Addresses, metadata, types and sizes stay plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import structlog

from channels_app.types import Attachment as File
from messaging.content.encryption import Sealer, unseal, unseal_bytes
from messaging.content.parts import Parts
from messaging.errors import EncryptionFailed
from messaging.models import Attachment, Content, Message

log = structlog.get_logger(__name__)

_MESSAGE = "message"
_CONTENT = "content"
_FILE = "attachment"

Names = Mapping[str, Sequence[str]]
"""By a file's id, its name and its id within the body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Own:
    """What one message has for itself."""

    name: str
    subject: str
    data: Mapping[str, Any] | None


NOTHING = Own(name="", subject="", data=None)
"""What the plain columns of a sealed message hold."""


class Sealable(Protocol):
    """A message, however it was read."""

    @property
    def id(self) -> UUID: ...
    @property
    def workspace_id(self) -> UUID: ...
    @property
    def name(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def data(self) -> Any: ...
    @property
    def sealed(self) -> Any: ...


def seal_own(sealer: Sealer, own: Own, *, row: UUID) -> bytes:
    """What one message has for itself, encrypted for its row."""
    return sealer.seal({"name": own.name, "subject": own.subject, "data": own.data}, table=_MESSAGE, row=row)


def own_of(message: Sealable) -> Own:
    """What one message has for itself, opened where it is sealed.

    Raises:
        EncryptionFailed: it does not open.
    """
    if message.sealed is None:
        return Own(name=message.name, subject=message.subject, data=message.data)
    return Own(**unseal(bytes(message.sealed), workspace_id=message.workspace_id, table=_MESSAGE, row=message.id))


def reveal(messages: Iterable[Message]) -> None:
    """Fill in, in memory, what was sealed of these messages.

    One that opens has no `sealed` any more. One that does not keeps it, and says so in its error unless it has one.
    """
    for message in messages:
        if message.sealed is None:
            continue
        try:
            own = own_of(message)
        except EncryptionFailed as error:
            note_unreadable(message, error)
            continue
        message.name, message.subject, message.data, message.sealed = own.name, own.subject, own.data, None


def note_unreadable(message: Message, error: EncryptionFailed) -> None:
    """Say in a message's error, in memory and unless it has one, that what it says cannot be read."""
    log.warning("message_not_readable", message_id=str(message.id), error=error.detail)
    if not message.error_code:
        message.error_code, message.error_detail = error.code, error.detail


def seal_content(
    sealer: Sealer,
    parts: Parts,
    headers: Mapping[str, str],
    names: Names,
    *,
    media: Mapping[str, str] | None = None,
    row: UUID,
) -> bytes:
    """What messages share, encrypted for the content's row."""
    value = {
        "subject": parts.subject,
        "body": parts.body,
        "text": parts.text,
        "headers": headers,
        "media": media,
        "files": names,
    }
    return sealer.seal(value, table=_CONTENT, row=row)


def seal_file(sealer: Sealer, data: bytes, *, row: UUID) -> bytes:
    """A file's bytes, encrypted for its row."""
    return sealer.seal_bytes(data, table=_FILE, row=row)


def open_parts(sealed: bytes, *, workspace_id: UUID, row: UUID) -> Parts:
    """What a sealed content says.

    Raises:
        EncryptionFailed: it does not open.
    """
    said = unseal(sealed, workspace_id=workspace_id, table=_CONTENT, row=row)
    return Parts(subject=said["subject"], body=said["body"], text=said["text"])


def reveal_content(content: Content) -> Names | None:
    """Fill in, in memory, what was sealed of a content; give the names of its files, None where nothing was sealed.

    Raises:
        EncryptionFailed: it does not open.
    """
    if content.sealed is None:
        return None
    said = unseal(bytes(content.sealed), workspace_id=content.workspace_id, table=_CONTENT, row=content.id)
    content.subject, content.body, content.text = said["subject"], said["body"], said["text"]
    content.headers, content.media = said["headers"], said.get("media")
    names: Names = said["files"]
    return names


def reveal_names(files: Iterable[Attachment], names: Names | None) -> None:
    """Fill in, in memory, what files are called."""
    for file in files:
        if names is not None:
            file.filename, file.inline_id = names.get(str(file.id), ("", ""))


def files_of(content: Content, names: Names | None) -> tuple[File, ...]:
    """A content's files as they are sent.

    Raises:
        EncryptionFailed: one does not open.
    """
    files = list(content.attachments.all())
    reveal_names(files, names)
    return tuple(
        File(
            filename=file.filename,
            content=_data(file, content.workspace_id, sealed=names is not None),
            content_type=file.content_type,
            content_id=file.inline_id or None,
        )
        for file in files
    )


def _data(file: Attachment, workspace_id: UUID, *, sealed: bool) -> bytes:
    data = bytes(file.data)
    return unseal_bytes(data, workspace_id=workspace_id, table=_FILE, row=file.id) if sealed else data
