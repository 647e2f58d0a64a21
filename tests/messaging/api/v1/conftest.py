"""Callers that most tests of /api/v1 need."""

from __future__ import annotations

import pytest

from tests.messaging.api.callers import Caller, make_caller


@pytest.fixture
def caller(db: None) -> Caller:
    """The owner of a workspace, by a live key with all scopes."""
    return make_caller()


@pytest.fixture
def stranger(db: None) -> Caller:
    """The owner of another workspace."""
    return make_caller()
