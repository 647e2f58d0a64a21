"""E-mail by a service with an API of its own, through django-anymail's backends.

Requests leave by our own client, which bounds them as a whole. Anymail alone knows each service's form of a request, of
an answer and of a report: https://anymail.dev/en/stable/esps/
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Final, Self
from urllib.parse import parse_qsl, urlsplit

import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailConfigurationError,
    AnymailError,
    AnymailRecipientsRefused,
    AnymailWarning,
)
from requests.structures import CaseInsensitiveDict

from channels_app.adapters.anymail_events import Callbacks
from channels_app.adapters.anymail_letters import letter, recipient_of
from channels_app.adapters.anymail_outcomes import failed, told, words_of
from channels_app.adapters.mime_headers import mailbox
from channels_app.base import ChannelAdapter, Session
from channels_app.errors import InvalidMessage, ProviderMissing
from channels_app.http import DEADLINE, Answer, Client, Unanswered
from channels_app.services import SERVICES
from channels_app.threads import ThreadedSession
from channels_app.types import (
    Callback,
    Channel,
    Limits,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    Receipt,
    Signal,
)

SCHEME: Final = "anymail"
MAX_DEADLINE: Final = 600.0

_WITHOUT_METADATA: Final = frozenset({"mailersend", "postal"})
"""Services that send nothing of ours back: their reports are matched by their own id."""


class AnymailAdapter(ChannelAdapter):
    """One account at one e-mail service, by whose name it goes."""

    provider = "anymail"
    limits: ClassVar[Limits] = Limits(batch=160, group=16, concurrency=16)
    on_unknown: ClassVar[OnUnknown] = OnUnknown.HOLD
    reports_delivery: ClassVar[bool] = True

    def __init__(
        self,
        channel: Channel,
        service: str,
        settings: Mapping[str, Any],
        *,
        default_from: str = "",
        timeout: float = DEADLINE,
    ) -> None:
        super().__init__(channel)
        self.provider = service
        self._default_from = default_from
        self._metadata = service not in _WITHOUT_METADATA
        bounded = _bounded(service, settings, timeout, self.limits.concurrency)
        self._backend = _backend(service, bounded, timeout, self.limits.concurrency)
        self._callbacks = Callbacks(service, bounded)

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the adapter from `url`, `settings`, `default_from` and `timeout`, which the URL's own wins over.

        `url` is `anymail://service`; `settings` are Anymail's own (`POSTMARK_SERVER_TOKEN`), for any service.

        Raises:
            ProviderMissing: a setting is missing or malformed.
        """
        if channel is not Channel.EMAIL:
            raise ProviderMissing(f"Anymail carries e-mail, not {channel}")
        default_from = str(options.get("default_from") or "")
        if default_from:
            try:
                mailbox(default_from, "default_from")
            except InvalidMessage as error:
                raise ProviderMissing(str(error)) from error
        service, timeout = _read_url(str(options.get("url") or ""), float(options.get("timeout", DEADLINE)))
        settings = _settings_of(service, options.get("settings") or {})
        try:
            return cls(channel, service, settings, default_from=default_from, timeout=timeout)
        except (AnymailConfigurationError, ValueError, TypeError) as error:
            raise ProviderMissing(f"{service}: {error}") from error

    def open(self) -> Session:
        """Give a session; the connections are kept by the adapter, for all of its sessions."""
        return ThreadedSession(self._send, self.limits.concurrency)

    def verify_callback(self, callback: Callback) -> None:
        """Refuse a callback that the service did not send.

        Raises:
            CallbackRejected: its signature, or its user and password, are missing, wrong or too old.
        """
        self._callbacks.verify(callback)

    def parse_callback(self, callback: Callback) -> list[Receipt | Signal]:
        """Read what the service reports of messages.

        Raises:
            CallbackRejected: it is not what the service sends.
        """
        return list(self._callbacks.parse(callback))

    def _send(self, message: OutboundMessage) -> Outcome:
        made = letter(message, default_from=self._default_from, metadata=self._metadata)
        try:
            self._backend.send_messages([made])
        except Unanswered as unanswered:
            return unanswered.outcome()
        except AnymailAPIError as error:
            return failed(error)
        except AnymailRecipientsRefused:
            pass
        except AnymailError as error:
            return Permanent(code="not_carried", detail=words_of(error))
        return told(made.anymail_status, recipient_of(message).address)  # type: ignore[attr-defined]


