"""What the tests of people share with those of dispatch: a provider that plays a script."""

from tests.messaging.dispatch.conftest import install

__all__ = ["install"]
