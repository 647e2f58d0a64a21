"""Header fields of an e-mail: encoded, folded, and closed to injection.

Every function gives bytes in wire form, lines ending in CRLF and none longer than 998 bytes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import idna
import msgspec

from channels_app.addresses import normalise
from channels_app.errors import InvalidAddress, InvalidMessage
from channels_app.types import Channel

LINE: Final = 76
"""Bytes in a line that is folded where it can be; RFC 5322 recommends 78."""
HARD_LINE: Final = 990
"""Bytes in a word that cannot be folded; RFC 5321 ends a line at 998."""

_ALLOWED_HEADER: Final = re.compile(
    r"(?:x-[a-z0-9-]+|list-[a-z0-9-]+|references|in-reply-to|auto-submitted|precedence|importance|priority|sensitivity"
    r"|organization|comments|keywords|feedback-id|thread-topic|thread-index|content-language|expires)\Z",
    re.IGNORECASE,
)
_HEADER_NAME_LIMIT: Final = 64
_BREAKS: Final = re.compile("[\r\n\x00]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_PLAIN: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?\Z")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9]++(?: [A-Za-z0-9]++)*+\Z")
_MAILBOX: Final = re.compile(r"(?P<name>.*?)<(?P<address>[^<>]*)>\Z", re.DOTALL)
_NAME_LINE: Final = 60
_WORD_BYTES: Final = 45
"""Bytes in one encoded word: 60 characters of base64, 72 with the frame around them."""
_PARAMETER_CHARS: Final = 50


class Mailbox(msgspec.Struct, frozen=True):
    """A name and an address in wire spelling: the domain in ASCII, the local part as it is."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """Give the domain in ASCII."""
        return self.address.rpartition("@")[2]


def one_line(value: str, field: str) -> str:
    """Give the value back unless it holds a line break, NUL or half a surrogate pair.

    Raises:
        InvalidMessage: it does; `field` is named.
    """
    if _BREAKS.search(value) or _SURROGATE.search(value):
        raise InvalidMessage(f"{field} holds a line break or a character that cannot be sent", field=field)
    return value


def wire_address(address: str) -> str:
    """Spell a normalised address for the wire: its domain in ASCII.

    Raises:
        InvalidAddress: the domain has no ASCII form.
    """
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError as error:
        raise InvalidAddress(f"the domain has no form in ASCII: {error}") from error


def mailbox(value: str, field: str) -> Mailbox:
    """Read `address` or `Name <address>`.

    Raises:
        InvalidMessage: it is neither; `field` is named.
    """
    found = _MAILBOX.match(one_line(value, field).strip())
    name, address = (found["name"].strip(), found["address"]) if found else ("", value)
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    try:
        return Mailbox(name, wire_address(normalise(Channel.EMAIL, address)))
    except InvalidAddress as error:
        raise InvalidMessage(f"{field}: {error}", field=field) from error


def text_header(name: str, value: str, field: str) -> bytes:
    """Write a header of free text, such as Subject."""
    one_line(value, field)
    if not value:
        return f"{name}: \r\n".encode()
    if len(name) + 2 + len(value) <= LINE and "=?" not in value and _PLAIN.match(value):
        return f"{name}: {value}\r\n".encode()
    if "=?" not in value and _PLAIN.match(value):
        folded = fold(f"{name}: {value}")
        # A line of spaces alone would end the header in the eyes of some readers; so would a word beyond the limit.
        if all(line.strip() and len(line) <= LINE for line in folded.split("\r\n")):
            return f"{folded}\r\n".encode()
    return f"{name}:{_encoded_words(value)}\r\n".encode()


def mailbox_header(name: str, mailboxes: tuple[Mailbox, ...]) -> bytes:
    """Write a header of mailboxes, such as To: one a line."""
    return f"{name}: {_COMMA.join(_written(box) for box in mailboxes)}\r\n".encode()


def custom_headers(headers: Mapping[str, str], field: str = "headers") -> bytes:
    """Write the caller's own headers.

    Raises:
        InvalidMessage: a name is not one that a caller may set, or a value cannot be carried.
    """
    return b"".join(_custom(name, value, field) for name, value in headers.items())


def fold(header: str) -> str:
    """Break a header at its spaces into lines of `LINE` bytes, as far as its words allow."""
    if len(header) <= LINE:
        return header
    lines: list[str] = []
    line = ""
    for word in re.findall(r"^\S+: \S+| +\S+|\S+", header):
        if line and len(line) + len(word) > LINE:
            lines.append(line)
            line = ""
        line += word
    return "\r\n".join([*lines, line])


def parameter(name: str, value: str) -> str:
    """Write a MIME parameter as folded `;` continuations: quoted where plain, else by RFC 2231."""
    if _PLAIN.match(value) and len(value) <= _PARAMETER_CHARS:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n {name}="{escaped}"'
    encoded = f"utf-8''{quote(value, safe='')}"
    if len(encoded) <= _PARAMETER_CHARS:
        return f";\r\n {name}*={encoded}"
    units = re.findall(r"%[0-9A-F]{2}|[^%]", encoded)
    size = _PARAMETER_CHARS // len("%00")
    pieces = ["".join(units[start : start + size]) for start in range(0, len(units), size)]
    return "".join(f";\r\n {name}*{number}*={piece}" for number, piece in enumerate(pieces))


_COMMA: Final = ",\r\n "


def _written(box: Mailbox) -> str:
    if not box.name:
        return box.address
    if len(box.name) <= _NAME_LINE and "=?" not in box.name:
        if _PLAIN_NAME.match(box.name):
            return f"{box.name} <{box.address}>"
        if _PLAIN.match(box.name):
            escaped = box.name.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}" <{box.address}>'
    words = _encoded_words(box.name).lstrip()
    gap = " " if len(words) + len(box.address) < _NAME_LINE else "\r\n "
    return f"{words}{gap}<{box.address}>"


def _custom(name: str, value: str, field: str) -> bytes:
    if not _is_allowed(name):
        raise InvalidMessage(f"the header {one_line(name, field)[:_HEADER_NAME_LIMIT]} cannot be set", field=field)
    if value.isascii() and value.isprintable() and " " not in value and len(value) < HARD_LINE - len(name):
        # One word has no place to be folded at. It is the form of links, which each recipient has of his own.
        return f"{name}: {value}\r\n".encode()
    value = one_line(value, field).strip(" \t")
    if not value.isascii():
        return text_header(name, value, field)
    if not value.isprintable():
        raise InvalidMessage(f"the header {name} holds control characters", field=field)
    folded = fold(f"{name}: {value}")
    if any(len(line) > HARD_LINE for line in folded.split("\r\n")):
        raise InvalidMessage(f"the header {name} holds a word of more than {HARD_LINE} characters", field=field)
    return f"{folded}\r\n".encode()


@lru_cache(maxsize=256)
def _is_allowed(name: str) -> bool:
    return len(name) <= _HEADER_NAME_LIMIT and _ALLOWED_HEADER.match(name) is not None


def _encoded_words(value: str) -> str:
    """Write RFC 2047 words, one a line; no character is torn between two."""
    words: list[bytes] = []
    word = b""
    for character in value:
        encoded = character.encode()
        if len(word) + len(encoded) > _WORD_BYTES:
            words.append(word)
            word = b""
        word += encoded
    words.append(word)
    return "\r\n".join(f" =?utf-8?b?{b64encode(word).decode()}?=" for word in words)
