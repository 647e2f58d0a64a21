"""An operator's browser."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.factories import make_user


@pytest.fixture
def operator(db: None) -> Client:
    """A client that is logged in as a superuser."""
    client = Client()
    client.force_login(make_user(is_staff=True, is_superuser=True))
    return client
