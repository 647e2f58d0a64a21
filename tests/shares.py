"""Which process runs which files, where the suite runs in several."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadFileScheduling

JOURNEYS = "tests/journeys/"


class Shares(LoadFileScheduling):
    """The tests of a file stay together, and so do all journeys, which are dealt first.

    A journey starts a whole stack: two at once would hold each other up, while what one of them waits for leaves room
    for tests of another kind. The other files follow, those with most tests first.
    """

    def _split_scope(self, nodeid: str) -> str:
        return JOURNEYS if nodeid.startswith(JOURNEYS) else super()._split_scope(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        if JOURNEYS in self.workqueue:
            self.workqueue.move_to_end(JOURNEYS, last=False)
        super()._assign_work_unit(node)
