"""The MIME form of e-mails: what a batch shares is encoded once, each recipient's own parts are filled in.

An `EmailMessage` for every recipient costs about a millisecond. Here a `Frame` keeps the encoded attachments, the
shared headers and the last bodies, so that a message costs four header lines.
"""

from __future__ import annotations

import re
import threading
import time
from base64 import encodebytes
from binascii import b2a_qp
from collections import OrderedDict
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from uuid import UUID

import msgspec

from channels_app.adapters.mime_headers import (
    HARD_LINE,
    Mailbox,
    custom_headers,
    mailbox,
    mailbox_header,
    one_line,
    parameter,
    text_header,
    wire_address,
)
from channels_app.addresses import normalise
from channels_app.errors import InvalidMessage
from channels_app.types import Attachment, Channel, OutboundMessage, SharedContent

FRAMES: Final = 16
"""Shared contents that a composer keeps ready."""
FRAME_BYTES: Final = 32 * 1024 * 1024
"""Bytes of encoded attachments that it keeps; the one in use is kept whatever its size."""

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}\Z", re.IGNORECASE)
_PARAMETER: Final = re.compile(r'[A-Za-z0-9!#$&^_.+-]+=(?:[A-Za-z0-9!#$&^_.+-]+|"[ !#-\[\]-~]*")')
_PARAMETERS: Final = re.compile(rf"(?:[ \t]*;[ \t]*{_PARAMETER.pattern})*[ \t]*;?[ \t]*\Z")
_CONTENT_ID: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}\Z")
_FILENAME_LIMIT: Final = 255
_UNSAFE_BODY: Final = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]")
_NEWLINE: Final = re.compile("\r\n?")
OPAQUE: Final = "application/octet-stream"
"""The type of plain bytes."""


