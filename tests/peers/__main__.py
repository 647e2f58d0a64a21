"""All providers on loopback, in one process: what `./dispatch demo --peers` points its stack at.

    python -m tests.peers --base-url http://127.0.0.1:8000 --folder somewhere

prints one line of JSON, `{"env": {variables of the stack}, "parts": {what there is to send to}}`, once all of them
listen, and serves until SIGTERM. Twilio reports to the base URL, and Telegram tells it what people write.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import threading
from base64 import b64encode, urlsafe_b64encode
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.peers import http, push, smtp, telegram, twilio

REPORT_AFTER = 0.2
CALLBACKS = "/api/v1/callbacks"


def start(held: ExitStack, base_url: str, folder: Path) -> dict[str, Any]:
    """Start every peer; give the variables of the stack, and what there is to send to."""
    sink = held.enter_context(smtp.running())
    account = twilio.Twilio(report_after=REPORT_AFTER)
    phone = held.enter_context(http.running(account.answer))
    bot = held.enter_context(telegram.running())
    secret = secrets.token_urlsafe(24)
    bot.webhook = {"url": f"{base_url}{CALLBACKS}/telegram", "secret_token": secret}
    tls = smtp.self_signed(folder)
    browsers, service = held.enter_context(push.running(tls))
    browser = service.subscribe("/push/ann")
    hooks = held.enter_context(http.running())
    key = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")
    env = {
        "SANDBOX": "0",
        "PUBLIC_BASE_URL": base_url,
        "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}",
        "DEFAULT_FROM_EMAIL": "Dispatch <dispatch@example.com>",
        "TWILIO_ACCOUNT_SID": twilio.ACCOUNT,
        "TWILIO_AUTH_TOKEN": twilio.TOKEN,
        "TWILIO_SMS_FROM": "+15005550006",
        "TWILIO_WHATSAPP_FROM": "+15005550006",
        "TWILIO_API_BASE": phone.url(""),
        "TELEGRAM_BOT_TOKEN": telegram.TOKEN,
        "TELEGRAM_API_BASE": bot.peer.url(""),
        "TELEGRAM_WEBHOOK_SECRET": secret,
        "VAPID_PRIVATE_KEY": urlsafe_b64encode(key).decode().rstrip("="),
        "VAPID_SUBJECT": "mailto:operator@example.com",
        "WEBHOOK_SECRETS": "whsec_" + b64encode(secrets.token_bytes(32)).decode(),
        "APPRISE_URLS": f"ops=json://127.0.0.1:{hooks.port}/ops",
        "EGRESS_ALLOW": "127.0.0.1,localhost",
        "EGRESS_CA_FILE": str(tls[0]),
    }
    subscription = {
        "endpoint": browsers.url("/push/ann"),
        "keys": {"p256dh": browser.p256dh, "auth": browser.auth},
    }
    return {"env": env, "parts": {"webhook": hooks.url("/hook"), "subscription": subscription}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where the certificate is left")
    options = parser.parse_args()
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with ExitStack() as held:
        told = start(held, options.base_url, options.folder)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        done.wait()


if __name__ == "__main__":
    main()
