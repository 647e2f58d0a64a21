"""E-mails as Anymail takes them: Django's message, with what a service sends back along with its reports.

Only an id of ours, and where there are copies a digest of the recipient, travel as the service's metadata: reports are
matched by them. The caller's own metadata stays here.
"""

from __future__ import annotations

import hashlib
from email.encoders import encode_base64
from email.mime.base import MIMEBase
from typing import Final

from django.core.mail import EmailMultiAlternatives

from channels_app.adapters.mime_headers import Mailbox, custom_headers, mailbox, one_line, wire_address
from channels_app.adapters.mime_parts import OPAQUE, bare_id, check_attachment, media_parameters, media_type
from channels_app.addresses import normalise
from channels_app.errors import InvalidMessage
from channels_app.types import Attachment, Channel, OutboundMessage

ID: Final = "dispatch_id"
"""Our message's id, among a service's metadata."""
RECIPIENT: Final = "dispatch_to"
"""The digest of the recipient, where others get a copy: what becomes of theirs is not what becomes of the message."""
_DIGEST: Final = 32


def letter(message: OutboundMessage, *, default_from: str, metadata: bool) -> EmailMultiAlternatives:
    """Make the message for its one recipient, with the copies that were asked for.

    Raises:
        InvalidMessage: a part of it cannot be carried by e-mail.
        InvalidAddress: the recipient's address cannot be.
    """
    shared = message.shared
    sender = shared.sender or default_from
    if not sender:
        raise InvalidMessage("the message names no sender and no default is set", field="from")
    recipient = recipient_of(message)
    others = {recipient.address}
    made = EmailMultiAlternatives(
        subject=one_line(message.subject, "subject"),
        body=message.text or message.html,
        from_email=_written(mailbox(sender, "from")),
        to=[_written(recipient)],
        cc=_copies(shared.cc, "cc", others),
        bcc=_copies(shared.bcc, "bcc", others),
        reply_to=[_written(mailbox(shared.reply_to, "reply_to"))] if shared.reply_to else None,
        headers=_headers(message),
    )
    if message.html and message.text:
        made.attach_alternative(message.html, "text/html")
    elif message.html:
        made.content_subtype = "html"
    for file in shared.attachments:
        check_attachment(file)
        # An inline image without a page to show it is a file like others.
        made.attach(_part(file, inline=bool(file.content_id and message.html)))
    if metadata:
        made.metadata = _metadata(message, copies=len(others) > 1)  # type: ignore[attr-defined]
    return made


def recipient_of(message: OutboundMessage) -> Mailbox:
    """Give whom the message is for, in wire spelling.

    Raises:
        InvalidAddress: the address cannot be reached by e-mail.
    """
    address = wire_address(normalise(Channel.EMAIL, message.address))
    return Mailbox(one_line(message.name, "name").strip(), address)


def digest(address: str) -> str:
    """Tell addresses apart without naming them."""
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()[:_DIGEST]


def _metadata(message: OutboundMessage, *, copies: bool) -> dict[str, str]:
    named = {ID: str(message.id)}
    return {**named, RECIPIENT: digest(recipient_of(message).address)} if copies else named


def _copies(addresses: tuple[str, ...], field: str, others: set[str]) -> list[str]:
    """Write the copies, each address once; `others` are those that have one, and grows."""
    boxes = [mailbox(address, field) for address in addresses]
    fresh = [box for box in boxes if box.address not in others]
    others.update(box.address for box in fresh)
    return [_written(box) for box in fresh]


def _headers(message: OutboundMessage) -> dict[str, str]:
    """Join the shared headers and the recipient's own, which win; both as checked as by SMTP."""
    own = {name.lower() for name in message.headers}
    kept = {name: value for name, value in message.shared.headers.items() if name.lower() not in own}
    headers = {**kept, **message.headers}
    custom_headers(headers)
    return {name: value.strip(" \t") for name, value in headers.items()}


def _written(box: Mailbox) -> str:
    """Write a mailbox as Anymail reads it: letters beyond ASCII as they are."""
    if not box.name:
        return box.address
    escaped = box.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{box.address}>'


def _part(file: Attachment, *, inline: bool) -> MIMEBase:
    part = _typed(file)
    part.set_payload(file.content)
    encode_base64(part)
    filename = one_line(file.filename, "attachments").strip()
    part.add_header("Content-Disposition", "inline" if inline else "attachment", filename=filename)
    if inline:
        part.add_header("Content-ID", f"<{bare_id(file.content_id or '')}>")
    return part


def _typed(file: Attachment) -> MIMEBase:
    """Give a part of the file's type. Anymail reads text by its charset: what is none by then are plain bytes."""
    part = MIMEBase(*media_type(file).split("/"))
    part.replace_header("Content-Type", "; ".join((media_type(file), *media_parameters(file))))
    if part.get_content_maintype() == "text":
        charset = part.get_content_charset("utf-8")
        part.set_param("charset", charset)
        try:
            file.content.decode(charset)
        except (LookupError, UnicodeDecodeError):
            return MIMEBase(*OPAQUE.split("/"))
    return part
