"""A push service on loopback that looks at everything it is given, from the RFCs alone.

It verifies the signature (RFC 8292: ES256 over the token, the audience its own origin, the expiry within a day),
demands TTL, notes Urgency and Topic (RFC 8030), and decrypts the body as the device would (RFC 8188 and 8291). It
shares no code with the sender. The path of an endpoint tells how to treat it: `/push/<anything>` takes, or answers 410
where nobody subscribed; any other does what `tests.peers.http` says of it. As a process of its own

    python -m tests.peers.push --port 8096 --certificate folder

it leaves its certificate in `folder/certificate.pem` and plays the browsers too: `POST /subscribe` answers with a
subscription as a browser gives it, `GET /shown` with all that the devices were given.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.peers import http
from tests.peers.http import Asked, Reply
from tests.peers.smtp import self_signed

_DAY = 24 * 3600


def _b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """A device: its keys, and what it was shown."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._auth = secrets.token_bytes(16)

    @property
    def p256dh(self) -> str:
        return _b64(self._point)

    @property
    def auth(self) -> str:
        return _b64(self._auth)

    def decrypt(self, body: bytes) -> bytes:
        """Open a message that was encrypted for this device; ValueError where it was not, or is malformed."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        if len(sealed) > size:
            raise ValueError("more than one record")
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self._key.exchange(ec.ECDH(), public)
        secret = _derive(shared, self._auth, b"WebPush: info\x00" + self._point + sender, 32)
        key = _derive(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = _derive(secret, salt, b"Content-Encoding: nonce\x00", 12)
        opened = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\x00")
        if not opened.endswith(b"\x02"):
            raise ValueError("the last record does not say that it is the last")
        return opened[:-1]


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


@dataclass
class PushService:
    """What was taken, and who may send."""

    origin: str = ""
    browsers: dict[str, Browser] = field(default_factory=dict)
    """By the path of the endpoint."""
    shown: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Endpoint's path and what the service worker was given."""
    headers: list[dict[str, str]] = field(default_factory=list)

    def subscribe(self, path: str) -> Browser:
        """Make a device with an endpoint at this path."""
        return self.browsers.setdefault(path, Browser())

    def answer(self, asked: Asked) -> Reply:
        """Take a message, or say what is wrong with it."""
        if asked.path in ("/subscribe", "/shown"):
            return self._play(asked.path)
        if not asked.path.startswith("/push/"):
            return http.by_path(asked)
        flaw = self._flaw(asked)
        if flaw:
            return Reply(status=flaw[0], body=flaw[1].encode())
        return Reply(status=201, headers={"location": f"{self.origin}/message/{len(self.shown)}"})

    def _play(self, path: str) -> Reply:
        """What a browser or whoever looks at its screen would say."""
        if path == "/shown":
            return Reply(body=json.dumps([said for _, said in self.shown]).encode())
        endpoint = f"/push/{len(self.browsers)}"
        browser = self.subscribe(endpoint)
        keys = {"p256dh": browser.p256dh, "auth": browser.auth}
        return Reply(status=201, body=json.dumps({"endpoint": self.origin + endpoint, "keys": keys}).encode())

    def _flaw(self, asked: Asked) -> tuple[int, str] | None:
        if not asked.header("ttl").isdigit():
            return 400, "no TTL"
        if len(asked.body) > 4096:
            return 413, "too large"
        if (refused := self._unsigned(asked.header("authorization"))) is not None:
            return 403, refused
        browser = self.browsers.get(asked.path)
        if browser is None:
            return 410, "no such subscription"
        if asked.header("content-encoding") != "aes128gcm":
            return 400, "not aes128gcm"
        try:
            self.shown.append((asked.path, json.loads(browser.decrypt(asked.body))))
        except Exception as error:
            return 400, f"not for this device: {type(error).__name__}"
        self.headers.append({name: asked.header(name) for name in ("ttl", "urgency", "topic")})
        return None

    def _unsigned(self, authorization: str) -> str | None:
        """Why the sender is not recognised; None where it is."""
        scheme, _, parts = authorization.partition(" ")
        values = dict(part.strip().split("=", 1) for part in parts.split(",") if "=" in part)
        if scheme.lower() != "vapid" or {"t", "k"} - set(values):
            return "no signature"
        signed, _, signature = values["t"].rpartition(".")
        claims = json.loads(_raw(signed.split(".")[1]))
        raw = _raw(signature)
        encoded = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _raw(values["k"]))
        try:
            key.verify(encoded, signed.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return "the signature is wrong"
        if claims.get("aud") != self.origin:
            return f"signed for {claims.get('aud')}"
        if not time.time() < claims.get("exp", 0) <= time.time() + _DAY:
            return "expired, or for too long"
        return None if str(claims.get("sub", "")).startswith(("mailto:", "https:")) else "no subject"


@contextmanager
def running(tls: tuple[Path, Path]) -> Iterator[tuple[http.Peer, PushService]]:
    """Run the service with this certificate and its key; give the server and what it took."""
    service = PushService()
    with http.running(service.answer, tls=tls) as peer:
        service.origin = peer.url("").rstrip("/")
        yield peer, service


def _main() -> None:
    arguments = http.parser(__doc__)
    arguments.add_argument("--certificate", type=Path, required=True, metavar="FOLDER")
    options = arguments.parse_args()
    service = PushService()

    def greet(peer: http.Peer) -> None:
        service.origin = peer.url("").rstrip("/")

    http.serve(options, service.answer, tls=self_signed(options.certificate), greet=greet)


if __name__ == "__main__":
    _main()
