"""Works through a lane: claim, render, hand over, record."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error, close_old_connections
from msgspec import structs

from channels_app.base import ChannelAdapter, Session
from channels_app.types import Accepted, Ambiguous, OutboundMessage, Permanent, Receipt, Throttled, Transient
from messaging.content.rendering import RenderFailed, TemplateRefused
from messaging.dispatch import buckets, carrying, claims, copies, limits, plans, providers, queue, retry
from messaging.dispatch.carrying import NOTHING, Carried
from messaging.dispatch.claims import Lease
from messaging.dispatch.copies import Copies
from messaging.dispatch.failover import Answered, Failover
from messaging.dispatch.outbound import render
from messaging.dispatch.plans import Part, Plan
from messaging.dispatch.providers import Choice
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
_DEVICES = (Accepted, Permanent)
"""Outcomes that may name devices that are gone."""

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
        plan = plans.make(lane.channel)
        if not plan.number:
            # Nothing is claimed that could not go out: it waits where it is, and costs no attempt.
            buckets.rest(lane, plan.wait)
            queue.ring_later(lane, plan.wait)
            return 0
        try:
            taken = claims.take(lane, limit=plan.number, group=plan.group)
        except BaseException:
            plan.abandon()
            raise
        if taken is None:
            plan.abandon()
            return 0
        lease, messages = taken
        if len(messages) >= plan.batch:
            queue.ring(lane)
        elif len(messages) >= plan.number:
            queue.ring_later(lane, plan.wait)
        claims.keeper().add(lease)
        try:
            _deliver_claim(lane, lease, messages, plan)
        finally:
            claims.keeper().remove(lease)
        return len(messages)


def _deliver_claim(lane: Lane, lease: Lease, messages: Sequence[Claimed], plan: Plan) -> None:
    """Send a claim's messages, those in test mode by the sandbox, and give back at once what could not be tried."""
    awaited = frozenset(message.id for message in messages if message.awaited)
    hand_over = HandOver(lease, size=len(messages), group=plan.group, awaited=awaited)
    recorder().add(hand_over)
    try:
        _Run(lane, hand_over, messages).run(plan)
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
    """A claim on its way through the providers of its channel."""

    def __init__(self, lane: Lane, hand_over: HandOver, messages: Sequence[Claimed]) -> None:
        self.lane = lane
        self.hand_over = hand_over
        self.messages = messages
        self.claimed = {message.id: message for message in messages}
        self.carried: Mapping[UUID, Carried] = {}
        self.copies: dict[tuple[UUID, str], Copies] = {}
        self.left_out: dict[UUID, Mapping[str, Sequence[str]]] = {}
        self.gone: set[UUID] = set()
        self.backoff = settings.BACKOFF_SECONDS
        self.policies: dict[str, retry.Policy] = {}

    def run(self, plan: Plan) -> None:
        placed = list(enumerate(self.messages))
        # Those of the sandbox come last in a claim.
        live = iter([each for each in placed if not each[1].test])
        tests = [each for each in placed if each[1].test]
        parts = plan.cut(len(placed) - len(tests))
        plan.abandon(parts)
        self.carried = carrying.load(self.lane.channel, self.messages)
        try:
            if plan.choices:
                for part in parts:
                    self._send(part, plan.choices, islice(live, part.number))
            else:
                self._refuse(live)
            if tests:
                self._put_off(live)
                sandbox = providers.adapter(self.lane.channel.value, test=True)
                assert sandbox is not None  # noqa: S101 - there is one on every channel
                self._send(Part(choice=Choice(adapter=sandbox), number=len(tests)), (), iter(tests))
        finally:
            carrying.leave(self.gone)
        self.hand_over.finish()

    def _send(self, part: Part, choices: Sequence[Choice], messages: Iterator[tuple[int, Claimed]]) -> None:
        """Send messages by the provider that they are planned for, or another of the channel."""
        self.backoff = self._policy(part.choice.adapter).backoff
        failover = Failover(
            self.lane.channel,
            part,
            choices,
            open_session=_session,
            budget=settings.PROVIDER_DEADLINE_SECONDS,
        )
        try:
            for answered in failover.deliver(self._outbound(messages), self.hand_over.may_send):
                self._settle(answered)
        finally:
            for name, answers in failover.answers:
                limits.note(self.lane.channel.value, name, answers)
            plans.give_back(self.lane.channel, part.choice, part.number - failover.granted)

    def _policy(self, adapter: ChannelAdapter) -> retry.Policy:
        found = self.policies.get(adapter.provider)
        if found is None:
            found = self.policies[adapter.provider] = providers.policy(adapter)
        return found

    def _refuse(self, messages: Iterator[tuple[int, Claimed]]) -> None:
        error = f"the channel {self.lane.channel} has no provider"
        for _, message in messages:
            self.hand_over.put(Move(id=message.id, to=Status.FAILED, code="provider_not_configured", error=error))

    def _put_off(self, messages: Iterator[tuple[int, Claimed]]) -> None:
        """Give back what no provider can be given now, where others of the claim come after it."""
        for place, message in messages:
            if not self.hand_over.reach(place):
                return
            self.hand_over.put(Move(id=message.id, to=Status.QUEUED, due=retry.SHORTEST_WAIT, refund=True))

    def _outbound(self, messages: Iterator[tuple[int, Claimed]]) -> Iterator[OutboundMessage]:
        """Messages in order, each once its group is marked; one that must not or cannot go out fails on the spot."""
        for place, message in messages:
            if not self.hand_over.reach(place):
                return
            if message.refusal is not None:
                del self.claimed[message.id]
                self.hand_over.put(suppression(message.id, message.refusal, refund=True))
                continue
            outbound = self._rendered(message)
            if outbound is not None:
                yield outbound

    def _rendered(self, message: Claimed) -> OutboundMessage | None:
        """The message as it goes out; where it cannot be made, this message alone fails, or waits for the database."""
        try:
            outbound = render(self.lane, message, self.carried.get(message.id, NOTHING))
            return self._with_copies(message, outbound) if outbound.shared.cc or outbound.shared.bcc else outbound
        except (RenderFailed, TemplateRefused) as error:
            move = _unrendered(message, error.detail)
        except KeyMissing as error:
            # Another process may have a key that this one was started without: nothing is lost by waiting.
            log.error("key_missing", message_id=str(message.id), error=error.detail)
            move = Move(
                id=message.id, to=Status.QUEUED, due=self.backoff, refund=True, code=error.code, error=error.detail
            )
        except EncryptionFailed as error:
            move = _unrendered(message, error.detail, code=error.code)
        except Error as error:
            log.warning("content_not_read", message_id=str(message.id), error=type(error).__name__)
            close_old_connections()
            move = Move(id=message.id, to=Status.QUEUED, due=self.backoff, refund=True)
        except Content.DoesNotExist:
            move = _unrendered(message, "its content is gone")
        except Exception as error:
            log.exception("render_failed", message_id=str(message.id))
            move = _unrendered(message, type(error).__name__)
        del self.claimed[message.id]
        self.hand_over.put(move)
        return None

    def _with_copies(self, message: Claimed, outbound: OutboundMessage) -> OutboundMessage:
        """The message with those copies that may go out; messages with the same content have the same ones."""
        key = (message.content_id, message.category)
        if key not in self.copies:
            self.copies[key] = copies.allowed(
                outbound.shared, workspace_id=message.workspace_id, category=message.category
            )
        found = self.copies[key]
        if found.left_out:
            self.left_out[message.id] = found.left_out
        return structs.replace(outbound, shared=found.shared)

    def _settle(self, answered: Answered) -> None:
        outcome = answered.outcome
        message = self.claimed.pop(answered.id, None)
        if message is None:
            log.error("outcome_not_asked_for", message_id=str(answered.id), outcome=type(outcome).__name__)
            return
        decision = retry.decide(
            outcome,
            attempts=message.attempts,
            max_attempts=message.max_attempts,
            policy=self._policy(answered.adapter),
            unknown=retry.wish(message.on_unknown, answered.adapter.on_unknown),
            throttles=message.throttles,
        )
        reports: tuple[Receipt, ...] = outcome.receipts if isinstance(outcome, _REPORTING) else ()
        if isinstance(outcome, _DEVICES):
            self.gone.update(outcome.gone)
        move = _move(answered, decision)
        if left_out := self.left_out.get(message.id):
            move = structs.replace(move, detail={**move.detail, copies.LEFT_OUT: left_out})
        if message.awaited and isinstance(outcome, Transient):
            move = structs.replace(move, ends_awaited=True)
        self.hand_over.put(move, reports)


