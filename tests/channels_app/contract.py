"""The cases that every adapter must pass, and the values that tests of channels share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from channels_app.base import ChannelAdapter
from channels_app.errors import CallbackRejected
from channels_app.types import (
    Accepted,
    Ambiguous,
    Callback,
    Channel,
    OutboundMessage,
    Outcome,
    Permanent,
    SharedContent,
    Throttled,
    Transient,
)


class Behaviour(StrEnum):
    """What a provider may do with a message."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    """For good."""
    FAIL = "fail"
    """For now."""
    THROTTLE = "throttle"
    """Ask to wait: 429 by HTTP."""
    STALL = "stall"
    """Take it and never answer."""
    DRIP = "drip"
    """Take it and answer a byte at a time, for longer than we wait."""
    CUT_AFTER = "cut after accept"
    """Take it and hang up without an answer."""
    GARBAGE = "garbage"
    """Take it and answer something else than the protocol."""
    ENDLESS = "endless"
    """Take it and answer without end."""


EXPECTED: Mapping[Behaviour, type[Outcome]] = {
    Behaviour.ACCEPT: Accepted,
    Behaviour.REFUSE: Permanent,
    Behaviour.FAIL: Transient,
    Behaviour.THROTTLE: Throttled,
    Behaviour.STALL: Ambiguous,
    Behaviour.DRIP: Ambiguous,
    Behaviour.CUT_AFTER: Ambiguous,
    Behaviour.GARBAGE: Ambiguous,
    Behaviour.ENDLESS: Ambiguous,
}
"""What each means, by every adapter."""
SLOW = (Behaviour.STALL, Behaviour.DRIP)
"""Those that last until we wait no longer: they are shown side by side, each in a session of its own."""


@dataclass(frozen=True)
class Exempt:
    """A behaviour that a provider cannot show, and why."""

    why: str


NO_CONNECTION = Exempt("it holds no connection")
ASKS_NOBODY = Exempt("what is stored is delivered: there is nobody to say no")

ROWS: Mapping[str, Mapping[Behaviour, str | Exempt]] = {
    "anymail": {
        Behaviour.ACCEPT: "someone@example.com",
        Behaviour.REFUSE: "inactive@example.com",
        Behaviour.FAIL: "status-503@example.com",
        Behaviour.THROTTLE: "throttled@example.com",
        Behaviour.STALL: "stall@example.com",
        Behaviour.DRIP: "drip@example.com",
        Behaviour.CUT_AFTER: "cut@example.com",
        Behaviour.GARBAGE: "garbage@example.com",
        Behaviour.ENDLESS: "endless@example.com",
    },
    "apprise": {
        Behaviour.ACCEPT: "/",
        Behaviour.REFUSE: "/status-400",
        Behaviour.FAIL: "/status-503",
        Behaviour.THROTTLE: "/status-429",
        Behaviour.STALL: "/stall",
        Behaviour.DRIP: "/drip",
        Behaviour.CUT_AFTER: "/cut",
        Behaviour.GARBAGE: "/garbage",
        Behaviour.ENDLESS: "/endless",
    },
    "inapp": {
        Behaviour.ACCEPT: "ann",
        Behaviour.REFUSE: ASKS_NOBODY,
        Behaviour.FAIL: ASKS_NOBODY,
        Behaviour.THROTTLE: ASKS_NOBODY,
        Behaviour.STALL: NO_CONNECTION,
        Behaviour.DRIP: NO_CONNECTION,
        Behaviour.CUT_AFTER: NO_CONNECTION,
        Behaviour.GARBAGE: NO_CONNECTION,
        Behaviour.ENDLESS: NO_CONNECTION,
    },
    "sandbox": {
        Behaviour.ACCEPT: "someone@example.com",
        Behaviour.REFUSE: "permanent@example.com",
        Behaviour.FAIL: "transient@example.com",
        Behaviour.THROTTLE: "throttled@example.com",
        Behaviour.STALL: NO_CONNECTION,
        Behaviour.DRIP: NO_CONNECTION,
        Behaviour.CUT_AFTER: "unknown@example.com",
        Behaviour.GARBAGE: NO_CONNECTION,
        Behaviour.ENDLESS: NO_CONNECTION,
    },
    "smtp": {
        Behaviour.ACCEPT: "someone@example.com",
        Behaviour.REFUSE: "rcpt-550@example.com",
        Behaviour.FAIL: "rcpt-450@example.com",
        Behaviour.THROTTLE: Exempt("SMTP has no word for it beside those for a failure that passes"),
        Behaviour.STALL: "stall-3600@example.com",
        Behaviour.DRIP: "drip@example.com",
        Behaviour.CUT_AFTER: "cut-after@example.com",
        Behaviour.GARBAGE: "nonsense@example.com",
        Behaviour.ENDLESS: "endless@example.com",
    },
    "telegram": {
        Behaviour.ACCEPT: "4711",
        Behaviour.REFUSE: "@missing",
        Behaviour.FAIL: "@status_502",
        Behaviour.THROTTLE: "@throttled_3",
        Behaviour.STALL: "@stall",
        Behaviour.DRIP: "@drip",
        Behaviour.CUT_AFTER: "@hangs_up",
        Behaviour.GARBAGE: "@garbage",
        Behaviour.ENDLESS: "@endless",
    },
    "twilio": {
        Behaviour.ACCEPT: "+12025550123",
        Behaviour.REFUSE: "+1999421211",
        Behaviour.FAIL: "+1999520500",
        Behaviour.THROTTLE: "+1999920429",
        Behaviour.STALL: "+19991000000",
        Behaviour.DRIP: "+19996000000",
        Behaviour.CUT_AFTER: "+19992000000",
        Behaviour.GARBAGE: "+19993000000",
        Behaviour.ENDLESS: "+19997000000",
    },
    "webhook": {
        Behaviour.ACCEPT: "/",
        Behaviour.REFUSE: "/status-400",
        Behaviour.FAIL: "/status-503",
        Behaviour.THROTTLE: "/status-429?retry-after=3",
        Behaviour.STALL: "/stall",
        Behaviour.DRIP: "/drip",
        Behaviour.CUT_AFTER: "/cut",
        Behaviour.GARBAGE: "/garbage",
        Behaviour.ENDLESS: "/endless",
    },
    "webpush": {
        Behaviour.ACCEPT: "/push/ann",
        Behaviour.REFUSE: "/status-400",
        Behaviour.FAIL: "/status-503",
        Behaviour.THROTTLE: "/status-429?retry-after=3",
        Behaviour.STALL: "/stall",
        Behaviour.DRIP: "/drip",
        Behaviour.CUT_AFTER: "/cut",
        Behaviour.GARBAGE: "/garbage",
        Behaviour.ENDLESS: "/endless",
    },
}
"""Adapter → how its peer is made to behave: the address to send to, for an HTTP peer its path."""


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
    return structs.replace(message, **fields)


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
    """Subclassed for each adapter, which has a row in the table."""

    name: ClassVar[str]
    """Its name in the registry."""

    @property
    def row(self) -> Mapping[Behaviour, str | Exempt]:
        """Tell how its peer is made to behave."""
        return ROWS[self.name]

    @pytest.fixture
    @abstractmethod
    def adapter(self) -> ChannelAdapter:
        """Give the adapter, connected to a peer."""

    @pytest.fixture
    @abstractmethod
    def hasty(self) -> ChannelAdapter:
        """Give it once more, with a second or two for a message."""

    def message(self, adapter: ChannelAdapter, behaviour: Behaviour = Behaviour.ACCEPT) -> OutboundMessage:
        """Give a message that makes the peer behave so."""
        return make_message(adapter.channel, self.address(behaviour))

    def address(self, behaviour: Behaviour) -> str:
        """Give the address that makes the peer behave so."""
        address = self.row[behaviour]
        assert isinstance(address, str)
        return address

    @pytest.mark.parametrize("behaviours", [SLOW, *((each,) for each in Behaviour if each not in SLOW)], ids="+".join)
    def test_whatever_a_provider_does_means_the_same_by_every_adapter(self, hasty, behaviours):
        def outcomes(behaviour: Behaviour) -> list[Outcome]:
            return answers(hasty, [self.message(hasty, behaviour), self.message(hasty)])

        shown = [behaviour for behaviour in behaviours if isinstance(self.row[behaviour], str)]
        with ThreadPoolExecutor(len(behaviours)) as pool:
            for behaviour, (struck, after) in zip(shown, pool.map(outcomes, shown), strict=True):
                assert type(struck) is EXPECTED[behaviour], (behaviour, struck)
                assert type(after) is Accepted, (behaviour, after)

    def test_every_drawn_message_is_answered_once_whatever_befalls_its_neighbours(self, adapter):
        quick = (Behaviour.ACCEPT, Behaviour.REFUSE, Behaviour.FAIL, Behaviour.CUT_AFTER)
        shown = [behaviour for behaviour in quick if isinstance(self.row[behaviour], str)]
        batch = [self.message(adapter, behaviour) for behaviour in shown for _ in range(2)]
        session = adapter.open()
        answered = [message_id for message_id, _ in session.deliver(iter(batch), yes)]
        session.close()
        assert sorted(answered) == sorted(message.id for message in batch)

    def test_one_refused_message_does_not_fail_the_others(self, adapter):
        if isinstance(self.row[Behaviour.REFUSE], Exempt):
            return
        batch = [self.message(adapter), self.message(adapter, Behaviour.REFUSE), self.message(adapter)]
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
