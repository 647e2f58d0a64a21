"""What the machine can do with nothing above the protocol: COPY of prebuilt rows, SMTP of prebuilt letters.

    python -m tests.bench.raw copy COUNT DATABASE_URL
    python -m tests.bench.raw smtp COUNT PORT
    python -m tests.bench.raw hooks COUNT PORT

Two processes each, for webhooks the threads of one; prints the seconds between their common start and the last one's
end.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import queue
import smtplib
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from multiprocessing.synchronize import Barrier
from typing import Any
from uuid import UUID, uuid4

import psycopg
import requests
from standardwebhooks import Webhook

from tests.bench import content

PROCESSES = 2
BATCH = 1000
AT_ONCE = 12
"""Requests that one endpoint is given at a time (messaging.webhooks.sending.SHARES)."""
_TABLES = {"raw_message": "messaging_message", "raw_event": "messaging_messageevent"}
_MESSAGE_COLUMNS = (
    "id, workspace_id, content_id, batch_id, author_id, channel, priority, recipient, name, subject, metadata, "
    "category, action_type, language, test, max_attempts, status, created_at, queued_at, next_attempt_at"
)
_EVENT_COLUMNS = "id, message_id, workspace_id, type, status, at, cause"


_count = itertools.count(time.time_ns() // 1_000_000 << 20)


def _key() -> UUID:
    """A key that grows, as those of our tables do."""
    return UUID(int=(next(_count) << 60) | (uuid4().int >> 68))


def make_tables(url: str) -> None:
    """Make the tables that COPY fills: the columns and indexes of ours, without partitions."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name, model in _TABLES.items():
            connection.execute(f"DROP TABLE IF EXISTS {name}")  # type: ignore[arg-type]
            connection.execute(f"CREATE TABLE {name} (LIKE {model} INCLUDING DEFAULTS INCLUDING INDEXES)")  # type: ignore[arg-type]


def copy(barrier: Barrier, count: int, url: str) -> None:
    """Write messages and their first events, a transaction for each thousand."""
    batches = [_rows(min(BATCH, count - start)) for start in range(0, count, BATCH)]
    with psycopg.connect(url) as connection:
        barrier.wait()
        for messages, events in batches:
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy(f"COPY raw_message ({_MESSAGE_COLUMNS}) FROM STDIN") as target:
                    target.write(messages)
                with cursor.copy(f"COPY raw_event ({_EVENT_COLUMNS}) FROM STDIN") as target:
                    target.write(events)


def _rows(count: int) -> tuple[str, str]:
    workspace, shared, batch, author, now = _key(), _key(), _key(), _key(), datetime.now(UTC)
    messages, events = [], []
    for number in range(count):
        key = _key()
        row: list[Any] = [key, workspace, shared, batch, author, "email", 1, content.address(number)]
        row += [content.name(number), content.SUBJECT, "{}", "transactional", "custom", "en", "f", 3, "QUEUED"]
        messages.append("\t".join(map(str, [*row, now, now, now])))
        events.append("\t".join(map(str, [_key(), key, workspace, "queued", "QUEUED", now, "api"])))
    return "\n".join(messages) + "\n", "\n".join(events) + "\n"


def smtp(barrier: Barrier, count: int, port: str) -> None:
    """Send letters over one connection by the standard library's client."""
    letters = [(content.address(number), _letter(number)) for number in range(count)]
    with smtplib.SMTP("127.0.0.1", int(port)) as server:
        server.ehlo()
        barrier.wait()
        for to, letter in letters:
            server.sendmail("bench@example.com", [to], letter)


def hooks(barrier: Barrier, count: int, port: str) -> None:
    """Post webhooks by requests, signed by the library of Standard Webhooks; each thread keeps its connection."""
    signer = Webhook("whsec_" + b64encode(b"k" * 32).decode())
    bodies = queue.SimpleQueue[str]()
    for number in range(count):
        bodies.put(_event(number))

    def work() -> None:
        with requests.Session() as session:
            session.trust_env = False
            while True:
                try:
                    body = bodies.get_nowait()
                except queue.Empty:
                    return
                name, now = str(_key()), datetime.now(UTC)
                headers = {
                    "content-type": "application/json",
                    "webhook-id": name,
                    "webhook-timestamp": str(int(now.timestamp())),
                    "webhook-signature": signer.sign(msg_id=name, timestamp=now, data=body),
                }
                session.post(f"http://127.0.0.1:{port}/hook", data=body, headers=headers).raise_for_status()

    barrier.wait()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(work) for _ in range(AT_ONCE)]:
            done.result()


def _event(number: int) -> str:
    """What an endpoint is told, about as long as ours."""
    message = {"id": str(_key()), "to": content.address(number), "subject": content.SUBJECT, "filling": "x" * 1000}
    return json.dumps({"type": "message.sent", "timestamp": str(datetime.now(UTC)), "data": {"message": message}})


def _letter(number: int) -> bytes:
    letter = EmailMessage(policy=SMTP)
    letter["From"], letter["To"] = "Bench <bench@example.com>", content.address(number)
    letter["Subject"], letter["Date"] = content.SUBJECT, formatdate()
    letter["Message-ID"] = f"<{_key()}@example.com>"
    letter.set_content(content.TEXT)
    letter.add_alternative(content.BODY, subtype="html")
    return letter.as_bytes()


def measure(work: Callable[..., None], count: int, *arguments: str, processes: int = PROCESSES) -> float:
    """Seconds that the processes take together, from the moment that all are ready."""
    barrier = multiprocessing.Barrier(processes + 1)
    children = [
        multiprocessing.Process(target=work, args=(barrier, count // processes, *arguments)) for _ in range(processes)
    ]
    for child in children:
        child.start()
    barrier.wait()
    begun = time.monotonic()
    for child in children:
        child.join()
    seconds = time.monotonic() - begun
    if any(child.exitcode for child in children):
        raise RuntimeError("a process failed: see its error above")
    return seconds


if __name__ == "__main__":
    which, number, argument = sys.argv[1:]
    if which == "copy":
        make_tables(argument)
    work = {"copy": copy, "smtp": smtp, "hooks": hooks}[which]
    sys.stdout.write(repr(measure(work, int(number), argument, processes=1 if work is hooks else PROCESSES)))
