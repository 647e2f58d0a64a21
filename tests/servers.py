"""A database and a broker of our own, which may be killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
import redis

from config.stack.binaries import binaries
from config.stack.errors import Held
from config.stack.home import CLONE, Home, place, temporary_home
from config.stack.keyring import Keyring, keyring
from config.stack.servers import Postgres, Server, Valkey, free_port
from config.stack.spawn import last_line
from tests.running import Part, eventually

T = TypeVar("T")


class Pair:
    """A PostgreSQL and a Valkey of our own, which may be killed."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.ring: Keyring = keyring(home)
        where = place(home)
        programs = binaries(where)
        self._servers: list[Server] = []
        for kind in (Postgres, Valkey):
            port = free_port(taken=frozenset(server.port for server in self._servers))
            log = home.log(kind.name)
            server = kind(place=where, binaries=programs, ring=self.ring, port=port, log=log)
            server.prepare()
            self._servers.append(server)
        self.postgres, self.valkey = (
            Part(server.name, lambda server=server: _patiently(server.launch), server.log) for server in self._servers
        )
        self._template = ""

    def start(self) -> None:
        self.start_database()
        self.start_broker()
        database = self._servers[0]
        assert isinstance(database, Postgres)
        database.provide()

    def start_database(self) -> None:
        self._start(self.postgres, self._servers[0])

    def start_broker(self) -> None:
        self._start(self.valkey, self._servers[1])

    def stop(self) -> None:
        self.valkey.kill()
        self.postgres.kill()

    def database(self, name: str) -> dict[str, str]:
        """Make an empty, migrated database, forget all that the broker holds, and give the environment naming both."""
        if not self._template:
            self._template = "migrated"
            self._create(self._template, template="template1")
            env = {**os.environ, "DATABASE_URL": self._url(self._template), "DISPATCH_HOME": str(self.home.root)}
            command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
            done = subprocess.run(command, cwd=CLONE, env=env, capture_output=True)
            assert done.returncode == 0, done.stderr.decode()
        self._create(name, template=self._template)
        with redis.Redis.from_url(self._servers[1].url) as client:
            client.flushall()
        broker = self._servers[1].url
        return {
            "DATABASE_URL": self._url(name),
            "REDIS_URL": broker,
            "BROKER_URL": broker.removesuffix("/0") + "/1",
        }

    def _create(self, name: str, *, template: str) -> None:
        with psycopg.connect(self._servers[0].url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def _url(self, name: str) -> str:
        return self._servers[0].url.rpartition("/")[0] + f"/{name}"

    @staticmethod
    def _start(part: Part, server: Server) -> None:
        part.start()
        eventually(server.ready, lambda: f"{part.name} answers: {last_line(part.log)}")


def _patiently(launch: Callable[[], T]) -> T:
    """Launch a server once the processes of its killed predecessor have let go of its data."""

    def attempt() -> T | None:
        try:
            return launch()
        except Held:
            return None

    started = eventually(attempt, "the data directory is free")
    assert started is not None
    return started


@contextmanager
def servers() -> Iterator[Pair]:
    """Run a database and a broker while the block lasts."""
    with temporary_home("trial") as home:
        home.make()
        pair = Pair(home)
        try:
            pair.start()
            yield pair
        finally:
            pair.stop()
