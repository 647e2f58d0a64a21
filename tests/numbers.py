"""Points each test process at numbered databases of its own in Valkey: one for keys, one for the broker.

There a machine under load must not look like a server that is away, so that Valkey may take its time.

Settings read the environment once, and pytest-django imports them before any conftest: so this is a plugin, which
pytest loads first (`-p` in pyproject.toml).
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit, urlunsplit

import pytest

_DATABASES_EACH = 2


def _numbered(url: str, number: int) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
    raise pytest.UsageError("run ./dispatch test, or set DATABASE_URL and REDIS_URL to servers for tests")
_first = 2 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) * _DATABASES_EACH
os.environ["BROKER_URL"] = _numbered(os.environ["REDIS_URL"], _first + 1)
os.environ["REDIS_URL"] = _numbered(os.environ["REDIS_URL"], _first)
os.environ["VALKEY_TIMEOUT_MS"] = "30000"
