"""Works through a lane: claim, render, hand over, record."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error, close_old_connections

from channels_app.base import ChannelAdapter, Session
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    Limits,
    OutboundMessage,
    Outcome,
    Permanent,
    Receipt,
    Throttled,
    Transient,
)
from messaging.content import contents
from messaging.content.rendering import RenderFailed, TemplateRefused
from messaging.content.sealing import own_of
from messaging.dispatch import claims, limits, providers, queue, retry
from messaging.dispatch.claims import Lease
from messaging.dispatch.queue import Lane
from messaging.dispatch.recorder import HandOver, recorder
from messaging.dispatch.retry import Again, Fail, Hold, Sent
from messaging.dispatch.transitions import Claimed, Move, suppression
from messaging.errors import EncryptionFailed, KeyMissing
from messaging.models import Content
from messaging.state import Status

log = structlog.get_logger(__name__)

_REPORTING = (Accepted, Permanent, Ambiguous)
"""Outcomes that may bring reports along."""
_UNCONFIGURED = Limits(batch=500, group=500)

_places: dict[str, threading.BoundedSemaphore] = {}
_turned_away: set[Lane] = set()
"""Lanes whose bell was answered while their channel had no place."""
_places_lock = threading.Lock()
_local = threading.local()


@contextmanager
def _place(lane: Lane) -> Iterator[bool]:
    """A place among the threads that this process gives to a channel; false where all are taken.

    So one stalled provider never fills the threads of the others. Who gives a place back rings for what was turned
    away meanwhile.
    """
    with _places_lock:
        places = _places.setdefault(lane.channel.value, threading.BoundedSemaphore(settings.CHANNEL_THREADS))
        got = places.acquire(blocking=False)
        if not got:
            _turned_away.add(lane)
    try:
        yield got
    finally:
        if got:
            with _places_lock:
                places.release()
                lanes = {each for each in _turned_away if each.channel is lane.channel}
                _turned_away.difference_update(lanes)
            queue.ring(*lanes)


def deliver(lane: Lane) -> int:
    """Claim the oldest due messages of a lane and see each to an outcome; give how many were claimed."""
    queue.lift(lane)
    with _place(lane) as free:
        if not free:
            return 0
        adapter = providers.adapter(lane.channel.value, test=False)
        limits = adapter.limits if adapter else _UNCONFIGURED
        taken = claims.take(lane, limit=limits.batch, group=limits.group)
        if taken is None:
            return 0
        lease, messages = taken
        if len(messages) >= limits.batch:
            queue.ring(lane)
        claims.keeper().add(lease)
        try:
            _deliver_claim(lane, lease, messages, group=limits.group)
        finally:
            claims.keeper().remove(lease)
        return len(messages)


def _deliver_claim(lane: Lane, lease: Lease, messages: Sequence[Claimed], *, group: int) -> None:
    """Send a claim's messages, those in test mode by the sandbox, and give back at once what could not be tried."""
    awaited = frozenset(message.id for message in messages if message.awaited)
    hand_over = HandOver(lease, size=len(messages), group=group, awaited=awaited)
    recorder().add(hand_over)
    try:
        for test in (False, True):
            some = [(place, message) for place, message in enumerate(messages) if message.test is test]
            if some:
                _Run(lane, hand_over, some, test=test).run()
    except Exception:
        log.exception("claim_failed", lane=lane.name, claim=str(lease.claim_id))
        hand_over.finish()
        # A worker that failed at once would claim the rest again at once.
        claims.give_back(lease.claim_id, reason="worker_error", drawn=hand_over.drawn, wait=settings.BACKOFF_SECONDS)
        raise
    finally:
        recorder().remove(hand_over)
    if hand_over.written == len(messages):
        claims.end(lease.claim_id)
    else:
        claims.give_back(lease.claim_id, reason="not_sent", drawn=hand_over.drawn, wait=retry.SHORTEST_WAIT)


