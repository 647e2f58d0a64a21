"""The cases that every adapter must pass, and the values that tests of channels share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from channels_app.base import ChannelAdapter
from channels_app.errors import CallbackRejected
from channels_app.types import (
    Accepted,
    Ambiguous,
    Callback,
    Channel,
    NotConfigured,
    OutboundMessage,
    Outcome,
    Permanent,
    SharedContent,
    Throttled,
    Transient,
)

OUTCOMES: tuple[type[Outcome], ...] = (Accepted, Transient, Throttled, Permanent, NotConfigured, Ambiguous)


def yes() -> bool:
    """Let everything be sent."""
    return True


def make_message(
    channel: Channel = Channel.EMAIL, address: str = "someone@example.com", **fields: Any
) -> OutboundMessage:
    """Give a message; `fields` override what it says."""
    message = OutboundMessage(
        id=uuid4(),
        workspace_id=uuid4(),
        channel=channel,
        address=address,
        subject="Hello",
        text="Good morning",
        shared=SharedContent(key=uuid4(), sender="sender@example.com"),
    )
    return replace(message, **fields)


def answers(
    adapter: ChannelAdapter, messages: Iterable[OutboundMessage], may_send: Callable[[], bool] = yes
) -> list[Outcome]:
    """Deliver the messages in a session of their own; give the outcomes in the messages' order."""
    batch = list(messages)
    session = adapter.open()
    try:
        found = dict(session.deliver(iter(batch), may_send))
    finally:
        session.close()
    return [found[message.id] for message in batch]


class AdapterContract(ABC):
    """Subclassed for each adapter: give the adapter and a message for each kind of outcome that it can have."""

    outcomes: ClassVar[dict[type[Outcome], str]]
    """Kind of outcome → an address that brings it about."""

    @pytest.fixture
    @abstractmethod
    def adapter(self) -> ChannelAdapter:
        """Give the adapter, connected to a peer."""

    def message(self, adapter: ChannelAdapter, kind: type[Outcome] = Accepted) -> OutboundMessage:
        """Give a message whose delivery has an outcome of that kind."""
        return make_message(adapter.channel, self.outcomes[kind])

    def test_every_kind_of_outcome_is_told_as_what_it_is(self, adapter):
        for kind in self.outcomes:
            (outcome,) = answers(adapter, [self.message(adapter, kind)])
            assert type(outcome) is kind, outcome

    def test_every_drawn_message_is_answered_once_whatever_befalls_its_neighbours(self, adapter):
        batch = [self.message(adapter, kind) for kind in self.outcomes for _ in range(2)]
        session = adapter.open()
        answered = [message_id for message_id, _ in session.deliver(iter(batch), yes)]
        session.close()
        assert sorted(answered) == sorted(message.id for message in batch)

    def test_one_refused_message_does_not_fail_the_others(self, adapter):
        batch = [self.message(adapter), self.message(adapter, Permanent), self.message(adapter)]
        assert [type(outcome) for outcome in answers(adapter, batch)] == [Accepted, Permanent, Accepted]

    def test_an_empty_batch_has_no_outcomes(self, adapter):
        assert answers(adapter, []) == []

    def test_nothing_is_sent_once_may_send_says_no(self, adapter):
        left = iter([True, True, False, True, True])
        outcomes = answers(adapter, [self.message(adapter) for _ in range(5)], lambda: next(left))
        assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted, Throttled, Throttled, Throttled]
        assert [outcome.wait for outcome in outcomes[2:] if isinstance(outcome, Throttled)] == [0.0, 0.0, 0.0]

    def test_may_send_is_asked_before_every_message(self, adapter):
        asked: list[None] = []
        answers(adapter, [self.message(adapter) for _ in range(3)], lambda: asked.append(None) or True)
        assert len(asked) == 3

    def test_messages_are_drawn_no_further_ahead_than_the_declared_concurrency(self, adapter):
        drawn: list[UUID] = []

        def batch() -> Iterator[OutboundMessage]:
            for _ in range(20):
                message = self.message(adapter)
                drawn.append(message.id)
                yield message

        session = adapter.open()
        for number, _ in enumerate(session.deliver(batch(), yes), start=1):
            assert len(drawn) <= number + adapter.limits.concurrency
        session.close()
        assert len(drawn) == 20

    def test_a_session_serves_batch_after_batch(self, adapter):
        session = adapter.open()
        for _ in range(3):
            outcomes = [outcome for _, outcome in session.deliver(iter([self.message(adapter)]), yes)]
            assert [type(outcome) for outcome in outcomes] == [Accepted]
        session.close()

    def test_a_session_can_be_left_in_the_middle_of_a_batch(self, adapter):
        session = adapter.open()
        outcomes = session.deliver(iter([self.message(adapter) for _ in range(5)]), yes)
        next(outcomes)
        outcomes.close()
        assert [type(outcome) for _, outcome in session.deliver(iter([self.message(adapter)]), yes)] == [Accepted]
        session.close()

    def test_closing_twice_or_unused_is_harmless(self, adapter):
        session = adapter.open()
        session.close()
        session.close()

    def test_a_callback_without_a_signature_is_refused(self, adapter):
        with pytest.raises(CallbackRejected):
            adapter.verify_callback(Callback(method="POST", url="https://dispatch.example/", headers={}, body=b"{}"))

    def test_the_declared_limits_make_sense(self, adapter):
        assert 1 <= adapter.limits.concurrency <= adapter.limits.batch
        assert 1 <= adapter.limits.group <= adapter.limits.batch

    def test_a_working_provider_is_healthy(self, adapter):
        assert adapter.probe().ok
