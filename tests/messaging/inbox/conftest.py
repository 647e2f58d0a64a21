"""What the tests of feeds share with those of dispatch."""

from tests.messaging.dispatch.conftest import transactional_db

__all__ = ["transactional_db"]
