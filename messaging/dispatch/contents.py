"""Writes what the messages of one accept say, and the files that go with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from channels_app.types import Attachment
from messaging.content.encryption import Sealer
from messaging.content.sealing import seal_content, seal_file
from messaging.dispatch.draft import Draft
from messaging.dispatch.wording import Wording
from messaging.models import Attachment as AttachmentRow
from messaging.models.statements import prepared

_TYPES: Final[Mapping[str, str]] = {
    "content_id": "uuid",
    "template_version_id": "uuid",
    "workspace_id": "uuid",
    "sender": "text",
    "reply_to": "text",
    "cc": "text[]",
    "bcc": "text[]",
    "said_subject": "text",
    "body": "text",
    "text": "text",
    "headers": "jsonb",
    "media": "jsonb",
    "content_sealed": "bytea",
}
"""The parameters of a content, and their types."""
# Plain SQL: one accept writes one row here, and the ORM would take longer to phrase it than the database to store it.
_WRITE: Final = f"""
    INSERT INTO messaging_content
           (id, template_version_id, workspace_id, sender, reply_to, cc, bcc, subject, body, text, headers, media,
            sealed)
    SELECT {", ".join(f"%({name})s::{kind}" for name, kind in _TYPES.items())}
"""
BESIDE: Final = f"said AS ({_WRITE} FROM free)"
"""The same as a part of the statement that writes one message alone."""


def write(draft: Draft, workspace_id: UUID, wordings: Sequence[Wording], sealer: Sealer | None) -> None:
    """Write a Content for each wording, with the draft's own parts: those of a template are kept by its version."""
    files: list[AttachmentRow] = []
    for wording in wordings:
        own = [_file(wording.content_id, file, sealer) for file in draft.attachments]
        files += own
        with prepared(_WRITE, values(draft, workspace_id, wording, sealer, own)):
            pass
    if files:
        AttachmentRow.objects.bulk_create(files)


def values(
    draft: Draft, workspace_id: UUID, wording: Wording, sealer: Sealer | None, files: Sequence[AttachmentRow] = ()
) -> dict[str, Any]:
    """What the content of a wording is stored as."""
    encode, media = msgspec.json.encode, draft.media.given() if draft.media else None
    shared: dict[str, Any] = {
        "content_id": wording.content_id,
        "template_version_id": str(wording.edition.said.id) if wording.edition else None,
        "workspace_id": workspace_id,
        "sender": draft.sender,
        "reply_to": draft.reply_to,
        "cc": list(draft.cc),
        "bcc": list(draft.bcc),
    }
    if sealer is None:
        said = {"said_subject": draft.subject, "body": draft.body, "text": draft.text, "content_sealed": None}
        headers = encode(draft.headers).decode()
        return {**shared, **said, "headers": headers, "media": encode(media).decode() if media else None}
    named = zip(files, draft.attachments, strict=True)
    names = {str(row.id): (file.filename, file.content_id or "") for row, file in named}
    sealed = seal_content(sealer, draft.parts, draft.headers, names, media=media, row=wording.content_id)
    empty = {"said_subject": "", "body": "", "text": "", "headers": "{}", "media": None}
    return {**shared, **empty, "content_sealed": sealed}


def _file(content_id: UUID, file: Attachment, sealer: Sealer | None) -> AttachmentRow:
    row = AttachmentRow(content_id=content_id, content_type=file.content_type, size=len(file.content))
    if sealer is None:
        row.filename, row.inline_id, row.data = file.filename, file.content_id or "", file.content
    else:
        row.filename, row.inline_id, row.data = "", "", seal_file(sealer, file.content, row=row.id)
    return row