class _Way:
    """Stands in for a backend's `requests.Session`, and sends by our client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Any = None,
        data: Any = None,
        headers: Mapping[str, str | bytes] | None = None,
        files: Any = None,
        auth: Any = None,
        timeout: Any = None,
    ) -> requests.Response:
        """Send a request as Anymail made it. The client's own deadline holds, for the whole of it.

        Raises:
            Unanswered: there is no answer.
        """
        if params or files or auth or not isinstance(data, str | bytes):
            asked = requests.Request(
                method, url, params=params, data=data, headers=headers, files=files, auth=auth
            ).prepare()
            url, data, headers = str(asked.url), asked.body or b"", asked.headers
        # What is ready needs no preparation: the client makes its own.
        body = data.encode() if isinstance(data, str) else data
        sent = {name: _text(value) for name, value in (headers or {}).items() if name != "Content-Length"}
        return _response(url, self._client.request(method, url, body=body, headers=sent))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _response(url: str, answer: Answer) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.reason = ""
    response.headers = CaseInsensitiveDict(answer.headers)
    response.encoding = "utf-8"
    response.url = url
    response._content = answer.body
    return response


def _read_url(url: str, timeout: float) -> tuple[str, float]:
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        service = parts.netloc
        seconds = float(query.pop("timeout", timeout))
    except ValueError:
        raise ProviderMissing("the URL of an e-mail service is malformed") from None
    if parts.scheme != SCHEME or parts.path not in ("", "/") or service not in SERVICES:
        raise ProviderMissing(f"{SCHEME}:// names one of: {', '.join(SERVICES)}; not {service[:40] or 'nothing'}")
    if query:
        raise ProviderMissing(f"the URL of {service} has unknown settings: {', '.join(sorted(query))}")
    if not 0 < seconds <= MAX_DEADLINE:
        raise ProviderMissing(f"the timeout of {service} is a number of seconds up to {MAX_DEADLINE:.0f}")
    return service, seconds


def _settings_of(service: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what is said of one service: `POSTMARK_SERVER_TOKEN` becomes `server_token`."""
    prefix = f"{service}_".upper()
    own = {name.removeprefix(prefix).lower(): value for name, value in settings.items() if name.startswith(prefix)}
    secrets = settings.get("WEBHOOK_SECRET", ())
    words = secrets.split(",") if isinstance(secrets, str) else secrets
    return {**own, "webhook_secret": [word.strip() for word in words if word.strip()]}


def _bounded(service: str, settings: Mapping[str, Any], timeout: float, connections: int) -> dict[str, Any]:
    """Bound what Amazon's library does, which alone does not go by our client; it must not try again either."""
    if service != "amazon_ses":
        return dict(settings)
    told = dict(settings.get("client_params") or {})
    config = {
        "connect_timeout": timeout,
        "read_timeout": timeout,
        "max_pool_connections": connections,
        **(told.get("config") or {}),
        "retries": {"total_max_attempts": 1},
    }
    return {**settings, "client_params": {**told, "config": config}}


def _backend(service: str, settings: Mapping[str, Any], timeout: float, connections: int) -> Any:
    module = import_module(f"anymail.backends.{service}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnymailWarning)
        backend = module.EmailBackend(**settings)
    if hasattr(backend, "session"):
        backend.session = _Way(Client(egress=None, deadline=timeout, connections=connections))
    else:
        backend.open()
    return backend
