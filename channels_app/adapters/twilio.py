"""Text messages and WhatsApp by Twilio, with its status callbacks.

https://www.twilio.com/docs/messaging/api/message-resource
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Self
from urllib.parse import urlencode, urlsplit

from twilio.base.exceptions import TwilioException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from channels_app import http
from channels_app.adapters import twilio_callbacks as callbacks
from channels_app.adapters.twilio_client import Refused, Way, refusal
from channels_app.base import ChannelAdapter, Session
from channels_app.errors import CallbackRejected, InvalidMessage, ProviderMissing
from channels_app.segments import measure
from channels_app.threads import ThreadedSession
from channels_app.types import (
    Accepted,
    Ambiguous,
    Callback,
    Channel,
    Health,
    Limits,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Receipt,
    Signal,
    Transient,
)

BASE: Final = "https://api.twilio.com"
CLOCKS_APART: Final = timedelta(seconds=30)
"""How much the clocks may differ when Twilio is asked what became of a message."""
LOOKED_AT: Final = 100
"""Messages to one recipient that are looked through then."""
CHANNELS: Final = (Channel.SMS, Channel.WHATSAPP)

_PAGE: Final = 20
_TRIAL: Final = "Sent from your Twilio trial account - "
"""What Twilio puts before every text of an account that is not paid for."""
_NUMBER: Final = re.compile(r"(?:whatsapp:)?\+[0-9 ().-]+\Z")
_PUNCTUATION: Final = str.maketrans("", "", " ().-")
_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}\Z")
_CONTENT: Final = re.compile(r"HX[0-9a-fA-F]{32}\Z")
_SID: Final = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}\Z")
_NONSENSE: Final = (TwilioException, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What Twilio's client raises where an answer is not what it should be."""


