"""E-mail by SMTP, over connections that stay open across messages and batches."""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit
from uuid import UUID

from channels_app.adapters.mime import Composer, Letter
from channels_app.adapters.mime_headers import mailbox
from channels_app.adapters.smtp_connection import (
    BUSY_WAIT,
    DEADLINE,
    START_MAIL,
    Connection,
    Gone,
    Refused,
    Relay,
    refusal,
)
from channels_app.adapters.smtp_wire import Lost
from channels_app.base import ChannelAdapter, Session
from channels_app.errors import ChannelError, InvalidMessage, ProviderMissing
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    Health,
    Limits,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    Throttled,
    Transient,
)

PATIENCE: Final = 2
"""Messages in a row that may time out before the rest of a batch is given back."""
PROBE_DEADLINE: Final = 5.0
MAX_DEADLINE: Final = 600.0

_NOT_BEGUN: Final = Throttled(wait=0.0, code="not_begun")
_SWITCH: Final[Mapping[str, bool]] = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_QUERY: Final = frozenset({"starttls", "verify", "plain_auth", "ca_file", "timeout"})


class SmtpSession(Session):
    """One connection, made when a message first needs it, and made anew when it broke."""

    def __init__(self, relay: Relay, default_from: str = "") -> None:
        self._relay = relay
        self._composer = Composer(default_from)
        self._connection: Connection | None = None

    def deliver(self, batch: Iterator[OutboundMessage], may_send: Callable[[], bool]) -> Iterator[tuple[UUID, Outcome]]:
        """Send one message after the other; when the server is out of reach, give the rest back unbegun."""
        rest: Outcome | None = None
        troubles = 0
        for message in batch:
            if rest is not None:
                yield message.id, rest
                continue
            try:
                outcome = self._send(message, may_send)
            except Refused as refused:
                outcome, rest = refused.outcome, _for_the_rest(refused.outcome)
            troubles = troubles + 1 if _is_trouble(outcome) else 0
            if troubles == PATIENCE:
                rest = Throttled(wait=BUSY_WAIT, code="server_in_trouble", detail="the server stopped answering")
            yield message.id, outcome

    def close(self) -> None:
        """Take leave of the server."""
        if self._connection is not None:
            self._connection.quit()
            self._connection = None

    def _send(self, message: OutboundMessage, may_send: Callable[[], bool]) -> Outcome:
        try:
            letter = self._composer.compose(message)
        except ChannelError as error:
            return Permanent(code=error.code, detail=str(error))
        deadline = time.monotonic() + self._relay.deadline
        if self._connection is not None and self._connection.is_usable():
            try:
                return self._transact(self._connection, letter, deadline, may_send)
            except Gone:
                # Servers may close a connection that lies open; a new one costs the message no attempt.
                pass
        self._drop()
        connection = self._connect(deadline)
        try:
            return self._transact(connection, letter, deadline, may_send)
        except Gone as gone:
            self._drop()
            if isinstance(gone.outcome, Throttled):
                raise Refused(gone.outcome) from gone
            return gone.outcome

    def _transact(
        self, connection: Connection, letter: Letter, deadline: float, may_send: Callable[[], bool]
    ) -> Outcome:
        unfit = _unfit(connection, letter)
        if unfit is not None:
            return unfit
        if not may_send():
            raise Refused(_NOT_BEGUN)
        try:
            reply, refused = connection.announce(letter, deadline)
            if reply.code != START_MAIL:
                return refusal(reply)
            connection.hand_over(letter)
        except Lost as lost:
            self._drop()
            return Transient(code=lost.code, detail=lost.detail)
        try:
            reply = connection.reply()
            if not reply.ok:
                return refusal(reply)
        except Lost as lost:
            # The final dot has left: the server may have taken the message.
            self._drop()
            return Ambiguous(detail=f"{lost.code} {lost.detail}".rstrip())
        detail = {"reply": str(reply), "refused": refused} if refused else {"reply": str(reply)}
        return Accepted(provider_message_id=letter.message_id, detail=detail)

    def _connect(self, deadline: float) -> Connection:
        try:
            self._connection = Connection(self._relay, deadline)
        except Lost as lost:
            raise Refused(Transient(code=lost.code, detail=lost.detail)) from lost
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.hang_up()
            self._connection = None


