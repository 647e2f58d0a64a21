"""Web push as far as a browser goes without its vendor's push service: `./dispatch check --browser`.

Each step says what it found; the exit code is 1 when one fails. What Chromium does not do here is told too: to
subscribe it needs the push service of its vendor. So a push service on loopback takes the message that the adapter
sends, verifies and decrypts it, and what it holds then is given to the page's own service worker, which shows it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels_app.adapters.push import PushAdapter
from channels_app.types import Accepted, Channel, Device, OutboundMessage, Outcome, Permanent, SharedContent
from config.stack.servers import free_port
from tests.browser import chromium
from tests.browser.chromium import Chromium, Refused
from tests.peers import http, push
from tests.peers.http import Asked, Reply
from tests.peers.smtp import self_signed

RECEIVER = "web-push-testing@1.2.2"
"""A push service of others', from npm, that verifies and decrypts as well."""
_PAGE = b"<!doctype html><title>Web push</title>"
_WORKER = b"""
self.addEventListener("push", event => {
  const said = event.data.json();
  event.waitUntil(self.registration.showNotification(said.title, {body: said.body, tag: said.id, data: said.data}));
});
"""
_KEY = ec.generate_private_key(ec.SECP256R1())


_LOST = 5.0
"""Seconds after which a push that was not shown counts as lost."""


class Failed(Exception):
    """A step did not come out as it must."""


def _b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _adapter(**options: Any) -> PushAdapter:
    key = _b64(_KEY.private_numbers().private_value.to_bytes(32, "big"))
    given = {"key": key, "subject": "mailto:operator@example.com", "allow": ["127.0.0.1", "localhost"], **options}
    return PushAdapter.from_options(Channel.PUSH, given)


def _send(adapter: PushAdapter, endpoint: str, p256dh: str, auth: str) -> tuple[OutboundMessage, Outcome]:
    message = OutboundMessage(
        id=uuid4(),
        workspace_id=uuid4(),
        channel=Channel.PUSH,
        address=endpoint,
        subject="Grüße",
        text="Bob answered you.",
        shared=SharedContent(key=uuid4()),
        data={"thread": 7},
        devices=(Device(id=uuid4(), endpoint=endpoint, p256dh=p256dh, auth=auth),),
    )
    session = adapter.open()
    try:
        ((_, outcome),) = session.deliver(iter([message]), lambda: True)
    finally:
        session.close()
    return message, outcome


def _site(asked: Asked) -> Reply:
    if asked.path == "/worker.js":
        return Reply(headers={"content-type": "text/javascript"}, body=_WORKER)
    return Reply(headers={"content-type": "text/html"}, body=_PAGE)


def in_browser(say: Callable[[str], None]) -> None:
    """Service worker, permission, subscription as far as it goes, and a notification that is shown.

    Raises:
        Failed: a step did not come out as it must, or there is no browser.
    """
    path = chromium.program()
    if path is None:
        raise Failed(f"there is no browser: install Chromium (looked for {', '.join(chromium.PROGRAMS)})")
    with http.running(_site) as site, chromium.running(path) as browser:
        origin = site.url("").rstrip("/")
        say(f"{browser.ask('Browser.getVersion')['product']} runs")
        browser.ask("Browser.grantPermissions", permissions=["notifications"], origin=origin)
        browser.ask("Page.enable", session=browser.page)
        browser.ask("ServiceWorker.enable", session=browser.page)
        browser.ask("Page.navigate", session=browser.page, url=f"{origin}/")
        browser.event("Page.loadEventFired", "timestamp")
        _expect(browser.run("return Notification.permission"), "granted", "the permission")
        say("the permission to show notifications is granted")
        browser.run("await navigator.serviceWorker.register('/worker.js'); await navigator.serviceWorker.ready")
        registration = browser.event("ServiceWorker.workerRegistrationUpdated", "registrations")[0]["registrationId"]
        say("the service worker is registered and active")
        _subscribe(browser, say)
        shown = _through_a_push_service(say)

        def deliver() -> None:
            browser.ask(
                "ServiceWorker.deliverPushMessage",
                session=browser.page,
                origin=origin,
                registrationId=registration,
                data=json.dumps(shown),
            )

        _shown(browser, shown, deliver)
        say("the service worker showed what the adapter had sent")


