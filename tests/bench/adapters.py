"""Each adapter that sends by HTTP against its vendor's own library in a bare loop, with as many calls at one time.

    python -m tests.bench.adapters twilio ours 500 '{"url": "http://127.0.0.1:8097"}'

sends so many messages to a peer that runs already, one way or the other, and prints the seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from requests.adapters import HTTPAdapter

from channels_app.base import ChannelAdapter
from channels_app.registry import Registry
from channels_app.types import Accepted, Channel, Device, OutboundMessage, SharedContent
from config.stack.home import CLONE
from tests.bench.figures import Figures
from tests.peers import postmark, telegram, twilio

MESSAGES = 1_000
WARM = 64
SECRET = "whsec_" + b64encode(b"k" * 32).decode()
KEY = urlsafe_b64encode((7**80).to_bytes(32, "big")).decode().rstrip("=")
SUBJECT = "mailto:operator@example.com"
TEXT = "Your parcel is on its way."
SENDER = "+15005550006"
PHONE = "+12025550123"
MAILBOX = "ann@example.com"

Say = Callable[[int], object]
Told = dict[str, Any]

CHANNELS = {
    "anymail": Channel.EMAIL,
    "twilio": Channel.SMS,
    "webpush": Channel.PUSH,
    "telegram": Channel.TELEGRAM,
    "webhook": Channel.WEBHOOK,
}
LIBRARIES = {
    "anymail": "Anymail's backend for Postmark",
    "twilio": "Twilio's SDK",
    "webpush": "pywebpush.webpush",
    "telegram": "requests",
    "webhook": "requests, standardwebhooks",
}
PEERS = {"anymail": "postmark", "twilio": "twilio", "webpush": "push", "telegram": "telegram", "webhook": "http"}


def measure(figures: Figures, rounds: int) -> None:
    """Note messages a second of every adapter and of its vendor's library, side by side."""
    with ExitStack() as held:
        told = {name: held.enter_context(_peer(name)) for name in CHANNELS}
        for _ in range(rounds):
            for name in CHANNELS:
                ours, theirs = (MESSAGES / _seconds(name, which, told[name]) for which in ("ours", "theirs"))
                figures.add(
                    f"{name}, messages by its adapter",
                    LIBRARIES[name],
                    ours,
                    theirs,
                    unit="msg/s",
                    floor="60%",
                    goal="90%",
                    as_percent=True,
                )


def _seconds(name: str, which: str, told: Told) -> float:
    command = [sys.executable, "-m", "tests.bench.adapters", name, which, str(MESSAGES), json.dumps(told)]
    done = subprocess.run(command, cwd=CLONE, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}, {which}, failed:\n{done.stderr[-2000:]}")
    return float(done.stdout)


@contextmanager
def _peer(name: str) -> Iterator[Told]:
    """Run the vendor's peer as a process; give where it is, and what else there is to know."""
    with tempfile.TemporaryDirectory() as folder:
        more = ["--certificate", folder] if name == "webpush" else []
        command = [sys.executable, "-m", f"tests.peers.{PEERS[name]}", *more]
        with subprocess.Popen(command, cwd=CLONE, stdout=subprocess.PIPE, text=True) as process:
            try:
                port = int((process.stdout.readline() if process.stdout else "").rpartition(" ")[2])
                told: Told = {"url": f"http://127.0.0.1:{port}"}
                if name == "webpush":
                    told = _subscription(port, Path(folder))
                yield told
            finally:
                process.terminate()


def _subscription(port: int, folder: Path) -> Told:
    certificate = str(folder / "certificate.pem")
    made = requests.post(f"https://localhost:{port}/subscribe", verify=certificate, timeout=30).json()
    return {"subscription": made, "certificate": certificate}


# Ours


def _adapter(name: str, told: Told) -> ChannelAdapter:
    options: dict[str, dict[str, Any]] = {
        "anymail": {
            "url": "anymail://postmark",
            "default_from": MAILBOX,
            "settings": {"POSTMARK_SERVER_TOKEN": postmark.TOKEN, "POSTMARK_API_URL": told.get("url")},
        },
        "twilio": {"account": twilio.ACCOUNT, "token": twilio.TOKEN, "from": SENDER, "base": told.get("url")},
        "webpush": {
            "key": KEY,
            "subject": SUBJECT,
            "allow": ["127.0.0.1", "localhost"],
            "ca_file": told.get("certificate"),
        },
        "telegram": {"token": telegram.TOKEN, "base": told.get("url")},
        "webhook": {"secrets": [SECRET], "allow": ["127.0.0.1"]},
    }
    channel = CHANNELS[name]
    return Registry({channel: [{"adapter": name, **options[name]}]}).adapter(channel)


