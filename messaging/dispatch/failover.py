"""Hands messages to a provider, and what it surely did not take to the next one, in the same delivery.

What a provider could not take for now, or turned away because it is throttled or not set up, goes to the next provider
of the channel while there is time. What may have been taken never does. A message that is for a provider of another
kind, as its address tells, goes there without a word. A message is drawn from the claim once, and
while the next provider has it nothing further is drawn: so no more than one group is ever drawn and unanswered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec

from channels_app.base import ChannelAdapter, Session
from channels_app.types import Channel, NotConfigured, OutboundMessage, Outcome, Permanent, Throttled, Transient
from messaging.dispatch import breakers, buckets
from messaging.dispatch.breakers import State
from messaging.dispatch.buckets import Want
from messaging.dispatch.limits import Answers
from messaging.dispatch.plans import Part
from messaging.dispatch.providers import Choice

PATIENCE: Final = 2
"""Messages in a row that a provider may fail before the rest of a claim goes to the next."""
SLOW: Final = 3.0
"""Seconds after which a fault is not asked for twice in a claim."""

_SOON: Final = 1.0

Open = Callable[[ChannelAdapter], AbstractContextManager[Session]]
MaySend = Callable[[], bool]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message, and who said so."""

    id: UUID
    outcome: Outcome
    adapter: ChannelAdapter
    tried: tuple[dict[str, Any], ...] = ()
    """What the providers before said."""


@dataclass(slots=True)
class _Message:
    """A message that was drawn and has no answer yet."""

    outbound: OutboundMessage
    since: float = 0.0
    """When the first provider that was asked was given it."""
    told: list[tuple[ChannelAdapter, Outcome]] = field(default_factory=list)

    def answered(self, adapter: ChannelAdapter, outcome: Outcome) -> Answered:
        return Answered(id=self.outbound.id, outcome=outcome, adapter=adapter, tried=_told(self.told))

    def given_up(self) -> Answered:
        """What counts of several refusals: first what may be helped by trying again."""
        for kind in (Transient, Throttled, NotConfigured):
            for place in reversed(range(len(self.told))):
                adapter, outcome = self.told[place]
                if isinstance(outcome, kind):
                    others = [*self.told[:place], *self.told[place + 1 :]]
                    return Answered(id=self.outbound.id, outcome=outcome, adapter=adapter, tried=_told(others))
        raise AssertionError("nobody was asked")


@dataclass(slots=True)
class _Way:
    """How it goes with one provider during a claim."""

    channel: Channel
    choice: Choice
    granted: bool
    """Whether the messages' tokens were taken before the claim."""
    troubled: bool = False
    trial: bool = False
    shut: bool = False
    """Nothing further goes to it in this claim."""
    drawn: int = 0
    answers: Answers = field(default_factory=Answers)
    _row: int = 0
    _entered: bool = False

    def admits(self) -> bool:
        """Whether another message may go to it."""
        if self.shut:
            return False
        if self.trial and self.drawn:
            return False
        if not self.granted:
            if not self._entered:
                self._enter()
            if not self.shut and self.choice.rate:
                wanted = Want(key=self._key, rate=self.choice.rate, number=1)
                self.shut = not buckets.take([wanted])[0].number
        return not self.shut

    def _enter(self) -> None:
        self._entered = True
        if not self.choice.adapter.shares_fate:
            return
        reading = breakers.enter(self.channel, [self.choice.name])[0]
        self.troubled = reading.faults > 0 or reading.state is not State.CLOSED
        self.trial = reading.state is State.HALF_OPEN
        closed = buckets.look([self._key])[0].closed
        self.shut = reading.state is State.OPEN or closed
        if self.trial and closed:
            breakers.leave(self.channel, self.choice.name)
            self.trial = False

    @property
    def _key(self) -> str:
        return buckets.of_provider(self.channel, self.choice.name)

    def begin(self) -> None:
        self.drawn += 1
        self.answers.begin()

    def note(self, outcome: Outcome, took: float, *, alone: bool) -> None:
        """Count an answer, and see whether it is worth to go on with this provider. Where it is `alone`, with nobody
        else for such a message, only its breaker and its own wish end it.
        """
        if _is_unbegun(outcome):
            return
        self.answers.add(outcome)
        if isinstance(outcome, Throttled) and outcome.alone:
            return
        # What it gives back unbegun right after a fault is the same trouble, and no wish to wait.
        fault = breakers.is_fault(outcome) or (isinstance(outcome, Throttled) and self._row > 0)
        self._row = self._row + 1 if fault else 0
        if self.choice.adapter.shares_fate:
            if isinstance(outcome, Throttled) and not fault:
                buckets.close(self._key, outcome.wait)
                self.shut = True
                return
            opened = breakers.note(self.channel, self.choice.name, outcome, fault=fault, troubled=self.troubled)
            self.troubled, self.trial = fault, False
            self.shut = self.shut or opened
        if fault and not alone and (self._row >= PATIENCE or took > SLOW or isinstance(outcome, NotConfigured)):
            self.shut = True

    def end(self) -> None:
        """Give up a trial that no message decided."""
        if self.trial:
            breakers.leave(self.channel, self.choice.name)


_Answers = Generator[Answered, None, list[_Message]]