class _Run:
    """One adapter's part of a claim."""

    def __init__(
        self,
        lane: Lane,
        hand_over: HandOver,
        messages: Sequence[tuple[int, Claimed]],
        *,
        test: bool,
    ) -> None:
        self.lane = lane
        self.hand_over = hand_over
        self.messages = messages
        self.adapter = providers.adapter(lane.channel.value, test=test)
        self.policy = providers.policy(self.adapter)
        self.claimed = {message.id: message for _, message in messages}
        self.answers = limits.Answers()

    def run(self) -> None:
        if self.adapter is None:
            for _, message in self.messages:
                self.hand_over.put(
                    Move(
                        id=message.id,
                        to=Status.FAILED,
                        code="provider_not_configured",
                        error=f"the channel {self.lane.channel} has no provider",
                    )
                )
        else:
            self.hand_over.provider = self.adapter.provider
            try:
                with _session(self.adapter) as session:
                    for message_id, outcome in session.deliver(self._outbound(), self.hand_over.may_send):
                        self._settle(message_id, outcome)
            finally:
                limits.note(self.lane.channel.value, self.adapter.provider, self.answers)
        self.hand_over.finish()

    def _outbound(self) -> Iterator[OutboundMessage]:
        """Messages in order, each once its group is marked; one that must not or cannot go out fails on the spot."""
        for place, message in self.messages:
            if not self.hand_over.reach(place):
                return
            if message.refusal is not None:
                del self.claimed[message.id]
                self.hand_over.put(suppression(message.id, message.refusal, refund=True))
                continue
            outbound = self._rendered(message)
            if outbound is not None:
                self.answers.begin()
                yield outbound

    def _rendered(self, message: Claimed) -> OutboundMessage | None:
        """The message as it goes out; where it cannot be made, this message alone fails, or waits for the database."""
        try:
            return _render(self.lane, message)
        except (RenderFailed, TemplateRefused) as error:
            move = _unrendered(message, error.detail)
        except KeyMissing as error:
            # Another process may have a key that this one was started without: nothing is lost by waiting.
            log.error("key_missing", message_id=str(message.id), error=error.detail)
            wait = self.policy.backoff
            move = Move(id=message.id, to=Status.QUEUED, due=wait, refund=True, code=error.code, error=error.detail)
        except EncryptionFailed as error:
            move = _unrendered(message, error.detail, code=error.code)
        except Error as error:
            log.warning("content_not_read", message_id=str(message.id), error=type(error).__name__)
            close_old_connections()
            move = Move(id=message.id, to=Status.QUEUED, due=self.policy.backoff, refund=True)
        except Content.DoesNotExist:
            move = _unrendered(message, "its content is gone")
        except Exception as error:
            log.exception("render_failed", message_id=str(message.id))
            move = _unrendered(message, type(error).__name__)
        del self.claimed[message.id]
        self.hand_over.put(move)
        return None

    def _settle(self, message_id: UUID, outcome: Outcome) -> None:
        message = self.claimed.pop(message_id, None)
        if message is None:
            log.error("outcome_not_asked_for", message_id=str(message_id), outcome=type(outcome).__name__)
            return
        assert self.adapter is not None  # noqa: S101
        self.answers.add(outcome)
        decision = retry.decide(
            outcome,
            attempts=message.attempts,
            max_attempts=message.max_attempts,
            policy=self.policy,
            unknown=retry.wish(message.on_unknown, self.adapter.on_unknown),
        )
        reports: tuple[Receipt, ...] = outcome.receipts if isinstance(outcome, _REPORTING) else ()
        move = _move(message_id, outcome, decision, provider=self.adapter.provider)
        if message.awaited and isinstance(outcome, Transient):
            move = replace(move, ends_awaited=True)
        self.hand_over.put(move, reports)


def _unrendered(message: Claimed, error: str, *, code: str = "render_failed") -> Move:
    return Move(id=message.id, to=Status.FAILED, code=code, error=error)


def _move(message_id: UUID, outcome: Outcome, decision: retry.Decision, *, provider: str) -> Move:
    """The change that a decision makes."""
    code: str = getattr(outcome, "code", "")
    detail = getattr(outcome, "detail", "")
    error = detail if isinstance(detail, str) else ""
    common: dict[str, Any] = {"id": message_id, "provider": provider}
    match decision:
        case Sent():
            assert isinstance(outcome, Accepted)  # noqa: S101
            return Move(
                to=Status.SENT, provider_message_id=outcome.provider_message_id, detail=outcome.detail, **common
            )
        case Again(wait=wait, refund=refund):
            throttled = isinstance(outcome, Throttled) and outcome.wait > 0
            return Move(
                to=Status.QUEUED, due=wait, refund=refund, throttled=throttled, code=code, error=error, **common
            )
        case Hold(wait=wait):
            return Move(type="outcome_unknown", due=wait, code=code, error=error, **common)
        case Fail():
            return Move(to=Status.FAILED, code=code, error=error, **common)


def _render(lane: Lane, message: Claimed) -> OutboundMessage:
    content = contents.load(message.content_id, html=lane.channel is Channel.EMAIL)
    own = own_of(message)
    html, text = content.render(data=own.data, name=own.name, to=message.recipient, now=message.sending_at)
    return OutboundMessage(
        id=message.id,
        workspace_id=message.workspace_id,
        channel=lane.channel,
        address=message.recipient,
        name=own.name,
        subject=own.subject,
        html=html,
        text=text,
        shared=content.shared,
        data=own.data or {},
        metadata=message.metadata,
        attempt=message.attempts,
        throttles=message.throttles,
    )


@contextmanager
def _session(adapter: ChannelAdapter) -> Iterator[Session]:
    """This thread's session with an adapter; it stays open from batch to batch, unless it raises."""
    sessions: dict[ChannelAdapter, Session] = _local.__dict__.setdefault("sessions", {})
    if adapter not in sessions:
        sessions[adapter] = adapter.open()
    try:
        yield sessions[adapter]
    except BaseException:
        # Nobody knows what its connections are in the middle of.
        sessions.pop(adapter).close()
        raise
