"""An adapter whose sessions do what a test says: the plug-in point of channels, filled in like any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from channels_app.base import ChannelAdapter, Session
from channels_app.types import Accepted, Channel, Limits, OnUnknown, OutboundMessage, Outcome

Answers = Iterator[tuple[UUID, Outcome]]
MaySend = Callable[[], bool]
Script = Callable[[Iterator[OutboundMessage], MaySend], Answers]


def accept_all(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
    for message in batch:
        yield message.id, Accepted(provider_message_id=f"p-{message.id}")


def answer(outcome: Outcome | Callable[[OutboundMessage], Outcome]) -> Script:
    """Answer every message with this outcome."""

    def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
        for message in batch:
            yield message.id, outcome(message) if callable(outcome) else outcome

    return script


class ScriptedSession(Session):
    def __init__(self, adapter: ScriptedAdapter) -> None:
        self.adapter = adapter
        self.closed = False

    def deliver(self, batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
        yield from self.adapter.script(batch, may_send)

    def close(self) -> None:
        self.closed = True


class ScriptedAdapter(ChannelAdapter):
    provider = "scripted"
    limits = Limits(batch=100, group=10)
    on_unknown = OnUnknown.HOLD
    reports_delivery = True

    def __init__(self, channel: Channel, options: Mapping[str, Any]) -> None:
        super().__init__(channel)
        self.script: Script = options["script"]
        self.limits = options.get("limits", self.limits)
        self.on_unknown = options.get("on_unknown", self.on_unknown)
        self.shares_fate = options.get("shares_fate", False)
        self.takes = options.get("takes", lambda address: True)
        self._ask = options.get("ask", lambda outbound, since: None)
        self.fails_to_open: Exception | None = options.get("fails_to_open")
        self.sessions: list[ScriptedSession] = []

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        return cls(channel, options)

    def open(self) -> ScriptedSession:
        if self.fails_to_open is not None:
            raise self.fails_to_open
        self.sessions.append(ScriptedSession(self))
        return self.sessions[-1]

    def ask(self, message: OutboundMessage, since: datetime) -> Outcome | None:
        found: Outcome | None = self._ask(message, since)
        return found
