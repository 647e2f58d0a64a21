"""Text messages and WhatsApp by Twilio, with its status callbacks.

https://www.twilio.com/docs/messaging/api/message-resource
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

from twilio.base.exceptions import TwilioException
from twilio.base.values import unset
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from channels_app import http
from channels_app.adapters.twilio_codes import DEAD, Meaning, meaning
from channels_app.base import ChannelAdapter, Session
from channels_app.errors import CallbackRejected, ProviderMissing
from channels_app.segments import measure
from channels_app.threads import ThreadedSession
from channels_app.types import (
    Accepted,
    Ambiguous,
    Callback,
    Channel,
    Health,
    Limits,
    NotConfigured,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    Receipt,
    ReceiptKind,
    Signal,
    Throttled,
    Transient,
)
from channels_app.words import cleaned

BASE: Final = "https://api.twilio.com"
THROTTLE_WAIT: Final = 5.0
"""Seconds to wait where Twilio names none."""
LOOK_BACK: Final = timedelta(minutes=2)
"""How much the clocks may differ when it is asked what became of a message."""
LOOKED_AT: Final = 100
"""Messages to one recipient that are looked through then."""

_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}\Z")
_CONTENT: Final = re.compile(r"HX[0-9a-fA-F]{32}\Z")
_FORM_FIELDS: Final = 200
_KINDS: Final[Mapping[str, ReceiptKind]] = {
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.OPENED,
    "undelivered": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
}
"""Twilio's words for what it reports; the others (queued, sending, accepted) say nothing that we do not know."""
_NONSENSE: Final = (ValueError, TypeError, KeyError, AttributeError)
"""What Twilio's client raises where an answer is not what it should be."""
_REFUSED: Final = frozenset({"failed", "undelivered", "canceled"})


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
        way = _Way(base, account, token, deadline=timeout, connections=self.limits.concurrency)
        self._client = Client(account, token, http_client=way)

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the adapter from `account`, `token`, `from`, and where they are given `base`, `timeout` and
        `callback_url`.

        Raises:
            ProviderMissing: one of the first three is missing, or the base is no URL.
        """
        for name in ("account", "token", "from"):
            if not options.get(name):
                raise ProviderMissing(f"Twilio on {channel} needs {name}")
        base = str(options.get("base") or BASE)
        if urlsplit(base).scheme not in {"http", "https"} or not urlsplit(base).hostname:
            raise ProviderMissing(f"Twilio's base is not a URL: {base}")
        return cls(
            channel,
            account=options["account"],
            token=options["token"],
            sender=options["from"],
            base=base,
            timeout=float(options.get("timeout", http.DEADLINE)),
            callback_url=str(options.get("callback_url") or ""),
        )

    def open(self) -> Session:
        # Connections belong to the adapter: they stay open from session to session.
        return ThreadedSession(self._send, self.limits.concurrency)

    def ask(self, message: OutboundMessage, since: datetime) -> Outcome | None:
        """Look for the message among those that Twilio took for its recipient since then."""
        try:
            found = self._client.messages.list(
                to=self._address(message.address), date_sent_after=since - LOOK_BACK, limit=LOOKED_AT
            )
        except (_Refused, http.Unanswered, TwilioException, *_NONSENSE):
            return None
        sender, text = self._from(message), _text(message)
        for row in found:
            if row.body == text and sender in {row.from_, row.messaging_service_sid}:
                return Accepted(provider_message_id=str(row.sid), detail={"found": True})
        return Transient(code="not_sent", detail="Twilio has no such message")

    def verify_callback(self, callback: Callback) -> None:
        """Compare the signature with that of the URL and the form. Twilio signs no time: what is replayed is told by
        its key.

        Raises:
            CallbackRejected: it is missing or wrong.
        """
        signature = callback.headers.get("x-twilio-signature", "")
        if not signature.isascii() or not self._validator.validate(callback.url, _form(callback.body), signature):
            raise CallbackRejected("the signature is not Twilio's")

    def parse_callback(self, callback: Callback) -> list[Receipt | Signal]:
        """Read a status callback; one about anything else holds no receipt."""
        form = {name: values[0] for name, values in _form(callback.body).items()}
        status, sid = form.get("MessageStatus", ""), form.get("MessageSid") or form.get("SmsSid", "")
        if status not in _KINDS or not sid:
            return []
        error = form.get("ErrorCode", "")
        dead = status in _REFUSED and error.isdecimal() and int(error) in DEAD
        return [
            Receipt(
                kind=ReceiptKind.BOUNCED if dead else _KINDS[status],
                key=f"{sid}:{status}",
                message_id=_our_id(callback.url),
                provider_message_id=sid,
                code=f"twilio_{error}" if error.isdecimal() else "",
                detail={"status": status, **({"error_code": error} if error else {})},
            )
        ]

    def probe(self) -> Health:
        """Fetch the account."""
        try:
            account = self._client.api.accounts(self._client.account_sid or "").fetch()
        except _Refused as error:
            return Health(ok=False, detail=f"{error.status} {error.detail}".strip())
        except http.Unanswered as error:
            return Health(ok=False, detail=error.code)
        except (TwilioException, *_NONSENSE) as error:
            return Health(ok=False, detail=type(error).__name__)
        return Health(ok=account.status == "active", detail=str(account.status))

    # Sending

    def _send(self, message: OutboundMessage) -> Outcome:
        text = _text(message)
        asked: dict[str, Any] = {"to": self._address(message.address), **self._said(message, text)}
        sender = self._from(message)
        asked["messaging_service_sid" if _SERVICE.match(sender) else "from_"] = sender
        if self._callback_url:
            asked["status_callback"] = f"{self._callback_url}?{urlencode({'message_id': message.id})}"
        try:
            row = self._client.messages.create(**asked)
        except _Refused as error:
            return error.outcome(message)
        except http.Unanswered as error:
            return error.outcome()
        except (TwilioException, *_NONSENSE) as error:
            return Ambiguous(detail=f"the answer makes no sense: {type(error).__name__}")
        if not row.sid:
            return Ambiguous(detail="the answer names no message")
        if row.status in _REFUSED:
            return Permanent(code=f"twilio_{row.error_code}" if row.error_code else "refused", detail=str(row.status))
        return Accepted(provider_message_id=row.sid, detail=_measured(self.channel, text))

    def _said(self, message: OutboundMessage, text: str) -> dict[str, Any]:
        """What the message says: a text with or without a file, or a template that WhatsApp approved."""
        if self.channel is Channel.WHATSAPP:
            content = message.metadata.get("content_sid")
            if isinstance(content, str) and _CONTENT.match(content):
                variables = message.metadata.get("content_variables") or {}
                return {"content_sid": content, "content_variables": json.dumps(variables)}
            if message.shared.media is not None:
                return {"body": message.shared.media.caption or text, "media_url": [message.shared.media.url]}
        return {"body": text}

    def _address(self, phone: str) -> str:
        return f"whatsapp:{phone}" if self.channel is Channel.WHATSAPP else phone

    def _from(self, message: OutboundMessage) -> str:
        sender = message.shared.sender or self._sender
        if self.channel is Channel.WHATSAPP and not sender.startswith("whatsapp:") and not _SERVICE.match(sender):
            return f"whatsapp:{sender}"
        return sender


class _Way(HttpClient):  # type: ignore[misc]  # no stubs
    """Twilio's client on our way out: bounded in time and size, without the environment's proxies, to any base."""

    def __init__(self, base: str, account: str, token: str, *, deadline: float, connections: int) -> None:
        self._base = urlsplit(base)
        self._client = http.Client(egress=None, deadline=deadline, connections=connections)
        self._authorization = "Basic " + b64encode(f"{account}:{token}".encode()).decode()

    def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Send a request of the client's to our base.

        Raises:
            _Refused: the answer is an error.
            http.Unanswered: there is no answer.
        """
        parts = urlsplit(url)
        query = urlencode(_pairs(params)) or parts.query
        target = urlunsplit((self._base.scheme, self._base.netloc, self._base.path.rstrip("/") + parts.path, query, ""))
        answer = self._client.request(
            method,
            target,
            body=urlencode(_pairs(data)).encode(),
            headers={
                "Authorization": self._authorization,
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        if answer.status >= 300:
            raise _Refused(answer)
        return Response(answer.status, answer.body.decode("utf-8", "replace"), dict(answer.headers))


class _Refused(Exception):
    """Twilio answered that it will not."""

    def __init__(self, answer: http.Answer) -> None:
        super().__init__(str(answer.status))
        self.status = answer.status
        self.retry_after = answer.retry_after()
        try:
            said = json.loads(answer.body)
        except ValueError:
            said = None
        told = said if isinstance(said, dict) else {}
        code = told.get("code")
        self.code: int | None = code if isinstance(code, int) else None
        message = told.get("message")
        self.detail = cleaned(message.encode("utf-8", "replace")) if isinstance(message, str) else ""

    def outcome(self, message: OutboundMessage) -> Outcome:
        """Tell what that means for the message."""
        code = f"twilio_{self.code}" if self.code else f"http_{self.status}"
        match meaning(self.code, self.status):
            case Meaning.PERMANENT:
                return Permanent(code=code, detail=self.detail)
            case Meaning.OPTED_OUT:
                key = f"{message.id}:{message.attempt}:{code}"
                left = Receipt(kind=ReceiptKind.UNSUBSCRIBED, key=key, message_id=message.id, code=code)
                return Permanent(code="recipient_opted_out", detail=self.detail, receipts=(left,))
            case Meaning.CONFIGURATION:
                return NotConfigured(code="provider_refused_credentials", detail=f"{code} {self.detail}".strip())
            case Meaning.THROTTLED:
                return Throttled(wait=self.retry_after or THROTTLE_WAIT, code=code, detail=self.detail)
            case Meaning.TRANSIENT:
                return Transient(code=code, detail=self.detail, retry_after=self.retry_after)


class _Form(dict[str, list[str]]):
    """A form as Twilio's validator reads one: every value of a name."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def _form(body: bytes) -> _Form:
    """Read the form of a callback.

    Raises:
        CallbackRejected: it is none.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FORM_FIELDS)
    except ValueError:
        raise CallbackRejected("the body is not a form") from None
    form = _Form()
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def _our_id(url: str) -> UUID | None:
    """Our id of the message, which the URL that we gave to Twilio carries."""
    try:
        return UUID(parse_qs(urlsplit(url).query).get("message_id", [""])[0])
    except ValueError:
        return None


def _pairs(values: Mapping[str, object] | None) -> list[tuple[str, str]]:
    """The fields of a form, each value of a list for itself, without those that are not set."""
    found: list[tuple[str, str]] = []
    for name, value in (values or {}).items():
        several = value if isinstance(value, list | tuple) else [value]
        found += [(name, str(each)) for each in several if each is not None and each is not unset]
    return found


def _text(message: OutboundMessage) -> str:
    return message.text or message.html


def _measured(channel: Channel, text: str) -> dict[str, Any]:
    """How many parts a text message is sent in."""
    if channel is not Channel.SMS:
        return {}
    parts = measure(text)
    return {"segments": parts.count, "encoding": parts.encoding}
