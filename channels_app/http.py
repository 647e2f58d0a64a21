"""The one way out by HTTP: every request is bounded in time and size, and goes where it may go.

requests bounds a single read, resolves names without a bound, follows the environment's proxies and reads the body of a
redirect to its end. Here one deadline covers the look-up, the connection and every read; and with an `Egress` the
address that is connected to is the one that was judged, since both happen in one place.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests_hardened import Config, HTTPSession
from urllib3.exceptions import HTTPError

from channels_app import sockets
from channels_app.egress import Egress
from channels_app.errors import InvalidMessage, UrlRefused
from channels_app.silences import Silences
from channels_app.transport import Exchange, Transport, trust, under_way
from channels_app.types import Ambiguous, Throttled, Transient
from channels_app.words import cleaned

DEADLINE: Final = 30.0
"""Seconds for one request: look-up, connection, sending and the whole answer."""
BODY_LIMIT: Final = 64 * 1024
"""Bytes of an answer that are read, where nothing else is said."""
LEAST_WAIT: Final = 1.0
"""Seconds that a server asks to wait at the least, also where it says 0 or a time that is over: a wait of nothing would
mean a message that was never begun, and such a message goes round for ever."""
MOST_WAIT: Final = 1e9
"""Seconds that a longer wish counts as; whoever waits has a bound of its own."""
_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "keep-alive"}
_SECONDS: Final = re.compile(r"[0-9]+\Z")
_SILENT: Final = frozenset({"timeout", "connect_timeout", "lookup_timeout"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """By name, in lower case."""
    body: bytes = field(repr=False)
    truncated: bool = False
    """There was more, or it did not come in time."""

    @property
    def words(self) -> str:
        """The beginning of the body, fit to show."""
        return cleaned(self.body)

    def retry_after(self) -> float | None:
        """Give the seconds that the server asks to wait, a second at least, if it does so in a way that makes sense."""
        asked = self.headers.get("retry-after", "").strip()
        if _SECONDS.match(asked):
            return min(max(LEAST_WAIT, float(asked)), MOST_WAIT)
        try:
            moment = parsedate_to_datetime(asked)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return min(max(LEAST_WAIT, (moment - datetime.now(UTC)).total_seconds()), MOST_WAIT)
        except (ValueError, OverflowError):
            return None


class Unanswered(Exception):
    """No answer came, or none that is HTTP; `may_have_left` tells whether the whole request was handed over before."""

    def __init__(self, code: str, detail: str = "", *, may_have_left: bool = False, wait: float = 0.0) -> None:
        super().__init__(detail or code)
        self.code = code
        self.detail = detail
        self.may_have_left = may_have_left
        self.wait = wait
        """Seconds until the server may be asked again, where it was not."""

    @property
    def silent(self) -> bool:
        """Whether the server let the time pass."""
        return self.code in _SILENT

    def outcome(self) -> Transient | Ambiguous | Throttled:
        """Tell what that means for a message which the request carried."""
        if self.wait:
            return Throttled(wait=max(self.wait, LEAST_WAIT), code=self.code, detail=self.detail, alone=True)
        if self.may_have_left:
            return Ambiguous(detail=f"{self.code} {self.detail}".rstrip())
        return Transient(code=self.code, detail=self.detail)


class Client:
    """Sends requests over connections that stay open. Safe to share between threads.

    With `egress` it goes where that allows; without, anywhere: for addresses that an operator has set.
    """

    def __init__(
        self,
        *,
        egress: Egress | None,
        deadline: float = DEADLINE,
        connections: int = 16,
        ca_file: str = "",
        resolver: sockets.Resolver = sockets.resolve,
        rests: bool = False,
    ) -> None:
        """`connections` are kept to each host; `ca_file` names authorities to trust beside those of the Web; with
        `rests` servers that stopped answering are left alone for a while, which is for those that go to many."""
        self._silences = Silences() if rests else None
        self._egress = egress
        self._deadline = deadline
        self._resolver = resolver
        self._session = _Session(
            Config(
                ip_filter_enable=False,  # Judged where the connection is made, by the transport.
                ip_filter_allow_loopback_ips=False,
                never_redirect=True,
                default_timeout=(deadline, deadline),
                user_agent_override="Dispatch",
            )
        )
        self._session.trust_env = False
        self._session.headers.clear()
        self._session.headers.update(_HEADERS)
        # A cookie of one recipient must not travel with the message of another.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        transport = Transport(trust(ca_file), connections)
        self._session.mount("http://", transport)
        self._session.mount("https://", transport)

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
        limit: int = BODY_LIMIT,
    ) -> Answer:
        """Send one request and read its answer, by `deadline` seconds from now, and at most `limit` bytes of it.

        Raises:
            UrlRefused: the URL is malformed, or leads where no request may go; nothing was sent.
            InvalidMessage: a header cannot be carried.
            Unanswered: there is no answer.
        """
        prepared = self._prepare(method, url, body, headers or {})
        if self._silences is None:
            return self._exchange(prepared, deadline, limit)
        server = urlsplit(prepared.url or "").netloc
        if wait := self._silences.wait(server):
            raise Unanswered("server_silent", "the server stopped answering", wait=wait)
        try:
            answer = self._exchange(prepared, deadline, limit)
        except Unanswered as error:
            self._silences.note(server, silent=error.silent)
            raise
        self._silences.note(server, silent=False)
        return answer

    def close(self) -> None:
        """Close the connections that are kept."""
        self._session.close()

    def _exchange(self, prepared: requests.PreparedRequest, deadline: float | None, limit: int) -> Answer:
        exchange = Exchange(
            deadline=time.monotonic() + (self._deadline if deadline is None else deadline),
            egress=self._egress,
            resolver=self._resolver,
        )
        try:
            with under_way(exchange), self._session.send(prepared, stream=True) as response:
                body, truncated = read(response, limit)
        except sockets.Unreachable as unreachable:
            raise Unanswered(unreachable.code, unreachable.detail) from None
        except requests.exceptions.InvalidURL:
            raise UrlRefused("the URL is malformed") from None
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise _unanswered(error, exchange) from None
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            truncated=truncated,
        )

    def _prepare(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> requests.PreparedRequest:
        if self._egress is not None:
            self._egress.inspect(url)
        try:
            for value in headers.values():
                value.encode("latin-1")
            prepared: requests.PreparedRequest = self._session.prepare_request(
                requests.Request(method, url, data=body or None, headers=dict(headers))
            )
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError):
            raise InvalidMessage("a header holds line breaks, or letters beyond Latin-1", field="headers") from None
        except (requests.RequestException, ValueError):
            # What the library says repeats the URL, which may hold a secret.
            raise UrlRefused("the URL is malformed") from None
        if self._egress is not None and prepared.url != url:
            self._egress.inspect(prepared.url or "")
        return prepared


class _Session(HTTPSession):  # type: ignore[misc]
    def get_redirect_target(self, resp: Any) -> None:
        """See no redirect: requests would read the whole body of one, of any size, even when it follows none."""


def read(response: requests.Response, limit: int) -> tuple[bytes, bool]:
    """Read the body as it is sent, up to the limit. The status is known by now: no trouble here takes it back."""
    body = bytearray()
    try:
        while len(body) <= limit:
            piece = response.raw.read1(limit + 1 - len(body), decode_content=False)
            if not piece:
                return bytes(body), False
            body += piece
    except (HTTPError, OSError, ValueError):
        pass
    return bytes(body[:limit]), True


def _unanswered(error: BaseException, exchange: Exchange) -> Unanswered:
    """Name what went wrong. The words of the libraries repeat the URL, which may hold a secret: they are not used."""
    causes = list(_causes(error))
    certificate = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        return Unanswered("tls_certificate_refused", certificate.verify_message)
    if any(isinstance(cause, TimeoutError | requests.Timeout) for cause in causes):
        return Unanswered("timeout", may_have_left=exchange.left)
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Unanswered("tls_failed", may_have_left=exchange.left)
    # requests derives all its exceptions from OSError, which says nothing of the connection then.
    lost = any(isinstance(cause, OSError) and not isinstance(cause, requests.RequestException) for cause in causes)
    return Unanswered("connection_lost" if lost else "protocol_error", may_have_left=exchange.left)


def _causes(error: BaseException) -> list[BaseException]:
    """Give an error and all that is behind it: urllib3 keeps the first ones in `reason` and `args`."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        cause = todo.pop()
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            todo += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
    return found
