"""What Twilio's error codes mean for a message: data, since codes are added and moved.

A code that is not here counts by the HTTP status that came with it.
https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class Meaning(Enum):
    """What follows from a refusal."""

    PERMANENT = auto()
    TRANSIENT = auto()
    THROTTLED = auto()
    OPTED_OUT = auto()
    """The recipient told Twilio that nothing more is wanted."""
    CONFIGURATION = auto()
    """The account, its credentials or its sender is at fault: no message would go out."""


_P, _T, _W, _O, _C = (
    Meaning.PERMANENT, Meaning.TRANSIENT, Meaning.THROTTLED, Meaning.OPTED_OUT, Meaning.CONFIGURATION,
)  # fmt: skip

MEANINGS: Final[Mapping[int, Meaning]] = {
    14107: _W,  # message rate of the sender exceeded
    20003: _C,  # credentials refused
    20404: _C,  # no such account
    20429: _W,  # too many requests
    21211: _P,  # not a phone number
    21212: _P,  # not a sender
    21214: _P,  # cannot be reached
    21217: _P,  # looks like no phone number
    21219: _P,  # not verified for a trial account
    21401: _P,  # not a phone number
    21408: _P,  # region not enabled
    21601: _P,  # the sender cannot send text messages
    21602: _P,  # no body
    21603: _C,  # no sender
    21604: _P,  # no recipient
    21606: _P,  # not a sender of this account
    21610: _O,
    21611: _T,  # the sender's queue is full
    21612: _P,  # no route from this sender
    21614: _P,  # a land line
    21617: _P,  # too long
    21619: _P,  # nothing to say
    21620: _P,  # a media URL that is none
    21623: _P,  # too many media files
    21635: _P,  # a land line
    21655: _P,  # no such content template
    21656: _P,  # variables that the template does not take
    21659: _P,  # not a sender of Twilio's
    21660: _P,  # not a sender of this account
    21661: _P,  # the sender cannot send text messages
    21703: _C,  # the messaging service has no senders
    21705: _C,  # no such messaging service
    30001: _T,  # queue overflow
    30002: _C,  # account suspended
    30003: _T,  # handset unreachable
    30004: _P,  # blocked
    30005: _P,  # unknown handset
    30006: _P,  # land line, or a carrier that is not reached
    30007: _P,  # filtered
    30008: _T,  # unknown error
    30017: _T,  # carrier congested
    30022: _W,  # rate of the campaign's registration exceeded
    63003: _P,  # no such address on the channel
    63005: _P,  # refused by the channel
    63007: _C,  # no such sender on the channel
    63013: _P,  # against the channel's policy
    63016: _P,  # outside the window: needs a template
    63018: _W,  # rate of the channel exceeded
    63021: _P,  # content that the channel does not take
    63024: _P,  # not a recipient of the channel
    63027: _P,  # no such template in this language
    63028: _P,  # variables that the template does not take
    63032: _P,  # held back by the channel's own experiments
}

BLOCKED: Final = "blocked"
"""Code of a report that the sender was blocked: a STOP keeps out all of its messages, of any category."""
DEAD: Final = frozenset({21211, 21214, 21217, 21614, 21635, 30005, 30006})
"""Codes that say that nobody will ever be reached at the address."""


def meaning(code: int | None, status: int) -> Meaning:
    """Tell what a refusal means, by its code, else by its HTTP status."""
    known = MEANINGS.get(code or 0)
    if known is not None:
        return known
    if status == 429:
        return Meaning.THROTTLED
    if status in {401, 403, 404} or status < 400:
        # Twilio gives a code to everything that it refuses: without one something else answered.
        return Meaning.CONFIGURATION
    return Meaning.TRANSIENT if status >= 500 or status == 408 else Meaning.PERMANENT
