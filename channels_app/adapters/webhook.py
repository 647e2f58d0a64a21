"""Webhooks: a signed POST to a recipient's own URL, to the scheme of standardwebhooks.com.

Whoever wants a message chooses the URL, so requests leave by the guarded client. The message's id is the `webhook-id`
of every attempt: a receiver that keeps ids takes a repeat for what it is.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from standardwebhooks import Webhook

from channels_app.base import ChannelAdapter, Session
from channels_app.egress import Egress
from channels_app.errors import ProviderMissing
from channels_app.http import DEADLINE, Answer, Client, Unanswered
from channels_app.threads import ThreadedSession
from channels_app.types import (
    Accepted,
    Channel,
    Limits,
    NotConfigured,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    Receipt,
    ReceiptKind,
    Throttled,
    Transient,
)

MESSAGE_TYPE: Final = "message"
"""The `type` of a document that carries a message."""
SECRETS: Final = "secrets"
"""Name among a message's credentials: secrets `whsec_…`, separated by spaces; each of them signs."""
THROTTLE_WAIT: Final = 30.0
"""Seconds to wait after a 429 that names none."""

_PERMANENT: Final[Mapping[int, str]] = {
    404: "not_found",
    410: "gone",
    413: "document_too_large",
    421: "misdirected",
}
"""Statuses that mean something of their own; any other of the 400s ends the message as `http_…`."""
_AGAIN: Final = frozenset({408, 425})
"""Statuses below 500 that ask to try once more."""
_KEY_BYTES: Final = range(24, 65)
_TIME_IN_ID: Final = 7
"""The version of UUIDs that begin with the milliseconds at which they were made."""


class WebhookAdapter(ChannelAdapter):
    """Posts to the URL that is the recipient. Its answer of 2xx means that the recipient has it."""

    provider = "webhook"
    limits: ClassVar[Limits] = Limits(batch=50, group=16, concurrency=16)
    on_unknown: ClassVar[OnUnknown] = OnUnknown.REPEAT
    reports_delivery: ClassVar[bool] = True
    shares_fate: ClassVar[bool] = False

    def __init__(
        self, channel: Channel, client: Client, secrets: Sequence[str] = (), concurrency: int = limits.concurrency
    ) -> None:
        super().__init__(channel)
        self._client = client
        self._concurrency = concurrency
        self._signers = tuple(map(_signer, secrets))

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the adapter from `secrets`, `allow`, `timeout`, `ca_file`, `concurrency` and `rests`.

        `secrets` sign messages that bring none of their own; all of them do, so that one can replace another. `allow`
        names networks and hosts that may be posted to although they are private, `concurrency` is how many requests a
        session has under way, `rests` whether servers that stopped answering are left alone for a while.

        Raises:
            ProviderMissing: a setting is malformed.
        """
        if channel is not Channel.WEBHOOK:
            raise ProviderMissing(f"webhooks are a channel of their own, not {channel}")
        concurrency = int(options.get("concurrency", cls.limits.concurrency))
        client = Client(
            egress=Egress.from_words(options.get("allow", ())),
            deadline=float(options.get("timeout", DEADLINE)),
            connections=concurrency,
            ca_file=str(options.get("ca_file") or ""),
            rests=bool(options.get("rests", True)),
        )
        return cls(channel, client, tuple(options.get("secrets", ())), concurrency)

    def takes(self, address: str) -> bool:
        """Tell whether it is a URL rather than the name of a destination."""
        return "://" in address

    def open(self) -> Session:
        """Give a session; the connections are kept by the adapter, for all of its sessions."""
        return ThreadedSession(self._send, self._concurrency)

    def _send(self, message: OutboundMessage) -> Outcome:
        own = message.credentials.get(SECRETS, "").split()
        signers = tuple(map(_signer, own)) or self._signers
        if not signers:
            return NotConfigured(code="signing_secret_missing", detail="there is no secret to sign the webhook with")
        now = datetime.now(UTC)
        document = _document(message, now) if message.document is None else message.document
        try:
            answer = self._client.request(
                "POST", message.address, body=document.encode(), headers=_headers(message, document, signers, now)
            )
        except Unanswered as unanswered:
            return unanswered.outcome()
        return _outcome(message, answer)


def _signer(secret: str) -> Webhook:
    encoded = secret.removeprefix("whsec_")
    try:
        key = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if len(key) not in _KEY_BYTES:
        raise ProviderMissing("a signing secret is written whsec_ and 24 to 64 bytes in base64")
    return Webhook(key)


def _headers(message: OutboundMessage, document: str, signers: Sequence[Webhook], now: datetime) -> Mapping[str, str]:
    name = str(message.known_as or message.id)
    return {
        **message.headers,
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signer.sign(msg_id=name, timestamp=now, data=document) for signer in signers),
    }


def _document(message: OutboundMessage, now: datetime) -> str:
    made = {
        "type": MESSAGE_TYPE,
        "timestamp": _accepted_at(message.id, now).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "id": str(message.id),
            "name": message.name or None,
            "subject": message.subject or None,
            "body": message.html or None,
            "text": message.text or None,
            "metadata": dict(message.metadata),
        },
    }
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"))


def _accepted_at(message_id: UUID, now: datetime) -> datetime:
    """Read the time of acceptance from the id, so that a repeat is the same document."""
    return datetime.fromtimestamp((message_id.int >> 80) / 1_000, UTC) if message_id.version == _TIME_IN_ID else now


def _outcome(message: OutboundMessage, answer: Answer) -> Outcome:
    status = answer.status
    told = f"{status} {answer.words}".rstrip()
    if 200 <= status < 300:
        return _accepted(message, answer)
    if status < 400:
        return Permanent(code="redirected", detail=f"{told} (redirects are not followed)")
    if status == 429:
        wait = answer.retry_after()
        return Throttled(wait=THROTTLE_WAIT if wait is None else wait, detail=told)
    if status >= 500 or status in _AGAIN:
        return Transient(code=f"http_{status}", detail=told, retry_after=answer.retry_after())
    return Permanent(code=_PERMANENT.get(status, f"http_{status}"), detail=told)


def _accepted(message: OutboundMessage, answer: Answer) -> Accepted:
    """Take the answer for both: the recipient itself has it, so that it is sent and delivered."""
    delivered = Receipt(
        kind=ReceiptKind.DELIVERED, key=f"{message.id}:{message.attempt}:delivered", message_id=message.id
    )
    detail = {"status": answer.status, "body": answer.words, "truncated": answer.truncated}
    return Accepted(provider_message_id=str(message.id), detail=detail, receipts=(delivered,))
