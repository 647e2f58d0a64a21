"""The two embedded servers: how each is made, started, asked and stopped."""

import os
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql

from config.stack import locks
from config.stack.binaries import Binaries
from config.stack.broker import answers
from config.stack.errors import StackError
from config.stack.home import Place
from config.stack.keyring import Keyring
from config.stack.spawn import last_line, spawn

LOOPBACK = "127.0.0.1"
DATABASE = "dispatch"
_SUPERUSER = "postgres"


class Server(ABC):
    """One embedded server. Its data directory is locked by the server process itself, for as long as it lives."""

    name: ClassVar[str]
    stops: ClassVar[tuple[tuple[signal.Signals, float], ...]]
    """Signals in order of force, each with the seconds it is given."""

    def __init__(
        self,
        *,
        place: Place,
        binaries: Binaries,
        ring: Keyring,
        port: int,
        log: Path,
        run: str = "",
        durable: bool = True,
    ) -> None:
        self.place, self.binaries, self.ring, self.port, self.log = place, binaries, ring, port, log
        self.durable = durable
        """False gives up what only a crash of the whole machine could lose: for tests."""
        # Nothing of the caller's environment: it may hold the secrets of providers.
        self._env = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "DISPATCH_RUN": run}

    @property
    def data(self) -> Path:
        return self.place.root / self.name

    @property
    def lock(self) -> Path:
        return self.place.root / f"{self.name}.lock"

    @property
    @abstractmethod
    def url(self) -> str:
        """Return the URL that the application connects to."""

    @abstractmethod
    def prepare(self) -> bool:
        """Make the data directory where it is missing, and tell whether it was."""

    @abstractmethod
    def launch(self) -> subprocess.Popen[bytes]:
        """Start the server.

        Raises:
            Held: a process of another start still lives on the data directory.
        """

    @abstractmethod
    def ready(self) -> bool:
        """Tell whether the server takes requests of ours."""

    def _own(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        account = self.place.account
        wanted = account.uid if account else os.geteuid()
        if account and directory.stat().st_uid == 0:
            os.chown(directory, account.uid, account.gid)
        elif directory.stat().st_uid != wanted:
            raise StackError(
                f"{directory} belongs to another user: run ./dispatch as that user, or choose another --home"
            )

    def _start(
        self, command: list[str], *, on_parent_death: signal.Signals, feed: bytes | None
    ) -> subprocess.Popen[bytes]:
        lock = locks.acquire(self.lock)
        try:
            return spawn(
                command,
                env=self._env,
                log=self.log,
                cwd=self.place.root,
                account=self.place.account,
                on_parent_death=on_parent_death,
                keep=(lock,),
                feed=feed,
            )
        finally:
            os.close(lock)


class Postgres(Server):
    """PostgreSQL on a loopback port with passwords, without a unix socket."""

    name = "postgres"
    # SIGTERM would wait for every client to leave. SIGINT ends them, SIGQUIT leaves the rest to crash recovery.
    stops = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0))

    @property
    def url(self) -> str:
        return f"postgresql://{DATABASE}:{self.ring.postgres}@{LOOPBACK}:{self.port}/{DATABASE}"

    def prepare(self) -> bool:
        if (self.data / "PG_VERSION").exists():
            self._own(self.data)
            return False
        lock = locks.acquire(self.lock)
        try:
            self._initialise()
        finally:
            os.close(lock)
        return True

    def launch(self) -> subprocess.Popen[bytes]:
        command = [str(self.binaries.postgres), "-D", str(self.data)]
        for name, value in self._settings().items():
            command += ["-c", f"{name}={value}"]
        return self._start(command, on_parent_death=signal.SIGINT, feed=None)

    def ready(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise StackError(
                    f"{self.data} was made with other secrets than secrets.json: put that file back, "
                    "or remove the directory to start anew"
                ) from None
            return False
        return True

    def provide(self) -> None:
        """Make the application's role and database, and give the role the password of the home."""
        with self._connect() as connection:
            role, name = sql.Identifier(DATABASE), sql.Literal(DATABASE)
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {}").format(role))
            # No superuser: the application owns its database. Tests make databases, row security wants another role.
            connection.execute(
                sql.SQL("ALTER ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                    role, sql.Literal(self.ring.postgres)
                )
            )
            if not connection.execute(sql.SQL("SELECT 1 FROM pg_database WHERE datname = {}").format(name)).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(role))

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user=_SUPERUSER,
            password=self.ring.postgres_superuser,
            dbname="postgres",
            connect_timeout=5,
            autocommit=True,
        )

    def _initialise(self) -> None:
        """Run initdb beside the final directory and rename: a half-made cluster is never taken for one."""
        draft = self.place.root / "postgres.draft"
        shutil.rmtree(draft, ignore_errors=True)
        self._own(draft)
        secret = self.place.root / f".initdb.{os.getpid()}"
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, self.ring.postgres_superuser.encode())
            if self.place.account:
                os.fchown(descriptor, self.place.account.uid, self.place.account.gid)
            command = [str(self.binaries.initdb), "-D", str(draft), "-U", _SUPERUSER, f"--pwfile={secret}"]
            command += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"]
            # The built-in provider: the order of text does not change with the machine's C library.
            command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            process = spawn(command, env=self._env, log=self.log, cwd=self.place.root, account=self.place.account)
            if process.wait() != 0:
                raise StackError(f"initdb failed: {last_line(self.log)} (see {self.log})")
        finally:
            os.close(descriptor)
            secret.unlink(missing_ok=True)
        if self.data.exists():
            self.data.rmdir()
        draft.rename(self.data)

    def _settings(self) -> dict[str, str]:
        durable = "on" if self.durable else "off"
        return {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "fsync": durable,
            "full_page_writes": durable,
            "synchronous_commit": "on",
            "max_wal_size": "2GB",
            "min_wal_size": "256MB",
            "checkpoint_timeout": "15min",
            # Partitions are vacuumed by parameters of their own, which count only as often as the launcher looks.
            "autovacuum_naptime": "10s",
            "jit": "off",
            "random_page_cost": "1.1",
            "idle_in_transaction_session_timeout": "60s",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %a ",
        }


