"""Endpoints that listen on loopback, and a workspace that tells them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from messaging.models import Workspace
from messaging.webhooks import sending
from tests.factories import make_workspace
from tests.peers.http import Peer, running


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace()


@pytest.fixture
def hasty(settings: Any) -> None:
    """Be told soon of what stalls."""
    settings.WEBHOOK_DEADLINE_SECONDS = 2.0


@pytest.fixture(autouse=True)
def loopback(settings: Any) -> Iterator[None]:
    """Let loopback through, as an operator may."""
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    settings.WEBHOOK_DEADLINE_SECONDS = 30.0
    sending._adapter.cache_clear()
    yield
    sending._adapter.cache_clear()
