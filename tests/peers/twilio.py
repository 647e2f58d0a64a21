"""A Twilio on loopback: takes messages, refuses them as their number asks, lists what it took, and reports by callback.

It is written from Twilio's published description and shares no code with the adapter, and none with Twilio's library.
What a request holds that Twilio knows nothing of, or lacks, is refused. Behind `+1999` a recipient's number asks for
what befalls the message (the rest of the number is padding):

    +1999 4 21610 …   an error with that code and the status 400; `5` instead of `4`: 500; `9`: 429, to wait 7 s
    +1999 1 …         no answer at all
    +1999 2 …         hang up after the message was taken
    +1999 3 …         an answer that is no HTTP; `0`: one that is no JSON
    +1999 6 …         an answer a byte at a time, without end
    +1999 7 …         an answer without end
    +1999 8 30005 …   taken, and failed at once with that code

As a process of its own it reports what becomes of each message to the URL that the message names, after a moment:

    python -m tests.peers.twilio --port 8097 --record received.jsonl --report-after 0.2
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
_ROOT = f"/2010-04-01/Accounts/{ACCOUNT}"
_PATTERNS = {
    "To": r"(whatsapp:)?\+[0-9]{7,15}",
    "From": r"(whatsapp:)?(\+?[0-9]{3,15}|[A-Za-z0-9 ]{1,11})",
    "MessagingServiceSid": r"MG[0-9a-fA-F]{32}",
    "Body": r"(?s).{0,1600}",
    "MediaUrl": r"https?://\S+",
    "ContentSid": r"HX[0-9a-fA-F]{32}",
    "ContentVariables": r"\{.*\}",
    "StatusCallback": r"https?://\S+",
}
"""What the fields that may be sent look like."""
_CODES = {"To": 21211, "From": 21212, "Body": 21617, "MediaUrl": 21620, "ContentSid": 21655, "ContentVariables": 21656}


@dataclass
class Twilio:
    """What the peer took, the oldest first."""

    taken: list[dict[str, Any]] = field(default_factory=list)
    account_status: str = "active"
    report_after: float | None = None
    """Seconds after which it reports on a message by itself; by default it does when `report` is called."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, asked: Asked) -> Reply:
        """Answer as the API does."""
        if asked.header("authorization") != "Basic " + b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode():
            return _error(401, 20003, "Authenticate")
        if asked.path == f"{_ROOT}.json":
            return _json(200, {"sid": ACCOUNT, "status": self.account_status, "friendly_name": "peer"})
        if asked.path != f"{_ROOT}/Messages.json":
            return _error(404, 20404, "The requested resource was not found")
        return self._create(asked) if asked.method == "POST" else self._list(asked)

    def report(self, row: dict[str, Any], status: str, **more: str) -> int:
        """Post a message's status to the URL that it names; give the status of the answer."""
        with self._lock:
            row["status"] = status
        number = {"To": row["to"], "From": row["from"] or "", "ApiVersion": "2010-04-01"}
        headers, body = callback(row["said"]["StatusCallback"], row["sid"], status, **number, **more)
        return http.post(row["said"]["StatusCallback"], body, headers)

    def _create(self, asked: Asked) -> Reply:
        form = parse_qsl(asked.body.decode(), keep_blank_values=True)
        said = dict(form)
        if (flaw := _flaw(form)) is not None:
            return _error(400, *flaw)
        number = said["To"].removeprefix("whatsapp:")
        trick = number[5] if number.startswith("+1999") and len(number) > 5 else ""
        if trick in _STATUSES:
            headers = {"retry-after": "7"} if trick == "9" else {}
            return _error(_STATUSES[trick], int(number[6:11]), "as asked", headers)
        if trick in _TRICKS:
            return Reply(status=201, manner=_TRICKS[trick])
        row = self._take(said, [value for name, value in form if name == "MediaUrl"])
        if trick == "2":
            return Reply(manner=Manner.CUT)
        if trick == "0":
            return Reply(status=201, body=b"<html>It works!</html>")
        shown = _shown(row)
        if trick == "8":
            shown |= {"status": "failed", "error_code": int(number[6:11])}
        return _json(201, shown)

    def _take(self, said: dict[str, str], media: list[str]) -> dict[str, Any]:
        with self._lock:
            row = {
                "sid": f"{'MM' if media else 'SM'}{len(self.taken):032x}",
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
                "said": said,
                "media": media,
            }
            self.taken.append(row)
        if self.report_after is not None and "StatusCallback" in said:
            threading.Thread(target=self._report_all, args=(row,), daemon=True).start()
        return row

    def _report_all(self, row: dict[str, Any]) -> None:
        statuses = ["sent", "delivered"] + (["read"] if row["to"].startswith("whatsapp:") else [])
        for status in statuses:
            time.sleep(self.report_after or 0.0)
            with suppress(OSError):
                self.report(row, status)

    def _list(self, asked: Asked) -> Reply:
        """A page of what was taken, the newest first; what was not sent yet is not found by the time of sending."""
        to, sent_after = asked.query.get("To"), asked.query.get("DateSent>")
        rows = [row for row in reversed(self.taken) if to in (None, row["to"]) and (not sent_after or row["date_sent"])]
        size, page = int(asked.query.get("PageSize", "50")), int(asked.query.get("Page", "0"))
        shown = [_shown(row) for row in rows[size * page : size * (page + 1)]]
        more = urlencode({**asked.query, "Page": page + 1})
        uri = f"{_ROOT}/Messages.json?{more}" if len(rows) > size * (page + 1) else None
        return _json(200, {"messages": shown, "next_page_uri": uri, "page": page, "page_size": size})


def _flaw(form: list[tuple[str, str]]) -> tuple[int, str] | None:
    """What Twilio would not take, as its code and words."""
    for name, value in form:
        if name not in _PATTERNS:
            return 20001, f"unknown parameter {name}"
        if not re.fullmatch(_PATTERNS[name], value):
            return _CODES.get(name, 20001), f"{name} is malformed"
    names = {name for name, value in form if value}
    if "To" not in names:
        return 21604, "A 'To' phone number is required."
    if not names & {"From", "MessagingServiceSid"}:
        return 21603, "A 'From' phone number is required."
    if not names & {"Body", "MediaUrl", "ContentSid"}:
        return 21619, "A text message body or media urls must be specified."
    said = dict(form)
    if "From" in names and said["To"].startswith("whatsapp:") != said["From"].startswith("whatsapp:"):
        return 21910, "'From' and 'To' pair is of different channels"
    return None


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in {"said", "media"}}


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
    return signed(url, form | more)


def signed(url: str, form: dict[str, str]) -> tuple[dict[str, str], bytes]:
    """The headers and the body of anything that Twilio posts."""
    headers = {"X-Twilio-Signature": signature(url, form), "Content-Type": "application/x-www-form-urlencoded"}
    return headers, urlencode(form).encode()


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Reply:
    body = {"code": code, "message": message, "more_info": f"https://example.com/{code}", "status": status}
    return Reply(status=status, headers=headers or {}, body=json.dumps(body).encode())


def _json(status: int, value: dict[str, Any]) -> Reply:
    return Reply(status=status, headers={"content-type": "application/json"}, body=json.dumps(value).encode())


if __name__ == "__main__":
    arguments = http.parser(__doc__)
    arguments.add_argument("--report-after", type=float, metavar="SECONDS")
    options = arguments.parse_args()
    http.serve(options, Twilio(report_after=options.report_after).answer)
