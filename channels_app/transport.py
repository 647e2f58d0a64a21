"""What carries a request: sockets under its deadline, and connections to the address that was judged.

urllib3 bounds a single read; a server that drips would hold it for good. So each read takes what is left of the
deadline. The request under way belongs to the thread that makes it: connections go from one request to another.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http.client import BadStatusLine, HTTPResponse, parse_headers
from typing import Any, Final

import certifi
import requests
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress, filter_host
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from channels_app import sockets
from channels_app.egress import Egress
from channels_app.errors import UrlRefused

IDLE: Final = 20.0
"""Seconds after which a connection is not used again: many servers close theirs by then, unnoticed until too late."""
HOSTS: Final = 32
"""Hosts to which connections are kept."""
INTERIM: Final = 100
"""Interim answers that are passed by at the most."""
_SWITCHING: Final = 101


@dataclass(kw_only=True, slots=True)
class Exchange:
    """One request under way, in the thread that makes it."""

    deadline: float
    egress: Egress | None
    resolver: sockets.Resolver
    left: bool = False
    """The whole request was handed to the operating system."""

    def remaining(self) -> float:
        """Give the seconds that are left.

        Raises:
            TimeoutError: there are none.
        """
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the deadline passed")
        return remaining


_local = threading.local()


@contextmanager
def under_way(exchange: Exchange) -> Iterator[None]:
    """Let this thread's connections serve an exchange."""
    before = getattr(_local, "exchange", None)
    _local.exchange = exchange
    try:
        yield
    finally:
        _local.exchange = before


def _exchange() -> Exchange:
    exchange: Exchange = _local.exchange
    return exchange


class TimedSocket(socket.socket):
    """Every read and write ends by the deadline of the request that makes it, however little comes at a time."""

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        self.settimeout(_exchange().remaining())
        return super().recv_into(*arguments, **named)

    def send(self, *arguments: Any) -> int:
        self.settimeout(_exchange().remaining())
        return super().send(*arguments)

    def sendall(self, *arguments: Any) -> None:
        self.settimeout(_exchange().remaining())
        super().sendall(*arguments)


class TimedTls(TimedSocket, ssl.SSLSocket):
    """The same, once it is encrypted."""


class _Response(HTTPResponse):
    """Passes by what a server says before its answer: http.client takes all but 100 for the answer itself."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status >= 200:
                return version, status, reason
            if status == _SWITCHING:
                break
            parse_headers(self.fp)
        raise BadStatusLine("no answer")


class _Connection(HTTPConnection):
    """A connection to an address that was judged just before, and that knows when the request has left."""

    response_class = _Response
    _used_at = 0.0

    def _new_conn(self) -> socket.socket:
        exchange = _exchange()
        host, port, egress = self._dns_host.strip("[]"), int(self.port), exchange.egress

        def permit(address: str) -> None:
            if egress is not None:
                _permit(egress, host, address, port)

        dialled = sockets.dial(host, port, exchange.deadline, TimedSocket, permit=permit, resolver=exchange.resolver)
        dialled.settimeout(exchange.remaining())
        return dialled

    def request(self, *arguments: Any, **named: Any) -> None:
        super().request(*arguments, **named)
        _exchange().left = True

    def getresponse(self) -> Any:
        response = super().getresponse()
        self._used_at = time.monotonic()
        return response

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self._used_at < IDLE and super().is_connected


class _TlsConnection(_Connection, HTTPSConnection):
    """The same, encrypted."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Transport(HTTPAdapter):
    """Keeps connections of ours, and parses the list of authorities once rather than for each of them."""

    def __init__(self, context: ssl.SSLContext, connections: int) -> None:
        self._context = context
        super().__init__(pool_connections=HOSTS, pool_maxsize=connections)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context} if host["scheme"] == "https" else {}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context verifies."""


def _permit(egress: Egress, host: str, address: str, port: int) -> None:
    egress.permit(host, address, port)
    if egress.lets_through(host, address):
        return
    try:
        # A second opinion, from a list that others keep.
        filter_host(address, port, allow_loopback=False)
    except InvalidIPAddress:
        raise UrlRefused("the URL leads to an address that is not public") from None


@lru_cache
def trust(ca_file: str, *, anybody: bool = False) -> ssl.SSLContext:
    """Trust the authorities of the system, those that browsers trust, and the ones in a file; read once. With
    `anybody` no certificate is looked at."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca_file:
        context.load_verify_locations(ca_file)
    if anybody:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.sslsocket_class = TimedTls
    return context