class Letter(msgspec.Struct, frozen=True):
    """One e-mail, ready for the wire: dots stuffed, CRLF throughout, without the final dot."""

    message_id: str
    """The Message-ID without its angle brackets."""
    sender: str
    recipients: tuple[str, ...]
    """The recipient first, then cc and bcc."""
    internationalised: bool
    """Whether an address has a local part beyond ASCII, so that the server must offer SMTPUTF8."""
    head: bytes
    tail: bytes
    """The encoded attachments; the same object for every message of a content."""

    @property
    def size(self) -> int:
        """Bytes on the wire, without the final dot."""
        return len(self.head) + len(self.tail)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The mailboxes that a shared content names."""

    sender: Mailbox
    reply_to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    bcc: tuple[Mailbox, ...]


def check(shared: SharedContent, *, default_from: str = "") -> None:
    """Refuse at accept time what no e-mail can carry.

    Raises:
        InvalidMessage: an address, header or attachment is wrong; `field` names it.
    """
    _addresses(shared, default_from)
    custom_headers(shared.headers)
    for attachment in shared.attachments:
        check_attachment(attachment)


def check_line(value: str, field: str) -> None:
    """Refuse a subject or name that would break out of its header.

    Raises:
        InvalidMessage: it holds a line break, NUL or half a surrogate pair.
    """
    one_line(value, field)


class Frame:
    """What the messages of one shared content have in common, encoded."""

    def __init__(self, shared: SharedContent, default_from: str = "") -> None:
        self._shared = shared
        self._token = shared.key.hex
        self._addresses = _addresses(shared, default_from)
        self._static = self._static_headers()
        self._custom = custom_headers(shared.headers)
        self._others = tuple(dict.fromkeys(box.address for box in (*self._addresses.cc, *self._addresses.bcc)))
        known = (self._addresses.sender, *self._addresses.reply_to, *self._addresses.cc, *self._addresses.bcc)
        self._internationalised = not all(box.address.isascii() for box in known)
        self._tails: dict[tuple[bool, bool], bytes] = {}
        self._bodies: tuple[str, str] | None = None
        self._content = (b"", b"")
        self._subject: tuple[str, bytes] | None = None

    @property
    def size(self) -> int:
        """Bytes that the encoded attachments take up."""
        return sum(map(len, self._tails.values()))

    def compose(self, message: OutboundMessage, date: str) -> Letter:
        """Fill in the recipient's parts; `date` is the value of the Date header.

        Raises:
            InvalidMessage: a header field cannot be carried.
            InvalidAddress: the recipient's address cannot be.
        """
        recipient = wire_address(normalise(Channel.EMAIL, message.address))
        message_id = f"{message.id}@{self._addresses.sender.domain}"
        if self._bodies != (message.html, message.text):
            self._content = self._encoded_content(message.html, message.text)
            self._bodies = (message.html, message.text)
        content, tail = self._content
        head = b"".join(
            (
                f"Date: {date}\r\nMessage-ID: <{message_id}>\r\n".encode(),
                self._static,
                mailbox_header("To", (Mailbox(one_line(message.name, "name").strip(), recipient),)),
                self._subject_header(message.subject),
                self._custom_headers(message),
                content,
            )
        )
        return Letter(
            message_id=message_id,
            sender=self._addresses.sender.address,
            recipients=(recipient, *[other for other in self._others if other != recipient]),
            internationalised=self._internationalised or not recipient.isascii(),
            head=head,
            tail=tail,
        )

    def _static_headers(self) -> bytes:
        lines = [b"MIME-Version: 1.0\r\n", mailbox_header("From", (self._addresses.sender,))]
        if self._addresses.reply_to:
            lines.append(mailbox_header("Reply-To", self._addresses.reply_to))
        if self._addresses.cc:
            lines.append(mailbox_header("Cc", self._addresses.cc))
        return b"".join(lines)

    def _subject_header(self, subject: str) -> bytes:
        if self._subject is None or self._subject[0] != subject:
            self._subject = subject, text_header("Subject", subject, "subject")
        return self._subject[1]

    def _custom_headers(self, message: OutboundMessage) -> bytes:
        if not message.headers:
            return self._custom
        if not self._shared.headers:
            return custom_headers(message.headers)
        own = {name.lower() for name in message.headers}
        kept = {name: value for name, value in self._shared.headers.items() if name.lower() not in own}
        return custom_headers(kept) + custom_headers(message.headers)

    def _encoded_content(self, html: str, text: str) -> tuple[bytes, bytes]:
        """Encode what a person reads, and give it with the tail of files that closes it.

        The whole tree is mixed(alternative(text, related(html, inline images)), files); a level with one child is
        left out.
        """
        pieces = []
        if self._files(inline=False, html=bool(html)):
            pieces.append(_opening("mixed", f"mixed-{self._token}"))
        if html and text:
            pieces.append(_opening("alternative", f"alternative-{self._token}"))
        if text or not html:
            pieces.append(_encoded_text(text, "plain", "text"))
        if html and text:
            pieces.append(_between(f"alternative-{self._token}"))
        if html and self._files(inline=True, html=True):
            pieces.append(_opening("related", f"related-{self._token}", ' type="text/html";'))
        if html:
            pieces.append(_encoded_text(html, "html", "body"))
        head, tail = b"".join(pieces), self._tail(bool(html), bool(text))
        return head if tail or head.endswith(b"\r\n") else head + b"\r\n", tail

    def _tail(self, html: bool, text: bool) -> bytes:
        """Give the files and closing boundaries of a message with these bodies."""
        tail = self._tails.get((html, text))
        if tail is None:
            pieces = []
            for subtype, inline in (("related", True), ("mixed", False)):
                boundary = f"{subtype}-{self._token}"
                files = self._files(inline=inline, html=html)
                pieces += [_encoded_file(file, boundary, inline=inline) for file in files]
                pieces += [_closing(boundary)] if files else []
                if inline and html and text:
                    pieces.append(_closing(f"alternative-{self._token}"))
            tail = self._tails[html, text] = b"".join(pieces)
        return tail

    def _files(self, *, inline: bool, html: bool) -> list[Attachment]:
        """Give the inline images or the other files; with no page to show it, an image is a file like others."""
        return [file for file in self._shared.attachments if bool(file.content_id and html) is inline]


class Composer:
    """Makes letters; keeps the frames of the contents used last. Safe to share between threads."""

    def __init__(self, default_from: str = "") -> None:
        self._lock = threading.Lock()
        self._default_from = default_from
        self._frames: OrderedDict[UUID, Frame] = OrderedDict()
        self._date = (0, "")

    def compose(self, message: OutboundMessage) -> Letter:
        """Give the message's letter, dated now.

        Raises:
            InvalidMessage: a part of it cannot be carried by e-mail.
            InvalidAddress: the recipient's address cannot be.
        """
        with self._lock:
            return self._frame(message.shared).compose(message, self._now())

    def _frame(self, shared: SharedContent) -> Frame:
        frame = self._frames.get(shared.key)
        if frame is not None:
            self._frames.move_to_end(shared.key)
            return frame
        frame = self._frames[shared.key] = Frame(shared, self._default_from)
        while len(self._frames) > 1 and (
            len(self._frames) > FRAMES or sum(kept.size for kept in self._frames.values()) > FRAME_BYTES
        ):
            self._frames.popitem(last=False)
        return frame

    def _now(self) -> str:
        second = int(time.time())
        if self._date[0] != second:
            # formatdate writes UTC as -0000, which says that the zone is unknown (RFC 5322, 3.3).
            self._date = second, formatdate(second).replace("-0000", "+0000")
        return self._date[1]


def _addresses(shared: SharedContent, default_from: str) -> Addresses:
    sender = shared.sender or default_from
    if not sender:
        raise InvalidMessage("the message names no sender and no default is set", field="from")
    return Addresses(
        sender=mailbox(sender, "from"),
        reply_to=(mailbox(shared.reply_to, "reply_to"),) if shared.reply_to else (),
        cc=tuple(mailbox(address, "cc") for address in shared.cc),
        bcc=tuple(mailbox(address, "bcc") for address in shared.bcc),
    )


def check_attachment(attachment: Attachment) -> None:
    """Refuse a file that no e-mail can carry.

    Raises:
        InvalidMessage: its name, type or content id is wrong.
    """
    name = one_line(attachment.filename, "attachments")
    if len(name) > _FILENAME_LIMIT or _UNSAFE_BODY.search(name):
        raise InvalidMessage("a file's name is too long or holds control characters", field="attachments")
    plain, semicolon, rest = attachment.content_type.partition(";")
    if not _MEDIA_TYPE.match(plain.strip()) or not _PARAMETERS.match(semicolon + rest):
        raise InvalidMessage("a file's content_type is not type/subtype; name=value", field="attachments")
    if attachment.content_id is not None and not _CONTENT_ID.match(bare_id(attachment.content_id)):
        raise InvalidMessage("a file's content_id is not a plain word", field="attachments")


def bare_id(content_id: str) -> str:
    """Give a content id without the brackets that it may be written in."""
    return content_id.removeprefix("<").removesuffix(">")


def media_type(attachment: Attachment) -> str:
    """Give the type without parameters. A nested message or multipart may not be base64 (RFC 2045), so it is opaque."""
    plain = attachment.content_type.partition(";")[0].strip().lower()
    return OPAQUE if plain.startswith(("message/", "multipart/")) else plain


def media_parameters(attachment: Attachment) -> tuple[str, ...]:
    """Give what is said beside the type, such as an invitation's `method=REQUEST`, each as it was written."""
    _, _, rest = attachment.content_type.partition(";")
    return () if media_type(attachment) == OPAQUE else tuple(_PARAMETER.findall(rest))


