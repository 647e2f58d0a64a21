"""A Twilio on loopback: takes messages, refuses them as their number asks, lists what it took, and reports by callback.

It shares no code with the adapter and none with Twilio's library. Behind `+1999` a recipient's number asks for what
befalls the message (the rest of the number is padding):

    +1999 4 21610 …   an error with that code and the status 400; `5` instead of `4`: 500; `9`: 429, to wait 7 s
    +1999 1 …         no answer at all
    +1999 2 …         hang up after the message was taken
    +1999 3 …         an answer that is no JSON
    +1999 6 …         an answer a byte at a time, without end
    +1999 7 …         an answer without end
    +1999 8 …         taken, and failed at once
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.peers import http
from tests.peers.http import Asked, Manner, Reply

ACCOUNT = "AC" + "0" * 32
TOKEN = "the-auth-token"
_TRICKS = {"1": Manner.STALL, "3": Manner.GARBAGE, "6": Manner.DRIP, "7": Manner.ENDLESS}
_STATUSES = {"4": 400, "5": 500, "9": 429}


@dataclass
class Twilio:
    """What the peer took, the oldest first."""

    taken: list[dict[str, Any]] = field(default_factory=list)
    account_status: str = "active"
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, asked: Asked) -> Reply:
        """Answer as the API does."""
        if asked.header("authorization") != "Basic " + b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode():
            return _error(401, 20003, "Authenticate")
        root = f"/2010-04-01/Accounts/{ACCOUNT}"
        if asked.path == f"{root}.json":
            return _json(200, {"sid": ACCOUNT, "status": self.account_status, "friendly_name": "peer"})
        if asked.path != f"{root}/Messages.json":
            return _error(404, 20404, "The requested resource was not found")
        return self._create(asked) if asked.method == "POST" else self._list(asked)

    def _create(self, asked: Asked) -> Reply:
        form = parse_qsl(asked.body.decode())
        said = dict(form)
        number = said.get("To", "").removeprefix("whatsapp:")
        trick = number[5] if number.startswith("+1999") and len(number) > 5 else ""
        if trick in _STATUSES:
            headers = {"retry-after": "7"} if trick == "9" else {}
            return _error(_STATUSES[trick], int(number[6:11]), "as asked", headers)
        if trick in _TRICKS:
            return Reply(status=201, manner=_TRICKS[trick])
        row = self._take(said, [value for name, value in form if name == "MediaUrl"])
        if trick == "2":
            return Reply(manner=Manner.CUT)
        if trick == "8":
            row = {**row, "status": "failed", "error_code": 30005}
        return _json(201, row)

    def _take(self, said: dict[str, str], media: list[str]) -> dict[str, Any]:
        with self._lock:
            row = {
                "sid": f"SM{len(self.taken):032x}",
                "account_sid": ACCOUNT,
                "to": said.get("To"),
                "from": said.get("From"),
                "messaging_service_sid": said.get("MessagingServiceSid"),
                "body": said.get("Body", ""),
                "status": "queued",
                "direction": "outbound-api",
                "num_segments": "1",
                "num_media": str(len(media)),
                "error_code": None,
                "error_message": None,
                "date_created": format_datetime(datetime.now(UTC)),
                "date_sent": None,
                "date_updated": format_datetime(datetime.now(UTC)),
                "uri": "",
                "price": None,
                "price_unit": "USD",
                "api_version": "2010-04-01",
                "subresource_uris": {},
            }
            self.taken.append({**row, "said": said, "media": media})
            return row

    def _list(self, asked: Asked) -> Reply:
        to = asked.query.get("To")
        rows = [row for row in reversed(self.taken) if row["to"] == to]
        shown = [{name: value for name, value in row.items() if name not in {"said", "media"}} for row in rows]
        return _json(200, {"messages": shown, "next_page_uri": None, "page": 0, "page_size": 50})


@contextmanager
def running() -> Iterator[tuple[http.Peer, Twilio]]:
    """Run the peer; give the server and what it took."""
    twilio = Twilio()
    with http.running(twilio.answer) as peer:
        yield peer, twilio


def signature(url: str, form: dict[str, str]) -> str:
    """Sign a callback: HMAC-SHA1 of the URL and the sorted fields, by the account's token."""
    said = url + "".join(name + form[name] for name in sorted(form))
    return b64encode(hmac.new(TOKEN.encode(), said.encode(), hashlib.sha1).digest()).decode()


def callback(url: str, sid: str, status: str, **more: str) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a status callback to a URL."""
    form = {"AccountSid": ACCOUNT, "MessageSid": sid, "SmsSid": sid, "MessageStatus": status, "SmsStatus": status}
    form |= more
    headers = {"X-Twilio-Signature": signature(url, form), "Content-Type": "application/x-www-form-urlencoded"}
    return headers, urlencode(form).encode()


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Reply:
    body = {"code": code, "message": message, "more_info": f"https://example.com/{code}", "status": status}
    return Reply(status=status, headers=headers or {}, body=json.dumps(body).encode())


def _json(status: int, value: dict[str, Any]) -> Reply:
    return Reply(status=status, headers={"content-type": "application/json"}, body=json.dumps(value).encode())