def _unrendered(message: Claimed, error: str, *, code: str = "render_failed") -> Move:
    return Move(id=message.id, to=Status.FAILED, code=code, error=error)


def _move(answered: Answered, decision: retry.Decision) -> Move:
    """The change that a decision makes; its event keeps what other providers said before."""
    outcome = answered.outcome
    code: str = getattr(outcome, "code", "")
    detail = getattr(outcome, "detail", "")
    error = detail if isinstance(detail, str) else ""
    tried = {"tried": list(answered.tried)} if answered.tried else {}
    common: dict[str, Any] = {"id": answered.id, "provider": answered.adapter.provider}
    match decision:
        case Sent():
            assert isinstance(outcome, Accepted)  # noqa: S101
            said = {**outcome.detail, **tried}
            return Move(to=Status.SENT, provider_message_id=outcome.provider_message_id, detail=said, **common)
        case Again(wait=wait, refund=refund):
            common |= {"detail": tried, "throttled": isinstance(outcome, Throttled) and outcome.wait > 0}
            return Move(to=Status.QUEUED, due=wait, refund=refund, code=code, error=error, **common)
        case Hold(wait=wait):
            return Move(type="outcome_unknown", due=wait, code=code, error=error, detail=tried, **common)
        case Fail(code=why):
            return Move(to=Status.FAILED, code=why or code, error=error, detail=tried, **common)


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
