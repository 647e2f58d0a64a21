"""A database and a broker that the journeys may kill, and a migrated database for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import Pair, servers


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    with servers() as running:
        yield running


@pytest.fixture
def own(pair: Pair, request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment that names a database of this test's own."""
    return pair.database(request.node.name)
