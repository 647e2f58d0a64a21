"""Where an outbound request may go when somebody else chose its URL: to public addresses, by http, on few ports.

Addresses are judged where the connection is made, since a name may resolve otherwise between a check and its use. What
stands here is pure: it looks nothing up.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

from channels_app.errors import ProviderMissing, UrlRefused

SCHEMES: Final = ("http", "https")
PORTS: Final = frozenset({80, 443, 8080, 8443})
"""Where web servers listen; what else listens on a machine must not be talked to by way of us."""
URL_LIMIT: Final = 2_048
_NOT_PUBLIC: Final = "the URL leads to an address that is not public"
_WRONG_PORT: Final = f"the URL leads to a port other than {', '.join(map(str, sorted(PORTS)))}"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# https://www.iana.org/assignments/iana-ipv4-special-registry, and one public address that clouds answer inside.
_CLOSED_V4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's own services, seen from inside a virtual machine
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
# Of IPv6 only what is handed out for the Internet is open. So mapped, compatible and translated IPv4, unique local,
# link-local, site-local and multicast addresses are closed without being named.
_OPEN_V6: Final = ipaddress.IPv6Network("2000::/3")
_CLOSED_V6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    )
)

_UNFIT: Final = re.compile(
    "[\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff\\\\\ud800-\udfff]"
)
# What a resolver may take for a number: 0x7f000001, 017700000001, 127.1 and their kin.
_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:0[xX][0-9a-fA-F]*|[0-9]+)\.?\Z")
_NAME: Final = re.compile(r"(?=.{1,254}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Egress:
    """The rule, and what an operator lets through although it is private. What is let through is so on every port."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def from_words(cls, words: Iterable[str]) -> Self:
        """Read addresses, networks in CIDR form and names of hosts.

        Raises:
            ProviderMissing: one of them is none of these.
        """
        networks: list[Network] = []
        hosts: set[str] = set()
        for word in words:
            plain = word.strip().strip("[]").lower()
            try:
                networks.append(ipaddress.ip_network(plain))
            except ValueError:
                if not _NAME.match(plain) or _NUMERIC.match(plain):
                    problem = f"EGRESS_ALLOW: {word!r} is no host, and no network such as 10.1.0.0/16"
                    raise ProviderMissing(problem) from None
                hosts.add(plain)
        return cls(networks=tuple(networks), hosts=frozenset(hosts))

    def inspect(self, url: str) -> None:
        """Refuse a URL by its looks alone; what its name resolves to is for `permit` to judge.

        Raises:
            UrlRefused: it may not be asked for, whoever it leads to.
        """
        parts, port = _split(url)
        if parts.scheme.lower() not in SCHEMES:
            raise UrlRefused("the URL is not of http or https")
        if "@" in parts.netloc or "%" in parts.netloc:
            raise UrlRefused("the URL carries a user name, or a host that is written in escapes")
        host = parts.hostname or ""
        if not host or port == 0:
            raise UrlRefused("the URL names no host and port")
        port = port or (443 if parts.scheme.lower() == "https" else 80)
        if ":" in host or _NUMERIC.match(host):
            self.permit(host, _literal(host), port)
        elif host.isascii() and not _NAME.match(host):
            raise UrlRefused("the URL's host is no name")
        elif not self.networks and _plain(host) not in self.hosts:
            _judge_name(_plain(host), port)

    def permit(self, host: str, address: str, port: int) -> None:
        """Refuse an address that `host` stands for, unless it is public and the port is one of the Web.

        Raises:
            UrlRefused: it may not be connected to.
        """
        if self.lets_through(host, address):
            return
        if not is_public(ipaddress.ip_address(address)):
            raise UrlRefused(_NOT_PUBLIC)
        if port not in PORTS:
            raise UrlRefused(_WRONG_PORT)

    def lets_through(self, host: str, address: str) -> bool:
        """Tell whether the operator named this host, or a network around this address."""
        found = ipaddress.ip_address(address)
        return _plain(host) in self.hosts or any(found in network for network in self.networks)


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the Internet at large."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    if address.scope_id is not None or address not in _OPEN_V6:
        return False
    return not any(address in network for network in _CLOSED_V6)


def _judge_name(host: str, port: int) -> None:
    """Spare the look-up of a name that leads nowhere."""
    if host == "localhost" or host.endswith(".localhost"):
        raise UrlRefused(_NOT_PUBLIC)
    if port not in PORTS:
        raise UrlRefused(_WRONG_PORT)


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _split(url: str) -> tuple[SplitResult, int | None]:
    if len(url) > URL_LIMIT or _UNFIT.search(url):
        raise UrlRefused(f"the URL is longer than {URL_LIMIT} characters, or holds spaces, controls or backslashes")
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:
        raise UrlRefused("the URL is malformed") from None


def _literal(host: str) -> str:
    """Give an address that is spelled the one right way; whatever else looks like a number is refused."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise UrlRefused("the URL writes its address in an unusual way") from None
