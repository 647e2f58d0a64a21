"""Chat rooms, pagers and whatever else Apprise speaks to, as destinations of the channel webhook.

Destinations are named in the settings and the caller gives a name: Apprise opens connections of its own, past the guard
that requests to a caller's URL go through. https://appriseit.com

Its services send by our transport: see `apprise_ways`.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Self

from apprise import Apprise, AppriseAsset, AppriseResult, NotifyFormat

from channels_app.adapters.apprise_ways import Sending, bound
from channels_app.base import ChannelAdapter, Session
from channels_app.errors import InvalidMessage, ProviderMissing
from channels_app.http import DEADLINE
from channels_app.threads import ThreadedSession
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    Limits,
    NotConfigured,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    Throttled,
    Transient,
)
from channels_app.words import cleaned

THROTTLE_WAIT: Final = 30.0
"""Seconds to wait after a 429: Apprise does not tell how long it was asked to."""

_STATUS: Final = re.compile(r"\berror=([1-5][0-9]{2})\b")
"""How Apprise's services report what a server answered."""
_UNANSWERED: Final = re.compile(r"\bconnection error\b|\btimed out\b", re.IGNORECASE)
"""How they report that it did not: the request may have left all the same."""
_LOCKED: Final = frozenset({401, 403, 404})
"""Statuses by which services say that what stands in the settings leads nowhere."""
_AGAIN: Final = frozenset({408, 425})

# Apprise logs URLs and what is said. What it warns of is taken from its results; nothing of it goes into our logs.
_logger: Final = logging.getLogger("apprise")
_logger.setLevel(logging.WARNING)
_logger.propagate = False
_logger.addHandler(logging.NullHandler())


class AppriseAdapter(ChannelAdapter):
    """Destinations of an operator's own, each by the URL that Apprise knows it by.

    A second copy of what is said there does less harm than none, so an unknown outcome is repeated.
    """

    provider = "apprise"
    limits: ClassVar[Limits] = Limits(batch=50, group=16, concurrency=8)
    on_unknown: ClassVar[OnUnknown] = OnUnknown.REPEAT
    reports_delivery: ClassVar[bool] = False
    shares_fate: ClassVar[bool] = False

    def __init__(self, channel: Channel, destinations: Mapping[str, Apprise], *, timeout: float = DEADLINE) -> None:
        super().__init__(channel)
        self._destinations = destinations
        self._timeout = timeout

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the adapter from `destinations`, name → URL, and `timeout` where it is given.

        Raises:
            ProviderMissing: there are none, or Apprise does not understand one.
        """
        if channel is not Channel.WEBHOOK:
            raise ProviderMissing(f"Apprise's destinations are those of webhook, not of {channel}")
        named = options.get("destinations") or {}
        if not named:
            raise ProviderMissing("Apprise needs destinations")
        found = {name: _destination(name, url) for name, url in named.items()}
        return cls(channel, found, timeout=float(options.get("timeout", DEADLINE)))

    def takes(self, address: str) -> bool:
        return address in self._destinations

    def open(self) -> Session:
        return ThreadedSession(self._send, self.limits.concurrency)

    def _send(self, message: OutboundMessage) -> Outcome:
        destination = self._destinations.get(message.address)
        if destination is None:
            return Permanent(code="unknown_destination", detail="the settings name no such destination")
        body, form = _body(message)
        sending = Sending(time.monotonic() + self._timeout)
        told = _within(sending, lambda: destination.notify(body=body, title=message.subject, body_format=form))
        return _unanswered(sending, "timeout") if told is None else _outcome(sending, told)


def _destination(name: str, url: str) -> Apprise:
    # What a redirect leads to is nobody's word but the server's.
    destination = Apprise(asset=AppriseAsset(http_redirects=False))
    # What Apprise says of a URL repeats it, and it may hold a secret.
    if not destination.add(url) or len(destination) != 1:
        raise ProviderMissing(f"Apprise does not understand the URL of the destination {name}")
    bound()
    return destination


def _body(message: OutboundMessage) -> tuple[str, NotifyFormat]:
    if message.text:
        return message.text, NotifyFormat.TEXT
    if message.html:
        return message.html, NotifyFormat.HTML
    raise InvalidMessage("there is nothing to say", field="text")


def _within(sending: Sending, work: Callable[[], AppriseResult]) -> AppriseResult | None:
    """Do it in a thread of its own, which is left to itself when time is up: not all services send by our ways."""
    found: list[AppriseResult] = []

    def run() -> None:
        with sending.under_way():
            found.append(work())

    thread = threading.Thread(target=run, name="apprise", daemon=True)
    thread.start()
    thread.join(sending.remaining())
    return found[0] if found else None


def _outcome(sending: Sending, told: AppriseResult) -> Outcome:
    """Apprise says yes or no; why not stands in its log, where it was told."""
    if told:
        return Accepted()
    words = cleaned(" ".join(entry.message for entry in told.logs()).encode("utf-8", "replace"))
    answered = _STATUS.search(words)
    if answered is not None:
        return _refused(int(answered[1]), words)
    if _UNANSWERED.search(words):
        return _unanswered(sending, words)
    return Transient(code="apprise_failed", detail=words)


def _unanswered(sending: Sending, words: str) -> Outcome:
    return Transient(code="connection_failed", detail=words) if sending.stayed else Ambiguous(detail=words)


def _refused(status: int, words: str) -> Outcome:
    if status == 429:
        return Throttled(wait=THROTTLE_WAIT, detail=words)
    if status in _LOCKED:
        return NotConfigured(code="provider_refused_credentials", detail=words)
    if status >= 500 or status in _AGAIN:
        return Transient(code=f"http_{status}", detail=words)
    return Permanent(code=f"http_{status}", detail=words)
