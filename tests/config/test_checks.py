"""System checks of settings."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from config import checks


@pytest.mark.parametrize(("seconds", "ids"), [(0.0, []), (2.0, []), (10.0, []), (11.0, ["dispatch.W004"])])
def test_waits_that_would_be_cut_off_are_warned_of(settings: Settings, seconds: float, ids: list[str]) -> None:
    settings.SYNC_WAIT_SECONDS = seconds

    assert [found.id for found in checks.check_waits(None)] == ids


@pytest.mark.parametrize(("seconds", "ids"), [(1.0, []), (20.0, []), (21.0, ["dispatch.W005"])])
def test_endpoints_are_not_waited_for_longer_than_a_worker_has(
    settings: Settings, seconds: float, ids: list[str]
) -> None:
    settings.WEBHOOK_DEADLINE_SECONDS = seconds
    assert [each.id for each in checks.check_webhook_deadline(None)] == ids
