"""Tells in words where a message stands, why, and what happens next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from channels_app.registry import reports_delivery
from channels_app.types import Channel
from messaging.dispatch import plans, providers, selectors, steps, transitions
from messaging.dispatch.plans import Obstacle
from messaging.dispatch.queue import Lane
from messaging.models import Claim, FallbackStep, Message, MessageEvent
from messaging.state import CANCELLABLE, RETRYABLE, Priority, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """The claim under which a worker holds the message."""

    worker: str
    expires_at: datetime
    live: bool
    handed_over: bool
    """Whether the message may have reached the provider already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Why a message stands where it stands, and what happens next: a sentence each."""

    why: str
    next: str
    hint: str = ""
    """Where an operator would look; the other two are for everybody and name no worker."""


def explain(message: Message) -> dict[str, Any]:
    """Read what is known of a message and explain it; see `account` for the keys."""
    claim = Claim.objects.filter(pk=message.claim_id).first() if message.claim_id else None
    return account(
        message,
        events=list(message.events.all()),
        claim=claim,
        reports_delivery=reports_delivery(message.provider),
        now=timezone.now(),
        fallback=steps.watching(message.id),
        obstacle=None if message.test else plans.obstacle(Channel(message.channel)),
        asked=not message.test and message.channel in providers.asked(),
    )


def account(
    message: Message,
    *,
    events: Sequence[MessageEvent],
    claim: Claim | None,
    reports_delivery: bool | None,
    now: datetime,
    fallback: FallbackStep | None = None,
    obstacle: Obstacle | None = None,
    asked: bool = False,
) -> dict[str, Any]:
    """Explain a message from its row, its events, its claim and the step that watches it; times are datetimes.

    `reports_delivery` tells whether receipts come back from its provider, None where that is not known; `obstacle` what
    holds its channel back, `asked` whether its provider is asked what became of it.
    """
    status = Status(message.status)
    holder = _holder(message, claim, now)
    refunded = bool(events) and events[-1].attempt > message.attempts
    standing = _standing(message, status, holder, reports_delivery, refunded=refunded, now=now)
    if status is Status.QUEUED and obstacle is not None and _is_due(message, now):
        standing = _obstructed(obstacle, now)
    if status is Status.SENDING and asked and message.claim_id is None:
        standing = _asked(message)
    if fallback is not None and (further := _further(message, status, fallback)):
        standing = replace(standing, next=f"{standing.next} {further}")
    return {
        "id": message.id,
        "status": status.value,
        "since": _since(message, status),
        "why": standing.why,
        "next": standing.next,
        "hint": standing.hint or None,
        "channel": message.channel,
        "lane": Lane(Channel(message.channel), Priority(message.priority)).name,
        "attempts": message.attempts,
        "max_attempts": message.max_attempts,
        "next_attempt_at": selectors.due_at(message),
        "expires_at": message.expires_at,
        "provider": message.provider or None,
        "error": {"code": message.error_code, "detail": message.error_detail} if message.error_code else None,
        "claim": None
        if holder is None
        else {
            "worker": holder.worker,
            "expires_at": holder.expires_at,
            "live": holder.live,
            "handed_over": holder.handed_over,
        },
        "can_cancel": status in CANCELLABLE,
        "can_retry": status in RETRYABLE,
        "timeline": [_entry(event) for event in events],
    }


def _since(message: Message, status: Status) -> datetime:
    entered: datetime | None = getattr(message, status.stamp) if status.stamp else None
    return entered or message.created_at


def _holder(message: Message, claim: Claim | None, now: datetime) -> Holder | None:
    if claim is None or claim.id != message.claim_id:
        return None
    return Holder(
        worker=claim.worker,
        expires_at=claim.expires_at,
        live=claim.expires_at > now,
        handed_over=message.id in claim.ids[: claim.handed_over],
    )


def _standing(
    message: Message,
    status: Status,
    holder: Holder | None,
    reports_delivery: bool | None,
    *,
    refunded: bool,
    now: datetime,
) -> Standing:
    match status:
        case Status.SCHEDULED:
            return _scheduled(message, now)
        case Status.QUEUED:
            return _queued(message, now, refunded=refunded)
        case Status.SENDING:
            return _sending(message, holder, now)
        case Status.SENT:
            return _sent(message, reports_delivery)
        case Status.FAILED | Status.BOUNCED:
            return _ended_badly(message, status)
        case Status.CANCELLED:
            return _cancelled(message)
        case _:
            return _PLAIN[status]


_FINAL = "Nothing: this state is final."
_PLAIN: dict[Status, Standing] = {
    Status.DELIVERED: Standing(
        why="The provider reported that it arrived.",
        next="Nothing is awaited. An opening, a click, a late bounce or an opt-out is recorded if it is reported.",
    ),
    Status.OPENED: Standing(
        why="The recipient opened it.",
        next="Nothing is awaited. A click, a late bounce or an opt-out is recorded if it is reported.",
    ),
    Status.CLICKED: Standing(
        why="The recipient followed a link in it.",
        next="Nothing is awaited. An opt-out is recorded if it is reported.",
    ),
    Status.UNSUBSCRIBED: Standing(why="The recipient opted out through this message.", next=_FINAL),
}


def _scheduled(message: Message, now: datetime) -> Standing:
    due = message.next_attempt_at
    if due is not None and due > now:
        return Standing(
            why=f"It waits for its time, {_at(due)}.",
            next="It is queued then, and a worker of its lane takes it. Until then it can be cancelled.",
        )
    return Standing(
        why=f"Its time, {_at(due)}, has come.",
        next="It is queued within about a second.",
        hint="Sweeps queue it. If it stays SCHEDULED, beat or the worker `inside` is not running.",
    )


def _queued(message: Message, now: datetime, *, refunded: bool) -> Standing:
    lane = Lane(Channel(message.channel), Priority(message.priority)).name
    due = message.next_attempt_at
    if message.expires_at is not None and message.expires_at <= now:
        return Standing(
            why=f"It expired at {_at(message.expires_at)} before it was sent.",
            next="It ends as FAILED with the code `expired` within about a second.",
        )
    if due is not None and due > now + transitions.FAR:
        return Standing(
            why="Its campaign is paused, and it is held back.",
            next="It is due at once when the campaign is resumed, and ends when the campaign is cancelled.",
        )
    if due is not None and due > now:
        return Standing(
            why=_delay(message, refunded=refunded),
            next=f"It is due again at {_at(due)}; then a worker of {lane} takes it.",
        )
    return Standing(
        why=f"It is due and waits for a worker of the lane {lane}.",
        next="The next free worker claims the oldest messages of the lane, each workspace its share.",
        hint="If the lane does not move, look at its depth with `./dispatch manage lanes`, and at its worker's log.",
    )


def _is_due(message: Message, now: datetime) -> bool:
    expired = message.expires_at is not None and message.expires_at <= now
    return not expired and (message.next_attempt_at is None or message.next_attempt_at <= now)


def _obstructed(obstacle: Obstacle, now: datetime) -> Standing:
    name, until = obstacle.provider, _at(now + timedelta(seconds=obstacle.wait))
    if obstacle.failing:
        return Standing(
            why="It is due, and every provider of its channel fails; nothing is sent, and it costs no attempt.",
            next=f"From {until} on {name} is tried with one message; when that goes through, the others follow.",
            hint=f"The breaker of {name} is open. The admin's page of health tells what it answered last.",
        )
    return Standing(
        why="It is due, and its provider asked to wait; that costs no attempt.",
        next=f"From {until} on {name} is given messages again.",
    )


def _asked(message: Message) -> Standing:
    attempt = message.attempts
    return Standing(
        why=f"Nobody can tell whether the provider took attempt {attempt}; the provider is asked what became of it.",
        next=f"It is asked at {_at(message.next_attempt_at)}: what it has is SENT, what it has not is tried again. "
        "A receipt decides sooner; if neither comes in time it ends as FAILED with `outcome_unknown`.",
    )


def _delay(message: Message, *, refunded: bool) -> str:
    if not message.error_code:
        return "It waits before it is tried again."
    if refunded:
        return f"It was told to wait ({_error(message)}); that costs no attempt."
    return f"Attempt {message.attempts} of {message.max_attempts} did not succeed ({_error(message)})."


def _sending(message: Message, holder: Holder | None, now: datetime) -> Standing:
    if message.claim_id is None:
        due = message.next_attempt_at
        return Standing(
            why=f"Nobody can tell whether the provider took attempt {message.attempts}; it is held for a receipt.",
            next=f"A receipt moves it on. Without one it ends as FAILED with `outcome_unknown` at {_at(due)}.",
        )
    if holder is None:
        return Standing(
            why="It was claimed, and the claim is just being ended.",
            next="It moves to its outcome, or back to QUEUED, in a moment.",
        )
    place = "its hand-over to the provider has begun" if holder.handed_over else "it is not handed over yet"
    if holder.live:
        return Standing(
            why=f"A worker holds it for attempt {message.attempts}; {place}.",
            next=f"The worker records the outcome. Should it die, its lease ends at {_at(holder.expires_at)}.",
            hint=f"The worker is {holder.worker}.",
        )
    if holder.handed_over:
        follow = "Within about a second the claim is ended and the message judged by its provider's policy."
    else:
        follow = "Within about a second the claim is ended and the message queued with its attempt given back."
    return Standing(
        why=f"The worker that held it let its lease end at {_at(holder.expires_at)}.",
        next=follow,
        hint=f"The worker was {holder.worker}. Sweeps end claims; they run by beat in the worker `inside`.",
    )


def _sent(message: Message, reports_delivery: bool | None) -> Standing:
    by = message.provider or "The provider"
    if reports_delivery is False:
        return Standing(
            why=f"{by} accepted it.",
            next=f"{by} sends no receipts, so SENT is the last that is known unless a bounce or an opt-out comes in.",
        )
    return Standing(why=f"{by} accepted it.", next="A receipt moves it on when the provider sends one.")


def _ended_badly(message: Message, status: Status) -> Standing:
    reason = _error(message)
    why = f"It could not be delivered: {reason}." if reason else "It could not be delivered."
    if status is Status.BOUNCED:
        why = f"It came back: {reason}." if reason else "It came back."
    return Standing(why=why, next="Nothing by itself. A person may retry it, which grants fresh attempts.")


def _cancelled(message: Message) -> Standing:
    why = "It was cancelled before any attempt, so it was never sent."
    if message.attempts:
        why = f"It was cancelled after attempt {message.attempts}; the timeline tells how that ended."
    return Standing(why=why, next=_FINAL)


def _further(message: Message, status: Status, step: FallbackStep) -> str:
    """What the message's fallback does, in a sentence; empty where there is nothing to tell."""
    match step.state:
        case FallbackStep.State.TAKEN:
            return f"A message by {step.channel} took its place: {step.next_id}."
        case FallbackStep.State.REFUSED:
            return f"Its fallback by {step.channel} could not be taken ({step.error_code})."
        case FallbackStep.State.WAITING if status in RETRYABLE:
            return f"A message by {step.channel} takes its place within seconds."
        case FallbackStep.State.WAITING if step.after_seconds is None:
            return f"If it fails or comes back, a message by {step.channel} takes its place."
        case FallbackStep.State.WAITING:
            begun = max(message.created_at, message.scheduled_at or message.created_at)
            by = _at(begun + timedelta(seconds=step.after_seconds or 0))
            return f"If it fails, comes back or has not arrived by {by}, a message by {step.channel} takes its place."
    return ""


def _error(message: Message) -> str:
    return f"{message.error_code}: {message.error_detail}" if message.error_detail else message.error_code


def _at(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _entry(event: MessageEvent) -> dict[str, Any]:
    return {
        "type": event.type,
        "status": event.status,
        "at": event.at,
        "cause": event.cause,
        "attempt": event.attempt,
        "provider": event.provider or None,
        "detail": event.detail,
    }
