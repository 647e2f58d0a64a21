"""What e-mail services report: verified and read by Anymail's own views, and put into our words.

https://anymail.dev/en/stable/sending/tracking/
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from uuid import UUID

from anymail.exceptions import AnymailConfigurationError, AnymailWarning
from django.core.handlers.wsgi import WSGIRequest
from standardwebhooks import Webhook

from channels_app.adapters.anymail_letters import ID, RECIPIENT, digest
from channels_app.errors import CallbackRejected, LoginAwaited
from channels_app.services import SERVICES
from channels_app.types import Callback, Receipt, ReceiptKind
from channels_app.words import cleaned

OLDEST: Final = timedelta(days=1)
"""How old a callback may be whose time is signed: services try again for as long, with the time of the first try."""
AHEAD: Final = timedelta(minutes=5)

_KINDS: Final[Mapping[str, ReceiptKind]] = {
    "queued": ReceiptKind.SENT,
    "sent": ReceiptKind.SENT,
    "deferred": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "opened": ReceiptKind.OPENED,
    "clicked": ReceiptKind.CLICKED,
    "bounced": ReceiptKind.BOUNCED,
    "rejected": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "complained": ReceiptKind.COMPLAINED,
    "unsubscribed": ReceiptKind.UNSUBSCRIBED,
}
"""Anymail's words for what is reported; the others (autoresponded, subscribed, unknown) say nothing of a message.
Whoever queues or defers a message has it: that settles an outcome that nobody knew."""

_UNREAD: Final[Mapping[str, tuple[str, Mapping[str, ReceiptKind]]]] = {
    "brevo": ("event", {"unsubscribed": ReceiptKind.UNSUBSCRIBED}),
    "mandrill": ("event", {"delivered": ReceiptKind.DELIVERED}),
    "resend": ("type", {"email.failed": ReceiptKind.FAILED, "email.suppressed": ReceiptKind.FAILED}),
}
"""Where a service's own report says what happened, and the words among them that Anymail does not know."""

_SOFT: Final[Mapping[str, tuple[tuple[str, ...], frozenset[object]]]] = {
    "amazon_ses": (("bounce", "bounceType"), frozenset({"Transient", "Undetermined"})),
    "brevo": (("event",), frozenset({"soft_bounce"})),
    "mailersend": (("data", "type"), frozenset({"soft_bounced"})),
    "mailjet": (("hard_bounce",), frozenset({False})),
    "mandrill": (("event",), frozenset({"soft_bounce"})),
    "postmark": (("Type",), frozenset({"SoftBounce", "VirusNotification"})),
    "resend": (("data", "bounce", "type"), frozenset({"Transient", "Undetermined"})),
    "sendgrid": (("type",), frozenset({"blocked"})),
    "sparkpost": (
        ("msys", "message_event", "bounce_class"),
        frozenset({"1", "20", "21", "22", "23", "24", "25", "40", "50", "51", "52", "53", "54", "60", "70", "100"}),
    ),
}
"""Where a service's own report says that a bounce tells nothing of the address for good, and by which words."""
_BOUNCES: Final = {False: "hard_bounce", True: "soft_bounce"}
_SIGNING: Final = "signing_secret"
_SHY: Final = frozenset({"amazon_ses"})
"""Services that log in only where they were asked to."""


