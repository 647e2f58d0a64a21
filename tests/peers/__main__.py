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
from pathlib import Path
from typing import Any

from tests.peers import providers
from tests.peers.providers import Providers

REPORT_AFTER = 0.2
CALLBACKS = "/api/v1/callbacks"


def told(running: Providers, base_url: str) -> dict[str, Any]:
    """The variables of a stack with that URL, and what there is to send to; Telegram is told of it."""
    secret = secrets.token_urlsafe(24)
    running.bot.webhook = {"url": f"{base_url}{CALLBACKS}/telegram", "secret_token": secret}
    browser = running.service.subscribe("/push/ann")
    env = {
        **running.env,
        "SANDBOX": "0",
        "PUBLIC_BASE_URL": base_url,
        "DEFAULT_FROM_EMAIL": "Dispatch <dispatch@example.com>",
        "TELEGRAM_WEBHOOK_SECRET": secret,
    }
    subscription = {
        "endpoint": running.browsers.url("/push/ann"),
        "keys": {"p256dh": browser.p256dh, "auth": browser.auth},
    }
    return {"env": env, "parts": {"webhook": running.hooks.url("/hook"), "subscription": subscription}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where the certificate is left")
    options = parser.parse_args()
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with providers.running(options.folder, destinations={"ops": "/ops"}, report_after=REPORT_AFTER) as running:
        sys.stdout.write(json.dumps(told(running, options.base_url)) + "\n")
        sys.stdout.flush()
        done.wait()


if __name__ == "__main__":
    main()
