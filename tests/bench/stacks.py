"""The two stacks that are compared: Dispatch as `up` starts it, and the hand-written one."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import psycopg
import redis

from config.stack.processes import Process, Shape, processes
from config.stack.servers import free_port
from config.stack.variables import for_process
from tests.bench.client import Plan
from tests.bench.ground import Ground

PATIENCE = 120.0
_LOOK = 0.1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the messages accepted since a moment."""

    sent: int
    events: int
    last_sent: float
    """Seconds since 1970."""


class Stack(ABC):
    """A running stack: where to ask, and what its database says."""

    name: ClassVar[str]
    senders: ClassVar[tuple[str, ...]]
    """Processes that send e-mail."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.port = free_port()
        self.authorization = ""
        self.database_url = ""

    @abstractmethod
    def start(self) -> None:
        """Start every process and wait until it works."""

    @abstractmethod
    def plan(self, *, messages: int, batch: int = 0, **options: Any) -> Plan:
        """A plan for the client."""

    def accept_only(self) -> None:
        """Hold the senders, so that accepting is measured by itself."""
        self.ground.hold(*self.senders)

    def forget(self) -> None:
        """Drop what was accepted while the senders were held, and let them go on."""
        with self._connection() as connection:
            self._drop(connection)
        self.ground.release(*self.senders)

    def await_sent(self) -> None:
        """Wait until nothing waits."""
        deadline = time.monotonic() + PATIENCE
        with self._connection() as connection:
            # The indexes answer at once; a planner without statistics would read the table instead.
            connection.execute("SET enable_seqscan = off")
            while self._waits(connection):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} still has messages to send after {PATIENCE:.0f} s")
                time.sleep(_LOOK)

    @abstractmethod
    def outcome(self, since: float) -> Outcome:
        """What became of messages accepted since then."""

    def sent_at(self, ids: Collection[str]) -> dict[str, float]:
        """When messages were sent, by id."""
        with self._connection() as connection:
            rows = connection.execute(self._sent_at, [list(ids)]).fetchall()
        return {str(key): at.timestamp() for key, at in rows if at is not None}

    _sent_at: ClassVar[str]

    @abstractmethod
    def _waits(self, connection: psycopg.Connection[Any]) -> bool: ...

    @abstractmethod
    def _drop(self, connection: psycopg.Connection[Any]) -> None: ...

    def _connection(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.database_url, autocommit=True)


class Dispatch(Stack):
    """This project."""

    name = "dispatch"
    senders = ("email",)
    _sent_at = "SELECT id, sent_at FROM messaging_message WHERE id = ANY(%s::uuid[])"

    def start(self) -> None:
        self.database_url = self.ground.env["DATABASE_URL"]
        env = {**self.ground.env, "EMAIL_URL": f"smtp://127.0.0.1:{self.ground.smtp_port}", "EGRESS_ALLOW": "127.0.0.1"}
        self.ground.run("manage.py", "migrate", "--verbosity", "0", env=env)
        printed = self.ground.run("manage.py", "bootstrap", env=env)
        self.authorization = "Bearer " + json.loads(printed.strip().splitlines()[-1])["api_key"]
        self.ground.home.static.mkdir(exist_ok=True)
        for process in self.processes():
            self.ground.start(process.name, process.command, for_process(env, process.name), nice=process.nice)
        self.ground.await_http("api", self.port, "/readyz", code=200)

    def processes(self) -> list[Process]:
        """What `up` starts, without Flower: it watches and does no work."""
        shape = Shape(port=self.port, static=str(self.ground.home.static))
        return [process for process in processes(shape) if process.name != "flower"]

    def plan(self, *, messages: int, batch: int = 0, **options: Any) -> Plan:
        path = "/api/v1/messages/batch" if batch else "/api/v1/messages"
        fields = {"channel": "email", **options.pop("fields", {})}
        return Plan(
            port=self.port,
            path=path,
            authorization=self.authorization,
            messages=messages,
            batch=batch,
            fields=fields,
            **options,
        )

    def outcome(self, since: float) -> Outcome:
        lowest = UUID(int=int(since * 1000) << 80)
        with self._connection() as connection:
            sent, last = connection.execute(
                "SELECT count(*), max(sent_at) FROM messaging_message WHERE id >= %s AND status = 'SENT'", [lowest]
            ).fetchone() or (0, None)
            (events,) = connection.execute(
                "SELECT count(*) FROM messaging_messageevent WHERE message_id >= %s", [lowest]
            ).fetchone() or (0,)
        return Outcome(sent=sent, events=events, last_sent=last.timestamp() if last else since)

    def _waits(self, connection: psycopg.Connection[Any]) -> bool:
        row = connection.execute(
            "SELECT EXISTS (SELECT FROM messaging_workspace w, LATERAL (SELECT FROM messaging_message m "
            "WHERE m.workspace_id = w.id AND m.status IN ('QUEUED', 'SENDING') LIMIT 1) waiting)"
        ).fetchone()
        return bool(row and row[0])

    def _drop(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute("TRUNCATE messaging_message, messaging_messageevent")


class Handwritten(Stack):
    """The hand-written stack of this folder."""

    name = "hand-written"
    senders = ("handwritten-worker",)
    _sent_at = "SELECT id, sent_at FROM handwritten_message WHERE id = ANY(%s::bigint[])"
    _broker = 5

    def start(self) -> None:
        self.database_url = self.ground.database("handwritten")
        env = {
            **self.ground.env,
            "BENCH_DATABASE_URL": self.database_url,
            "BROKER_URL": self.ground.broker(self._broker),
            "BENCH_SMTP_PORT": str(self.ground.smtp_port),
            "DJANGO_SETTINGS_MODULE": "tests.bench.handwritten.settings",
        }
        self.ground.run("-m", "django", "migrate", "--run-syncdb", "--verbosity", "0", env=env)
        self.authorization = "Token " + self.ground.run("-m", "tests.bench.handwritten.token", env=env).strip()
        api = next(process for process in processes(Shape(port=self.port, static="")) if process.name == "api")
        static = api.command.index("--static-path-route")
        command = ["tests.bench.handwritten.wsgi:application" if ":" in word else word for word in api.command[:static]]
        self.ground.start("handwritten-api", command, env)
        worker = ["celery", "-A", "tests.bench.handwritten.celery", "worker", "-P", "prefork", "-c", "2"]
        self.ground.start("handwritten-worker", worker, env)
        self.ground.await_http("handwritten-api", self.port, "/messages", code=401)

    def plan(self, *, messages: int, batch: int = 0, **options: Any) -> Plan:
        # It has one lane, so that a priority would mean nothing.
        options.pop("fields", None)
        path = "/messages/batch" if batch else "/messages"
        return Plan(
            port=self.port, path=path, authorization=self.authorization, messages=messages, batch=batch, **options
        )

    def outcome(self, since: float) -> Outcome:
        at = datetime.fromtimestamp(since, UTC)
        with self._connection() as connection:
            sent, last = connection.execute(
                "SELECT count(*), max(sent_at) FROM handwritten_message WHERE created_at >= %s AND status = 'SENT'",
                [at],
            ).fetchone() or (0, None)
            (events,) = connection.execute(
                "SELECT count(*) FROM handwritten_messageevent e JOIN handwritten_message m ON m.id = e.message_id "
                "WHERE m.created_at >= %s",
                [at],
            ).fetchone() or (0,)
        return Outcome(sent=sent, events=events, last_sent=last.timestamp() if last else since)

    def _waits(self, connection: psycopg.Connection[Any]) -> bool:
        row = connection.execute(
            "SELECT EXISTS (SELECT FROM handwritten_message WHERE status IN ('QUEUED', 'SENDING'))"
        ).fetchone()
        return bool(row and row[0])

    def _drop(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute("TRUNCATE handwritten_message, handwritten_messageevent")
        with redis.Redis.from_url(self.ground.broker(self._broker)) as client:
            client.delete("celery")
