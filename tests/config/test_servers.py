"""The embedded servers, really started, killed and started again."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import psycopg
import pytest
import redis

from config.stack.accounts import ordinary
from config.stack.errors import StackError
from config.stack.home import Home, place, temporary_home
from config.stack.journal import Journal
from config.stack.keyring import keyring
from config.stack.pair import forget, start_pair
from config.stack.servers import Postgres
from config.stack.supervisor import Supervisor
from config.stack.variables import choose_ports

from .conftest import Servers, is_alive, until


@pytest.fixture(scope="module")
def standing() -> Iterator[Servers]:
    """Servers for tests that leave them as they are."""
    with temporary_home("unit") as home:
        home.make()
        supervisor = Supervisor(Journal(screen=io.StringIO(), log=home.log("supervisor")))
        try:
            yield Servers(home, supervisor)
        finally:
            supervisor.stop(hurry=lambda: True)
            forget(home)


def test_both_servers_answer_with_the_password_of_the_home_only(standing: Servers) -> None:
    with psycopg.connect(standing.url("postgres")) as connection:
        row = connection.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == ("dispatch", False)
    with redis.Redis.from_url(standing.url("valkey")) as client:
        assert client.ping()

    ring = keyring(standing.home)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(standing.url("postgres").replace(ring.postgres, "guess"))
    with (
        redis.Redis.from_url(standing.url("valkey").replace(ring.valkey, "guess")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_what_must_not_be_lost_is_written_through(standing: Servers) -> None:
    with psycopg.connect(standing.url("postgres")) as connection:
        names = ("fsync", "synchronous_commit", "full_page_writes", "jit", "listen_addresses", "autovacuum_naptime")
        kept = {name: connection.execute(f"SHOW {name}").fetchone() for name in names}
    assert kept == {
        "fsync": ("on",),
        "synchronous_commit": ("on",),
        "full_page_writes": ("on",),
        "jit": ("off",),
        "listen_addresses": ("127.0.0.1",),
        "autovacuum_naptime": ("10s",),
    }
    with redis.Redis.from_url(standing.url("valkey")) as client:
        assert client.config_get("appendonly", "appendfsync", "maxmemory-policy") == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }


def test_a_killed_database_comes_back_with_its_rows_on_the_same_port(servers: Servers) -> None:
    with psycopg.connect(servers.url("postgres")) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
    old = servers.pid("postgres")
    os.kill(old, signal.SIGKILL)
    until(lambda: servers.recovered("postgres", old), "PostgreSQL is back")
    with psycopg.connect(servers.url("postgres")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_a_killed_broker_comes_back_with_what_it_had_written(servers: Servers) -> None:
    with redis.Redis.from_url(servers.url("valkey")) as client:
        client.set("kept", "yes")
        assert client.waitaof(1, 0, 10_000) == [1, 0]
    old = servers.pid("valkey")
    os.kill(old, signal.SIGKILL)
    until(lambda: servers.recovered("valkey", old), "Valkey is back")
    with redis.Redis.from_url(servers.url("valkey")) as client:
        assert client.get("kept") == b"yes"


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_second_server_on_the_same_data_is_refused_whatever_its_port(standing: Servers, name: str) -> None:
    server = copy(next(server for server in standing.pair.servers if server.name == name))
    server.port = choose_ports(standing.home, api=0, flower=0).postgres
    with pytest.raises(StackError, match="is held by process"):
        server.launch()


def test_servers_end_with_a_launcher_that_is_killed_and_the_data_starts_again(home: Home) -> None:
    launcher = """
import sys, time
from pathlib import Path
from config.stack.home import Home
from config.stack.journal import Journal
from config.stack.keyring import keyring
from config.stack.pair import forget, start_pair
from config.stack.supervisor import Supervisor
from config.stack.variables import choose_ports

home = Home(root=Path(sys.argv[1]))
supervisor = Supervisor(Journal(log=home.log("supervisor")))
ports = choose_ports(home, api=0, flower=0)
start_pair(home, ring=keyring(home), ports=ports, supervisor=supervisor, user={})
print(*(child.process.pid for child in supervisor.children), flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", launcher, str(home.root)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        process.kill()
    until(lambda: not any(map(is_alive, pids)), "the servers have ended")

    supervisor = Supervisor(Journal(log=home.log("supervisor")))
    try:
        again = Servers(home, supervisor)
        assert not again.pair.fresh
    finally:
        supervisor.stop()


def test_a_cluster_that_was_cut_off_while_it_was_made_is_made_anew(home: Home, supervisor: Supervisor) -> None:
    draft = place(home).root / "postgres.draft"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    servers = Servers(home, supervisor)
    assert servers.pair.fresh
    assert not draft.exists()


def test_a_data_directory_whose_secrets_are_gone_says_so(home: Home, servers: Servers, supervisor: Supervisor) -> None:
    supervisor.stop()
    home.secrets.unlink()
    ports = choose_ports(home, api=0, flower=0)
    with pytest.raises(StackError, match=r"other secrets than secrets\.json"):
        start_pair(home, ring=keyring(home), ports=ports, supervisor=supervisor, user={})


def test_servers_that_the_environment_names_are_not_started(home: Home, supervisor: Supervisor) -> None:
    named = {"DATABASE_URL": "postgresql://elsewhere/dispatch", "REDIS_URL": "redis://elsewhere/0"}
    ports = choose_ports(home, api=0, flower=0)
    pair = start_pair(home, ring=keyring(home), ports=ports, supervisor=supervisor, user=named)
    assert pair.servers == ()
    assert supervisor.children == []
    assert not (home.root / "postgres").exists()


def test_servers_run_as_an_ordinary_user(standing: Servers) -> None:
    owners = {Path(f"/proc/{standing.pid(name)}").stat().st_uid for name in ("postgres", "valkey")}
    assert 0 not in owners


def test_a_closed_home_moves_the_data_and_leaves_its_modes_alone(home: Home, supervisor: Supervisor) -> None:
    """As root the servers' user cannot pass; an ordinary user passes through what is its own."""
    closed = home.root / "closed"
    closed.mkdir(mode=0o700)
    inner = Home(root=closed / "home")
    inner.make()
    servers = Servers(inner, supervisor)
    try:
        assert servers.pair.place.moved is (os.geteuid() == 0)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        with psycopg.connect(servers.url("postgres")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        supervisor.stop()
        forget(inner)


def test_secrets_are_made_once_and_readable_by_their_owner_alone(home: Home) -> None:
    first = keyring(home)
    assert stat.S_IMODE(home.secrets.stat().st_mode) == 0o600
    assert keyring(home) == first


def test_the_account_to_drop_to_has_a_name(project: Path) -> None:
    account = ordinary(project)
    assert (account is None) is (os.geteuid() != 0)
    assert account is None or (account.name and account.uid != 0)


def test_postgres_is_stopped_by_the_signal_that_does_not_wait_for_clients(servers: Servers) -> None:
    connection = psycopg.connect(servers.url("postgres"), autocommit=True)
    try:
        servers.supervisor.stop()
    finally:
        connection.close()
    log = servers.home.log("postgres").read_text()
    assert Postgres.stops[0][0] is signal.SIGINT
    assert "received fast shutdown request" in log
    assert "database system is shut down" in log
