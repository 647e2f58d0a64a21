"""What Twilio posts to us: reports on messages, and answers of recipients that opt out or in again.

https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlsplit
from uuid import UUID

from channels_app.adapters.twilio_codes import BLOCKED, DEAD, Meaning, meaning
from channels_app.errors import CallbackRejected
from channels_app.types import Callback, Channel, Receipt, ReceiptKind, Signal, SignalKind

REFUSED: Final = frozenset({"failed", "undelivered", "canceled"})
"""Statuses of a message that will not arrive."""

_FIELDS: Final = 200
_CODE: Final = re.compile(r"[0-9]{1,9}\Z")
_KINDS: Final[Mapping[str, ReceiptKind]] = {
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.OPENED,
    "undelivered": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "canceled": ReceiptKind.FAILED,
}
"""Twilio's words for what it reports; the others (queued, sending, accepted) say nothing that we do not know."""
_WISHES: Final[Mapping[str, SignalKind]] = {"STOP": SignalKind.OPTED_OUT, "START": SignalKind.OPTED_IN}
"""What Twilio makes of a recipient's answer, in whatever word and language it was given."""


class Form(dict[str, list[str]]):
    """A form as Twilio's validator reads one: every value of a name."""

    def getlist(self, name: str) -> list[str]:
        return self[name]

    def first(self, name: str) -> str:
        """Give the first value of a name; empty where there is none."""
        return self.get(name, [""])[0]


def form(body: bytes) -> Form:
    """Read the form of a callback.

    Raises:
        CallbackRejected: it is none.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
    except ValueError:
        raise CallbackRejected("the body is not a form") from None
    found = Form()
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def read(callback: Callback) -> list[Receipt | Signal]:
    """Read what a verified callback tells; one about anything else tells nothing."""
    told = form(callback.body)
    sid = told.first("MessageSid") or told.first("SmsSid")
    if not sid:
        return []
    if (wish := _WISHES.get(told.first("OptOutType").upper())) is not None:
        sender = told.first("From")
        address = sender.removeprefix("whatsapp:")
        channel = Channel.SMS if address == sender else Channel.WHATSAPP
        return [Signal(kind=wish, key=sid, address=address, channel=channel)] if address else []
    code = told.first("ErrorCode")
    error = int(code) if _CODE.match(code) else None
    return list(reports(sid, told.first("MessageStatus"), error, _our_id(callback)))


def reports(sid: str, status: str, error: int | None, message_id: UUID | None = None) -> tuple[Receipt, ...]:
    """What a status of a message means; the key is the same whichever way we hear of it."""
    if status not in _KINDS:
        return ()
    dead = status in REFUSED and error in DEAD
    told = Receipt(
        kind=ReceiptKind.BOUNCED if dead else _KINDS[status],
        key=f"{sid}:{status}",
        message_id=message_id,
        provider_message_id=sid,
        code=f"twilio_{error}" if error else "",
        detail={"status": status, **({"error_code": error} if error else {})},
    )
    if not error or meaning(error, 400) is not Meaning.OPTED_OUT:
        return (told,)
    left = Receipt(
        kind=ReceiptKind.UNSUBSCRIBED,
        key=f"{sid}:{status}:opted_out",
        message_id=message_id,
        provider_message_id=sid,
        code=BLOCKED,
    )
    return told, left


def _our_id(callback: Callback) -> UUID | None:
    """Our id of the message, which the URL that we gave to Twilio carries."""
    try:
        return UUID(parse_qs(urlsplit(callback.url).query).get("message_id", [""])[0])
    except ValueError:
        return None
