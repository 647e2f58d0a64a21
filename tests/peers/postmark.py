"""A Postmark on loopback: takes e-mails as its API does, refuses them as their recipient asks, and reports by webhook.

It shares no code with the adapter and none with Anymail. The recipient's local part asks for what befalls a message:

    status-503@…       that status; throttled@… is 429, to wait 7 s
    inactive@…         422, error 406: the recipient bounced or complained before
    malformed@…        422, error 300: the recipient is no address
    refused@…          422, error 405: the account may send no more
    stall@… drip@… garbage@… endless@… endless-body@…   no answer, or one that is none
    cut@…              taken, then hangs up without an answer
    not-json@… no-id@…   200, and something else than is promised
    delayed@…          taken, but delivery may be delayed

https://postmarkapp.com/developer/api/email-api
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import getaddresses
from typing import Any
from uuid import uuid4

from tests.peers import http
from tests.peers.http import Asked, Manner, Reply

TOKEN = "the-server-token"
CREDENTIALS = "postmark:a-shared-secret"
_MANNERS = {manner.value: manner for manner in Manner if manner is not Manner.WHOLE}


@dataclass
class Postmark:
    """What the peer took, the oldest first: each e-mail as it came, with the `MessageID` that it was given."""

    taken: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, asked: Asked) -> Reply:
        """Answer as the API does."""
        if asked.header("X-Postmark-Server-Token") != TOKEN:
            return _error(401, 10, "No Account or Server API tokens were supplied in the HTTP headers.")
        if (asked.method, asked.path) != ("POST", "/email"):
            return _error(404, 404, "The requested resource does not exist.")
        try:
            said = json.loads(asked.body)
        except ValueError:
            return _error(422, 402, "Invalid JSON")
        ((_, to),) = getaddresses([said["To"]])
        return self._refusal(to) or self._take(said, to)

    def _refusal(self, to: str) -> Reply | None:
        word, _, value = to.partition("@")[0].partition("-")
        if word == "status" and value.isdigit():
            return _error(int(value), 0, f"status {value}, as asked")
        match to.partition("@")[0]:
            case "throttled":
                return _error(429, 429, "Rate limit exceeded", {"retry-after": "7"})
            case "inactive":
                return _error(
                    422,
                    406,
                    "You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: "
                    f"{to}. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a "
                    "manual suppression.",
                )
            case "malformed":
                return _error(422, 300, f"Error parsing 'To': Illegal email address '{to}'.")
            case "refused":
                return _error(422, 405, "You are not allowed to send: the account ran out of credits.")
            case "not-json":
                return Reply(body=b"<html>It works!</html>")
            case "no-id":
                return _json(200, {"ErrorCode": 0, "Message": "OK"})
        return None

    def _take(self, said: dict[str, Any], to: str) -> Reply:
        number = str(uuid4())
        with self._lock:
            self.taken.append({**said, "MessageID": number})
        trick = to.partition("@")[0]
        if trick in _MANNERS:
            return Reply(manner=_MANNERS[trick])
        told = "Message accepted, but delivery may be delayed." if trick == "delayed" else "OK"
        answer = {"To": said["To"], "SubmittedAt": "2026-01-31T12:00:00.0000000-05:00", "MessageID": number}
        return _json(200, {**answer, "ErrorCode": 0, "Message": told})


@contextmanager
def running(port: int = 0) -> Iterator[tuple[http.Peer, Postmark]]:
    """Run the peer; give the server and what it took."""
    postmark = Postmark()
    with http.running(postmark.answer, port=port) as peer:
        yield peer, postmark


def report(kind: str, taken: Mapping[str, Any], **more: Any) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a webhook on an e-mail that was taken; `kind` is one of `_PARTS`.

    https://postmarkapp.com/developer/webhooks/webhooks-overview
    """
    recipient = more.pop("recipient", getaddresses([taken["To"]])[0][1])
    said = {
        "RecordType": kind,
        "MessageID": taken["MessageID"],
        "ServerID": 23,
        "MessageStream": "outbound",
        "Tag": "",
        "Metadata": taken.get("Metadata", {}),
        **_PARTS[kind],
        ("Email" if kind in {"Bounce", "SpamComplaint"} else "Recipient"): recipient,
        **more,
    }
    return signed(), json.dumps(said).encode()


def signed() -> dict[str, str]:
    """The headers of a webhook: Postmark signs nothing, it logs in."""
    login = b64encode(CREDENTIALS.encode()).decode()
    return {"Authorization": f"Basic {login}", "Content-Type": "application/json", "User-Agent": "Postmark"}


_PARTS: dict[str, dict[str, Any]] = {
    "Delivery": {"DeliveredAt": "2026-01-31T12:00:05Z", "Details": "250 2.0.0 OK"},
    "Bounce": {
        "ID": 692560173,
        "Type": "HardBounce",
        "TypeCode": 1,
        "Name": "Hard bounce",
        "Description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
        "Details": "smtp;550 5.1.1 no such user",
        "BouncedAt": "2026-01-31T12:00:06Z",
        "Inactive": True,
        "CanActivate": True,
    },
    "SpamComplaint": {
        "ID": 692560174,
        "Type": "SpamComplaint",
        "TypeCode": 512,
        "Description": "The subscriber explicitly marked this message as spam.",
        "BouncedAt": "2026-01-31T12:00:07Z",
    },
    "Open": {"FirstOpen": True, "ReceivedAt": "2026-01-31T12:00:08Z", "UserAgent": "A reader"},
    "Click": {
        "ClickLocation": "HTML",
        "OriginalLink": "https://example.com/offer",
        "ReceivedAt": "2026-01-31T12:00:09Z",
        "UserAgent": "A reader",
    },
    "SubscriptionChange": {
        "ChangedAt": "2026-01-31T12:00:10Z",
        "Origin": "Recipient",
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
    },
}


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Reply:
    body = json.dumps({"ErrorCode": code, "Message": message}).encode()
    return Reply(status=status, headers={"content-type": "application/json", **(headers or {})}, body=body)


def _json(status: int, value: dict[str, Any]) -> Reply:
    return Reply(status=status, headers={"content-type": "application/json"}, body=json.dumps(value).encode())


if __name__ == "__main__":
    http.serve(http.parser(__doc__).parse_args(), Postmark().answer)