def _message(name: str, told: Told) -> OutboundMessage:
    devices: tuple[Device, ...] = ()
    address = {"anymail": MAILBOX, "twilio": PHONE, "telegram": "4711", "webhook": f"{told.get('url')}/hook"}.get(
        name, "ann"
    )
    if name == "webpush":
        made = told["subscription"]
        devices = (Device(id=uuid4(), endpoint=made["endpoint"], **made["keys"]),)
    return OutboundMessage(
        id=uuid4(),
        workspace_id=uuid4(),
        channel=CHANNELS[name],
        address=address,
        subject="" if name in ("twilio", "telegram") else "News",
        text=TEXT,
        shared=SharedContent(key=uuid4()),
        devices=devices,
    )


def ours(name: str, told: Told) -> Say:
    adapter = _adapter(name, told)
    session = adapter.open()

    def say(count: int) -> None:
        batch = (_message(name, told) for _ in range(count))
        answers = [outcome for _, outcome in session.deliver(batch, lambda: True)]
        refused = [outcome for outcome in answers if not isinstance(outcome, Accepted)]
        if refused or len(answers) != count:
            raise RuntimeError(f"{len(answers)} of {count} answered, refused: {refused[:1]}")

    return say


# Theirs


def theirs(name: str, told: Told) -> Say:
    concurrency = _adapter(name, told).limits.concurrency
    one = {
        "anymail": _by_backend,
        "twilio": _by_sdk,
        "webpush": _by_pywebpush,
        "telegram": _by_bot_api,
        "webhook": _by_signing,
    }[name]
    send = one(told, _session(concurrency))
    pool = ThreadPoolExecutor(concurrency)

    def say(count: int) -> None:
        for done in [pool.submit(send) for _ in range(count)]:
            done.result()

    return say


def _session(concurrency: int) -> requests.Session:
    session = requests.Session()
    # Neither proxies nor authorities of the environment: both sides go straight to the peer.
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=concurrency))
    return session


def _by_backend(told: Told, session: requests.Session) -> Callable[[], object]:
    from anymail.backends.postmark import EmailBackend
    from django.core.mail import EmailMessage

    backend = EmailBackend(server_token=postmark.TOKEN, api_url=told["url"])
    backend.session = session

    def send() -> object:
        message = EmailMessage("News", TEXT, MAILBOX, [MAILBOX])
        message.metadata = {"id": str(uuid4())}  # type: ignore[attr-defined]
        return backend.send_messages([message])

    return send


def _by_sdk(told: Told, session: requests.Session) -> Callable[[], object]:
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client

    base = urlsplit(told["url"])

    class Loopback(TwilioHttpClient):  # type: ignore[misc]
        def request(self, method: str, url: str, *arguments: Any, **named: Any) -> Any:
            return super().request(
                method, urlsplit(url)._replace(scheme=base.scheme, netloc=base.netloc).geturl(), *arguments, **named
            )

    way = Loopback(timeout=30)
    way.session = session
    client = Client(twilio.ACCOUNT, twilio.TOKEN, http_client=way)
    return partial(client.messages.create, to=PHONE, from_=SENDER, body=TEXT)


def _by_pywebpush(told: Told, session: requests.Session) -> Callable[[], object]:
    from py_vapid import Vapid02
    from pywebpush import webpush

    session.verify = told["certificate"]
    key = Vapid02.from_string(KEY)

    def send() -> object:
        said = json.dumps({"id": str(uuid4()), "title": "News", "body": TEXT, "data": {}})
        return webpush(
            told["subscription"],
            said,
            vapid_private_key=key,
            vapid_claims={"sub": SUBJECT},
            ttl=3600,
            timeout=30,
            requests_session=session,
        )

    return send


def _by_bot_api(told: Told, session: requests.Session) -> Callable[[], object]:
    url = f"{told['url']}/bot{telegram.TOKEN}/sendMessage"

    def send() -> object:
        answer = session.post(url, json={"chat_id": "4711", "text": TEXT}, timeout=30)
        answer.raise_for_status()
        return answer.json()

    return send


def _by_signing(told: Told, session: requests.Session) -> Callable[[], object]:
    from standardwebhooks import Webhook

    signer = Webhook(SECRET)

    def send() -> object:
        name, now = str(uuid4()), datetime.now(UTC)
        said = json.dumps({"type": "message", "timestamp": now.isoformat(), "data": {"id": name, "text": TEXT}})
        headers = {
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signer.sign(msg_id=name, timestamp=now, data=said),
            "content-type": "application/json",
        }
        answer = session.post(f"{told['url']}/hook", data=said.encode(), headers=headers, timeout=30)
        answer.raise_for_status()
        return answer.text

    return send


def main(name: str, which: str, count: str, told: str) -> None:
    if name == "anymail":
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    say = {"ours": ours, "theirs": theirs}[which](name, json.loads(told))
    say(WARM)
    begun = time.monotonic()
    say(int(count))
    sys.stdout.write(repr(time.monotonic() - begun))


if __name__ == "__main__":
    main(*sys.argv[1:])
