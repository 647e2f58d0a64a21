"""Faults strike a stack that is sending, one after the other; nothing is lost, and it goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos import faults
from tests.chaos.faults import Trial
from tests.servers import Pair

pytestmark = pytest.mark.journey

MESSAGES = 6_000


@pytest.fixture(scope="module")
def trial(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with faults.trial(pair, tmp_path_factory.mktemp("faults"), name="faults") as running:
        yield running


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_nothing_is_lost_and_work_goes_on_by_itself(trial: Trial, fault: str) -> None:
    report = faults.strike(trial, fault, messages=MESSAGES)

    assert faults.flaws(report) == []
