"""Sockets to the outside: looked up and connected by a deadline, and quick to notice a peer that has gone."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

Found = tuple[int, int, int, str, Any]
"""An address as `socket.getaddrinfo` tells it."""
Resolver = Callable[[str, int], Sequence[Found]]

_LEAST_PATIENCE: Final = 1_000
"""Milliseconds that a peer may leave data unacknowledged, at the least."""

_Socket = TypeVar("_Socket", bound=socket.socket)


class Unreachable(Exception):
    """No connection came about; `code` says why."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(detail or code)
        self.code = code
        self.detail = detail


def resolve(host: str, port: int) -> Sequence[Found]:
    """Ask the operating system for the addresses of a name."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def dial(
    host: str,
    port: int,
    deadline: float,
    make: type[_Socket],
    *,
    permit: Callable[[str], None] | None = None,
    resolver: Resolver = resolve,
) -> _Socket:
    """Connect to a host by `deadline` of the monotonic clock, trying its addresses in turn.

    `permit` is asked for every address before the first is connected to, and what it raises passes through: the
    address that was permitted is the one that is used.

    Raises:
        Unreachable: the name has no address, or none of them answers in time.
    """
    failure = Unreachable("connection_failed", "the name has no address")
    addresses = look_up(host, port, deadline, resolver)
    if permit is not None:
        for *_, address in addresses:
            permit(str(address[0]))
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        # Each address has its share of what is left, so that one that never answers leaves time for the next.
        seconds = (deadline - time.monotonic()) / (len(addresses) - number)
        if seconds <= 0:
            raise Unreachable("connect_timeout")
        try:
            return _connected(make(family, kind, protocol), address, seconds, deadline)
        except TimeoutError:
            failure = Unreachable("connect_timeout")
        except OSError as error:
            failure = Unreachable("connection_failed", error.strerror or str(error))
    raise failure


def look_up(host: str, port: int, deadline: float, resolver: Resolver = resolve) -> Sequence[Found]:
    """Resolve a name within the deadline: no socket time-out covers the look-up, so it runs aside.

    Raises:
        Unreachable: the name cannot be resolved, or not in time.
    """
    if _is_address(host):
        return resolve(host, port)
    found: list[Found] = []
    failures: list[str] = []

    def ask() -> None:
        try:
            found.extend(resolver(host, port))
        except OSError as error:
            failures.append(error.strerror or "the name cannot be resolved")
        except UnicodeError:
            failures.append("the name is malformed")

    lookup = threading.Thread(target=ask, name="lookup", daemon=True)
    lookup.start()
    lookup.join(max(0.0, deadline - time.monotonic()))
    if lookup.is_alive():
        raise Unreachable("lookup_timeout")
    if failures:
        raise Unreachable("lookup_failed", failures[0])
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _connected(dialled: _Socket, address: Any, seconds: float, deadline: float) -> _Socket:
    try:
        dialled.settimeout(seconds)
        dialled.connect(address)
        _tune(dialled, deadline - time.monotonic())
    except BaseException:
        dialled.close()
        raise
    return dialled


def _tune(dialled: socket.socket, seconds: float) -> None:
    """Send small pieces at once, and notice a peer that vanished without a word."""
    dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    dialled.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        patience = max(_LEAST_PATIENCE, int(seconds * 1_000))
        dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
