"""The commands behind the script: refusals, the environment of the children, files of the home."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.stack import locks
from config.stack.broker import answers, with_database
from config.stack.errors import Held, StackError
from config.stack.home import Home, place, read_json, write_json
from config.stack.keyring import keyring
from config.stack.pair import check_room
from config.stack.preparation import BOOTSTRAPPED, credentials
from config.stack.variables import Ports, choose_ports, for_process, variables

PORTS = Ports(api=8000, flower=5555, postgres=15432, valkey=16379)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "config.cli", *arguments], capture_output=True, text=True, check=False, env=os.environ
    )


def refusal(*arguments: str) -> str:
    done = command(*arguments)
    assert done.returncode == 1, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield str(listener.getsockname()[1])


@pytest.mark.parametrize("flag", ["--port", "--flower-port"])
@pytest.mark.parametrize("how", ["foreground", "background"])
def test_a_taken_port_is_told_before_anything_starts(home: Home, taken_port: str, flag: str, how: str) -> None:
    extra = ["-d"] if how == "background" else []
    port = ["--port", taken_port] if flag == "--port" else ["--port", _free(), "--flower-port", taken_port]
    done = command("up", "--home", str(home.root), *port, *extra)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f"port {taken_port} is taken by another program" in done.stderr
    assert flag in done.stderr
    assert not (home.root / "postgres").exists()


def test_a_second_start_on_one_home_names_the_first(home: Home) -> None:
    held = locks.acquire(home.lock)
    try:
        line = refusal("up", "--home", str(home.root), "--port", _free())
        assert f"already runs on {home.root} (process {os.getpid()})" in line
    finally:
        os.close(held)


def test_a_start_in_the_background_says_why_it_failed_and_not_why_another_did(home: Home) -> None:
    home.log("supervisor").write_text("dispatch: an older story\n")
    home.secrets.write_text("{")
    assert f"{home.secrets} is damaged" in refusal("up", "-d", "--home", str(home.root), "--port", _free())


def test_a_place_that_can_be_no_home_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for home in (file, file / "home", Path("/proc/home")):
        for detach in ((), ("-d",)):
            line = refusal("up", *detach, "--home", str(home), "--port", _free())
            assert f"cannot keep anything under {home}: " in line


def test_an_argument_that_is_not_known_is_refused() -> None:
    assert "takes no argument --prot" in refusal("up", "--prot", "1")


def test_a_damaged_file_is_named(home: Home) -> None:
    home.secrets.write_text("{")
    assert f"{home.secrets} is damaged" in refusal("up", "--home", str(home.root), "--port", _free())


def test_status_and_down_of_what_does_not_run(home: Home) -> None:
    status = command("status", "--home", str(home.root))
    assert (status.returncode, "does not run" in status.stdout) == (3, True)
    down = command("down", "--home", str(home.root))
    assert (down.returncode, "does not run" in down.stdout) == (0, True)


def test_down_signals_nobody_whose_number_merely_stands_in_the_lock_file(home: Home) -> None:
    with subprocess.Popen(["sleep", "600"]) as innocent:
        home.lock.write_text(str(innocent.pid))
        assert command("down", "--home", str(home.root)).returncode == 0
        assert innocent.poll() is None
        innocent.kill()


def test_logs_of_an_unknown_name_tells_the_known_ones(home: Home) -> None:
    home.log("api").write_text("one\ntwo\n")
    assert command("logs", "api", "--home", str(home.root)).stdout == "one\ntwo\n"
    assert "no log named web: there are api" in refusal("logs", "web", "--home", str(home.root))


def test_a_lock_is_free_again_when_its_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert locks.holder(path) is None
    held = locks.acquire(path)
    assert locks.holder(path) == os.getpid()
    with pytest.raises(Held) as refused:
        locks.acquire(path, wait=0.0)
    assert refused.value.pid == os.getpid()
    os.close(held)
    assert locks.holder(path) is None


def test_what_the_user_set_stays_and_the_rest_is_filled_in(home: Home) -> None:
    ring = keyring(home)
    env = variables(home, ring, PORTS, user={"EMAIL_URL": "smtp://mail:25", "SECRET_KEY": "mine", "REDIS_URL": ""})
    assert env == {
        "EMAIL_URL": "smtp://mail:25",
        "SECRET_KEY": "mine",
        "DISPATCH_ENV": "local",
        "DATABASE_URL": f"postgresql://dispatch:{ring.postgres}@127.0.0.1:15432/dispatch",
        "REDIS_URL": f"redis://:{ring.valkey}@127.0.0.1:16379/0",
        "BROKER_URL": f"redis://:{ring.valkey}@127.0.0.1:16379/1",
        "DISPATCH_KEYS": ring.dispatch_keys,
        "DISPATCH_BASE_URL": "http://127.0.0.1:8000",
        "FLOWER_PASSWORD": ring.flower,
        "DISPATCH_HOME": str(home.root),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
    }
    assert for_process(env, "email")["DISPATCH_PROCESS"] == "email"
    assert "FLOWER_BASIC_AUTH" not in for_process(env, "email")
    assert for_process(env, "flower")["FLOWER_BASIC_AUTH"] == f"operator:{ring.flower}"


def test_production_gets_no_secret_made_up(home: Home) -> None:
    env = variables(home, keyring(home), PORTS, user={"DISPATCH_ENV": "production", "ALLOWED_HOSTS": "a.example"})
    assert not {"SECRET_KEY", "DISPATCH_KEYS", "PUBLIC_BASE_URL", "DISPATCH_BASE_URL"} & set(env)
    assert env["ALLOWED_HOSTS"] == "a.example,127.0.0.1"


@pytest.mark.parametrize(
    ("url", "numbered"),
    [
        ("redis://:pw@host:6379/0", "redis://:pw@host:6379/1"),
        ("redis://host", "redis://host/1"),
        ("rediss://u:p@host/0?ssl_cert_reqs=none", "rediss://u:p@host/1?ssl_cert_reqs=none"),
        ("unix://:pw@/run/valkey.sock?db=0", "redis+socket://:pw@/run/valkey.sock?virtual_host=1"),
    ],
)
def test_the_broker_is_another_database_of_the_same_server(url: str, numbered: str) -> None:
    assert with_database(url, 1) == numbered


def test_a_broker_answers_only_to_its_password() -> None:
    url = os.environ["REDIS_URL"]
    assert answers(url)
    assert not answers(f"redis://:wrong@127.0.0.1:{_free()}/0")


def test_ports_are_kept_from_start_to_start_while_they_are_free(home: Home) -> None:
    first = choose_ports(home, api=8000, flower=None)
    assert choose_ports(home, api=8000, flower=None) == first
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", first.postgres))
        listener.listen()
        second = choose_ports(home, api=8000, flower=None)
    assert second.postgres != first.postgres
    assert second.valkey == first.valkey


def test_credentials_hold_every_promised_field_and_are_private(home: Home) -> None:
    made = {name: f"a {name}" for name in BOOTSTRAPPED}
    write_json(home.credentials, credentials(made, {"FLOWER_PASSWORD": "pw"}, PORTS))
    assert stat.S_IMODE(home.credentials.stat().st_mode) == 0o600
    assert read_json(home.credentials) == {
        "base_url": "http://127.0.0.1:8000",
        "stream_url": None,
        "admin_url": "http://127.0.0.1:8000/admin/",
        "flower_url": "http://127.0.0.1:5555",
        **made,
        "flower_username": "operator",
        "flower_password": "pw",
    }


def test_no_room_on_the_disk_is_told_with_what_is_needed(home: Home) -> None:
    with pytest.raises(StackError, match=r"not enough room: \d+ MB are free at .*, 1099511627776 MB are needed"):
        check_room(place(home), megabytes=2**40)


def _free() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
