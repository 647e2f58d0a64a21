"""How Python runs in every process of long life, once all that it needs is loaded."""

from __future__ import annotations

import gc
import sys

_TURN = 0.0005
"""Seconds that a busy thread keeps the others of its process waiting. At Python's own 5 ms a message that talks to the
database eight times takes some 100 ms longer beside two large batches, which themselves gain nothing by it."""


def settle() -> None:
    """Let threads take short turns, and keep the collector off what stays: to look through it stops all of them."""
    sys.setswitchinterval(_TURN)
    gc.collect()
    gc.freeze()
    # What is made from now on lives for one request or claim, so that the collector need not look often.
    gc.set_threshold(10_000, 20, 20)
