"""E-mail by SMTP, over connections that stay open across messages and batches."""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from channels_app.adapters.mime import Composer
from channels_app.adapters.mime_headers import mailbox
from channels_app.adapters.smtp_connection import DEADLINE, Connection, Relay
from channels_app.adapters.smtp_outcomes import Refused
from channels_app.adapters.smtp_session import SmtpSession
from channels_app.adapters.smtp_wire import Lost
from channels_app.base import ChannelAdapter
from channels_app.errors import InvalidMessage, ProviderMissing
from channels_app.spread import SpreadSession
from channels_app.types import Channel, Health, Limits, OnUnknown

PROBE_DEADLINE: Final = 5.0
MAX_DEADLINE: Final = 600.0

_SWITCH: Final[Mapping[str, bool]] = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_QUERY: Final = frozenset({"starttls", "verify", "plain_auth", "ca_file", "timeout"})


class SmtpAdapter(ChannelAdapter):
    """An SMTP server that relays our e-mail. A repeat carries the same Message-ID."""

    provider = "smtp"
    limits: ClassVar[Limits] = Limits(batch=500, group=100, concurrency=16)
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

    def open(self) -> SpreadSession:
        """Give a session; it connects when its first message comes, and more than once where the server is slow."""
        composer = Composer(self._default_from)
        return SpreadSession(lambda: SmtpSession(self._relay, composer), self.limits.concurrency)

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
