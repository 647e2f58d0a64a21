"""Loads what messages share, compiled once and kept for the messages that follow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from channels_app.types import Media, SharedContent
from messaging.content import exits as ways_out
from messaging.content import sealing
from messaging.content.parts import Parts
from messaging.content.rendering import Compiled, compile, context_of
from messaging.errors import EncryptionFailed
from messaging.models import Attachment, Content
from messaging.models.statements import prepared

_NONE: Mapping[str, str] = {}
# Plain SQL: lists ask it, and need a fraction of what a Content holds.
_SAID = """
SELECT c.id, c.workspace_id, c.sealed, c.subject, c.body, c.text, v.id, v.subject, v.body, v.text
  FROM messaging_content c LEFT JOIN messaging_templateversion v ON v.id = c.template_version_id
 WHERE c.id = ANY(%s)"""
_WHOLE = """
SELECT c.workspace_id, c.sealed, c.subject, c.body, c.text, c.media, v.id, v.subject, v.body, v.text,
       (SELECT jsonb_agg(jsonb_build_array(a.id, a.filename, a.inline_id, a.content_type, a.size) ORDER BY a.id)
          FROM messaging_attachment a WHERE a.content_id = c.id)
  FROM messaging_content c LEFT JOIN messaging_templateversion v ON v.id = c.template_version_id
 WHERE c.id = %s"""
_SENT = """
SELECT c.workspace_id, c.sealed, c.subject, c.body, c.text, c.sender, c.reply_to, c.cc, c.bcc, c.headers, c.media,
       v.id, v.subject, v.body, v.text, EXISTS (SELECT FROM messaging_attachment a WHERE a.content_id = c.id)
  FROM messaging_content c LEFT JOIN messaging_templateversion v ON v.id = c.template_version_id
 WHERE c.id = %(content)s"""
_KEPT = 64
_KEPT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedContent:
    """A Content ready to be rendered for a recipient."""

    html: Compiled
    text: Compiled
    shared: SharedContent
    size: int
    """Bytes that it holds in memory, roughly."""
    exits: frozenset[str] = frozenset()
    """The links of the message's own that it reads."""

    def render(
        self,
        *,
        data: Mapping[str, Any] | None,
        name: str,
        to: str,
        now: datetime,
        exits: Mapping[str, str] = _NONE,
    ) -> tuple[str, str]:
        """The HTML body and the text for one recipient; `now` is what a template's `now` means, `exits` its links.

        Raises:
            RenderFailed: the template reached a limit or met a value that it cannot use.
        """
        if self.html.static and self.text.static:
            return self.html.source, self.text.source
        context = {**exits, **context_of(data or {}, name, to)}
        return self.html.render(context, now=now), self.text.render(context, now=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A Content as it is shown: what it says, and what goes with it, without the files' bytes."""

    parts: Parts
    media: Media | None
    files: list[Attachment]
    encrypted: bool
    """Whether it is encrypted at rest."""


_kept: OrderedDict[UUID, LoadedContent] = OrderedDict()
_lock = threading.Lock()


def parts_of(row: Content) -> Parts:
    """What a content says: its own parts, and for the others those of its template's version."""
    own = Parts(subject=row.subject, body=row.body, text=row.text)
    said = row.template_version
    return own.over(Parts(subject=said.subject, body=said.body, text=said.text)) if said else own


def parts_of_many(ids: Collection[UUID]) -> dict[UUID, Parts | EncryptionFailed]:
    """What each of these contents says, or why it does not open."""
    with connection.cursor() as cursor:
        cursor.execute(_SAID, [list(ids)])
        rows = cursor.fetchall()
    found: dict[UUID, Parts | EncryptionFailed] = {}
    for key, workspace_id, sealed, subject, body, text, *version in rows:
        try:
            if sealed is None:
                own = Parts(subject=subject, body=body, text=text)
            else:
                own = sealing.open_parts(bytes(sealed), workspace_id=workspace_id, row=key)
            found[key] = _over(own, *version)
        except EncryptionFailed as error:
            found[key] = error
    return found


def said(content_id: UUID) -> Said:
    """A content as it is shown.

    Raises:
        EncryptionFailed: it does not open.
        Content.DoesNotExist: it is gone.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WHOLE, [content_id])
        found = cursor.fetchone()
    if found is None:
        raise Content.DoesNotExist
    workspace_id, sealed, subject, body, text, media, *version, files = found
    row = Content(id=content_id, workspace_id=workspace_id, sealed=sealed, subject=subject, body=body, text=text)
    row.media = msgspec.json.decode(media) if media else None
    names = sealing.reveal_content(row)
    known = [
        Attachment(id=UUID(key), filename=name, inline_id=inline, content_type=kind, size=size)
        for key, name, inline, kind, size in (msgspec.json.decode(files) if files else ())
    ]
    sealing.reveal_names(known, names)
    own = Parts(subject=row.subject, body=row.body, text=row.text)
    return Said(parts=_over(own, *version), media=media_of(row), files=known, encrypted=names is not None)


def _over(own: Parts, version: UUID | None, subject: str, body: str, text: str) -> Parts:
    """What a content says, with what its template's version says where it says nothing itself."""
    return own.over(Parts(subject=subject, body=body, text=text)) if version else own


def media_of(row: Content) -> Media | None:
    """The media file of a content with nothing sealed."""
    return msgspec.convert(row.media, Media) if row.media else None


def load(content_id: UUID, *, html: bool) -> LoadedContent:
    """Give a content, from this process's memory where it has just been used.

    `html` says that values are escaped in the body; a content belongs to one channel, so it never differs.

    What was sealed is kept open, as long as the process lives and nothing newer takes its place.

    Raises:
        TemplateRefused: its templates are not accepted (any more).
        EncryptionFailed: it is sealed and does not open.
    """
    with _lock:
        found = _kept.get(content_id)
        if found is not None:
            _kept.move_to_end(content_id)
            return found
    loaded = _read(content_id, html=html)
    with _lock:
        _kept[content_id] = loaded
        while len(_kept) > 1 and (len(_kept) > _KEPT or sum(one.size for one in _kept.values()) > _KEPT_BYTES):
            _kept.popitem(last=False)
    return loaded


def _read(content_id: UUID, *, html: bool) -> LoadedContent:
    with prepared(_SENT, {"content": content_id}) as cursor:
        found = cursor.fetchone()
    if found is None:
        raise Content.DoesNotExist
    workspace_id, sealed, subject, body, text, sender, reply_to, cc, bcc, headers, media, *version, has_files = found
    row = Content(id=content_id, workspace_id=workspace_id, sealed=sealed, subject=subject, body=body, text=text)
    row.headers, row.media = msgspec.json.decode(headers), msgspec.json.decode(media) if media else None
    names = sealing.reveal_content(row)
    parts = _over(Parts(subject=row.subject, body=row.body, text=row.text), *version)
    attachments = sealing.files_of(row, names) if has_files else ()
    compiled = compile(parts.body, html=html, field="body")
    plain = compile(parts.text, html=False, field="text")
    return LoadedContent(
        html=compiled,
        text=plain,
        exits=ways_out.read_by((*compiled.variables, *plain.variables)),
        shared=SharedContent(
            key=content_id,
            sender=sender or None,
            reply_to=reply_to or None,
            cc=tuple(cc),
            bcc=tuple(bcc),
            headers=row.headers,
            attachments=attachments,
            media=media_of(row),
        ),
        size=len(parts.body) + len(parts.text) + sum(len(file.content) for file in attachments) + 2000,
    )
