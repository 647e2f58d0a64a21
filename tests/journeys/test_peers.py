"""The demo on every channel with its real adapter, and each provider a peer on loopback."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.running import PATIENCE

pytestmark = pytest.mark.journey


def test_every_message_of_the_demo_ends_where_its_provider_says(project: Path) -> None:
    servers = {"DATABASE_URL", "REDIS_URL", "BROKER_URL"}
    env = {name: value for name, value in os.environ.items() if name not in servers}
    words = ["./dispatch", "demo", "--peers", "--timeout", str(PATIENCE)]
    done = subprocess.run(words, cwd=project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    ended = dict(re.findall(r"^(\w+) +[0-9a-f-]{36} +([A-Z]+)", done.stdout, re.MULTILINE))
    assert ended == {
        "email": "SENT",
        "sms": "DELIVERED",
        "whatsapp": "OPENED",
        "push": "SENT",
        "telegram": "SENT",
        "onsite": "DELIVERED",
        "webhook": "DELIVERED",
        "direct": "DELIVERED",
        "apprise": "SENT",
    }
    assert "all 29 messages arrived" in done.stdout
