"""One SMTP connection: commands out, replies in, under one deadline and a cap on what the server may say.

smtplib bounds a single read, not a conversation: a server that drips, or whose reply never ends, holds it for good.
"""

from __future__ import annotations

import math
import re
import select
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from channels_app.sockets import Unreachable, dial
from channels_app.words import cleaned

REPLY_LIMIT: Final = 64 * 1024
"""Bytes in one reply; what goes on longer is nonsense."""
ONE_RECORD: Final = 16 * 1024
"""Bytes that TLS carries as a whole or not at all, so that what had left of them is known."""
_REPLY_LINE: Final = re.compile(rb"([2-5][0-9]{2})([ -]?)([^\n]*)\n")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\Z")


class Lost(Exception):
    """The connection is of no more use; `code` says why."""

    def __init__(self, code: str, detail: str = "", sent: int = 0) -> None:
        super().__init__(detail or code)
        self.code = code
        self.detail = detail
        self.sent = sent
        """Bytes that had left of what was being sent."""


class Reply(msgspec.Struct, frozen=True):
    """A server's answer to one command."""

    code: int
    raw: tuple[bytes, ...]
    """The text of each line, as it came."""

    @property
    def text(self) -> str:
        """Give the server's words, fit to show."""
        return cleaned(b"\n".join(self.raw))

    @property
    def ok(self) -> bool:
        """Tell whether the command was carried out."""
        return 200 <= self.code < 300

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class Wire:
    """A socket that speaks in lines. Every call ends by the deadline set last."""

    def __init__(self, host: str, port: int, deadline: float) -> None:
        self.deadline = deadline
        self._host = host
        self._buffer = b""
        self._read = 0
        try:
            self._socket = dial(host, port, deadline, socket.socket)
        except Unreachable as unreachable:
            raise Lost(unreachable.code, unreachable.detail) from unreachable
        # Never blocking: a time-out of the socket's own costs two calls to the system for each one of ours.
        self._socket.setblocking(False)
        self._closed = False
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(self._socket, select.POLLIN)
        self._writable.register(self._socket, select.POLLOUT)

    def secure(self, context: ssl.SSLContext) -> None:
        """Begin TLS. What was read before is dropped: it came from whoever sat on the line (CVE-2011-0411).

        Raises:
            Lost: the server's certificate or its TLS is refused.
        """
        self._buffer, self._read = b"", 0
        try:
            self._socket.settimeout(self._left())
            self._socket = context.wrap_socket(self._socket, server_hostname=self._host)
            self._socket.setblocking(False)
        except ssl.SSLCertVerificationError as error:
            raise Lost("tls_certificate_refused", error.verify_message) from error
        except OSError as error:
            raise Lost("tls_failed", str(error)) from error

    def send(self, data: bytes) -> None:
        """Send all of it. An error means that the last byte did not leave, and closes the socket.

        Raises:
            Lost: the connection broke, or the deadline passed; it knows how much had left.
        """
        sent = 0
        try:
            self._left()
            while sent < len(data):
                sent += self._pushed(memoryview(data)[sent:] if sent else data)
        except TimeoutError as error:
            self.close()
            raise Lost("timeout", sent=sent) from error
        except OSError as error:
            self.close()
            raise Lost("connection_lost", str(error), sent) from error

    def reply(self) -> Reply:
        """Read one reply, of one or several lines.

        Raises:
            Lost: the connection broke, the deadline passed, or the server talks nonsense.
        """
        texts: list[bytes] = []
        size = 0
        while True:
            found = _REPLY_LINE.match(self._buffer, self._read)
            if found is None:
                self._read_on()
                continue
            code, more, text = found.groups()
            size += found.end() - self._read
            self._read = found.end()
            if size > REPLY_LIMIT:
                raise Lost("protocol_error", f"the server answered {cleaned(text)[:60]!r}")
            texts.append(text.removesuffix(b"\r"))
            if more != b"-":
                return Reply(int(code), tuple(texts))

    def ask(self, command: str) -> Reply:
        """Send one command and read its reply.

        Raises:
            Lost: the connection broke, the deadline passed, or the server talks nonsense.
        """
        self.send(f"{command}\r\n".encode())
        return self.reply()

    def ask_each(self, commands: Iterable[str], *, at_once: bool) -> Iterator[Reply]:
        """Send commands and yield their replies: all at once where the server allows, else each after the other.

        Raises:
            Lost: the connection broke, the deadline passed, or the server talks nonsense.
        """
        if not at_once:
            for command in commands:
                yield self.ask(command)
            return
        sent = list(commands)
        self.send(lines(sent))
        yield from self.replies(len(sent))

    def replies(self, number: int) -> Iterator[Reply]:
        """Yield so many replies as they come.

        Raises:
            Lost: the connection broke, the deadline passed, or the server talks nonsense.
        """
        for _ in range(number):
            yield self.reply()

    def is_quiet(self) -> bool:
        """Tell whether the server has said nothing unasked: a farewell or the end of the stream."""
        if self._closed or self._read < len(self._buffer):
            return False
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return False
        return not self._readable.poll(0)

    def own_name(self) -> str:
        """Give the name to greet with: the host's if it is qualified, else the address literal of RFC 5321, 4.1.3."""
        name = socket.gethostname()
        if _QUALIFIED.match(name):
            return name
        address: str = self._socket.getsockname()[0]
        return f"[IPv6:{address.partition('%')[0]}]" if ":" in address else f"[{address}]"

    def close(self) -> None:
        """Close the socket; never raises."""
        self._closed = True
        try:
            self._socket.close()
        except OSError:
            return

    def _read_on(self) -> None:
        """Receive more of a line that is not whole yet.

        Raises:
            Lost: it is whole, and no reply; or it has no end, or nothing more comes.
        """
        rest = self._buffer[self._read :]
        line, newline, _ = rest.partition(b"\n")
        if newline:
            raise Lost("protocol_error", f"the server answered {cleaned(line)[:60]!r}")
        if len(rest) > REPLY_LIMIT:
            raise Lost("protocol_error", "the server sends a line without end")
        self._buffer, self._read = rest + self._received(), 0

    def _received(self) -> bytes:
        try:
            received = self._pulled()
        except TimeoutError as error:
            raise Lost("timeout") from error
        except OSError as error:
            raise Lost("connection_lost", str(error)) from error
        if not received:
            raise Lost("connection_lost", "the server closed the connection")
        return received

    def _pushed(self, data: bytes | memoryview) -> int:
        while True:
            try:
                return self._socket.send(data)
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._await(self._writable)
            except ssl.SSLWantReadError:
                self._await(self._readable)

    def _pulled(self) -> bytes:
        while True:
            try:
                return self._socket.recv(16 * 1024)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._await(self._readable)
            except ssl.SSLWantWriteError:
                self._await(self._writable)

    def _await(self, ready: select.poll) -> None:
        if not ready.poll(math.ceil(1_000 * self._left())):
            raise TimeoutError

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def lines(commands: Iterable[str]) -> bytes:
    """Commands as they go over the wire."""
    return "".join(f"{command}\r\n" for command in commands).encode()
