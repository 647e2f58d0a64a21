"""An endpoint that takes every webhook, in a process of its own: `GET /` tells how many came, and when.

python -m tests.bench.endpoint PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

_TAKEN = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


class Endpoint(asyncio.Protocol):
    """One connection; reads just enough of HTTP to tell where a request ends."""

    number = 0
    first = last = 0.0

    def __init__(self) -> None:
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end]).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self._received) < end + 4 + length:
                return
            del self._received[: end + 4 + length]
            self._transport.write(_told() if head.startswith(b"get") else _taken())


def _taken() -> bytes:
    Endpoint.number += 1
    Endpoint.last = time.time()
    Endpoint.first = Endpoint.first or Endpoint.last
    return _TAKEN


def _told() -> bytes:
    body = json.dumps({"number": Endpoint.number, "first": Endpoint.first, "last": Endpoint.last}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
