"""Each fault strikes a stack that is sending; nothing is lost, and it goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import faults
from tests.servers import Pair

pytestmark = pytest.mark.journey

MESSAGES = 6_000


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_nothing_is_lost_and_work_goes_on_by_itself(fault: str, pair: Pair, tmp_path: Path) -> None:
    report = faults.run(fault, pair, tmp_path / fault, messages=MESSAGES, name=fault)

    assert faults.flaws(report) == []
