"""The parts of an e-mail: bodies and files as they are encoded for the wire, and the boundaries between them."""

from __future__ import annotations

import re
from base64 import encodebytes
from binascii import b2a_qp
from typing import Final

from channels_app.adapters.mime_headers import HARD_LINE, one_line, parameter
from channels_app.errors import InvalidMessage
from channels_app.types import Attachment

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}\Z", re.IGNORECASE)
_PARAMETER: Final = re.compile(r'[A-Za-z0-9!#$&^_.+-]+=(?:[A-Za-z0-9!#$&^_.+-]+|"[ !#-\[\]-~]*")')
_PARAMETERS: Final = re.compile(rf"(?:[ \t]*;[ \t]*{_PARAMETER.pattern})*[ \t]*;?[ \t]*\Z")
_CONTENT_ID: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}\Z")
_FILENAME_LIMIT: Final = 255
_UNSAFE_BODY: Final = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]")
_NEWLINE: Final = re.compile("\r\n?")
OPAQUE: Final = "application/octet-stream"
"""The type of plain bytes."""


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


def encoded_file(attachment: Attachment, boundary: str, *, inline: bool) -> bytes:
    """Encode a file with its headers, behind the boundary that parts it from what comes before.

    Raises:
        InvalidMessage: see `check_attachment`.
    """
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
    return b"".join((between(boundary), head.encode(), _base64(attachment.content)))


def encoded_text(body: str, subtype: str, field: str) -> bytes:
    """Encode a body with its headers; it ends without a line break, which belongs to what follows.

    Raises:
        InvalidMessage: it holds half a surrogate pair; `field` is named.
    """
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


def opening(subtype: str, boundary: str, parameters: str = "") -> bytes:
    """The headers of several parts, and the line before the first."""
    return (
        f'Content-Type: multipart/{subtype};{parameters}\r\n boundary="=_{boundary}"\r\n\r\n--=_{boundary}\r\n'.encode()
    )


def between(boundary: str) -> bytes:
    """The line between two parts."""
    return f"\r\n--=_{boundary}\r\n".encode()


def closing(boundary: str) -> bytes:
    """The line behind the last part."""
    return f"\r\n--=_{boundary}--\r\n".encode()