class SmtpAdapter(ChannelAdapter):
    """An SMTP server that relays our e-mail. A repeat carries the same Message-ID."""

    provider = "smtp"
    limits: ClassVar[Limits] = Limits(batch=500, group=100)
    on_unknown: ClassVar[OnUnknown] = OnUnknown.REPEAT
    reports_delivery: ClassVar[bool] = False

    def __init__(self, channel: Channel, relay: Relay, default_from: str = "") -> None:
        super().__init__(channel)
        self._relay = relay
        self._default_from = default_from

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the adapter from `url`, `default_from` and `timeout`, which the URL's own wins over.

        `url` is `smtp://user:password@host:port` or `smtps://…`, user and password percent-encoded. Its query knows
        `starttls` (demanded unless the server is this machine), `verify` (0: take any certificate),
        `ca_file`, `timeout` (seconds for one message) and `plain_auth` (1: send the password unencrypted).

        Raises:
            ProviderMissing: a setting is missing or malformed.
        """
        if channel is not Channel.EMAIL:
            raise ProviderMissing(f"SMTP carries e-mail, not {channel}")
        default_from = str(options.get("default_from") or "")
        if default_from:
            try:
                mailbox(default_from, "default_from")
            except InvalidMessage as error:
                raise ProviderMissing(str(error)) from error
        timeout = float(options.get("timeout", DEADLINE))
        return cls(channel, relay_from_url(str(options.get("url") or ""), timeout=timeout), default_from)

    def open(self) -> SmtpSession:
        """Give a session; it connects when its first message comes."""
        return SmtpSession(self._relay, self._default_from)

    def probe(self) -> Health:
        """Connect, authenticate and leave."""
        try:
            connection = Connection(self._relay, time.monotonic() + min(self._relay.deadline, PROBE_DEADLINE))
        except Lost as lost:
            return Health(ok=False, detail=f"{lost.code} {lost.detail}".rstrip())
        except Refused as refused:
            return Health(ok=False, detail=getattr(refused.outcome, "detail", ""))
        connection.quit()
        return Health(ok=True)


def relay_from_url(url: str, timeout: float = DEADLINE) -> Relay:
    """Read `smtp://…` or `smtps://…`; the password appears in no error. `timeout` holds where the URL names none.

    Raises:
        ProviderMissing: the URL is malformed, or would send a password in clear.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ProviderMissing("the SMTP URL is malformed") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/"):
        raise ProviderMissing("the SMTP URL has the form smtp://user:password@host:port or smtps://…")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(query) - _QUERY)
    if unknown:
        raise ProviderMissing(f"the SMTP URL has unknown settings: {', '.join(unknown)}")
    implicit = parts.scheme == "smtps"
    starttls = not implicit and _demands_starttls(parts, query)
    return Relay(
        host=parts.hostname,
        port=port or (465 if implicit else 587 if starttls and parts.username else 25),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=_tls(query) if implicit or starttls else None,
        starttls=starttls,
        deadline=_seconds(query.get("timeout", str(timeout))),
    )


def _demands_starttls(parts: SplitResult, query: Mapping[str, str]) -> bool:
    away = not _is_loopback(parts.hostname or "")
    demanded = _switch(query, "starttls", away)
    if parts.username and away and not demanded and not _switch(query, "plain_auth", False):
        raise ProviderMissing("the SMTP URL would send its password in clear: plain_auth=1 allows that")
    return demanded


def _tls(query: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=query.get("ca_file") or None)
    except (OSError, ssl.SSLError) as error:
        raise ProviderMissing(f"the SMTP URL's ca_file cannot be read: {error.strerror}") from error
    if not _switch(query, "verify", True):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _switch(query: Mapping[str, str], name: str, default: bool) -> bool:
    value = query.get(name)
    if value is None:
        return default
    if value.lower() not in _SWITCH:
        raise ProviderMissing(f"the SMTP URL's {name} is 1 or 0")
    return _SWITCH[value.lower()]


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_DEADLINE:
        raise ProviderMissing(f"the SMTP URL's timeout is a number of seconds up to {MAX_DEADLINE:.0f}")
    return seconds


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unfit(connection: Connection, letter: Letter) -> Outcome | None:
    """Tell why this server cannot carry the letter, if it cannot."""
    if letter.internationalised and not connection.offers("SMTPUTF8"):
        return Permanent(code="smtputf8_required", detail="the server takes no addresses beyond ASCII")
    limit = connection.size_limit()
    size = len(letter.head) + len(letter.tail)
    if limit and size > limit:
        return Permanent(code="message_too_large", detail=f"{size} bytes; the server takes {limit}")
    return None


def _for_the_rest(outcome: Outcome) -> Outcome:
    """Tell what the server's turning away means for messages that were never begun: they wait, at no cost."""
    if isinstance(outcome, Transient):
        return Throttled(wait=BUSY_WAIT, code=outcome.code, detail=outcome.detail)
    return outcome


def _is_trouble(outcome: Outcome) -> bool:
    return isinstance(outcome, Ambiguous) or (isinstance(outcome, Transient) and outcome.code == "timeout")
