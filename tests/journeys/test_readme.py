"""The five minutes of README.md, followed word by word on a home of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from channels_app.types import Channel
from config.stack import orphans
from config.stack.home import Home, temporary_home
from config.stack.pair import forget
from config.stack.servers import free_port, is_free
from config.stack.state import last_run
from tests.running import eventually

pytestmark = pytest.mark.journey


class Visitor:
    """Somebody with a clone and a shell."""

    def __init__(self, project: Path, home: Home) -> None:
        self.project, self.home = project, home
        self.port = free_port()
        servers = {"DATABASE_URL", "REDIS_URL", "BROKER_URL"}
        self._env = {name: value for name, value in os.environ.items() if name not in servers}

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
    with temporary_home("readme") as home:
        someone = Visitor(project, home)
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
    shown = visitor.dispatch("demo")
    assert [channel for channel in Channel if channel not in shown] == []
    visitor.dispatch("status")
    visitor.dispatch("down")

    assert is_free(visitor.port)