class Callbacks:
    """One service's callbacks. Safe to share between threads."""

    def __init__(self, service: str, settings: Mapping[str, Any]) -> None:
        """`settings` are Anymail's for the service, by their names in lower case, with `webhook_secret` beside."""
        self._service = service
        self._signer: Webhook | None = None
        self._missing = f"{service} sends no callbacks"
        self._view = self._made(dict(settings)) if SERVICES[service] else None

    def verify(self, callback: Callback) -> None:
        """Let Anymail compare the signature, or the user and password that the service was given with the URL.

        Raises:
            CallbackRejected: they are missing, wrong or too old, or we have none to compare them with.
            LoginAwaited: the service waits to be asked for them.
        """
        if self._view is None:
            raise CallbackRejected(self._missing)
        if self._service in _SHY and self._view.basic_auth and not callback.header("Authorization"):
            raise LoginAwaited(f"{self._service} did not log in")
        request = request_of(callback)
        try:
            if self._signer is not None:
                self._signer.verify(callback.body, _svix(callback))
            self._view.run_validators(request)
            signed = _TIMES[self._service](request) if self._service in _TIMES else None
        except Exception as error:
            # A stranger may have sent anything, and the views read it before they know whose it is.
            raise CallbackRejected(f"the callback is not {self._service}'s") from error
        if signed is not None and not -AHEAD <= datetime.now(UTC) - signed <= OLDEST:
            raise CallbackRejected("the callback is too old")

    def parse(self, callback: Callback) -> list[Receipt]:
        """Read a verified callback: one receipt for each report on a message.

        Raises:
            CallbackRejected: it is not what the service sends.
        """
        if self._view is None:
            raise CallbackRejected(self._missing)
        try:
            # A copy, since one of the views keeps what kind of event it saw first.
            events: Sequence[Any] = copy(self._view).parse_events(request_of(callback))
            return self._receipts(events)
        except Exception as error:
            raise CallbackRejected(f"the callback is not what {self._service} sends") from error

    def _made(self, settings: dict[str, Any]) -> Any:
        """Anymail's view, or None where it could not tell who calls."""
        if self._service == "resend" and settings.get(_SIGNING):
            # The scheme is the one of Standard Webhooks under another name; Anymail would want one library more for it.
            self._signer = Webhook(_key(settings.pop(_SIGNING)))
        module = import_module(f"anymail.webhooks.{self._service}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnymailWarning)
            try:
                view = getattr(module, SERVICES[self._service])(**settings)
            except AnymailConfigurationError as error:
                self._missing = str(error)
                return None
        if self._signer is not None or not view.warn_if_no_basic_auth:
            # It signs what it sends: the password is that of other services.
            view.basic_auth = []
        elif not view.basic_auth:
            self._missing = "ANYMAIL_WEBHOOK_SECRET is not set"
            return None
        return view

    def _receipts(self, events: Sequence[Any]) -> list[Receipt]:
        ids = Counter(event.event_id for event in events)
        found = []
        for event in events:
            kind = self._kind(event)
            metadata = event.metadata if isinstance(event.metadata, dict) else {}
            message_id = _uuid(metadata.get(ID))
            if kind is None or not (message_id or event.message_id) or _is_copy(metadata, event.recipient):
                continue
            key = _key_of(event, alone=ids[event.event_id] == 1)
            found.append(
                Receipt(
                    kind=kind,
                    key=key,
                    message_id=message_id,
                    provider_message_id=str(event.message_id) if event.message_id else None,
                    code=self._code(kind, event),
                    detail=_detail(event),
                )
            )
        return found

    def _kind(self, event: Any) -> ReceiptKind | None:
        kind = _KINDS.get(event.event_type)
        name, words = _UNREAD.get(self._service, ("", {}))
        if kind is None and isinstance(event.esp_event, Mapping):
            kind = words.get(str(event.esp_event.get(name)))
            event.event_type = kind.value if kind else event.event_type
        return kind

    def _code(self, kind: ReceiptKind, event: Any) -> str:
        if kind is ReceiptKind.BOUNCED:
            return _BOUNCES[self._is_soft(event.esp_event)]
        if kind is ReceiptKind.FAILED:
            return f"{event.event_type}_{event.reject_reason}" if event.reject_reason else str(event.event_type)
        return ""

    def _is_soft(self, report: Any) -> bool:
        path, words = _SOFT.get(self._service, ((), frozenset()))
        value = report
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return bool(path) and isinstance(value, str | bool) and value in words


class _Request(WSGIRequest):
    """A callback as Django's views read one. Its host is the one that we are known by: nothing is looked up by it."""

    def get_host(self) -> str:
        return str(self.META["HTTP_HOST"])


def request_of(callback: Callback) -> WSGIRequest:
    """Make a request of a callback, to the public URL that the service called."""
    url = urlsplit(callback.url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": callback.method.upper(),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(url.path, "latin-1"),
        "QUERY_STRING": url.query,
        "SERVER_NAME": url.hostname or "",
        "SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(callback.body),
    }
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in callback.headers.items()}
    environ |= {
        "HTTP_HOST": url.netloc.rpartition("@")[2],
        "CONTENT_TYPE": callback.header("Content-Type"),
        "CONTENT_LENGTH": str(len(callback.body)),
    }
    return _Request(environ)


def _svix(callback: Callback) -> dict[str, str]:
    return {f"webhook-{name}": callback.header(f"svix-{name}") for name in ("id", "timestamp", "signature")}


def _key(secret: str) -> bytes:
    encoded = secret.removeprefix("whsec_")
    return b64decode(encoded + "=" * (-len(encoded) % 4))


def _mailgun_time(request: WSGIRequest) -> datetime:
    if request.content_type == "application/json":
        return _moment(json.loads(request.body)["signature"]["timestamp"])
    return _moment(request.POST["timestamp"])


def _sendgrid_time(request: WSGIRequest) -> datetime | None:
    told = request.headers.get("X-Twilio-Email-Event-Webhook-Timestamp")
    return _moment(told) if told else None


def _moment(seconds: object) -> datetime:
    return datetime.fromtimestamp(float(str(seconds)), UTC)


_TIMES: Final[Mapping[str, Callable[[WSGIRequest], datetime | None]]] = {
    "mailgun": _mailgun_time,
    "sendgrid": _sendgrid_time,
}
"""Services that sign a time which Anymail does not look at."""


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _is_copy(metadata: Mapping[str, Any], recipient: str | None) -> bool:
    """Tell whether a report is on somebody's copy: it bears neither on the message nor on its recipient."""
    meant = metadata.get(RECIPIENT)
    return bool(meant and recipient) and digest(str(recipient)) != meant


def _key_of(event: Any, *, alone: bool) -> str:
    """Tell reports apart: by the service's id, which is enough unless one callback has it several times."""
    if event.event_id and alone:
        return str(event.event_id)
    moment = event.timestamp.isoformat() if event.timestamp else ""
    parts = [event.event_id, event.event_type, event.message_id, event.recipient, moment, event.click_url]
    if not event.event_id and not moment:
        parts.append(json.dumps(event.esp_event, sort_keys=True, default=str))
    told = json.dumps(parts, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def _detail(event: Any) -> dict[str, str]:
    told = {
        "event": event.event_type,
        "reason": event.reject_reason,
        "answer": event.mta_response,
        "description": event.description,
        "url": event.click_url,
        "at": event.timestamp.isoformat() if event.timestamp else None,
    }
    return {name: cleaned(str(value).encode("utf-8", "replace")) for name, value in told.items() if value}
