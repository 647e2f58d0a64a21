"""Every provider on loopback at once, and the variables of a stack that talks to them."""

from __future__ import annotations

import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tests.peers import http, push, smtp, telegram, twilio
from tests.peers.push import PushService
from tests.peers.telegram import Bot


@dataclass(frozen=True, kw_only=True, slots=True)
class Providers:
    """The peers that there is something to tell or to ask, and the variables of a stack."""

    env: dict[str, str]
    bot: Bot
    browsers: http.Peer
    service: PushService
    hooks: http.Peer


@contextmanager
def running(folder: Path, *, destinations: Mapping[str, str], report_after: float | None = None) -> Iterator[Providers]:
    """Run all of them while the block runs; the folder gets the certificate of the push service.

    `destinations` are Apprise's: the path that each name stands for. `report_after` is Twilio's.
    """
    tls = smtp.self_signed(folder)
    account = twilio.Twilio(report_after=report_after)
    with ExitStack() as held:
        sink = held.enter_context(smtp.running())
        phone = held.enter_context(http.running(account.answer))
        bot = held.enter_context(telegram.running())
        browsers, service = held.enter_context(push.running(tls))
        hooks = held.enter_context(http.running())
        env = {
            "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}",
            "TWILIO_ACCOUNT_SID": twilio.ACCOUNT,
            "TWILIO_AUTH_TOKEN": twilio.TOKEN,
            "TWILIO_SMS_FROM": "+15005550006",
            "TWILIO_WHATSAPP_FROM": "+15005550006",
            "TWILIO_API_BASE": phone.url(""),
            "TELEGRAM_BOT_TOKEN": telegram.TOKEN,
            "TELEGRAM_API_BASE": bot.peer.url(""),
            "VAPID_PRIVATE_KEY": _vapid_key(),
            "VAPID_SUBJECT": "mailto:operator@example.com",
            "WEBHOOK_SECRETS": "whsec_" + b64encode(secrets.token_bytes(32)).decode(),
            "APPRISE_URLS": ",".join(
                f"{name}=json://127.0.0.1:{hooks.port}{path}" for name, path in destinations.items()
            ),
            "EGRESS_ALLOW": "127.0.0.1,localhost",
            "EGRESS_CA_FILE": str(tls[0]),
        }
        yield Providers(env=env, bot=bot, browsers=browsers, service=service, hooks=hooks)


def _vapid_key() -> str:
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")
