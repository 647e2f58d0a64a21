"""What the tests of campaigns share with those of dispatch."""

from tests.messaging.dispatch.conftest import install

__all__ = ["install"]
