"""What every adapter fills in: one provider on one channel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from channels_app.errors import CallbackRejected
from channels_app.types import Callback, Channel, Health, Limits, OnUnknown, OutboundMessage, Outcome, Receipt, Signal


class Session(ABC):
    """Connections to a provider that a worker keeps open across batches. Used by one thread at a time."""

    @abstractmethod
    def deliver(self, batch: Iterator[OutboundMessage], may_send: Callable[[], bool]) -> Iterator[tuple[UUID, Outcome]]:
        """Send what `batch` yields and yield each message's outcome as soon as it is known.

        Drawing from `batch` waits until the message's hand-over group is marked, and ends when the lease does;
        it is done only in the thread that iterates the outcomes. At most `limits.group` messages may be drawn and
        unanswered, or the next draw waits for a mark that never comes. `may_send` is asked right before each message
        is begun; once it says no, nothing further is sent and drawn messages are answered `Throttled(wait=0)`.
        Every drawn message is answered exactly once, also when the connection breaks: outcomes are values, since
        one bad item must not end the batch.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections; never raises."""


class ChannelAdapter(ABC):
    """One provider on one channel. Holds credentials and knows no database. Safe to share between threads."""

    provider: str
    """Name of the provider. The registry numbers the second and further ones of a name: smtp, smtp-2."""
    limits: ClassVar[Limits]
    on_unknown: ClassVar[OnUnknown]
    reports_delivery: ClassVar[bool]
    """Whether receipts come back; without them SENT is the last thing known."""
    shares_fate: ClassVar[bool] = True
    """Whether what befalls one message tells of the next: not where each goes to a server of its own, or to none. Only
    then a breaker watches the provider, and a wish to wait holds for all of its messages."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    @classmethod
    @abstractmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the adapter from its settings.

        Raises:
            ProviderMissing: a setting is missing or malformed.
        """

    def takes(self, address: str) -> bool:
        """Tell whether messages to such an address are for this provider, where a channel has several kinds."""
        return True

    @abstractmethod
    def open(self) -> Session:
        """Give a new session; connections are made when the first message needs them."""

    def ask(self, message: OutboundMessage, since: datetime) -> Outcome | None:
        """Ask the provider what became of a message that was handed over at `since` and whose outcome is unknown.

        Accepted where it has the message, Transient where it surely has not; None where it cannot tell.
        """
        return None

    def verify_callback(self, callback: Callback) -> None:
        """Refuse a callback that the provider did not sign.

        Raises:
            CallbackRejected: the signature is missing, wrong or too old.
        """
        raise CallbackRejected(f"{self.provider} sends no callbacks")

    def parse_callback(self, callback: Callback) -> list[Receipt | Signal]:
        """Read a verified callback: reports on messages, and what recipients say of themselves.

        Raises:
            CallbackRejected: it is not what the provider sends.
        """
        return []

    def probe(self) -> Health:
        """Ask the provider cheaply whether it works; never raises."""
        return Health(ok=True)
