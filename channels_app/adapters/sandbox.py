"""The sandbox: a provider on every channel that reaches nobody and answers as it is told.

The outcome is named by `metadata.sandbox`, else by the e-mail address (`bounced@…`, `bounced+7@…`,
`anyone+bounced@…`), else by the last digit of +1 202 555 0100 to 0109; by default the message is delivered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from channels_app.base import ChannelAdapter, Session
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    Limits,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    Receipt,
    ReceiptKind,
    Throttled,
    Transient,
)


class Scenario(StrEnum):
    """What the sandbox lets happen. The order is that of the phone numbers' last digits."""

    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    """Delivered at first; the bounce comes late."""
    TRANSIENT = "transient"
    """Fails twice, then is delivered."""
    PERMANENT = "permanent"
    THROTTLED = "throttled"
    """Told to wait once, then delivered."""
    UNKNOWN = "unknown"
    """Accepted, but the answer is lost and no receipt comes."""
    OPTOUT = "optout"
    """Delivered, then the recipient unsubscribes."""
    SILENT = "silent"
    """Accepted, and no receipt ever comes."""


THROTTLE_WAIT: Final = 2.0
"""Seconds."""
FAILURES: Final = 2
"""Attempts that fail before a `transient` message is delivered."""

_PHONE: Final = re.compile(r"\+1202555010([0-9])\Z")
_SCENARIOS: Final = tuple(Scenario)
_BY_NAME: Final[Mapping[str, Scenario]] = {scenario.value: scenario for scenario in Scenario}

# Seconds after the message was accepted.
_DELIVERED: Final = (ReceiptKind.DELIVERED, 0.2)
_OPENED: Final = (ReceiptKind.OPENED, 0.6)
_RECEIPTS: Final[Mapping[Scenario, tuple[tuple[ReceiptKind, float], ...]]] = {
    Scenario.DELIVERED: (_DELIVERED,),
    Scenario.OPENED: (_DELIVERED, _OPENED),
    Scenario.CLICKED: (_DELIVERED, _OPENED, (ReceiptKind.CLICKED, 1.0)),
    Scenario.BOUNCED: (_DELIVERED, (ReceiptKind.BOUNCED, 0.8)),
    Scenario.TRANSIENT: (_DELIVERED,),
    Scenario.THROTTLED: (_DELIVERED,),
    Scenario.OPTOUT: (_DELIVERED, (ReceiptKind.UNSUBSCRIBED, 0.8)),
    Scenario.SILENT: (),
}


def spelled_scenario(channel: Channel, address: str) -> Scenario | None:
    """Read the scenario that an address names by its own spelling, if it names one."""
    if channel is Channel.EMAIL:
        local = address.rpartition("@")[0].lower()
        for part in local.split("+"):
            if part in _BY_NAME:
                return _BY_NAME[part]
        return None
    if channel in (Channel.SMS, Channel.WHATSAPP):
        number = _PHONE.match(address)
        return _SCENARIOS[int(number[1])] if number else None
    return None


def scenario_of(message: OutboundMessage) -> Scenario:
    """Tell what will happen to the message: its metadata decide, then its address; a word unknown here does not."""
    told = message.metadata.get("sandbox")
    if isinstance(told, str) and told.lower() in _BY_NAME:
        return _BY_NAME[told.lower()]
    return spelled_scenario(message.channel, message.address) or Scenario.DELIVERED


class SandboxSession(Session):
    """Holds no connection: the outcome of a message follows from the message alone."""

    def deliver(self, batch: Iterator[OutboundMessage], may_send: Callable[[], bool]) -> Iterator[tuple[UUID, Outcome]]:
        """Answer every message as its scenario says."""
        stopped = False
        for message in batch:
            stopped = stopped or not may_send()
            yield message.id, Throttled(wait=0.0, code="not_begun") if stopped else _answer(message)

    def close(self) -> None:
        """Do nothing: there is no connection."""


class SandboxAdapter(ChannelAdapter):
    """Reaches nobody, on any channel."""

    provider = "sandbox"
    limits: ClassVar[Limits] = Limits(batch=200, group=100)
    on_unknown: ClassVar[OnUnknown] = OnUnknown.HOLD
    reports_delivery: ClassVar[bool] = True
    shares_fate: ClassVar[bool] = False

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the sandbox of a channel; it has no options."""
        return cls(channel)

    def open(self) -> SandboxSession:
        """Give a session."""
        return SandboxSession()


def _answer(message: OutboundMessage) -> Outcome:
    scenario = scenario_of(message)
    match scenario:
        case Scenario.TRANSIENT if message.attempt <= FAILURES:
            return Transient(code="sandbox_transient", detail=f"attempt {message.attempt} fails in the sandbox")
        case Scenario.PERMANENT:
            return Permanent(code="sandbox_permanent", detail="refused for good in the sandbox")
        case Scenario.THROTTLED if message.throttles == 0:
            return Throttled(wait=THROTTLE_WAIT, code="sandbox_throttled", detail="told to wait in the sandbox")
        case Scenario.UNKNOWN:
            return Ambiguous(detail="the answer is lost in the sandbox")
    return Accepted(provider_message_id=f"sandbox-{message.id}", receipts=_receipts(message, scenario))


def _receipts(message: OutboundMessage, scenario: Scenario) -> tuple[Receipt, ...]:
    return tuple(
        Receipt(
            kind=kind,
            key=f"{message.id}:{message.attempt}:{kind}",
            message_id=message.id,
            code="hard_bounce" if kind is ReceiptKind.BOUNCED else "",
            after=after,
        )
        for kind, after in _RECEIPTS[scenario]
    )