class TwilioAdapter(ChannelAdapter):
    """Twilio on the channel sms or whatsapp."""

    provider = "twilio"
    limits: ClassVar[Limits] = Limits(batch=32, group=16, concurrency=16)
    on_unknown: ClassVar[OnUnknown] = OnUnknown.ASK
    reports_delivery: ClassVar[bool] = True

    def __init__(
        self,
        channel: Channel,
        *,
        account: str,
        token: str,
        sender: str,
        base: str = BASE,
        timeout: float = http.DEADLINE,
        callback_url: str = "",
    ) -> None:
        super().__init__(channel)
        self._sender = sender
        self._callback_url = callback_url
        self._validator = RequestValidator(token)
        way = Way(base, account, token, deadline=timeout, connections=self.limits.concurrency)
        self._client = Client(account, token, http_client=way)

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the adapter from `account`, `token`, `from`, and where they are given `base`, `timeout` and
        `callback_url`.

        Raises:
            ProviderMissing: one of the first three is missing, or the base is no URL.
        """
        if channel not in CHANNELS:
            raise ProviderMissing(f"Twilio sends by {' and '.join(CHANNELS)}, not by {channel}")
        for name in ("account", "token", "from"):
            if not options.get(name):
                raise ProviderMissing(f"Twilio on {channel} needs {name}")
        return cls(
            channel,
            account=options["account"],
            token=options["token"],
            sender=options["from"],
            base=_checked(str(options.get("base") or BASE)),
            timeout=float(options.get("timeout", http.DEADLINE)),
            callback_url=str(options.get("callback_url") or ""),
        )

    def open(self) -> Session:
        # Connections belong to the adapter: they stay open from session to session.
        return ThreadedSession(self._send, self.limits.concurrency)

    def ask(self, message: OutboundMessage, since: datetime) -> Outcome | None:
        """Look for the message among those that Twilio took for its recipient since then.

        They are not chosen by the time of sending: what still waits in Twilio's queue has none.
        """
        try:
            rows = self._client.messages.list(to=self._address(message.address), limit=LOOKED_AT, page_size=_PAGE)
        except (Refused, http.Unanswered, *_NONSENSE):
            return None
        earliest, sender = since - CLOCKS_APART, self._from(message)
        fresh = [row for row in rows if row.date_created is None or row.date_created >= earliest]
        ours = [row for row in fresh if sender in {row.from_, row.messaging_service_sid}]
        said = self._said(message)
        if "content_sid" in said:
            # The text is Twilio's own there, so that nothing tells one message from another.
            found, certain = [], not ours
        else:
            found = [row for row in ours if _text(row) == said["body"].strip()]
            certain = len(fresh) < LOOKED_AT
        if found:
            return _accepted(min(found, key=lambda row: _apart(row.date_created, since)))
        return Transient(code="not_sent", detail="Twilio has no such message") if certain else None

    def verify_callback(self, callback: Callback) -> None:
        """Compare the signature with that of the URL and the form. Twilio signs no time: what is replayed is told by
        its key.

        Raises:
            CallbackRejected: it is missing or wrong.
        """
        signature = callback.header("x-twilio-signature")
        told = callbacks.form(callback.body)
        if not signature or not self._validator.validate(callback.url, told, signature):
            raise CallbackRejected("the signature is not Twilio's")

    def parse_callback(self, callback: Callback) -> list[Receipt | Signal]:
        """Read a status callback, or a recipient's wish to get no more or to get messages again."""
        return callbacks.read(callback)

    def probe(self) -> Health:
        """Fetch the account."""
        try:
            account = self._client.api.accounts(self._client.account_sid or "").fetch()
        except Refused as error:
            return Health(ok=False, detail=f"{error.status} {error.detail}".strip())
        except http.Unanswered as error:
            return Health(ok=False, detail=error.code)
        except _NONSENSE as error:
            return Health(ok=False, detail=type(error).__name__)
        return Health(ok=account.status == "active", detail=str(account.status))

    def _send(self, message: OutboundMessage) -> Outcome:
        asked: dict[str, Any] = {"to": self._address(message.address), **self._said(message)}
        sender = self._from(message)
        asked["messaging_service_sid" if _SERVICE.match(sender) else "from_"] = sender
        if self._callback_url:
            asked["status_callback"] = f"{self._callback_url}?{urlencode({'message_id': message.id})}"
        try:
            row = self._client.messages.create(**asked)
        except Refused as error:
            return error.outcome(message)
        except http.Unanswered as error:
            return error.outcome()
        except _NONSENSE as error:
            return Ambiguous(detail=f"the answer makes no sense: {type(error).__name__}")
        if not isinstance(row.sid, str) or not _SID.match(row.sid):
            return Ambiguous(detail="the answer names no message")
        if row.status in callbacks.REFUSED:
            code = row.error_code if isinstance(row.error_code, int) else None
            return refusal(message, code=code, status=400, detail=str(row.status))
        return Accepted(provider_message_id=row.sid, detail=self._measured(asked))

    def _said(self, message: OutboundMessage) -> dict[str, Any]:
        """What the message says: a text with or without a file, or a template that WhatsApp approved."""
        text = message.text or message.html
        if self.channel is not Channel.WHATSAPP:
            return {"body": text}
        if message.metadata.get("content_sid") is not None:
            if message.shared.media is not None:
                raise InvalidMessage("a template brings its own media: name it in content_variables", field="media")
            return _content(message.metadata)
        if message.shared.media is not None:
            return {"body": message.shared.media.caption or text, "media_url": [message.shared.media.url]}
        return {"body": text}

    def _address(self, phone: str) -> str:
        return f"whatsapp:{phone}" if self.channel is Channel.WHATSAPP else phone

    def _from(self, message: OutboundMessage) -> str:
        sender = _plain(message.shared.sender or self._sender)
        if self.channel is Channel.WHATSAPP and not sender.startswith("whatsapp:") and not _SERVICE.match(sender):
            return f"whatsapp:{sender}"
        return sender

    def _measured(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """How many parts a text message is sent in."""
        if self.channel is not Channel.SMS:
            return {}
        parts = measure(asked["body"])
        return {"segments": parts.count, "encoding": parts.encoding}


def _checked(base: str) -> str:
    try:
        parts = urlsplit(base)
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)
    except ValueError:
        whole = False
    if not whole:
        raise ProviderMissing(f"Twilio's base is not a URL of http or https: {base}")
    return base


def _content(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The template that is named, and what to fill in.

    Raises:
        InvalidMessage: the name or the variables are not as Twilio takes them.
    """
    name, variables = metadata["content_sid"], metadata.get("content_variables") or {}
    if not isinstance(name, str) or not _CONTENT.match(name):
        raise InvalidMessage("content_sid is HX and 32 hexadecimal digits", field="metadata")
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise InvalidMessage("content_variables maps names to texts", field="metadata")
    return {"content_sid": name, "content_variables": json.dumps(variables)}


def _accepted(row: Any) -> Accepted:
    """Take a message that Twilio has; what is known of its way already comes along."""
    error = row.error_code if isinstance(row.error_code, int) else None
    return Accepted(
        provider_message_id=str(row.sid),
        detail={"found": True, "status": str(row.status)},
        receipts=callbacks.reports(str(row.sid), str(row.status), error),
    )


def _text(row: Any) -> str:
    return (row.body or "").strip().removeprefix(_TRIAL).strip()


def _plain(sender: str) -> str:
    """A number in the one spelling that Twilio lists it by; other senders as they are."""
    return sender.translate(_PUNCTUATION) if _NUMBER.match(sender) else sender


def _apart(created: datetime | None, since: datetime) -> timedelta:
    return timedelta.max if created is None else abs(created - since)
