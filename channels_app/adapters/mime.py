"""The MIME form of e-mails: what a batch shares is encoded once, each recipient's own parts are filled in.

An `EmailMessage` for every recipient costs about a millisecond. Here a `Frame` keeps the encoded attachments, the
shared headers and the last bodies, so that a message costs four header lines.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from uuid import UUID

import msgspec

from channels_app.adapters.mime_headers import (
    Mailbox,
    custom_headers,
    mailbox,
    mailbox_header,
    one_line,
    text_header,
    wire_address,
)
from channels_app.adapters.mime_parts import between, check_attachment, closing, encoded_file, encoded_text, opening
from channels_app.addresses import normalise
from channels_app.errors import InvalidMessage
from channels_app.types import Attachment, Channel, OutboundMessage, SharedContent

FRAMES: Final = 16
"""Shared contents that a composer keeps ready."""
FRAME_BYTES: Final = 32 * 1024 * 1024
"""Bytes of encoded attachments that it keeps; the one in use is kept whatever its size."""


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
            pieces.append(opening("mixed", f"mixed-{self._token}"))
        if html and text:
            pieces.append(opening("alternative", f"alternative-{self._token}"))
        if text or not html:
            pieces.append(encoded_text(text, "plain", "text"))
        if html and text:
            pieces.append(between(f"alternative-{self._token}"))
        if html and self._files(inline=True, html=True):
            pieces.append(opening("related", f"related-{self._token}", ' type="text/html";'))
        if html:
            pieces.append(encoded_text(html, "html", "body"))
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
                pieces += [encoded_file(file, boundary, inline=inline) for file in files]
                pieces += [closing(boundary)] if files else []
                if inline and html and text:
                    pieces.append(closing(f"alternative-{self._token}"))
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
