"""Telegram by its Bot API (https://core.telegram.org/bots/api): one request a message, so that none arrives in part.

A bot's token is part of every URL, so that no URL is ever repeated in a detail or a log.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from channels_app.adapters.telegram_pace import Pace
from channels_app.adapters.telegram_requests import request_for
from channels_app.adapters.telegram_updates import signals
from channels_app.base import ChannelAdapter, Session
from channels_app.errors import CallbackRejected, ProviderMissing
from channels_app.http import DEADLINE, LEAST_WAIT, MOST_WAIT, Answer, Client, Unanswered
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

BASE: Final = "https://api.telegram.org"
THROTTLE_WAIT: Final = 5.0
"""Seconds to wait after a 429 that names none."""
OPTED_OUT: Final = "recipient_opted_out"
PROBE_DEADLINE: Final = 5.0

# What Telegram says is for people and has no codes beyond the status; these beginnings and parts have been stable.
_REFUSALS: Final[tuple[tuple[int, str, str], ...]] = (
    (403, "bot was blocked by the user", OPTED_OUT),
    (403, "bot was kicked", OPTED_OUT),
    (403, "user is deactivated", "recipient_gone"),
    (403, "bot can't initiate conversation", "recipient_not_linked"),
    (403, "bots can't send messages to bots", "invalid_recipient"),
    (400, "chat not found", "chat_not_found"),
    (400, "user not found", "chat_not_found"),
    (400, "group chat was upgraded", "chat_moved"),
    (400, "can't parse entities", "markup_refused"),
    (400, "message is too long", "message_too_large"),
    (400, "message caption is too long", "message_too_large"),
    (400, "message text is empty", "message_empty"),
    (400, "not enough rights", "not_allowed"),
    (400, "have no rights", "not_allowed"),
    (400, "http url", "media_refused"),
    (400, "web page content", "media_refused"),
    (400, "chat_write_forbidden", "not_allowed"),
    (403, "bot is not a member", "not_allowed"),
    (403, "group chat was deleted", "recipient_gone"),
    (413, "", "message_too_large"),
)
"""Status and a part of the description → our code; any other ends the message as `telegram_…`."""
_UNAUTHORISED: Final = frozenset({401, 404})
"""A token that is revoked, or none at all: Telegram knows no other path that is missing."""

_TOKEN: Final = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{10,100}\Z")
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")
_SECRET_HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105


class TelegramAdapter(ChannelAdapter):
    """A bot. It may write to whoever has spoken to it."""

    provider = "telegram"
    limits: ClassVar[Limits] = Limits(batch=32, group=16, concurrency=16)
    on_unknown: ClassVar[OnUnknown] = OnUnknown.HOLD
    reports_delivery: ClassVar[bool] = False

    def __init__(self, channel: Channel, client: Client, base: str, token: str, secret: str = "") -> None:
        super().__init__(channel)
        self._client = client
        self._pace = Pace()
        self._root = f"{base}/bot{token}"
        self._secret = secret

    @classmethod
    def from_options(cls, channel: Channel, options: Mapping[str, Any]) -> Self:
        """Build the adapter from `token`, `base`, `secret` (of callbacks) and `timeout`.

        Raises:
            ProviderMissing: a setting is missing or malformed.
        """
        if channel is not Channel.TELEGRAM:
            raise ProviderMissing(f"Telegram carries messages to Telegram, not {channel}")
        token, secret = str(options.get("token") or ""), str(options.get("secret") or "")
        base = str(options.get("base") or BASE).rstrip("/")
        if not _TOKEN.match(token):
            raise ProviderMissing("TELEGRAM_BOT_TOKEN is no token of a bot, such as 123456:ABC-DEF1234ghIkl")
        if secret and not _SECRET.match(secret):
            raise ProviderMissing("TELEGRAM_WEBHOOK_SECRET has 1 to 256 letters, digits, - and _")
        if not _is_base(base):
            raise ProviderMissing("TELEGRAM_API_BASE is an http or https URL with a host and no query")
        client = Client(
            egress=None, deadline=float(options.get("timeout", DEADLINE)), connections=cls.limits.concurrency
        )
        return cls(channel, client, base, token, secret)

    def open(self) -> Session:
        """Give a session; the connections are kept by the adapter, for all of its sessions."""
        return ThreadedSession(self._send, self.limits.concurrency)

    def verify_callback(self, callback: Callback) -> None:
        """Compare the secret that Telegram was told when its webhook was set.

        Raises:
            CallbackRejected: it is missing or another, or we have none to compare it with.
        """
        given = callback.header(_SECRET_HEADER)
        if not self._secret or not hmac.compare_digest(given.encode("utf-8", "replace"), self._secret.encode()):
            raise CallbackRejected("the secret token of Telegram's webhook is missing or wrong")

    def parse_callback(self, callback: Callback) -> list[Receipt | Signal]:
        """Read who linked a chat by /start, who left by /stop or by blocking the bot; anything else says nothing."""
        return list(signals(callback.body))

    def probe(self) -> Health:
        """Ask Telegram who the bot is."""
        try:
            answer = self._client.request("GET", f"{self._root}/getMe", deadline=PROBE_DEADLINE)
        except Unanswered as unanswered:
            return Health(ok=False, detail=f"{unanswered.code} {unanswered.detail}".rstrip())
        return Health(ok=answer.status == 200, detail="" if answer.status == 200 else f"{answer.status} {answer.words}")

    def _send(self, message: OutboundMessage) -> Outcome:
        asked = request_for(message)
        if wait := self._pace.wait(message.address):
            return Throttled(wait=wait, detail="the chat is to be left alone for now", alone=True)
        try:
            answer = self._client.request(
                "POST", f"{self._root}/{asked.method}", body=asked.body, headers={"Content-Type": asked.content_type}
            )
        except Unanswered as unanswered:
            return unanswered.outcome()
        outcome = _outcome(message, answer)
        if isinstance(outcome, Accepted):
            self._pace.took(message.address)
        elif isinstance(outcome, Throttled) and self._pace.hold(message.address, outcome.wait):
            return replace(outcome, alone=True)
        return outcome


def _is_base(base: str) -> bool:
    try:
        parts = urlsplit(base)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and parts.port != 0
    except ValueError:
        return False


def _outcome(message: OutboundMessage, answer: Answer) -> Outcome:
    said = _said(answer)
    described = said.get("description")
    words = cleaned(described.encode("utf-8", "replace")) if isinstance(described, str) else answer.words
    told = f"{answer.status} {words}".rstrip()
    if answer.status == 200:
        return _accepted(said)
    if answer.status == 429:
        return Throttled(wait=_wait(said, answer), detail=told)
    if answer.status >= 500:
        return Transient(code=f"telegram_{answer.status}", detail=told, retry_after=answer.retry_after())
    if answer.status in _UNAUTHORISED:
        return NotConfigured(detail=f"Telegram does not know the bot: {told}")
    if answer.status < 400:
        return NotConfigured(detail=f"TELEGRAM_API_BASE is no Bot API server: {told}")
    return _refused(message, answer.status, told + _moved(said))


def _said(answer: Answer) -> Mapping[str, Any]:
    """Read an answer's JSON; nothing where it is none, or was cut."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _accepted(said: Mapping[str, Any]) -> Outcome:
    result = said.get("result")
    if said.get("ok") is not True or not isinstance(result, dict):
        return Ambiguous(detail="protocol_error the server answered 200 without a result")
    chat = result.get("chat")
    # A message's number is one of its chat: only both together are one of a kind.
    numbers = (chat.get("id") if isinstance(chat, dict) else None, result.get("message_id"))
    if not all(isinstance(number, int) and abs(number) < 2**63 for number in numbers):
        return Accepted()
    return Accepted(provider_message_id="/".join(map(str, numbers)))


