"""What follows from an attempt's outcome: a pure rule."""

from __future__ import annotations

import random
from dataclasses import dataclass

from channels_app.types import (
    Accepted,
    Ambiguous,
    NotConfigured,
    OnUnknown,
    Outcome,
    Permanent,
    Throttled,
    Transient,
)

LONGEST_WAIT = 24 * 3600.0
"""Seconds that a provider may make a message wait, whatever it asks for."""

SHORTEST_WAIT = 1.0
"""Seconds that a throttled message waits at least: what costs no attempt must not go round and round."""

PATIENT_THROTTLES = 10
"""Times that a message waits no longer than the provider asks; then each wait is twice the one before."""

MOST_THROTTLES = 100
"""Times that a message waits in all. With the longest back-off at its default that takes about a day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How patient to be. All times are in seconds."""

    backoff: float
    factor: float = 4.0
    limit: float
    unknown: float
    """How long an unknown outcome is held for a receipt."""
    ask: float = 5.0
    """How long it is held until the provider is first asked, where it can be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """The provider has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """Queue it again, due in `wait` seconds."""

    wait: float
    refund: bool = False
    """The attempt was not made and is given back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Wait `wait` seconds for a receipt, then ask the provider where it can be asked, or fail."""

    wait: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Fail:
    """It ends here."""

    code: str = ""
    """Why, where the outcome does not say it."""


Decision = Sent | Again | Hold | Fail


def wish(on_unknown: str, policy: OnUnknown) -> OnUnknown | None:
    """What to do with an unknown outcome: the caller's wish (`resend`, `fail` or empty), else the adapter's policy.

    None means to fail.
    """
    return {"resend": OnUnknown.REPEAT, "fail": None}.get(on_unknown, policy)


def backoff(attempt: int, policy: Policy, *, jitter: float | None = None) -> float:
    """Seconds to wait after the given attempt (from 1): exponential, three quarters to five quarters of it."""
    spread = random.random() if jitter is None else jitter  # noqa: S311
    exact: float = policy.backoff * policy.factor ** min(attempt - 1, 32)
    return float(min(exact * (0.75 + 0.5 * spread), policy.limit))


def clean_wait(seconds: float | None) -> float | None:
    """A provider's wish to wait, kept sane: no NaN, nothing negative, at most a day."""
    if seconds is None or seconds != seconds or seconds < 0:
        return None
    return min(seconds, LONGEST_WAIT)


def decide(
    outcome: Outcome,
    *,
    attempts: int,
    max_attempts: int,
    policy: Policy,
    unknown: OnUnknown | None,
    throttles: int = 0,
) -> Decision:
    """What becomes of a message after an attempt; `attempts` counts the one that was just made, `throttles` the times
    that it was put off before."""
    match outcome:
        case Accepted():
            return Sent()
        case Throttled(wait=wait):
            return _put_off(clean_wait(wait) or 0.0, throttles=throttles, policy=policy)
        case Permanent() | NotConfigured():
            return Fail()
        case Transient(retry_after=retry_after):
            if attempts >= max_attempts:
                return Fail()
            return Again(wait=max(backoff(attempts, policy), clean_wait(retry_after) or 0.0))
        case Ambiguous():
            return after_doubt(attempts=attempts, max_attempts=max_attempts, policy=policy, unknown=unknown)


def _put_off(wait: float, *, throttles: int, policy: Policy) -> Decision:
    """What becomes of a message that is to wait. One that was not begun, which waits for nobody, does so for ever."""
    if wait <= 0:
        return Again(wait=SHORTEST_WAIT, refund=True)
    if throttles >= MOST_THROTTLES:
        return Fail(code="throttled_too_long")
    longer = 2.0 ** min(max(throttles - PATIENT_THROTTLES, 0), 32)
    return Again(wait=max(wait, min(SHORTEST_WAIT * longer, policy.limit), SHORTEST_WAIT), refund=True)


def after_doubt(*, attempts: int, max_attempts: int, policy: Policy, unknown: OnUnknown | None) -> Decision:
    """What becomes of a message of which nobody knows whether the provider took it."""
    match unknown:
        case OnUnknown.HOLD:
            return Hold(wait=policy.unknown)
        case OnUnknown.ASK:
            return Hold(wait=min(policy.ask, policy.unknown))
        case OnUnknown.REPEAT if attempts < max_attempts:
            return Again(wait=0.0)
        case _:
            return Fail()
