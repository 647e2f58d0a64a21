"""A database and a broker of our own, which may be killed and started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TypeVar

import psycopg
import redis

from config.stack.binaries import binaries
from config.stack.broker import with_database
from config.stack.errors import Held
from config.stack.home import CLONE, Home, place, temporary_home
from config.stack.keyring import Keyring, keyring
from config.stack.servers import Postgres, Server, Valkey
from config.stack.spawn import last_line
from tests.running import Part, eventually, reserved_port

T = TypeVar("T")
_TEMPLATE = "migrated"
_NUMBERS = 64
"""Databases that the broker has."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """A database with its first workspace, and a broker: what a stack keeps its things in."""

    env: dict[str, str]
    """Variables that name them, and the secrets of what is there already."""
    key: str
    """An API key of the workspace."""
    test_key: str

    @property
    def url(self) -> str:
        return self.env["DATABASE_URL"]


class Pair:
    """A PostgreSQL and a Valkey of our own, which may be killed."""

    def __init__(self, home: Home, *, ports: tuple[int, int], strict: bool) -> None:
        self.home = home
        self._more = {} if strict else {"VALKEY_TIMEOUT_MS": "30000"}
        self.ring: Keyring = keyring(home)
        where = place(home)
        programs = binaries(where)
        self._servers: list[Server] = []
        for kind, port in zip((Postgres, Valkey), ports, strict=True):
            log = home.log(kind.name)
            server = kind(place=where, binaries=programs, ring=self.ring, port=port, log=log, durable=strict)
            server.prepare()
            self._servers.append(server)
        self.postgres, self.valkey = (
            Part(server.name, lambda server=server: _patiently(server.launch), server.log) for server in self._servers
        )
        self._numbers = cycle(range(_NUMBERS))
        self._credentials: dict[str, str] = {}

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

    def store(self, name: str) -> Store:
        """Make a migrated database with one workspace, and find empty numbers in the broker."""
        self._credentials = self._credentials or self._make_template()
        self._create(name, template=_TEMPLATE)
        env = self._env(name)
        for url in (env["REDIS_URL"], env["BROKER_URL"]):
            with redis.Redis.from_url(url) as client:
                client.flushdb()
        return Store(env=env, key=self._credentials["api_key"], test_key=self._credentials["test_api_key"])

    def _make_template(self) -> dict[str, str]:
        """Make the database that all others are copies of, and give the workspace's credentials."""
        self._create(_TEMPLATE, template="template1")
        self._manage("migrate", "--verbosity", "0")
        made: dict[str, str] = json.loads(self._manage("bootstrap").splitlines()[-1])
        return made

    def _manage(self, *arguments: str) -> str:
        env = {**os.environ, **self._env(_TEMPLATE), "DISPATCH_HOME": str(self.home.root)}
        done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=CLONE, env=env, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def _env(self, name: str) -> dict[str, str]:
        keys, tasks = next(self._numbers), next(self._numbers)
        database, broker = self._servers
        return {
            "DATABASE_URL": f"{database.url.rpartition('/')[0]}/{name}",
            "REDIS_URL": with_database(broker.url, keys),
            "BROKER_URL": with_database(broker.url, tasks),
            "SECRET_KEY": self.ring.secret_key,
            "DISPATCH_KEYS": self.ring.dispatch_keys,
            **self._more,
        }

    def _create(self, name: str, *, template: str) -> None:
        with psycopg.connect(self._servers[0].url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

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
def servers(*, strict: bool = True) -> Iterator[Pair]:
    """Run a database and a broker while the block lasts.

    Where it need not be so `strict`, what is written outlives a kill, but no crash of the whole machine; and Valkey may
    take its time, so that a busy machine does not look like a server that is away.
    """
    with ExitStack() as held:
        home = held.enter_context(temporary_home("trial"))
        home.make()
        ports = held.enter_context(reserved_port()), held.enter_context(reserved_port())
        pair = Pair(home, ports=ports, strict=strict)
        held.callback(pair.stop)
        pair.start()
        yield pair
