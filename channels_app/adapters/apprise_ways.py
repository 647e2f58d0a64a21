"""How Apprise's services reach their servers: by stand-ins for the libraries that they look up, on our transport.

`requests` and `smtplib` bound single reads alone. Here one deadline holds for a message as a whole, so much of an
answer is read and no more, and it is known whether anything left.
"""

from __future__ import annotations

import smtplib
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final

import requests

from channels_app.http import DEADLINE, read
from channels_app.sockets import Unreachable, dial, resolve
from channels_app.transport import Exchange, TimedSocket, TimedTls, Transport, trust, under_way

ANSWER_LIMIT: Final = 1024 * 1024
"""Bytes of an answer, or of all that a mail server says, that are read."""


class Sending:
    """A message on its way to a destination, from the first request to the last."""

    def __init__(self, ends: float) -> None:
        self.exchange = Exchange(deadline=ends, egress=None, resolver=resolve)
        self.asked = False
        """Whether it goes by one of these ways."""

    @property
    def stayed(self) -> bool:
        """Whether it surely did not leave."""
        return self.asked and not self.exchange.left

    def remaining(self) -> float:
        """The seconds that are left."""
        return max(0.0, self.exchange.deadline - time.monotonic())

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Let what is sent here belong to it; Apprise takes that along to the threads of its own."""
        token = _sending.set(self)
        try:
            yield
        finally:
            _sending.reset(token)


_sending: Final[ContextVar[Sending]] = ContextVar("sending")


def bound() -> None:
    """Give the stand-ins to the services that were loaded."""
    for name, module in tuple(sys.modules.items()):
        if name.startswith("apprise.plugins."):
            for way in _WAYS:
                if getattr(module, way.__name__, None) is sys.modules[way.__name__]:
                    setattr(module, way.__name__, way)


def _asked() -> Exchange:
    sending = _sending.get(None) or Sending(time.monotonic() + DEADLINE)
    sending.asked = True
    return sending.exchange


# HTTP


class _Requests(ModuleType):
    """Stands in for the module `requests`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send a request as `requests` would, by the deadline of the message that it is for."""
        try:
            with under_way(_asked()), requests.Session() as session:
                session.headers["Accept-Encoding"] = "identity"
                anybody = options.get("verify") is False
                for scheme in ("http://", "https://"):
                    session.mount(scheme, _Bounded(trust("", anybody=anybody), 1))
                return session.request(method, url, **options)
        except Unreachable as error:
            raise requests.ConnectionError(str(error)) from None

    def get(self, url: str, **options: Any) -> requests.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, data: Any = None, **options: Any) -> requests.Response:
        return self.request("POST", url, data=data, **options)

    def put(self, url: str, data: Any = None, **options: Any) -> requests.Response:
        return self.request("PUT", url, data=data, **options)

    def patch(self, url: str, data: Any = None, **options: Any) -> requests.Response:
        return self.request("PATCH", url, data=data, **options)

    def delete(self, url: str, **options: Any) -> requests.Response:
        return self.request("DELETE", url, **options)

    def head(self, url: str, **options: Any) -> requests.Response:
        return self.request("HEAD", url, **{"allow_redirects": False, **options})


class _Bounded(Transport):
    """Reads so much of an answer and no more, that of a redirect too."""

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        response = super().send(*arguments, **{**options, "stream": True})
        response._content, _ = read(response, ANSWER_LIMIT)
        response._content_consumed = True
        response.close()
        return response


# E-mail


class _Lines:
    """What a mail server says, up to the limit."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = ANSWER_LIMIT

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise ConnectionError("the server talks without end")
        return line

    def close(self) -> None:
        self._file.close()


class _Smtp(smtplib.SMTP):
    """Talks to a mail server by the deadline of the message that it is for."""

    file: Any
    _talk: ExitStack | None = None

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        exchange = _asked()
        try:
            dialled = dial(host, port, exchange.deadline, TimedSocket, resolver=exchange.resolver)
        except Unreachable as error:
            raise ConnectionError(str(error)) from None
        self._talk = ExitStack()
        self._talk.enter_context(under_way(exchange))
        return dialled

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            self.file = _Lines(self.sock.makefile("rb"))  # type: ignore[union-attr]
        return super().getreply()

    def starttls(self, *, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:  # type: ignore[override]
        return super().starttls(context=_timed(context))

    def data(self, msg: Any) -> tuple[int, bytes]:
        _asked().left = True
        return super().data(msg)

    def close(self) -> None:
        super().close()
        if self._talk is not None:
            self._talk.close()


class _SmtpTls(smtplib.SMTP_SSL, _Smtp):
    """The same, encrypted from the first byte on."""

    def __init__(self, *arguments: Any, context: ssl.SSLContext | None = None, **named: Any) -> None:
        super().__init__(*arguments, **{**named, "context": _timed(context)})


def _timed(context: ssl.SSLContext | None) -> ssl.SSLContext:
    timed = context or ssl.create_default_context()
    timed.sslsocket_class = TimedTls
    return timed


class _Smtplib(ModuleType):
    """Stands in for the module `smtplib`."""

    SMTP = _Smtp
    SMTP_SSL = _SmtpTls

    def __getattr__(self, name: str) -> Any:
        return getattr(smtplib, name)


_WAYS: Final = (_Requests("requests"), _Smtplib("smtplib"))
