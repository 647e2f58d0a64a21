"""Web push (RFC 8030): encrypted for each device (RFC 8291) and signed for each push service (RFC 8292).

A message goes to every device of its recipient and counts as sent when one push service took it; devices that are gone
are named in the outcome.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from py_vapid import Vapid02, VapidException
from pywebpush import WebPusher, WebPushException

from channels_app import http
from channels_app.base import ChannelAdapter, Session
from channels_app.egress import Egress
from channels_app.errors import ProviderMissing, UrlRefused
from channels_app.threads import ThreadedSession
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    Device,
    Limits,
    NotConfigured,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    Throttled,
    Transient,
)

TTL: Final = 28 * 24 * 3600
"""Seconds that a push service keeps a message for a device that is off, where the message does not expire before."""
PAYLOAD_LIMIT: Final = 3_993
"""Bytes before encryption: with its 103 they fill the 4,096 that every push service takes."""
SIGNED_FOR: Final = 12 * 3600
"""Seconds for which a signature holds; half as long it is used."""
THROTTLE_WAIT: Final = 10.0
"""Seconds to wait where a push service names none."""

_URGENCY: Final[Mapping[str, str]] = {"urgent": "high", "normal": "normal", "bulk": "low"}
_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
_GONE: Final = frozenset({404, 410})
_REFUSED: Final = frozenset({401, 403})


class PushAdapter(ChannelAdapter):
    """Web push by the push service that each device names."""

    provider = "webpush"
    limits: ClassVar[Limits] = Limits(batch=50, group=16, concurrency=16)
    on_unknown: ClassVar[OnUnknown] = OnUnknown.REPEAT
    reports_delivery: ClassVar[bool] = False
    shares_fate: ClassVar[bool] = False

    def __init__(
        self,
        channel: Channel,
        *,
        key: str,
        subject: str,
        egress: Egress,
        timeout: float = http.DEADLINE,
        ca_file: str = "",
    ) -> None:
        super().__init__(channel)
        self._vapid = _Vapid(key, subject)
        self._deadline = timeout
        self._client = http.Client(
            egress=egress, deadline=timeout, connections=self.limits.concurrency, ca_file=ca_file, rests=True
        )

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the adapter from `key` and `subject`, and where they are given `timeout`, `ca_file` and `allow`: what
        is let through although it is private.

        Raises:
            ProviderMissing: the key or the subject is missing or malformed.
        """
        if channel is not Channel.PUSH:
            raise ProviderMissing(f"web push is a channel of its own, not {channel}")
        return cls(
            channel,
            key=str(options.get("key") or ""),
            subject=str(options.get("subject") or ""),
            egress=Egress.from_words(options.get("allow") or ()),
            timeout=float(options.get("timeout", http.DEADLINE)),
            ca_file=str(options.get("ca_file") or ""),
        )

    def open(self) -> Session:
        # Connections belong to the adapter: they stay open from session to session.
        return ThreadedSession(self._send, self.limits.concurrency)

    def _send(self, message: OutboundMessage) -> Outcome:
        payload = _payload(message)
        if len(payload) > PAYLOAD_LIMIT:
            return Permanent(code="payload_too_large", detail=f"{len(payload)} bytes; there may be {PAYLOAD_LIMIT}")
        if not message.devices:
            return Permanent(code="no_subscription", detail="the recipient has no device that takes push messages")
        headers = _headers(message)
        ends = time.monotonic() + self._deadline
        told: list[tuple[Device, Outcome]] = []
        for place, device in enumerate(message.devices):
            # Each has its part of the time that is left: one push service that stalls takes none from the others.
            share = max(0.0, ends - time.monotonic()) / (len(message.devices) - place)
            told.append((device, self._push(device, payload, headers, share)))
        return _together(told)

    def _push(self, device: Device, payload: bytes, headers: Mapping[str, str], deadline: float) -> Outcome:
        """Send to one device, within so many seconds."""
        try:
            keys = {"p256dh": device.p256dh, "auth": device.auth}
            sealed = WebPusher({"endpoint": device.endpoint, "keys": keys}).encode(payload)["body"]
            signed = self._vapid.headers(device.endpoint)
        except (WebPushException, VapidException, ValueError, TypeError, LookupError):
            return Permanent(code="subscription_malformed", detail="the keys or the endpoint are not those of a device")
        try:
            answer = self._client.request(
                "POST", device.endpoint, body=sealed, headers={**headers, **signed}, deadline=deadline
            )
        except UrlRefused as error:
            return Permanent(code=error.code, detail=str(error))
        except http.Unanswered as error:
            return error.outcome()
        return _outcome(answer)


