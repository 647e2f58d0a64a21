"""Writes what the messages of one accept say, and the files that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from channels_app.types import Attachment
from messaging.content.encryption import Sealer
from messaging.content.sealing import seal_content, seal_file
from messaging.dispatch.draft import Draft
from messaging.dispatch.wording import Wording
from messaging.models import Attachment as AttachmentRow

# Plain SQL: one accept writes one row here, and the ORM would take longer to phrase it than the database to store it.
_CONTENT = """
INSERT INTO messaging_content
       (id, template_version_id, workspace_id, sender, reply_to, cc, bcc, subject, body, text, headers, media, sealed)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def write(draft: Draft, workspace_id: UUID, wordings: Sequence[Wording], sealer: Sealer | None) -> None:
    """Write a Content for each wording, with the draft's own parts: those of a template are kept by its version."""
    shared: list[Any] = [workspace_id, draft.sender, draft.reply_to, list(draft.cc), list(draft.bcc)]
    encode, media = msgspec.json.encode, draft.media.given() if draft.media else None
    said: list[Any] = [draft.subject, draft.body, draft.text, encode(draft.headers).decode()]
    said += [encode(media).decode() if media else None, None]
    files: list[AttachmentRow] = []
    with connection.cursor() as cursor:
        for wording in wordings:
            own = [_file(wording.content_id, file, sealer) for file in draft.attachments]
            files += own
            if sealer is not None:
                named = zip(own, draft.attachments, strict=True)
                names = {str(row.id): (file.filename, file.content_id or "") for row, file in named}
                sealed = seal_content(sealer, draft.parts, draft.headers, names, media=media, row=wording.content_id)
                said = ["", "", "", "{}", None, sealed]
            version_id = wording.edition.said.id if wording.edition else None
            cursor.execute(_CONTENT, [wording.content_id, version_id, *shared, *said])
    if files:
        AttachmentRow.objects.bulk_create(files)


def _file(content_id: UUID, file: Attachment, sealer: Sealer | None) -> AttachmentRow:
    row = AttachmentRow(content_id=content_id, content_type=file.content_type, size=len(file.content))
    if sealer is None:
        row.filename, row.inline_id, row.data = file.filename, file.content_id or "", file.content
    else:
        row.filename, row.inline_id, row.data = "", "", seal_file(sealer, file.content, row=row.id)
    return row
