"""A database server and a broker that the journeys may kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import Pair, servers


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    with servers(strict=False) as running:
        yield running