def _encoded_file(attachment: Attachment, boundary: str, *, inline: bool) -> bytes:
    check_attachment(attachment)
    disposition = "inline" if inline else "attachment"
    identity = f"Content-ID: <{bare_id(attachment.content_id or '')}>\r\n" if inline else ""
    filename = attachment.filename.strip()
    name = parameter("filename", filename) if filename else ""
    kind = ";\r\n ".join((media_type(attachment), *media_parameters(attachment)))
    head = (
        f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n"
        f"{identity}Content-Disposition: {disposition}{name}\r\n\r\n"
    )
    return b"".join((_between(boundary), head.encode(), _base64(attachment.content)))


def _encoded_text(body: str, subtype: str, field: str) -> bytes:
    """Encode a body with its headers; it ends without a line break, which belongs to what follows."""
    lines = _NEWLINE.sub("\n", body) if "\r" in body else body
    try:
        raw = lines.encode()
    except UnicodeEncodeError as error:
        raise InvalidMessage(f"{field} holds a character that cannot be sent", field=field) from error
    if _is_plain(lines):
        encoding, encoded = "7bit", raw.replace(b"\n", b"\r\n")
    elif len(raw) * 5 > len(lines) * 6:
        encoding, encoded = "base64", _base64(lines.replace("\n", "\r\n").encode())
    else:
        encoding, encoded = "quoted-printable", b2a_qp(raw, istext=True).replace(b"\n", b"\r\n")
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'.encode()
    return head + _stuffed(encoded)


def _is_plain(lines: str) -> bool:
    """Tell whether a body may travel as it is. A line like a boundary may not: it could close the part."""
    return (
        lines.isascii()
        and "--=_" not in lines
        and not _UNSAFE_BODY.search(lines)
        and (len(lines) <= HARD_LINE or max(map(len, lines.split("\n"))) <= HARD_LINE)
    )


def _stuffed(encoded: bytes) -> bytes:
    """Double the dots that begin a line (RFC 5321, 4.5.2)."""
    if b"\n." in encoded:
        encoded = encoded.replace(b"\n.", b"\n..")
    return b"." + encoded if encoded.startswith(b".") else encoded


def _base64(content: bytes) -> bytes:
    return encodebytes(content).replace(b"\n", b"\r\n").removesuffix(b"\r\n")


# Neither base64 nor quoted-printable can produce `=_`, and a 7bit body that holds it is encoded: so no content can
# spell a boundary.


def _opening(subtype: str, boundary: str, parameters: str = "") -> bytes:
    return (
        f'Content-Type: multipart/{subtype};{parameters}\r\n boundary="=_{boundary}"\r\n\r\n--=_{boundary}\r\n'.encode()
    )


def _between(boundary: str) -> bytes:
    return f"\r\n--=_{boundary}\r\n".encode()


def _closing(boundary: str) -> bytes:
    return f"\r\n--=_{boundary}--\r\n".encode()
