"""A conversation with an SMTP server: greeted, secured, authenticated, then one transaction after the other."""

from __future__ import annotations

import re
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from channels_app.adapters.mime import Letter
from channels_app.adapters.smtp_outcomes import SERVICE_CLOSING, Gone, Refused, turned_away
from channels_app.adapters.smtp_wire import ONE_RECORD, Lost, Reply, Wire, lines
from channels_app.types import NotConfigured, Transient

DEADLINE: Final = 30.0
"""Seconds for one message, the making of the connection included."""
IDLE: Final = 20.0
"""Seconds after which a connection is tried by NOOP before it carries a message."""
START_MAIL: Final = 354

_SIZE: Final = re.compile(r"[0-9]{1,20}\Z")
_AUTH_CONTINUES: Final = 334
_BAD_SEQUENCE: Final = 503
_NOOP_DEADLINE: Final = 5.0
_QUIT_DEADLINE: Final = 0.5
_ONE_WRITE: Final = 64 * 1024
"""Bytes up to which a letter leaves in one write."""
_DOT: Final = b".\r\n"
_REPLIES: Final = 3
"""Replies to the commands that leave at once: MAIL, RCPT, DATA."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """How to reach a server, and what to demand of it."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """How to secure the connection; without it nothing is secured."""
    starttls: bool = False
    """Whether TLS begins by STARTTLS rather than at once."""
    deadline: float = DEADLINE
    """Seconds."""


class Connection:
    """One connection to a relay. Used by one thread at a time."""

    def __init__(self, relay: Relay, deadline: float) -> None:
        """Connect, greet, secure and authenticate by `deadline` of the monotonic clock.

        Raises:
            Lost: the server is out of reach, or its TLS is refused.
            Refused: it turns us away.
        """
        self._relay = relay
        self._extensions: dict[str, str] = {}
        self._ahead: Letter | None = None
        self._unsettled = False
        """The last letter was refused: some servers, Postfix among them, still hold its transaction open."""
        self._wire = Wire(relay.host, relay.port, deadline)
        try:
            self._begin()
        except BaseException:
            self._wire.close()
            raise
        self._used_at = time.monotonic()

    def is_usable(self, letter: Letter | None = None) -> bool:
        """Tell whether the server still listens; one that was idle for long is asked."""
        if self._ahead is not None:
            # Whoever goes on with another letter than the one announced would take its replies for his own.
            return self._ahead is letter
        if not self._wire.is_quiet():
            return False
        now = time.monotonic()
        if now - self._used_at < IDLE:
            return True
        self._wire.deadline = now + _NOOP_DEADLINE
        try:
            return self._wire.ask("NOOP").ok
        except Lost:
            return False

    def offers(self, extension: str) -> bool:
        """Tell whether the server offers an extension, such as SMTPUTF8."""
        return extension in self._extensions

    def size_limit(self) -> int:
        """Give the bytes that a message may have; 0 is no limit."""
        limit = self._extensions.get("SIZE", "")
        return int(limit) if _SIZE.match(limit) else 0

    def announce(self, letter: Letter, deadline: float) -> tuple[Reply, list[str]]:
        """Send MAIL, RCPT and DATA; give the reply that decides, and the copies refused, as `address: reply`.

        354 means go ahead. At any other reply the transaction was dropped again. What left with the letter before is
        not sent again.

        Raises:
            Gone: the server left before it answered MAIL, or has not let go of the letter before.
            Lost: it left later.
        """
        self._wire.deadline = deadline
        chained = self._takes_at_once(letter)
        if self._ahead is letter:
            replies = self._wire.replies(_REPLIES)
        else:
            replies = self._wire.ask_each(_commands(letter), at_once=chained)
        self._ahead = None
        decisive, refused = _verdict(replies, letter)
        unsettled, self._unsettled = self._unsettled, False
        if unsettled and decisive.code == _BAD_SEQUENCE:
            # What was sent along joined the transaction of the letter before: it must come to nothing.
            self.hang_up()
            raise Gone(turned_away(decisive))
        if decisive.code == SERVICE_CLOSING:
            self.hang_up()
        elif decisive.code != START_MAIL:
            self._abandon(replies if chained else iter(()))
        return decisive, refused

    def hand_over(self, letter: Letter, following: Letter | None = None) -> None:
        """Send the letter and its final dot, and with it the commands that announce the following one.

        A server that takes commands at once takes those of the next transaction behind the dot (RFC 2920, 3.1), so
        that a letter costs one exchange and not two. They commit us to nothing until its own body leaves.

        Raises:
            Lost: the final dot did not leave.
        """
        along = b""
        if following is not None and self._takes_at_once(following):
            self._ahead, along = following, lines(_commands(following))
        size = letter.size + len(_DOT)
        if size + len(along) <= ONE_RECORD:
            along = b"".join((letter.head, letter.tail, _DOT, along))
        else:
            self._send_alone(letter)
            size = 0
        try:
            self._wire.send(along)
        except Lost as lost:
            if lost.sent < size:
                raise
            # The dot had left, and the socket is closed: whoever reads the answer learns that there is none.

    def reply(self) -> Reply:
        """Read the server's answer to the final dot.

        Raises:
            Lost: there is none, so that nobody knows.
        """
        answer = self._wire.reply()
        self._used_at = time.monotonic()
        self._unsettled = not answer.ok
        if answer.code == SERVICE_CLOSING:
            self.hang_up()
        return answer

    @property
    def is_ahead(self) -> bool:
        """Whether a letter was announced that has not been handed over."""
        return self._ahead is not None

    def hang_up(self) -> None:
        """Close without a word."""
        self._wire.close()

    def quit(self) -> None:
        """Take leave, briefly; never raises."""
        self._wire.deadline = time.monotonic() + _QUIT_DEADLINE
        try:
            self._wire.ask("QUIT")
        except Lost:
            pass
        finally:
            self._wire.close()

    def _send_alone(self, letter: Letter) -> None:
        pieces = (letter.head, letter.tail, _DOT)
        for piece in (b"".join(pieces),) if letter.size <= _ONE_WRITE else pieces:
            self._wire.send(piece)

    def _takes_at_once(self, letter: Letter) -> bool:
        """Tell whether the commands before a letter may leave in one write: the server allows it, and there is one
        recipient. Were one of several refused, the DATA sent along would already commit us to the others (RFC 2920,
        3.1)."""
        return len(letter.recipients) == 1 and self.offers("PIPELINING")

    def _abandon(self, replies: Iterator[Reply]) -> None:
        """Drop a transaction, once the replies to what was sent along with it have passed.

        A DATA that was let through is ended empty: it has no recipient. What the server said before stands, even if
        it leaves now.
        """
        try:
            passed = list(replies)
            if passed and passed[-1].code == START_MAIL:
                self._wire.ask(".")
            if not self._wire.ask("RSET").ok:
                self.hang_up()
        except Lost:
            self.hang_up()

    def _begin(self) -> None:
        relay = self._relay
        if relay.tls is not None and not relay.starttls:
            self._wire.secure(relay.tls)
        greeting = self._wire.reply()
        if not greeting.ok:
            raise Refused(turned_away(greeting))
        self._greet()
        if relay.tls is not None and relay.starttls:
            self._start_tls(relay.tls)
        if relay.user:
            self._authenticate()

    def _start_tls(self, tls: ssl.SSLContext) -> None:
        # Never downgraded: whoever can strip the offer from the greeting could read all that follows.
        if not self.offers("STARTTLS"):
            raise Refused(Transient(code="starttls_not_offered", detail="the server offers no STARTTLS"))
        answer = self._wire.ask("STARTTLS")
        if not answer.ok:
            raise Refused(Transient(code="starttls_refused", detail=str(answer)))
        self._wire.secure(tls)
        self._greet()

    def _greet(self) -> None:
        name = self._wire.own_name()
        answer = self._wire.ask(f"EHLO {name}")
        lines = answer.raw[1:]
        if not answer.ok and answer.code != SERVICE_CLOSING:
            answer, lines = self._wire.ask(f"HELO {name}"), ()
        if not answer.ok:
            raise Refused(turned_away(answer))
        self._extensions = {}
        for line in lines:
            keyword, _, parameters = line.decode("ascii", "replace").strip().upper().partition(" ")
            if keyword.startswith("AUTH="):
                # As servers wrote it before RFC 2554; some know nothing else.
                self._extensions.setdefault("AUTH", f"{keyword.removeprefix('AUTH=')} {parameters}")
            else:
                self._extensions[keyword] = parameters.strip()

    def _authenticate(self) -> None:
        offered = self._extensions.get("AUTH", "").split()
        user, password = self._relay.user, self._relay.password
        if "PLAIN" in offered:
            answer = self._wire.ask("AUTH PLAIN " + _encoded(f"\0{user}\0{password}"))
        elif "LOGIN" in offered:
            answer = self._wire.ask("AUTH LOGIN")
            for secret in (user, password):
                if answer.code == _AUTH_CONTINUES:
                    answer = self._wire.ask(_encoded(secret))
        else:
            raise Refused(NotConfigured(code="auth_not_offered", detail="the server offers neither PLAIN nor LOGIN"))
        if answer.ok:
            return
        if 400 <= answer.code < 500:
            raise Refused(turned_away(answer))
        raise Refused(NotConfigured(code="auth_refused", detail=str(answer)))


def _commands(letter: Letter) -> list[str]:
    mail = f"MAIL FROM:<{letter.sender}>{' SMTPUTF8' if letter.internationalised else ''}"
    return [mail, *(f"RCPT TO:<{recipient}>" for recipient in letter.recipients), "DATA"]


def _verdict(replies: Iterator[Reply], letter: Letter) -> tuple[Reply, list[str]]:
    """Read replies up to the one that decides: a refusal of sender or first recipient, else the one to DATA."""
    try:
        mail = next(replies)
    except Lost as error:
        raise Gone(Transient(code=error.code, detail=error.detail)) from error
    if mail.code == SERVICE_CLOSING:
        raise Gone(turned_away(mail))
    refused: list[str] = []
    if not mail.ok:
        return mail, refused
    for recipient in letter.recipients:
        reply = next(replies)
        if reply.ok:
            continue
        if recipient is letter.recipients[0] or reply.code == SERVICE_CLOSING:
            return reply, refused
        refused.append(f"{recipient}: {reply}")
    return next(replies), refused


def _encoded(secret: str) -> str:
    return b64encode(secret.encode()).decode()
