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
from channels_app.types import Attachment, Media, MediaKind, OutboundMessage

TEXT_LIMIT: Final = 4_096
"""Characters of a text, counted as UTF-16 does; markup does not count."""
CAPTION_LIMIT: Final = 1_024
PHOTO_LIMIT: Final = 10 * 1024 * 1024
"""Bytes of a picture that Telegram shows; a larger one goes as a file."""
PHOTOS: Final = frozenset({"image/jpeg", "image/png", "image/webp"})
FETCHED: Final[Mapping[MediaKind, tuple[str, str]]] = {
    MediaKind.IMAGE: ("sendPhoto", "photo"),
    MediaKind.VIDEO: ("sendVideo", "video"),
    MediaKind.AUDIO: ("sendAudio", "audio"),
    MediaKind.DOCUMENT: ("sendDocument", "document"),
}
"""The method and the field for a file that Telegram fetches from its URL."""
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
    """Write a message as one call: its text, or one file or URL of one with the text as its caption.

    Raises:
        InvalidMessage: it holds more than one call carries, or names a markup that Telegram does not have.
    """
    markup = _markup(message)
    attachments, media = message.shared.attachments, message.shared.media
    if len(attachments) + (media is not None) > 1:
        named = "attachments" if media is None else "media"
        raise InvalidMessage("Telegram carries one attachment or media file a message", field=named)
    words = (media.caption if media else "") or _words(message, markup)
    _check_length(words, markup, with_file=bool(attachments or media))
    fields = {"chat_id": message.address}
    if markup is not None:
        fields["parse_mode"] = markup.name
    if media is not None:
        return _with_media(fields, words, media)
    if not attachments:
        return _plain("sendMessage", {**fields, "text": words})
    return _with_file(fields, words, attachments[0])


def _check_length(words: str, markup: Markup | None, *, with_file: bool) -> None:
    """Refuse a text that Telegram would; where there is markup only Telegram can tell."""
    limit = CAPTION_LIMIT if with_file else TEXT_LIMIT
    if markup is None and len(words.encode("utf-16-le")) // 2 > limit:
        where = "with an attachment" if with_file else "of a message"
        raise InvalidMessage(f"the text {where} has at most {limit} characters by Telegram", field="text")


def _plain(method: str, fields: Mapping[str, str]) -> BotRequest:
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    return BotRequest(method=method, content_type="application/json", body=body)


def _with_media(fields: Mapping[str, str], caption: str, media: Media) -> BotRequest:
    method, name = FETCHED[media.kind]
    return _plain(method, {**fields, **({"caption": caption} if caption else {}), name: media.url})


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