def _wait(said: Mapping[str, Any], answer: Answer) -> float:
    parameters = said.get("parameters")
    asked = parameters.get("retry_after") if isinstance(parameters, dict) else None
    if isinstance(asked, int) and not isinstance(asked, bool) and asked >= 0:
        return float(min(max(LEAST_WAIT, asked), MOST_WAIT))
    wait = answer.retry_after()
    return THROTTLE_WAIT if wait is None else wait


def _moved(said: Mapping[str, Any]) -> str:
    """Name the chat that a group went on in, which nobody could find out otherwise."""
    parameters = said.get("parameters")
    chat = parameters.get("migrate_to_chat_id") if isinstance(parameters, dict) else None
    return f" (it is {chat} now)" if isinstance(chat, int) and abs(chat) < 2**63 else ""


def _refused(message: OutboundMessage, status: int, told: str) -> Permanent:
    words = told.lower()
    codes = (code for known, part, code in _REFUSALS if known == status and part in words)
    code = next(codes, f"telegram_{status}")
    if code != OPTED_OUT:
        return Permanent(code=code, detail=told)
    left = Receipt(
        kind=ReceiptKind.UNSUBSCRIBED,
        key=f"{message.id}:{message.attempt}:{OPTED_OUT}",
        message_id=message.id,
        code="blocked",
    )
    return Permanent(code=code, detail=told, receipts=(left,))