class Failover:
    """A claim's way through the providers of a channel, the one that it was planned for first."""

    def __init__(
        self, channel: Channel, part: Part, choices: Sequence[Choice], *, open_session: Open, budget: float
    ) -> None:
        self._open = open_session
        self._budget = budget
        others = [choice for choice in choices if choice is not part.choice]
        first = _Way(
            channel=channel,
            choice=part.choice,
            granted=True,
            troubled=part.troubled,
            trial=part.trial,
        )
        self._ways = [first]
        self._ways += [_Way(channel=channel, choice=choice, granted=False) for choice in others]
        self._over = False
        self._lead: _Way | None = None
        """Who takes what the last one did not: likely the next messages too."""
        self._whole = False
        """Whether a session drew whatever there was for it."""

    @property
    def answers(self) -> list[tuple[str, Answers]]:
        """What each provider answered, of those that were asked."""
        return [(way.choice.name, way.answers) for way in self._ways if way.drawn]

    @property
    def granted(self) -> int:
        """Messages that went to the provider whose tokens were taken before the claim."""
        return self._ways[0].drawn

    def deliver(self, batch: Iterator[OutboundMessage], may_send: MaySend) -> Iterator[Answered]:
        """Send what `batch` yields; yield each outcome as soon as it is known. What no provider can be given is not
        drawn."""
        try:
            while not self._over:
                way = self._next()
                if way is None:
                    return
                self._whole, self._lead = False, None
                handed = yield from self._through(way, partial(self._drawn, way, batch), may_send)
                # A session that left off by itself is not asked again.
                self._over = self._over or not self._whole
                for other in self._ways:
                    if handed and other is not way and not other.shut:
                        handed = yield from self._hand_on(other, handed, may_send)
                for message in handed:
                    yield message.given_up() if message.told else self._untaken(message)
        finally:
            for way in self._ways:
                way.end()

    def _next(self) -> _Way | None:
        """Who gets the next messages."""
        if self._lead is not None and not self._lead.shut:
            return self._lead
        return next((way for way in self._ways if not way.shut), None)

    def _takes(self, way: _Way, message: _Message) -> bool:
        """Whether a message is one for this provider; where there is no other it says so itself."""
        return len(self._ways) == 1 or way.choice.adapter.takes(message.outbound.address)

    def _untaken(self, message: _Message) -> Answered:
        """What counts where nobody was asked: the one that it is for is busy, or there is none."""
        way = next((way for way in self._ways if self._takes(way, message)), None)
        if way is not None:
            return message.answered(way.choice.adapter, Throttled(wait=_SOON, code="provider_busy"))
        refused = Permanent(code="unknown_destination", detail="no provider of the channel takes such an address")
        return message.answered(self._ways[0].choice.adapter, refused)

    def _drawn(self, way: _Way, batch: Iterator[OutboundMessage], handed: list[_Message]) -> Iterator[_Message]:
        """Draw messages until one is to be handed on, or the provider may have no more."""
        while not handed and way.admits():
            outbound = next(batch, None)
            if outbound is None:
                self._over = self._whole = True
                return
            yield _Message(outbound)
        # One that may have nothing more, though it is not shut, waits for what others find out.
        self._whole = bool(handed) or way.shut

    def _hand_on(self, way: _Way, handed: list[_Message], may_send: MaySend) -> _Answers:
        """Send by another provider what was handed on; gives what it did not take either."""
        waiting = list(handed)

        def drawn(again: list[_Message]) -> Iterator[_Message]:
            for message in handed:
                # One that nobody was asked to take has all its time before it, however long others took.
                late = message.told and time.monotonic() - message.since >= self._budget
                if late or not self._takes(way, message):
                    continue
                if not way.admits():
                    return
                waiting.remove(message)
                if not message.told:
                    self._lead = way
                yield message

        refused = yield from self._through(way, drawn, may_send)
        return [*waiting, *refused]

    def _through(self, way: _Way, drawn: Callable[[list[_Message]], Iterable[_Message]], may_send: MaySend) -> _Answers:
        """Send what is drawn by one provider; gives what it surely did not take."""
        handed: list[_Message] = []
        under_way: dict[UUID, tuple[_Message, float]] = {}

        def outbound() -> Iterator[OutboundMessage]:
            for message in drawn(handed):
                if not self._takes(way, message):
                    handed.append(message)
                    continue
                begun = time.monotonic()
                if not message.told:
                    message.since = begun
                under_way[message.outbound.id] = message, begun
                way.begin()
                yield message.outbound

        adapter = way.choice.adapter
        with self._open(adapter) as session:
            for message_id, outcome in session.deliver(outbound(), may_send):
                found = under_way.pop(message_id, None)
                if found is None:
                    # Nobody asked for it: whoever hears it says so.
                    yield Answered(id=message_id, outcome=outcome, adapter=adapter)
                    continue
                message, begun = found
                alone = len(self._ways) == 1 or not any(
                    other is not way and self._takes(other, message) for other in self._ways
                )
                way.note(outcome, time.monotonic() - begun, alone=alone)
                if not alone and _goes_on(message, outcome):
                    if not _is_unbegun(outcome):
                        message.told.append((adapter, outcome))
                    handed.append(message)
                else:
                    yield message.answered(adapter, outcome)
        return handed


def _goes_on(message: _Message, outcome: Outcome) -> bool:
    """Whether the next provider may have a message: this one surely has it not."""
    if _is_unbegun(outcome):
        # Nothing is begun any more. What another said before is what counts.
        return bool(message.told)
    return isinstance(outcome, Transient | NotConfigured | Throttled)


def _is_unbegun(outcome: Outcome) -> bool:
    return isinstance(outcome, Throttled) and outcome.wait <= 0


def _told(told: Iterable[tuple[ChannelAdapter, Outcome]]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "provider": adapter.provider,
            "code": getattr(outcome, "code", ""),
            "error": str(getattr(outcome, "detail", "")),
        }
        for adapter, outcome in told
    )
