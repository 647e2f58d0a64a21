"""A database server and a broker that the journeys may kill, and databases on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import Pair, Store, servers


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    with servers(strict=False) as running:
        yield running


@pytest.fixture
def own(pair: Pair, request: pytest.FixtureRequest) -> Store:
    """A database of this test's own."""
    return pair.store(request.node.name)