class Valkey(Server):
    """Valkey on a loopback port with a password and an append-only file."""

    name = "valkey"
    stops = ((signal.SIGTERM, 15.0),)

    @property
    def url(self) -> str:
        return f"redis://:{self.ring.valkey}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> bool:
        missing = not self.data.exists()
        self._own(self.data)
        return missing

    def launch(self) -> subprocess.Popen[bytes]:
        # By standard input, so that the password is neither in a file nor on the command line.
        feed = "".join(f"{name} {value}\n" for name, value in self._settings().items()).encode()
        return self._start([str(self.binaries.valkey), "-"], on_parent_death=signal.SIGTERM, feed=feed)

    def ready(self) -> bool:
        return answers(self.url)

    def _settings(self) -> dict[str, str]:
        return {
            "bind": LOOPBACK,
            "port": str(self.port),
            "requirepass": self.ring.valkey,
            "dir": f'"{self.data}"',
            "databases": "64",
            "appendonly": "yes",
            "appendfsync": "everysec" if self.durable else "no",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "tcp-keepalive": "60",
        }


def free_port(*, near: int | None = None, taken: frozenset[int] = frozenset()) -> int:
    """Return a loopback port that nobody listens on: the first from `near` on, else any."""
    candidates = [*range(near, near + 50), 0] if near else [0] * 20
    for candidate in candidates:
        if candidate and candidate in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, candidate))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
            if port not in taken:
                return port
    raise StackError("no free port on 127.0.0.1")


def is_free(port: int) -> bool:
    """Tell whether nobody listens on the loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
