"""What the database and the receiving server say happened: never logs, never the code under test."""

from __future__ import annotations

import atexit
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from tests.running import Helper, eventually


class Mail:
    """The letters that an SMTP sink wrote down, read as they come."""

    def __init__(self, record: Path, port: int) -> None:
        self.record, self.port = record, port
        self._read = 0
        self._letters: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def letters(self) -> list[dict[str, Any]]:
        """All letters so far, in the order in which they came."""
        if self.record.exists():
            with self.record.open("rb") as source:
                source.seek(self._read)
                whole = source.read()
            whole = whole[: whole.rfind(b"\n") + 1]
            self._read += len(whole)
            self._letters += [json.loads(line) for line in whole.splitlines()]
        return self._letters

    @property
    def keys(self) -> Counter[str]:
        """How often each Message-ID came."""
        return Counter(letter["message_id"] for letter in self.letters)

    @property
    def repeated(self) -> int:
        """Letters that came beyond the first of their Message-ID."""
        return sum(count - 1 for count in self.keys.values())


@contextmanager
def sink(folder: Path, *arguments: str) -> Iterator[Mail]:
    """Run an SMTP server that takes everything and writes down each letter before it answers."""
    record = folder / "received.jsonl"
    with Helper("tests.peers.smtp", "--record", str(record), *arguments) as helper:
        yield Mail(record, int(helper.greeting.rpartition(" ")[2]))


class Ledger:
    """Questions to one database. Each opens a connection of its own, so that a killed database is no trouble."""

    def __init__(self, url: str) -> None:
        self._url = url

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def number(self, query: str, *values: object) -> int:
        return int(self.rows(query, *values)[0][0])

    def counts(self) -> dict[str, int]:
        """How many messages stand in each status."""
        return dict(self.rows("SELECT status, count(*) FROM messaging_message GROUP BY status"))

    def all_in(self, *statuses: str) -> bool:
        """Whether there are messages, and all stand in one of these."""
        counts = self.counts()
        return bool(counts) and set(counts) <= set(statuses)

    def timeline(self, key: str) -> list[str]:
        """The types of a message's events, in order."""
        return [
            row[0]
            for row in self.rows("SELECT type FROM messaging_messageevent WHERE message_id = %s ORDER BY at, id", key)
        ]

    def message(self, key: str, *columns: str) -> tuple[Any, ...]:
        return self.rows(f"SELECT {', '.join(columns)} FROM messaging_message WHERE id = %s", key)[0]  # noqa: S608

    def transactions(self, event: str) -> int:
        """In how many transactions events of a type were written."""
        return self.number("SELECT count(DISTINCT xact) FROM messaging_messageevent WHERE type = %s", event)

    def violations(self) -> list[str]:
        """What must never be: a message that is not what its events add up to, an illegal move, a claim left over."""
        server, _, name = self._url.rpartition("/")
        found: list[str] = json.loads(_checker(server).ask(name))
        left = 0

        def over() -> bool:
            """Whether there are no claims, or some outlived their lease: others are just being ended."""
            nonlocal left
            claims = self.rows("SELECT expires_at <= clock_timestamp() FROM messaging_claim")
            left = sum(expired for (expired,) in claims)
            return not claims or left > 0

        eventually(over, "claims end")
        return [*found, *([f"{left} claims are left"] if left else [])]


@cache
def _checker(server: str) -> Helper:
    """The process that looks for violations on a server: one for all its databases."""
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "DATABASE_URL": f"{server}/none",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_LEVEL": "ERROR",
    }
    helper = Helper("tests.violations", env=env).__enter__()
    atexit.register(helper.__exit__)
    return helper
