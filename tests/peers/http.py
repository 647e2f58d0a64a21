"""An HTTP server that writes down what it was asked and misbehaves on request. It shares no code with the adapters.

As a process of its own, where it takes everything and lets the path decide (see `TRICKS`):

    python -m tests.peers.http --port 8099 --record received.jsonl

prints `listening on 8099` and appends one JSON line per request before it answers. Within a test:

    with running() as peer:
        ...
        assert peer.requests[0].body == b"{}"

A peer of a certain vendor gives `running` a function that turns a request into a `Reply`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

TRICKS = """
/status-503          answer with that status; ?retry-after=3 and ?location=http://… become headers
/stall               never answer
/drip                answer the status line a byte each 50 ms, without end
/drip-body           answer 200, then a byte of the body each 50 ms
/cut                 hang up without an answer
/cut-body            answer 200 and promise more of a body than comes
/garbage             answer something that is not HTTP
/endless             answer headers without end
/endless-body        answer 200, then a body without end
/huge                answer 200 and a body of 1 MiB
/refuse-early        hang up once the headers are there
/interim             say what may come before an answer (100, 102, 103), then answer
/switch              answer 101, which nobody asked for
/hints               answer 103 without end
/farewell            answer 200, then hang up without having said so
/bomb                answer a redirect with a body without end
/escape              answer 400 with escape codes and controls in the words
"""


class Manner(StrEnum):
    """How a reply is given."""

    WHOLE = "whole"
    STALL = "stall"
    DRIP = "drip"
    DRIP_BODY = "drip-body"
    CUT = "cut"
    CUT_BODY = "cut-body"
    GARBAGE = "garbage"
    ENDLESS = "endless"
    ENDLESS_BODY = "endless-body"
    FAREWELL = "farewell"
    INTERIM = "interim"
    SWITCH = "switch"
    HINTS = "hints"


_HINTS = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came."""

    connection: int
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    def header(self, name: str) -> str:
        """Give a header's value, or nothing."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What to answer, and how."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    manner: Manner = Manner.WHOLE


Answering = Callable[[Asked], Reply]


@dataclass
class Peer:
    """What a running server has seen."""

    port: int = 0
    host: str = "127.0.0.1"
    scheme: str = "http"
    certificate: Path | None = None
    requests: list[Asked] = field(default_factory=list)
    connections: int = 0
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released for every connection that is closed from here."""
    release: threading.Event = field(default_factory=threading.Event)
    """Set when the server ends: whoever stalls goes on, and finds that it may go."""

    def url(self, path: str = "/") -> str:
        """Give the URL of a path here."""
        return f"{self.scheme}://{self.host}:{self.port}{path}"


def by_path(asked: Asked) -> Reply:
    """Behave as the path asks for."""
    trick, _, value = asked.path.lstrip("/").partition("/")[0].partition("-")
    if trick == "status" and value.isdigit():
        headers = {name: text for name, text in asked.query.items() if name in {"retry-after", "location"}}
        return Reply(status=int(value), headers=headers, body=f"status {value}, as asked".encode())
    name = f"{trick}-{value}" if value else trick
    if name == "huge":
        return Reply(body=b"x" * 1024 * 1024)
    if name == "bomb":
        return Reply(status=302, headers={"location": "http://elsewhere.example/"}, manner=Manner.ENDLESS_BODY)
    if name == "escape":
        return Reply(status=400, body=b"\x1b[31mred\x1b[0m and\x07 bells\r\n\xff")
    if name in set(Manner):
        return Reply(body=b"taken", manner=Manner(name))
    return Reply(headers={"content-type": "text/plain"}, body=b"taken")


