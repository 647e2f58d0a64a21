"""What the tests of campaigns share with those of dispatch."""

from tests.messaging.dispatch.conftest import install, transactional_db

__all__ = ["install", "transactional_db"]
