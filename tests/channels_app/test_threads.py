from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import pytest

from channels_app.base import ChannelAdapter, Session
from channels_app.errors import InvalidMessage
from channels_app.threads import ThreadedSession
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    Limits,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Transient,
)
from tests.channels_app.contract import NO_CONNECTION, AdapterContract, Behaviour, Exempt, make_message, yes


def send_as_told(message: OutboundMessage) -> Outcome:
    match message.address:
        case "refuse":
            raise InvalidMessage("too long", field="text")
        case "break":
            raise RuntimeError("secret")
        case "later":
            return Transient(code="busy")
    return Accepted(provider_message_id=str(message.id))


class Told(ChannelAdapter):
    """An adapter made of one function."""

    provider = "told"
    limits: ClassVar[Limits] = Limits(batch=20, group=4, concurrency=4)
    on_unknown: ClassVar[OnUnknown] = OnUnknown.HOLD
    reports_delivery: ClassVar[bool] = False
    send_one: Callable[[OutboundMessage], Outcome] = staticmethod(send_as_told)

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        return cls(channel)

    def open(self) -> Session:
        return ThreadedSession(self.send_one, self.limits.concurrency)


class TestContract(AdapterContract):
    name = "told"

    @property
    def row(self) -> Mapping[Behaviour, str | Exempt]:
        told = {
            Behaviour.ACCEPT: "fine",
            Behaviour.REFUSE: "refuse",
            Behaviour.FAIL: "later",
            Behaviour.CUT_AFTER: "break",
        }
        return {behaviour: told.get(behaviour, NO_CONNECTION) for behaviour in Behaviour}

    @pytest.fixture
    def adapter(self) -> ChannelAdapter:
        return Told(Channel.WEBHOOK)

    @pytest.fixture
    def hasty(self, adapter) -> ChannelAdapter:
        return adapter


def test_as_many_are_under_way_at_once_as_there_are_threads():
    together = threading.Barrier(4)

    def send(message: OutboundMessage) -> Outcome:
        together.wait(timeout=30)
        return Accepted()

    session = ThreadedSession(send, 4)
    batch = [make_message(Channel.WEBHOOK) for _ in range(8)]
    assert {message_id for message_id, _ in session.deliver(iter(batch), yes)} == {message.id for message in batch}
    session.close()


def test_a_slow_message_does_not_hold_up_what_is_known_of_the_others():
    may_end = threading.Event()

    def send(message: OutboundMessage) -> Outcome:
        if message.address == "slow":
            may_end.wait(timeout=30)
        return Accepted()

    session = ThreadedSession(send, 2)
    batch = [make_message(Channel.WEBHOOK, address) for address in ("slow", "a", "b", "c")]
    order = []
    for message_id, _ in session.deliver(iter(batch), yes):
        order.append(message_id)
        if len(order) == 3:
            may_end.set()
    session.close()
    assert order == [batch[1].id, batch[2].id, batch[3].id, batch[0].id]


def test_an_unforeseen_error_is_a_doubt_that_tells_no_secret():
    session = ThreadedSession(send_as_told, 1)
    ((_, outcome),) = session.deliver(iter([make_message(Channel.WEBHOOK, "break")]), yes)
    session.close()
    assert outcome == Ambiguous(detail="the adapter failed: RuntimeError")


def test_closing_a_session_closes_what_the_adapter_keeps_open():
    closed: list[None] = []
    ThreadedSession(send_as_told, 1, lambda: closed.append(None)).close()
    assert closed == [None]