class _Talk:
    """One connection, in a thread of its own."""

    def __init__(self, peer: Peer, line: socket.socket, number: int, answering: Answering, file: int | None) -> None:
        self.peer, self.line, self.number, self.answering, self.file = peer, line, number, answering, file
        self.buffer = b""

    def run(self) -> None:
        with suppress(OSError, ssl.SSLError), self.line:
            while (asked := self.read()) is not None:
                self.note(asked)
                if not self.answer(self.answering(asked)):
                    return

    def read(self) -> Asked | None:
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        if target == "/refuse-early":
            self.line.close()
            return None
        length = int(next((value for name, value in headers if name.lower() == "content-length"), "0"))
        while len(self.buffer) < length:
            if not self.more():
                return None
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Asked(connection=self.number, method=method, target=target, headers=headers, body=body)

    def more(self) -> bool:
        received = self.line.recv(64 * 1024)
        self.buffer += received
        return bool(received)

    def note(self, asked: Asked) -> None:
        """Write the request down, before it is answered."""
        self.peer.requests.append(asked)
        if self.file is not None:
            line = {
                "time": time.time(),
                "method": asked.method,
                "target": asked.target,
                "headers": dict(asked.headers),
                "body": asked.body.decode("utf-8", "replace"),
            }
            os.write(self.file, json.dumps(line).encode() + b"\n")

    def answer(self, reply: Reply) -> bool:
        """Give the reply; tell whether the connection goes on."""
        head = f"HTTP/1.1 {reply.status} As asked\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        if reply.manner is Manner.INTERIM:
            head = f"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n{_HINTS}{head}"
        if reply.manner in (Manner.WHOLE, Manner.FAREWELL, Manner.INTERIM):
            self.line.sendall(f"{head}content-length: {len(reply.body)}\r\n\r\n".encode() + reply.body)
            return reply.manner is not Manner.FAREWELL
        self.misbehave(reply.manner, head.encode())
        return False

    def misbehave(self, manner: Manner, head: bytes) -> None:
        match manner:
            case Manner.STALL:
                self.peer.release.wait()
            case Manner.DRIP:
                self.drip(b"HTTP/1.1 200 " + b"x" * 4_000)
            case Manner.DRIP_BODY:
                self.line.sendall(head + b"content-length: 4000\r\n\r\n")
                self.drip(b"x" * 4_000)
            case Manner.CUT_BODY:
                self.line.sendall(head + b"content-length: 4000\r\n\r\nshort")
            case Manner.GARBAGE:
                self.line.sendall(b"what a nice request\r\n\r\n")
            case Manner.SWITCH:
                self.line.sendall(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\n\r\n")
            case Manner.HINTS:
                self.flood(b"", _HINTS.encode())
            case Manner.ENDLESS:
                self.flood(head, b"x-more: " + b"x" * 1_000 + b"\r\n")
            case Manner.ENDLESS_BODY:
                self.flood(head + b"transfer-encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1_024 + b"\r\n")

    def drip(self, text: bytes) -> None:
        for number in range(len(text)):
            self.line.sendall(text[number : number + 1])
            if self.peer.release.wait(0.05):
                return

    def flood(self, beginning: bytes, more: bytes) -> None:
        self.line.sendall(beginning)
        while not self.peer.release.is_set():
            self.line.sendall(more)


def _serve(
    peer: Peer, listening: socket.socket, answering: Answering, context: ssl.SSLContext | None, file: int | None
) -> None:
    while not peer.release.is_set():
        try:
            line, _ = listening.accept()
        except OSError:
            return
        peer.connections += 1
        line.settimeout(None)
        threading.Thread(
            target=_greet, args=(peer, line, peer.connections, answering, context, file), daemon=True
        ).start()


def _greet(
    peer: Peer, line: socket.socket, number: int, answering: Answering, context: ssl.SSLContext | None, file: int | None
) -> None:
    if context is not None:
        try:
            line = context.wrap_socket(line, server_side=True)
        except OSError:
            line.close()
            return
    _Talk(peer, line, number, answering, file).run()
    peer.ended.release()


@contextmanager
def running(
    answering: Answering = by_path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: tuple[Path, Path] | None = None,
    record: Path | None = None,
) -> Iterator[Peer]:
    """Serve in threads of this process while the block runs; `tls` holds the files of a certificate and its key."""
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if record else None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=512) as listening:
        peer = Peer(port=listening.getsockname()[1], scheme="https" if tls else "http")
        peer.host = "localhost" if tls else f"[{host}]" if ":" in host else host
        peer.certificate = tls[0] if tls else None
        server = threading.Thread(target=_serve, args=(peer, listening, answering, context, file), name="http-peer")
        server.start()
        try:
            yield peer
        finally:
            peer.release.set()
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            server.join()
            if file is not None:
                os.close(file)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Post as a vendor does that calls back; give the status of the answer, or raise OSError where there is none."""
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make the parser of a peer's command line; a vendor's peer adds what it needs."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=0)
    made.add_argument("--record", type=Path)
    return made


def serve(
    options: argparse.Namespace,
    answering: Answering = by_path,
    *,
    tls: tuple[Path, Path] | None = None,
    greet: Callable[[Peer], None] | None = None,
) -> None:
    """Serve as a process of its own until SIGTERM or SIGINT; `greet` is told of the server before it says so."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with running(answering, host=options.host, port=options.port, tls=tls, record=options.record) as peer:
        if greet is not None:
            greet(peer)
        sys.stdout.write(f"listening on {peer.port}\n")
        sys.stdout.flush()
        done.wait()


if __name__ == "__main__":
    serve(parser(__doc__).parse_args())
