"""A session with an SMTP server: letters over one connection, each handed over while the next is announced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final
from uuid import UUID

from channels_app.adapters.mime import Composer, Letter
from channels_app.adapters.smtp_connection import START_MAIL, Connection, Relay
from channels_app.adapters.smtp_outcomes import BUSY_WAIT, Gone, Refused, refusal
from channels_app.adapters.smtp_wire import Lost
from channels_app.errors import ChannelError
from channels_app.spread import Lane
from channels_app.types import Accepted, Ambiguous, OutboundMessage, Outcome, Permanent, Throttled, Transient

PATIENCE: Final = 2
"""Messages in a row that may time out before the rest of a batch is given back."""

PREPARED_IN: Final = 5.0
"""Seconds for a connection beside the first: whoever takes longer shall not have another."""

_NOT_BEGUN: Final = Throttled(wait=0.0, code="not_begun")


class _Pile:
    """What is left of a batch, each message made into a letter when it is first looked at."""

    def __init__(self, batch: Iterator[OutboundMessage], composer: Composer) -> None:
        self._batch = batch
        self._composer = composer
        self._top: tuple[UUID, Letter | Permanent] | None = None
        self.goes_well = False
        """Whether the last message was taken. Else the next one is not drawn before its turn: what became of the last
        may decide who gets it, and the first of a batch may be there to try the server out."""

    def take(self) -> tuple[UUID, Letter | Permanent] | None:
        """Give the next message; None at the end."""
        top, self._top = self._top or self._draw(), None
        return top

    def look(self) -> Letter | None:
        """Give the letter that comes next, and leave it there; None where there is none, or it is not to be seen."""
        if self._top is None and self.goes_well:
            self._top = self._draw()
        letter = self._top[1] if self._top is not None else None
        return letter if isinstance(letter, Letter) else None

    def _draw(self) -> tuple[UUID, Letter | Permanent] | None:
        message = next(self._batch, None)
        if message is None:
            return None
        try:
            return message.id, self._composer.compose(message)
        except ChannelError as error:
            return message.id, Permanent(code=error.code, detail=str(error))


class SmtpSession(Lane):
    """One connection, made when a message first needs it, and made anew when it broke."""

    def __init__(self, relay: Relay, composer: Composer) -> None:
        self._relay = relay
        self._composer = composer
        self._connection: Connection | None = None

    def deliver(self, batch: Iterator[OutboundMessage], may_send: Callable[[], bool]) -> Iterator[tuple[UUID, Outcome]]:
        """Send one message after the other; when the server is out of reach, give the rest back unbegun."""
        pile = _Pile(batch, self._composer)
        rest: Outcome | None = None
        troubles = 0
        try:
            while (top := pile.take()) is not None:
                key, letter = top
                if rest is not None:
                    yield key, rest
                    continue
                try:
                    outcome = self._send(letter, pile, may_send) if isinstance(letter, Letter) else letter
                except Refused as refused:
                    outcome, rest = refused.outcome, _for_the_rest(refused.outcome)
                pile.goes_well = isinstance(outcome, Accepted)
                troubles = troubles + 1 if _is_trouble(outcome) else 0
                if troubles == PATIENCE:
                    rest = Throttled(wait=BUSY_WAIT, code="server_in_trouble", detail="the server stopped answering")
                yield key, outcome
        finally:
            if self._connection is not None and self._connection.is_ahead:
                # What was announced is not handed over any more.
                self._drop()

    def prepare(self) -> bool:
        if self._connection is not None and self._connection.is_usable():
            return True
        self._drop()
        try:
            self._connect(time.monotonic() + min(self._relay.deadline, PREPARED_IN))
        except Refused:
            return False
        return True

    def close(self) -> None:
        """Take leave of the server."""
        if self._connection is not None:
            self._connection.quit()
            self._connection = None

    def _send(self, letter: Letter, pile: _Pile, may_send: Callable[[], bool]) -> Outcome:
        deadline = time.monotonic() + self._relay.deadline
        if self._connection is not None and self._connection.is_usable(letter):
            try:
                return self._transact(self._connection, letter, pile, deadline, may_send)
            except Gone:
                # Servers may close a connection that lies open; a new one costs the message no attempt.
                pass
        self._drop()
        connection = self._connect(deadline)
        try:
            return self._transact(connection, letter, pile, deadline, may_send)
        except Gone as gone:
            self._drop()
            if isinstance(gone.outcome, Throttled):
                raise Refused(gone.outcome) from gone
            return gone.outcome

    def _transact(
        self, connection: Connection, letter: Letter, pile: _Pile, deadline: float, may_send: Callable[[], bool]
    ) -> Outcome:
        unfit = None if connection.is_ahead else _unfit(connection, letter)
        if unfit is not None:
            return unfit
        try:
            reply, refused = connection.announce(letter, deadline)
            if reply.code != START_MAIL:
                return refusal(reply)
            following = pile.look()
            if following is not None and _unfit(connection, following) is not None:
                following = None
            if not may_send():
                # What was announced comes to nothing where no letter follows.
                self._drop()
                raise Refused(_NOT_BEGUN)
            connection.hand_over(letter, following)
        except Lost as lost:
            self._drop()
            return Transient(code=lost.code, detail=lost.detail)
        try:
            reply = connection.reply()
            if not reply.ok:
                return refusal(reply)
        except Lost as lost:
            # The final dot has left: the server may have taken the message.
            self._drop()
            return Ambiguous(detail=f"{lost.code} {lost.detail}".rstrip())
        detail = {"reply": str(reply), "refused": refused} if refused else {"reply": str(reply)}
        return Accepted(provider_message_id=letter.message_id, detail=detail)

    def _connect(self, deadline: float) -> Connection:
        try:
            self._connection = Connection(self._relay, deadline)
        except Lost as lost:
            raise Refused(Transient(code=lost.code, detail=lost.detail)) from lost
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.hang_up()
            self._connection = None


def _unfit(connection: Connection, letter: Letter) -> Outcome | None:
    """Tell why this server cannot carry the letter, if it cannot."""
    if letter.internationalised and not connection.offers("SMTPUTF8"):
        return Permanent(code="smtputf8_required", detail="the server takes no addresses beyond ASCII")
    limit = connection.size_limit()
    if limit and letter.size > limit:
        return Permanent(code="message_too_large", detail=f"{letter.size} bytes; the server takes {limit}")
    return None


def _for_the_rest(outcome: Outcome) -> Outcome:
    """Tell what the server's turning away means for messages that were never begun: they wait, at no cost."""
    if isinstance(outcome, Transient):
        return Throttled(wait=BUSY_WAIT, code=outcome.code, detail=outcome.detail)
    return outcome


def _is_trouble(outcome: Outcome) -> bool:
    return isinstance(outcome, Ambiguous) or (isinstance(outcome, Transient) and outcome.code == "timeout")