def _subscribe(browser: Chromium, say: Callable[[str], None]) -> None:
    """Try to subscribe: nobody but the vendor's push service can let this succeed."""
    key = _b64(_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    script = f"""
        const worker = await navigator.serviceWorker.ready;
        try {{
            const made = worker.pushManager.subscribe({{userVisibleOnly: true, applicationServerKey: "{key}"}});
            const late = new Promise((_, no) => setTimeout(() => no(new Error("no answer in 20 s")), 20000));
            return {{made: (await Promise.race([made, late])).endpoint}};
        }} catch (error) {{
            return {{error: error.name + ": " + error.message}};
        }}
    """
    found = browser.run(script)
    if "made" in found:
        say(f"the browser subscribed with our key at {found['made'].split('/')[2]}")
        return
    # A key that is malformed, or a permission that is missing, is refused before the push service is asked.
    if found["error"].startswith(("InvalidAccessError", "InvalidCharacterError", "TypeError", "NotAllowedError")):
        raise Failed(f"the browser refuses to subscribe: {found['error']}")
    say(f"the browser takes our key; here it stops for want of its vendor's push service ({found['error']})")


def _through_a_push_service(say: Callable[[str], None]) -> dict[str, Any]:
    """Send by the adapter to a push service on loopback, and give what the device was given."""
    with tempfile.TemporaryDirectory() as folder, push.running(self_signed(Path(folder))) as (peer, service):
        device = service.subscribe("/push/ann")
        adapter = _adapter(ca_file=str(peer.certificate))
        message, outcome = _send(adapter, peer.url("/push/ann"), device.p256dh, device.auth)
        if not isinstance(outcome, Accepted):
            raise Failed(f"the push service on loopback did not take the message: {outcome}")
        shown = service.shown[0][1]
        _expect((shown["id"], shown["title"]), (str(message.id), message.subject), "what the device was given")
    say("a push service on loopback verified and decrypted what the adapter sent")
    return shown


def _shown(browser: Chromium, wanted: dict[str, Any], deliver: Callable[[], None]) -> None:
    """Deliver until it is shown: a browser that is busy loses a push, and says nothing of it. Its tag keeps it one."""
    script = """
        const worker = await navigator.serviceWorker.ready;
        const found = await worker.getNotifications();
        return found.map(each => ({title: each.title, body: each.body, id: each.tag, data: each.data}));
    """
    deadline = time.monotonic() + chromium.PATIENCE
    again = 0.0
    while not (found := browser.run(script)) and time.monotonic() < deadline:
        if time.monotonic() >= again:
            deliver()
            again = time.monotonic() + _LOST
        time.sleep(0.1)
    _expect(found, [wanted], "the notifications that are shown")


def by_others_receiver(say: Callable[[str], None]) -> None:
    """Send to a push service that others wrote.

    Raises:
        Failed: it does not take the message, or cannot be run.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Failed("there is no npm: install Node.js 20 or newer")
    with tempfile.TemporaryDirectory(prefix="dispatch-push-", ignore_cleanup_errors=True) as folder:
        done = subprocess.run(
            [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, RECEIVER],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"npm could not install {RECEIVER}: {(done.stderr or done.stdout).strip()[-300:]}")
        port = free_port()
        command = [str(Path(folder) / "node_modules/.bin/web-push-testing"), "--port", str(port)]
        env = {**os.environ, "HOME": folder}
        subprocess.run([*command, "start"], env=env, cwd=folder, check=True, capture_output=True)
        try:
            _receive(f"http://127.0.0.1:{port}", say)
        finally:
            subprocess.run([*command, "stop"], env=env, cwd=folder, check=False, capture_output=True)


def _receive(base: str, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + chromium.PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError):
            _post(f"{base}/status", {})
            break
        time.sleep(0.1)
    key = _b64(_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    made = _post(f"{base}/subscribe", {"userVisibleOnly": "true", "applicationServerKey": key})["data"]
    message, outcome = _send(_adapter(), made["endpoint"], made["keys"]["p256dh"], made["keys"]["auth"])
    if not isinstance(outcome, Accepted):
        raise Failed(f"{RECEIVER} did not take the message: {outcome}")
    held = _post(f"{base}/get-notifications", {"clientHash": made["clientHash"]})["data"]["messages"]
    _expect(json.loads(held[0])["id"], str(message.id), f"what {RECEIVER} decrypted")
    say(f"{RECEIVER} verified and decrypted what the adapter sent")
    _post(f"{base}/expire-subscription/{made['clientHash']}", {})
    _, outcome = _send(_adapter(), made["endpoint"], made["keys"]["p256dh"], made["keys"]["auth"])
    if not isinstance(outcome, Permanent) or outcome.code != "subscription_gone":
        raise Failed(f"{RECEIVER} has ended the subscription, and the adapter says: {outcome}")
    say("a subscription that it ended counts as gone")


def _post(url: str, body: object) -> Any:
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text.startswith(b"{") else None


def _expect(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise Failed(f"{what}: {found!r}, not {wanted!r}")


def main() -> int:
    failed = False
    for title, step in (("Chromium", in_browser), ("A receiver from npm", by_others_receiver)):
        print(f"== {title}", flush=True)
        try:
            step(lambda text: print(f"  ok      {text}", flush=True))
        except (Failed, Refused, OSError, subprocess.SubprocessError) as error:
            print(f"  FAILED  {error}", flush=True)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
