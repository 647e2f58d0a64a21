"""What an SMTP server's refusals mean for messages."""

from __future__ import annotations

from typing import Final

from channels_app.adapters.smtp_wire import Lost, Reply
from channels_app.types import NotConfigured, Outcome, Permanent, Throttled, Transient

BUSY_WAIT: Final = 10.0
"""Seconds to wait when the server turns us away before a message was begun."""
SERVICE_CLOSING: Final = 421

_AUTH_NEEDED: Final = 530


class Refused(Exception):
    """The server lets us in no further; `outcome` tells what that means for the message in hand."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


class Gone(Exception):
    """The server had left, or leaves, before it answered MAIL: nothing was begun."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


def turned_away(reply: Reply) -> Outcome:
    """Tell what it means that the server lets nobody in just now: no message was begun."""
    if reply.code == SERVICE_CLOSING:
        return Throttled(wait=BUSY_WAIT, code="smtp_421", detail=str(reply))
    return Transient(code=f"smtp_{reply.code}", detail=str(reply))


def refusal(reply: Reply) -> Outcome:
    """Tell what a refusal within a transaction means for the message.

    Raises:
        Refused: it means the same for every message.
        Lost: it is no refusal at all.
    """
    if reply.code == _AUTH_NEEDED:
        raise Refused(NotConfigured(code="auth_needed", detail=str(reply)))
    if 400 <= reply.code < 500:
        return Transient(code=f"smtp_{reply.code}", detail=str(reply))
    if reply.code >= 500:
        return Permanent(code=f"smtp_{reply.code}", detail=str(reply))
    raise Lost("protocol_error", f"the server answered {reply}")
