"""Dockerfile and docker-compose.yml against the one list of processes and the settings. There is no engine here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from channels_app.types import Channel
from config.stack.processes import FLOWER_USER, POOLS, QUEUES, Process, Shape, processes

SHAPE = Shape(host="0.0.0.0", static="/app/static")  # noqa: S104 - inside a container
CONTAINED = {process.name: process for process in processes(SHAPE)}
FIXED = {"DISPATCH_HOME", "STATIC_ROOT", "DISPATCH_PROCESS", "DISPATCH_BASE_URL"}
"""Variables of the settings that the image or the service sets."""


def service_name(name: str) -> str:
    return f"worker-{name}" if name in POOLS else name


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    root = Path(__file__).resolve().parents[2]
    loaded: dict[str, Any] = yaml.safe_load((root / "docker-compose.yml").read_text())
    return loaded


def settings_variables(project: Path) -> set[str]:
    text = (project / "config/settings.py").read_text()
    return set(re.findall(r'\benv\.\w+\(\s*"([A-Z][A-Z0-9_]*)"', text))


def test_every_process_has_a_service_and_every_service_a_purpose(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"postgres", "valkey", "migrate", *map(service_name, CONTAINED)}


@pytest.mark.parametrize("process", CONTAINED.values(), ids=lambda process: process.name)
def test_a_service_runs_the_command_of_its_process(compose: dict[str, Any], process: Process) -> None:
    service = compose["services"][service_name(process.name)]
    assert service["command"] == ["python", "-m", *process.command]
    assert service["environment"]["DISPATCH_PROCESS"] == process.name
    assert service["stop_grace_period"] == f"{process.grace:.0f}s"
    assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_every_service_is_watched_and_runs_without_privileges(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name != "migrate":
            assert "healthcheck" in service, name
        assert service.get("user", "") in {"", "postgres", "valkey"}
        if "user" not in service:
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name


def test_every_variable_of_the_settings_can_be_set_and_no_other_is(compose: dict[str, Any], project: Path) -> None:
    """A new setting needs a line `NAME: ${NAME:-}` in docker-compose.yml."""
    given = set(compose["x-environment"])
    known = settings_variables(project)
    families = tuple(name for name in known if name.endswith("_"))
    several = {name for name in given if name.startswith(families)}
    assert given - several == known - FIXED - set(families)
    assert all(any(name.startswith(family) for name in several) for family in families)


def test_secrets_have_no_default(compose: dict[str, Any]) -> None:
    environment = compose["x-environment"]
    for name in ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "SECRET_KEY", "DISPATCH_KEYS", "FLOWER_PASSWORD"):
        assert re.search(r"\$\{[A-Z_]+:\?", environment[name]), name
    assert environment["DISPATCH_ENV"] == "production"
    assert compose["services"]["flower"]["environment"]["FLOWER_BASIC_AUTH"].startswith(f"{FLOWER_USER}:${{")


def test_ports_are_published_on_the_loopback_address_only(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert sorted(published) == ["127.0.0.1:5555:5555", "127.0.0.1:8000:8000"]


def test_the_image_is_locked_unprivileged_and_whole(project: Path) -> None:
    lines = (project / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    copied = {source for line in words if line[0] == "COPY" for source in line[1:-1]}
    assert all((project / source).exists() for source in copied)
    assert {"config", "messaging", "channels_app", "analytics", "workers", "manage.py"} <= copied
    assert any("--require-hashes" in line for line in words)
    assert ["USER", "dispatch"] in words
    assert next(line for line in lines if line.startswith("CMD")) == "CMD " + json.dumps(
        ["python", "-m", *CONTAINED["api"].command]
    )


def test_every_lane_is_consumed_by_exactly_one_process() -> None:
    consumed = [queue for process in CONTAINED.values() for queue in process.queues]
    lanes = {f"{channel}.{priority}" for channel in Channel for priority in ("urgent", "normal", "bulk")}
    assert sorted(consumed) == sorted({*lanes, "sweep", "webhooks", *(f"pulse.{name}" for name in POOLS)})
    assert set(consumed) == QUEUES
    for process in CONTAINED.values():
        if process.queues:
            assert process.command[process.command.index("-Q") + 1] == ",".join(process.queues)
