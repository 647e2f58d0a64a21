"""What is asked of the Bot API for a message: the method, and the body that it takes."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from urllib3.filepost import encode_multipart_formdata

from channels_app.errors import InvalidMessage
from channels_app.types import Attachment, OutboundMessage

TEXT_LIMIT: Final = 4_096
"""Characters of a text, counted as UTF-16 does; markup does not count."""
CAPTION_LIMIT: Final = 1_024
PHOTO_LIMIT: Final = 10 * 1024 * 1024
"""Bytes of a picture that Telegram shows; a larger one goes as a file."""
PHOTOS: Final = frozenset({"image/jpeg", "image/png", "image/webp"})
PARSE_MODE: Final = "parse_mode"
"""Name in the metadata of a message under which its markup is told."""

_V2: Final = re.compile(r"([_*\[\]()~`>#+\-=|{}.!\\])")
_V1: Final = re.compile(r"([_*\[`])")


@dataclass(frozen=True, slots=True)
class Markup:
    """A way to write letters that stand out."""

    name: str
    escape: Callable[[str], str]
    bold: str


_MARKUPS: Final[Mapping[str, Markup]] = {
    "html": Markup("HTML", lambda text: html.escape(text, quote=False), "<b>{}</b>"),
    "markdownv2": Markup("MarkdownV2", lambda text: _V2.sub(r"\\\1", text), "*{}*"),
    "markdown": Markup("Markdown", lambda text: _V1.sub(r"\\\1", text), "*{}*"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BotRequest:
    """One call of the Bot API."""

    method: str
    content_type: str
    body: bytes = field(repr=False)


def request_for(message: OutboundMessage) -> BotRequest:
    """Write a message as one call: its text, or one file with the text as its caption.

    Raises:
        InvalidMessage: it holds more than one call carries, or names a markup that Telegram does not have.
    """
    markup = _markup(message)
    attachments = message.shared.attachments
    if len(attachments) > 1:
        raise InvalidMessage("Telegram carries one attachment a message", field="attachments")
    words = _words(message, markup)
    limit = CAPTION_LIMIT if attachments else TEXT_LIMIT
    if markup is None and len(words.encode("utf-16-le")) // 2 > limit:
        where = "with an attachment" if attachments else "of a message"
        raise InvalidMessage(f"the text {where} has at most {limit} characters by Telegram", field="text")
    fields = {"chat_id": message.address}
    if markup is not None:
        fields["parse_mode"] = markup.name
    if not attachments:
        body = json.dumps({**fields, "text": words}, ensure_ascii=False, separators=(",", ":")).encode()
        return BotRequest(method="sendMessage", content_type="application/json", body=body)
    return _with_file(fields, words, attachments[0])


def _with_file(fields: Mapping[str, str], caption: str, file: Attachment) -> BotRequest:
    photo = file.content_type.lower() in PHOTOS and len(file.content) <= PHOTO_LIMIT
    method, name = ("sendPhoto", "photo") if photo else ("sendDocument", "document")
    said = {"caption": caption} if caption else {}
    body, content_type = encode_multipart_formdata(
        {**fields, **said, name: (file.filename, file.content, file.content_type)}
    )
    return BotRequest(method=method, content_type=content_type, body=body)


def _markup(message: OutboundMessage) -> Markup | None:
    asked = message.metadata.get(PARSE_MODE)
    if asked is None:
        return None
    found = _MARKUPS.get(asked.lower()) if isinstance(asked, str) else None
    if found is None:
        names = ", ".join(markup.name for markup in _MARKUPS.values())
        raise InvalidMessage(f"Telegram's parse modes are {names}", field=f"metadata.{PARSE_MODE}")
    return found


def _words(message: OutboundMessage, markup: Markup | None) -> str:
    """Put the subject above the words: the body where there is markup, else the text; each stands in for the other."""
    if markup is None:
        words, subject = message.text or message.html, message.subject
    else:
        words = message.html or message.text
        subject = markup.bold.format(markup.escape(message.subject)) if message.subject else ""
    return "\n\n".join(filter(None, (subject, words)))