class _Vapid:
    """Signs for push services; a signature is made once for each and used for hours."""

    def __init__(self, key: str, subject: str) -> None:
        if not key or not subject:
            raise ProviderMissing("web push needs a key and a subject (mailto: or https:)")
        try:
            self._key = Vapid02.from_string(key)
        except (ValueError, TypeError, VapidException) as error:
            raise ProviderMissing("the key for web push is not a P-256 private key in base64url") from error
        self._subject = subject
        self._signed: dict[str, tuple[float, Mapping[str, str]]] = {}
        try:
            self.headers("https://push.example/")
        except VapidException as error:
            raise ProviderMissing(f"the subject for web push is refused: {error}") from error

    def headers(self, endpoint: str) -> Mapping[str, str]:
        """Give the Authorization header for an endpoint's push service."""
        origin = _origin(endpoint)
        until, headers = self._signed.get(origin, (0.0, {}))
        now = time.time()
        if until < now:
            claims = {"aud": origin, "sub": self._subject, "exp": int(now) + SIGNED_FOR}
            headers = self._key.sign(claims)
            if len(self._signed) > _ORIGINS:
                self._signed.clear()
            self._signed[origin] = (now + SIGNED_FOR / 2, headers)
        return headers


def _origin(endpoint: str) -> str:
    """The push service that an endpoint belongs to, as RFC 6454 writes an origin: no port where it is the usual one."""
    parts = urlsplit(endpoint)
    host, port = (parts.hostname or "").lower(), parts.port
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" if port in (None, _USUAL.get(parts.scheme)) else f"{parts.scheme}://{host}:{port}"


_USUAL: Final[Mapping[str, int]] = {"https": 443, "http": 80}
_ORIGINS: Final = 1000
"""Push services whose signatures are kept at the most: endpoints are callers' words."""


def _payload(message: OutboundMessage) -> bytes:
    """What a service worker is given."""
    said = {
        "id": str(message.id),
        "title": message.subject,
        "body": message.text or message.html,
        "data": message.data or {},
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def _headers(message: OutboundMessage) -> dict[str, str]:
    """How a push service is to treat the message; one topic for all its tries, so that a device shows it once."""
    topic = message.metadata.get("topic")
    left = TTL if message.expires_at is None else max(0, min(TTL, int(message.expires_at.timestamp() - time.time())))
    return {
        "TTL": str(left),
        "Urgency": _URGENCY.get(message.priority, "normal"),
        "Topic": topic if isinstance(topic, str) and _TOPIC.match(topic) else message.id.hex,
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
    }


def _outcome(answer: http.Answer) -> Outcome:
    status = answer.status
    if 200 <= status < 300:
        return Accepted(provider_message_id=answer.headers.get("location", "")[:500])
    code, words = f"http_{status}", answer.words
    if status in _GONE:
        return Permanent(code="subscription_gone", detail=words)
    if status in _REFUSED:
        return NotConfigured(code="provider_refused_credentials", detail=f"{code} {words}".strip())
    if status == 429:
        return Throttled(wait=answer.retry_after() or THROTTLE_WAIT, code=code, detail=words)
    if status >= 500 or status == 408:
        return Transient(code=code, detail=words, retry_after=answer.retry_after())
    return Permanent(code=code, detail=words)


_HOPES: Final = (Ambiguous, Transient, Throttled, NotConfigured)
"""Whose word counts for the whole where no device was reached: first what may still be helped."""


def _together(told: list[tuple[Device, Outcome]]) -> Outcome:
    """What the outcomes of several devices are for the message."""
    gone = tuple(device.id for device, outcome in told if isinstance(outcome, Permanent) and outcome.code in _ENDED)
    accepted = [outcome for _, outcome in told if isinstance(outcome, Accepted)]
    if accepted:
        detail = {"devices": len(told), "reached": len(accepted)}
        return Accepted(provider_message_id=accepted[0].provider_message_id, detail=detail, gone=gone)
    for kind in _HOPES:
        for _, outcome in told:
            if isinstance(outcome, kind):
                return outcome
    last = told[-1][1]
    assert isinstance(last, Permanent)  # noqa: S101 - nothing else is left
    return Permanent(code=last.code, detail=last.detail, gone=gone)


_ENDED: Final = frozenset({"subscription_gone", "subscription_malformed"})
