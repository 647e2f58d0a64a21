"""A small HTTP client in a process of its own, so that the asking does not slow the measuring.

    python -m tests.bench.client < plan

reads a plan as JSON (see `Plan`), sends its requests over connections that stay open, and prints as JSON when it
began and ended and, for single messages, when each was sent off. Requests are encoded before the clock starts.
"""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench import content

TIMEOUT = 120.0


@dataclass(kw_only=True)
class Plan:
    """What to ask, and how fast."""

    port: int
    path: str
    authorization: str
    messages: int
    batch: int = 0
    """Recipients in a request; 0 asks for single messages."""
    clients: int = 2
    rate: float = 0.0
    """Requests a second; 0 is as fast as answers come."""
    named: bool = False
    fields: dict[str, Any] = field(default_factory=dict)

    def requests(self) -> list[bytes]:
        shared = content.NAMED if self.named else content.SHARED
        if not self.batch:
            return [self._request(content.single(number, **self.fields)) for number in range(self.messages)]
        return [
            self._request(
                content.batch(
                    range(start, min(start + self.batch, self.messages)),
                    shared=shared,
                    **self.fields,
                )
            )
            for start in range(0, self.messages, self.batch)
        ]

    def _request(self, body: dict[str, Any]) -> bytes:
        encoded = json.dumps(body).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: {self.authorization}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(encoded)}\r\n\r\n"
        )
        return head.encode() + encoded


@dataclass(kw_only=True)
class Answer:
    """What came of a plan, in seconds since 1970."""

    began: float
    ended: float
    sent_off: dict[str, float]
    """Message id → when its request left; of single messages only."""

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def ask(plan: Plan) -> Answer:
    """Carry out a plan in a process of its own."""
    return wait(begin(plan))


def begin(plan: Plan) -> subprocess.Popen[str]:
    """Start carrying out a plan."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.client"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(plan)))
    process.stdin.close()
    process.stdin = None
    return process


def wait(process: subprocess.Popen[str]) -> Answer:
    """Give the answer of a plan that was started."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError("the client failed: see its error above")
    return Answer(**json.loads(output))


class Connection:
    """One connection that stays open; reads just enough of HTTP to tell where an answer ends."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._received()
        head = received[:end].lower()
        if head[9:11] != b"20":
            raise RuntimeError(f"the server answered {bytes(received[:1000])!r}")
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(received) < end + 4 + length:
            received += self._received()
        return bytes(received[end + 4 :])

    def _received(self) -> bytes:
        received = self._socket.recv(256 * 1024)
        if not received:
            raise RuntimeError("the server hung up")
        return received


def carry_out(plan: Plan) -> Answer:
    """Send a plan's requests from this process."""
    waiting: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
    requests = plan.requests()
    for item in enumerate(requests):
        waiting.put(item)
    connections = [Connection(plan.port) for _ in range(plan.clients)]
    answers: list[tuple[float, bytes]] = []
    failures: list[BaseException] = []
    began = time.time()

    def work(connection: Connection) -> None:
        try:
            while True:
                number, request = waiting.get_nowait()
                if plan.rate:
                    time.sleep(max(0.0, began + number / plan.rate - time.time()))
                left = time.time()
                answers.append((left, connection.post(request)))
        except queue.Empty:
            return
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[connection]) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = time.time()
    if failures:
        raise failures[0]
    sent_off = {} if plan.batch else {str(json.loads(body)["id"]): left for left, body in answers}
    return Answer(began=began, ended=ended, sent_off=sent_off)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(carry_out(Plan(**json.load(sys.stdin))))))
