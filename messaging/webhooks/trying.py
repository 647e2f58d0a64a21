"""What one try at an endpoint means: whether it was taken, and when it is tried again."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from channels_app.types import Accepted, Ambiguous, Outcome, Permanent, Throttled, Transient
from messaging.models import WebhookDelivery
from messaging.webhooks import backoff
from messaging.webhooks.deliveries import State, Tried

NOTHING_LEFT: Final = "nothing_left"
"""What the event tells of was erased before it could be sent."""
_GONE: Final = "gone"
_STATUS: Final = re.compile(r"(\d{3})(?: |\Z)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A delivery under way: the token of its claim, and since when."""

    delivery: WebhookDelivery
    claim: UUID
    began: float


def tried(begun: Begun, outcome: Outcome) -> Tried:
    """Read an outcome. Whatever is not taken is tried again, but for an endpoint that is gone: what looks final from
    here, such as a 404, is mostly a mistake that somebody is about to mend."""
    if isinstance(outcome, Accepted):
        status, words = outcome.detail.get("status"), str(outcome.detail.get("body", ""))
        return _tried(begun, State.DELIVERED, int(status) if status else None, words, wait=None)
    status, words = _told(outcome)
    if isinstance(outcome, Permanent) and outcome.code == _GONE:
        return _tried(begun, State.FAILED, status, words, wait=None, gone=True)
    wait = backoff.wait_after(begun.delivery.attempts, asked=_asked(outcome))
    return _tried(begun, State.FAILED if wait is None else State.PENDING, status, words, wait=wait)


def untried(begun: Begun, code: str) -> Tried:
    """What becomes of a delivery that could not be made; where nothing is left to tell, that is the end of it."""
    wait = None if code == NOTHING_LEFT else backoff.wait_after(begun.delivery.attempts)
    state = State.FAILED if wait is None else State.PENDING
    return _tried(begun, state, None, code, wait=wait, blameless=True)


def _tried(
    begun: Begun,
    state: State,
    status: int | None,
    detail: str,
    *,
    wait: float | None,
    gone: bool = False,
    blameless: bool = False,
) -> Tried:
    return Tried(
        delivery_id=begun.delivery.id,
        endpoint_id=begun.delivery.endpoint_id,
        claim=begun.claim,
        state=state,
        status=status,
        detail=detail,
        seconds=time.monotonic() - begun.began,
        wait=wait,
        gone=gone,
        blameless=blameless,
    )


def _told(outcome: Outcome) -> tuple[int | None, str]:
    """The status that was answered, and the words; without an answer, what went wrong."""
    detail = outcome.detail if isinstance(outcome.detail, str) else ""
    answered = _STATUS.match(detail)
    if answered:
        return int(answered[1]), detail[answered.end() :]
    if isinstance(outcome, Ambiguous) or not isinstance(outcome, Transient | Permanent | Throttled):
        return None, detail
    return None, f"{outcome.code} {detail}".rstrip()


def _asked(outcome: Outcome) -> float | None:
    match outcome:
        case Throttled(wait=wait):
            return wait
        case Transient(retry_after=asked):
            return asked
    return None
