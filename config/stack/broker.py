"""Asks a broker or cache whether it answers, without a client library: the supervisor stays small."""

import socket
import ssl
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

_TIMEOUT = 2.0


def answers(url: str, *, timeout: float = _TIMEOUT) -> bool:
    """Tell whether the server answers PING, or, where it speaks another protocol, takes a connection."""
    parts = urlsplit(url)
    try:
        with _connect(url, timeout) as connection:
            if "redis" not in parts.scheme and "valkey" not in parts.scheme and parts.scheme != "unix":
                return True
            return _ping(connection, user=unquote(parts.username or ""), password=unquote(parts.password or ""))
    except (OSError, ValueError):
        return False


def with_database(url: str, number: int) -> str:
    """Return the URL of the same server's database `number`, in the form that Celery reads."""
    parts = urlsplit(url)
    if parts.scheme in {"unix", "redis+unix", "redis+socket"}:
        return urlunsplit(("redis+socket", parts.netloc, parts.path, f"virtual_host={number}", ""))
    return urlunsplit((parts.scheme, parts.netloc, f"/{number}", parts.query, ""))


def _connect(url: str, timeout: float) -> socket.socket:
    parts = urlsplit(url)
    if not parts.hostname:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(parts.path)
        return connection
    secure = parts.scheme in {"rediss", "valkeys", "amqps"}
    default = 6379 if "redis" in parts.scheme or "valkey" in parts.scheme else 5671 if secure else 5672
    connection = socket.create_connection((parts.hostname, parts.port or default), timeout=timeout)
    if not secure:
        return connection
    context = ssl.create_default_context()
    if parse_qs(parts.query).get("ssl_cert_reqs", [""])[0].lower() in {"none", "cert_none"}:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=parts.hostname)


def _ping(connection: socket.socket, *, user: str, password: str) -> bool:
    words = [["PING"]]
    if password:
        words.insert(0, ["AUTH", user, password] if user else ["AUTH", password])
    connection.sendall(b"".join(_command(part) for part in words))
    with connection.makefile("rb") as replies:
        last = b""
        for _ in words:
            last = replies.readline(512)
            if not last.startswith(b"+"):
                return False
    return last.startswith(b"+PONG")


def _command(words: list[str]) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
