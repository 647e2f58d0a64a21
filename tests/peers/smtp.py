"""An SMTP server that takes everything, writes down what it took, and misbehaves on request.

It shares no code with the adapter. As a process of its own:

    python -m tests.peers.smtp --port 2525 --record received.jsonl --delay-ms 5

prints `listening on 2525` and appends one JSON line per letter before it answers the letter's final dot: time,
connection, from, to, message_id, size, answered, and with `--bodies` the raw bytes as base64. Within a test:

    with running(Conduct(pipelining=False)) as sink:
        ...
        assert sink.letters[0].recipients == ("someone@example.com",)

The local part of a recipient, up to a `+`, tells how to treat the letter (see `TRICKS`); that of the sender, what to
answer to MAIL (`mail-451`).
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import ipaddress
import json
import os
import re
import signal
import ssl
import sys
import tempfile
import threading
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TRICKS = """
rcpt-450, rcpt-550   answer RCPT with that code (421 also hangs up)
data-451, data-554   answer DATA with that code
final-452, final-552 answer the final dot with that code
cut-rcpt             hang up at RCPT
cut-data             hang up at DATA
cut-body             hang up when the body begins
cut-after            take the letter, then hang up without an answer
stall-0.5            take the letter, then answer after so many seconds
pair                 take the letter, and answer once another such letter has come
nonsense             take the letter, then answer something that is no reply
endless              take the letter, then answer a line that never ends
chatter              take the letter, then answer lines that never end
drip                 take the letter, then answer a byte each 50 ms
escape               refuse RCPT with escape codes and controls in the words
eager-550            answer RCPT with 550, yet let DATA through (RFC 2920, 3.1)
"""

_ADDRESS = re.compile(rb"[A-Z]+ [A-Z]+: ?<([^>]*)>(.*)", re.IGNORECASE | re.DOTALL)
_MESSAGE_ID = re.compile(rb"^message-id:\s*<([^>]*)>", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """How the server behaves towards everybody."""

    host: str = "127.0.0.1"
    port: int = 0
    record: Path | None = None
    bodies: bool = True
    pipelining: bool = True
    smtputf8: bool = True
    ehlo: bool = True
    size: int | str = 0
    delay: float = 0.0
    """Seconds before the final dot is answered, once the letter is written down."""
    greeting: str = "220 sink ready"
    auth: tuple[str, str] | None = None
    mechanisms: str = "PLAIN LOGIN"
    starttls: bool = False
    tls: bool = False
    certificate: tuple[Path, Path] | None = None
    """Files of the certificate and its key; by default a new one, self-signed for localhost and 127.0.0.1."""
    clings: bool = False
    """Whether a letter that is refused at its dot leaves its transaction open."""
    lets_in: int = 0
    """Connections that it lets in; 0 is any number."""
    letters_per_connection: int = 0
    """Letters after which it hangs up between two messages; 0 is any number."""
    farewell: str = ""
    """How it leaves between two messages: without a word, by a 421 `unasked`, or by one `at mail`. With one `at ehlo`
    it leaves before the first."""
    injected: bytes = b""
    """What somebody on the line adds in clear to the answer to STARTTLS."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """A letter that the server took."""

    connection: int
    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    answered: bool
    secured: bool
    parameters: str = ""


@dataclass
class Sink:
    """What a running server has seen."""

    conduct: Conduct
    port: int = 0
    certificate: Path | None = None
    connections: int = 0
    letters: list[Received] = field(default_factory=list)
    commands: Counter[str] = field(default_factory=Counter)
    logins: list[tuple[str, str]] = field(default_factory=list)
    unpaired: list[Talk] = field(default_factory=list)
    hang_up: Callable[[], None] = lambda: None
    """Close every connection, as a restart does; to be called from any thread."""


class Talk(asyncio.Protocol):
    """One connection."""

    def __init__(self, sink: Sink, context: ssl.SSLContext | None, file: int | None, talks: set[Talk]) -> None:
        self.sink, self.conduct, self.context, self.file, self.talks = sink, sink.conduct, context, file, talks
        self.transport: Any = None
        self.buffer = bytearray()
        self.unsaid = bytearray()
        self.number = 0
        self.secured = sink.conduct.tls
        self.waiting = False
        self.in_body = False
        self.scanned = 0
        self.secrets: list[str] | None = None
        self.taken = 0
        self.forget()

    def forget(self) -> None:
        self.sender: str | None = None
        self.parameters = ""
        self.recipients: list[str] = []
        self.eager = False
        self.trick = ""

    # asyncio's own names

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.talks.add(self)
        self.sink.connections += 1
        self.number = self.sink.connections
        full = 0 < self.conduct.lets_in < self.number
        greeting = "421 4.7.0 too many connections" if full else self.conduct.greeting
        self.say(greeting)
        self.flush()
        if not greeting.startswith("220"):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.talks.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.pump()

    # The conversation

    def say(self, line: str) -> None:
        self.unsaid += line.encode() + b"\r\n"

    def flush(self) -> None:
        """Send all that is to be said in one write: several commands may have come in one read."""
        if self.unsaid and not self.transport.is_closing():
            self.transport.write(bytes(self.unsaid))
        self.unsaid.clear()

    def hang_up(self) -> None:
        self.flush()
        self.transport.close()

    def pump(self) -> None:
        self.converse()
        self.flush()

    def converse(self) -> None:
        while self.buffer and not self.waiting and not self.transport.is_closing():
            if self.in_body:
                if not self.take_body():
                    return
                continue
            end = self.buffer.find(b"\r\n")
            if end < 0:
                return
            line = bytes(self.buffer[:end])
            del self.buffer[: end + 2]
            self.command(line)

    def command(self, line: bytes) -> None:
        if self.secrets is not None:
            self.login_line(line)
            return
        verb = line[:4].upper().decode("ascii", "replace").strip()
        if line.upper().startswith(b"STARTTLS"):
            verb = "TLS"
        self.sink.commands[verb] += 1
        action = getattr(self, f"on_{verb.lower()}", None)
        if action is None:
            self.say("500 no such command")
        else:
            action(line)

    def on_ehlo(self, line: bytes) -> None:
        if not self.conduct.ehlo:
            self.say("502 not here")
            return
        if self.conduct.farewell == "at ehlo":
            self.refuse(421)
            return
        offers = ["sink greets", "8BITMIME", "ENHANCEDSTATUSCODES"]
        offers += ["PIPELINING"] if self.conduct.pipelining else []
        offers += ["SMTPUTF8"] if self.conduct.smtputf8 else []
        offers += [f"SIZE {self.conduct.size}"] if self.conduct.size else []
        offers += ["STARTTLS"] if self.conduct.starttls and not self.secured else []
        offers += [f"AUTH {self.conduct.mechanisms}".replace(" =", "=")] if self.conduct.auth else []
        for offer in offers[:-1]:
            self.say(f"250-{offer}")
        self.say(f"250 {offers[-1]}")

    def on_helo(self, line: bytes) -> None:
        self.say("250 sink greets")

    def on_noop(self, line: bytes) -> None:
        self.say("250 2.0.0 still here")

    def on_rset(self, line: bytes) -> None:
        self.forget()
        self.say("250 2.0.0 forgotten")

    def on_quit(self, line: bytes) -> None:
        self.say("221 2.0.0 bye")
        self.hang_up()

    def on_tls(self, line: bytes) -> None:
        if self.context is None:
            self.say("454 4.7.0 no TLS now")
            return
        self.say("220 2.0.0 go ahead")
        self.unsaid += self.conduct.injected
        self.flush()
        self.waiting = True
        self.buffer.clear()
        task = asyncio.ensure_future(self.secure())
        task.add_done_callback(lambda done: done.exception())

    async def secure(self) -> None:
        loop = asyncio.get_running_loop()
        assert self.context is not None
        try:
            self.transport = await loop.start_tls(self.transport, self, self.context, server_side=True)
        except OSError:
            self.transport.abort()
            return
        self.secured = True
        self.waiting = False
        self.pump()

    def on_auth(self, line: bytes) -> None:
        words = line.decode().split()
        if words[1].upper() == "PLAIN":
            _, user, password = b64decode(words[2]).decode().split("\0")
            self.login(user, password)
        else:
            self.secrets = []
            self.say("334 VXNlcm5hbWU6")

    def login_line(self, line: bytes) -> None:
        assert self.secrets is not None
        self.secrets.append(b64decode(line).decode())
        if len(self.secrets) == 1:
            self.say("334 UGFzc3dvcmQ6")
            return
        user, password = self.secrets
        self.secrets = None
        self.login(user, password)

    def login(self, user: str, password: str) -> None:
        self.sink.logins.append((user, password))
        self.say("235 2.7.0 welcome" if (user, password) == self.conduct.auth else "535 5.7.8 wrong")

    def on_mail(self, line: bytes) -> None:
        found = _ADDRESS.match(line)
        assert found is not None, line
        sender = found[1].decode()
        if self.sender is not None:
            self.say("503 5.5.1 nested MAIL")
            return
        if self.conduct.farewell == "at mail" and self.taken == self.conduct.letters_per_connection:
            self.refuse(421)
            return
        what, _, code = sender.partition("@")[0].partition("-")
        if what == "mail" and code.isdigit():
            self.refuse(int(code))
            return
        self.sender, self.parameters = sender, found[2].decode().strip()
        self.say("250 2.1.0 sender ok")

    def on_rcpt(self, line: bytes) -> None:
        found = _ADDRESS.match(line)
        assert found is not None, line
        if self.sender is None:
            self.say("503 5.5.1 MAIL first")
            return
        recipient = found[1].decode()
        trick = recipient.partition("@")[0].partition("+")[0]
        what, _, value = trick.partition("-")
        if trick == "cut-rcpt":
            self.flush()
            self.transport.abort()
        elif what in ("rcpt", "eager"):
            self.eager = what == "eager"
            self.refuse(int(value))
        elif trick == "escape":
            self.say("550-\x1b[31mred\x1b[0m and\x07 bells")
            self.say("550 second line")
        else:
            self.recipients.append(recipient)
            self.trick = self.trick or trick
            self.say("250 2.1.5 recipient ok")

    def on_data(self, line: bytes) -> None:
        what, _, value = self.trick.partition("-")
        if not self.recipients and not self.eager:
            self.say("503 5.5.1 RCPT first")
        elif self.trick == "cut-data":
            self.flush()
            self.transport.abort()
        elif what == "data" and value.isdigit():
            self.refuse(int(value))
        else:
            self.in_body, self.scanned = True, 0
            self.say("354 go ahead")

    def take_body(self) -> bool:
        """Take the letter if all of it is there."""
        if self.trick == "cut-body":
            self.transport.abort()
            return False
        if self.buffer.startswith(b".\r\n"):
            end, raw = 3, b""
        else:
            found = self.buffer.find(b"\r\n.\r\n", max(0, self.scanned - 4))
            if found < 0:
                self.scanned = len(self.buffer)
                return False
            end, raw = found + 5, bytes(self.buffer[: found + 2])
        del self.buffer[:end]
        self.in_body = False
        self.concluded(raw[1:] if raw.startswith(b"..") else raw)
        return True

    def concluded(self, raw: bytes) -> None:
        what, _, value = self.trick.partition("-")
        if not self.recipients:
            self.refuse(554)
        elif what == "final":
            self.refuse(int(value))
            if self.conduct.clings:
                # Nothing asks for tricks any more: whatever joins the transaction would be delivered.
                self.trick = ""
                return
        else:
            self.keep(raw.replace(b"\r\n..", b"\r\n."))
            delay = self.conduct.delay + (float(value) if what == "stall" else 0.0)
            if what == "pair":
                self.pair()
            elif delay:
                self.waiting = True
                asyncio.get_running_loop().call_later(delay, self.answer_late, self.trick)
            else:
                self.answer(self.trick)
        self.forget()

    def keep(self, raw: bytes) -> None:
        """Write the letter down, before it is answered."""
        answered = self.trick not in ("cut-after", "nonsense", "endless", "chatter")
        if self.file is not None:
            line: dict[str, Any] = {
                "time": time.time(),
                "connection": self.number,
                "from": self.sender,
                "to": self.recipients,
                "message_id": found[1].decode() if (found := _MESSAGE_ID.search(raw)) else None,
                "size": len(raw),
                "answered": answered,
            }
            if self.conduct.bodies:
                line["raw"] = b64encode(raw).decode()
            os.write(self.file, json.dumps(line).encode() + b"\n")
            return
        self.sink.letters.append(
            Received(
                connection=self.number,
                sender=self.sender or "",
                recipients=tuple(self.recipients),
                raw=raw if self.conduct.bodies else b"",
                answered=answered,
                secured=self.secured,
                parameters=self.parameters,
            )
        )

    def pair(self) -> None:
        self.waiting = True
        self.sink.unpaired.append(self)
        if len(self.sink.unpaired) == 2:
            for talk in self.sink.unpaired:
                asyncio.get_running_loop().call_soon(talk.answer_late, "pair")
            self.sink.unpaired.clear()

    def answer_late(self, trick: str) -> None:
        self.waiting = False
        self.answer(trick)
        self.pump()

    def answer(self, trick: str) -> None:
        if trick == "cut-after":
            self.transport.abort()
        elif trick == "nonsense":
            self.say("what a nice letter")
        elif trick == "endless":
            self.transport.write(b"250 " + b"x" * 1_000_000)
        elif trick == "chatter":
            self.transport.write(b"250-more\r\n" * 100_000)
        elif trick == "drip":
            self.drip(b"250 " + b"x" * 200 + b"\r\n")
        else:
            self.taken += 1
            self.say(f"250 2.0.0 Ok: queued as {self.number}.{self.taken}")
            if self.taken == self.conduct.letters_per_connection:
                if self.conduct.farewell == "at mail":
                    return
                if self.conduct.farewell:
                    self.say("421 4.3.2 enough for now")
                self.hang_up()

    def drip(self, rest: bytes) -> None:
        self.waiting = bool(rest)
        if rest and not self.transport.is_closing():
            self.transport.write(rest[:1])
            asyncio.get_running_loop().call_later(0.05, self.drip, rest[1:])

    def refuse(self, code: int) -> None:
        self.say(f"{code} {code // 100}.0.0 refused as asked")
        if code == 421:
            self.hang_up()


def self_signed(folder: Path, *, name: str = "localhost", days: int = 1) -> tuple[Path, Path]:
    """Make a certificate for `name` and 127.0.0.1; give the files of it and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(names if name == "localhost" else x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


async def serve(conduct: Conduct, sink: Sink, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    loop = asyncio.get_running_loop()
    talks: set[Talk] = set()
    with tempfile.TemporaryDirectory() as folder:
        context = None
        if conduct.tls or conduct.starttls:
            certificate, key = conduct.certificate or self_signed(Path(folder))
            sink.certificate = certificate
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
        file = os.open(conduct.record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if conduct.record else None
        server = await loop.create_server(
            lambda: Talk(sink, context, file, talks),
            conduct.host,
            conduct.port,
            ssl=context if conduct.tls else None,
            backlog=512,
        )
        sink.port = server.sockets[0].getsockname()[1]

        def hang_up() -> None:
            for talk in list(talks):
                talk.transport.abort()

        sink.hang_up = lambda: loop.call_soon_threadsafe(hang_up) and None
        ready()
        await stop.wait()
        server.close()
        hang_up()
        await asyncio.sleep(0.01)
        await server.wait_closed()
        if file is not None:
            os.close(file)


@contextmanager
def running(conduct: Conduct | None = None) -> Iterator[Sink]:
    """Serve in a thread of this process while the block runs."""
    sink = Sink(conduct or Conduct())
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def run() -> None:
        try:
            loop.run_until_complete(serve(sink.conduct, sink, started.set, stop))
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=run, name="smtp-sink")
    thread.start()
    started.wait()
    try:
        yield sink
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def main(arguments: list[str]) -> None:
    """Serve as a process of its own until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--bodies", action="store_true")
    parser.add_argument("--no-pipelining", action="store_true")
    parser.add_argument("--no-smtputf8", action="store_true")
    parser.add_argument("--starttls", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--auth", metavar="USER:PASSWORD")
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--letters-per-connection", type=int, default=0)
    options = parser.parse_args(arguments)
    user, _, password = (options.auth or "").partition(":")
    conduct = Conduct(
        host=options.host,
        port=options.port,
        record=options.record or Path(os.devnull),
        bodies=options.bodies,
        pipelining=not options.no_pipelining,
        smtputf8=not options.no_smtputf8,
        starttls=options.starttls,
        tls=options.tls,
        auth=(user, password) if options.auth else None,
        size=options.size,
        delay=options.delay_ms / 1_000,
        letters_per_connection=options.letters_per_connection,
    )
    asyncio.run(_serve_process(conduct))


async def _serve_process(conduct: Conduct) -> None:
    sink, stop = Sink(conduct), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def ready() -> None:
        sys.stdout.write(f"listening on {sink.port}\n")
        sys.stdout.flush()

    await serve(conduct, sink, ready, stop)


if __name__ == "__main__":
    main(sys.argv[1:])
