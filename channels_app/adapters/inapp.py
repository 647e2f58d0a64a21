"""Messages that are kept here and read here: on-site and direct. What is stored is delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from channels_app.base import ChannelAdapter, Session
from channels_app.errors import ProviderMissing
from channels_app.types import (
    Accepted,
    Channel,
    Limits,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Receipt,
    ReceiptKind,
    Throttled,
)

CHANNELS: Final = (Channel.ONSITE, Channel.DIRECT)


class InAppAdapter(ChannelAdapter):
    """The workspace's own feed. A message is in it by its state, so it is there once, whatever is repeated."""

    provider = "inapp"
    limits: ClassVar[Limits] = Limits(batch=500, group=100)
    on_unknown: ClassVar[OnUnknown] = OnUnknown.REPEAT
    reports_delivery: ClassVar[bool] = True
    shares_fate: ClassVar[bool] = False

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the adapter, which needs no settings.

        Raises:
            ProviderMissing: the channel leads out of the house.
        """
        if channel not in CHANNELS:
            raise ProviderMissing(f"only {' and '.join(CHANNELS)} messages are kept here, not {channel}")
        return cls(channel)

    def open(self) -> Session:
        return _Session()


class _Session(Session):
    def deliver(self, batch: Iterator[OutboundMessage], may_send: Callable[[], bool]) -> Iterator[tuple[UUID, Outcome]]:
        on = True
        for message in batch:
            on = on and may_send()
            if not on:
                yield message.id, Throttled(wait=0.0, code="not_begun")
                continue
            stored = Receipt(kind=ReceiptKind.DELIVERED, key=f"{message.id}:{message.attempt}", message_id=message.id)
            yield message.id, Accepted(provider_message_id=str(message.id), receipts=(stored,))

    def close(self) -> None:
        """There is nothing to close."""
