"""What the pages tell people to type, followed word by word on a home of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from channels_app.types import Channel
from config.stack import orphans
from config.stack.home import Home, temporary_home
from config.stack.pair import forget
from config.stack.servers import is_free
from config.stack.state import last_run
from tests.running import PATIENCE, eventually, reserved_port

pytestmark = pytest.mark.journey


class Visitor:
    """Somebody with a clone and a shell."""

    def __init__(self, project: Path, home: Home, port: int) -> None:
        self.project, self.home, self.port = project, home, port
        servers = {"DATABASE_URL", "REDIS_URL", "BROKER_URL"}
        self._env = {name: value for name, value in os.environ.items() if name not in servers}
        # The pages show refusals that come in time, on a busy machine too.
        self._env["SYNC_WAIT_SECONDS"] = "10"

    def dispatch(self, command: str, *flags: str) -> str:
        return self.shell(["./dispatch", command, "--home", str(self.home.root), *flags])

    def shell(self, words: list[str]) -> str:
        done = subprocess.run(words, cwd=self.project, env=self._env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def message(self, key: str) -> dict[str, Any]:
        credentials = json.loads(self.home.credentials.read_text())
        request = urllib.request.Request(  # noqa: S310 - http
            f"{credentials['base_url']}/api/v1/messages/{key}",
            headers={"Authorization": f"Bearer {credentials['api_key']}"},
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - http
            found: dict[str, Any] = json.load(answer)
            return found


@pytest.fixture
def visitor(project: Path) -> Iterator[Visitor]:
    with temporary_home("readme") as home, reserved_port() as port:
        someone = Visitor(project, home, port)
        try:
            yield someone
        finally:
            orphaned = last_run(home)
            someone.dispatch("down")
            assert not orphaned or orphans.members(orphaned) == []
            forget(home)


def test_a_visitor_starts_sends_looks_and_stops(visitor: Visitor) -> None:
    readme = (visitor.project / "README.md").read_text()
    (request,) = re.findall(r"```sh\n(.*?curl.*?)```", readme, re.DOTALL)
    own = request.replace("var/credentials.json", str(visitor.home.credentials)).replace(":8000/", f":{visitor.port}/")

    visitor.dispatch("up", "-d", "--port", str(visitor.port))
    answer = json.loads(visitor.shell(["sh", "-ec", own]))
    eventually(lambda: visitor.message(answer["id"])["status"] == "DELIVERED", "the message of the README arrives")
    shown = visitor.dispatch("demo", "--timeout", str(PATIENCE))
    assert [channel for channel in Channel if channel not in shown] == []
    for page, refused in REFUSED.items():
        assert _refused(visitor, page) == refused, page
    visitor.dispatch("status")
    visitor.dispatch("down")

    assert is_free(visitor.port)


REFUSED = {"oasis": ["502"], "fluxkit": ["500"], "campaignos": ["422"], "blockv": ["500"]}
"""Page of a surface → the refusals that it shows: each sends once to an address that fails."""
_TOLD = 'curl() { command curl -w "%{stderr}%{http_code} %{method}\\n" "$@" 2>> told; }\n'


def _refused(visitor: Visitor, page: str) -> list[str]:
    """Type everything that a page of a surface gives, in one shell; give the statuses of what was refused."""
    text = (visitor.project / "docs/surfaces" / f"{page}.md").read_text()
    typed = _TOLD + "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert "curl" in typed.removeprefix(_TOLD)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "var").mkdir()
        (folder / "var" / "credentials.json").symlink_to(visitor.home.credentials)
        done = subprocess.run(["bash", "-c", typed], cwd=folder, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        told = re.findall(r"^([0-9]{3}) [A-Z]+$", (folder / "told").read_text(), re.MULTILINE)
    return [status for status in told if not status.startswith("2")]
