"""Sends and tells of the outcome: accepts, waits for the first message where it may, and answers what the row says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from messaging.dispatch import selectors, transitions, wake
from messaging.dispatch.idempotency import Answer, Key, Pending
from messaging.dispatch.intake import Acceptance
from messaging.models import Message
from messaging.state import Status

_TO_ANSWER: Final = 3.0
"""Seconds beyond the wait after which a request that gave no answer counts as dead."""
_UNDECIDED: Final = frozenset({Status.QUEUED, Status.SENDING})

Accept = Callable[[bool], Acceptance | Sequence[UUID]]
"""Accepts messages, the first of them awaited or not, and gives their keys, or all that is known of one accept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What became of a send until now."""

    message: Message
    """The first message, as it stands."""
    ids: tuple[UUID, ...]
    """Every message, the first one first."""
    waited: bool
    """Whether its outcome was waited for."""
    accepted: Acceptance | None = None
    """How it was accepted, where nothing has become of it since."""


def send(
    *,
    workspace_id: UUID,
    key: Key | None,
    accept: Accept,
    show: Callable[[Sent], Answer],
    wait: bool = True,
    whole: bool = False,
) -> Answer:
    """Accept messages, wait for the outcome of the first, and answer; a repeat under the same key gets that answer.

    Where every place is taken, or the first message is not to be sent now, nobody waits. Nor does anybody inside of a
    transaction, which no worker sees the messages of. The answer tells what the row says after the wait, whatever that
    is: a row that says FAILED stays so, and one that says QUEUED is tried again as usual. What `accept` raises leaves
    nothing behind: it runs in a transaction, unless it is `whole` by itself and nothing is kept beside it.

    Raises:
        Invalid: the key is malformed.
        IdempotencyInFlight: the first request with this key has no answer yet.
        IdempotencyMismatch: the key was used for another request.
    """
    with wake.place() if wait and not connection.in_atomic_block else nullcontext(False) as awaited:
        with nullcontext() if whole and key is None else transaction.atomic():
            kept = key.find() if key else None
            if isinstance(kept, Answer):
                return kept
            if isinstance(kept, Pending) and key:
                return key.settle(kept, show(_standing(workspace_id, kept.ids, waited=True)))
            accepted = accept(awaited)
            ids = tuple(accepted.ids if isinstance(accepted, Acceptance) else accepted)
            if not (awaited and _awaits(accepted, ids)):
                answer = show(_begun(workspace_id, accepted, ids))
                if key:
                    key.keep(answer)
                return answer
            pending = key.hold(ids, seconds=settings.SYNC_WAIT_SECONDS + _TO_ANSWER) if key else None
        sent = _outcome(workspace_id, ids)
    answer = show(sent)
    return key.settle(pending, answer) if key and pending else answer


def _awaits(accepted: Acceptance | Sequence[UUID], ids: tuple[UUID, ...]) -> bool:
    """Whether there is an outcome to wait for: the first message was not ended by its accept, nor scheduled."""
    if isinstance(accepted, Acceptance) and accepted.message is not None:
        return accepted.message.awaited_until is not None
    return transitions.awaits(ids[0])


def _begun(workspace_id: UUID, accepted: Acceptance | Sequence[UUID], ids: tuple[UUID, ...]) -> Sent:
    """A send right after its accept."""
    if isinstance(accepted, Acceptance) and accepted.message is not None:
        return Sent(message=accepted.message, ids=ids, waited=False, accepted=accepted)
    return _standing(workspace_id, ids, waited=False)


def _outcome(workspace_id: UUID, ids: tuple[UUID, ...]) -> Sent:
    """Wait for the first message's outcome, holding no connection to the database meanwhile."""
    connection.close()
    if wake.wait(ids[0]):
        sent = _standing(workspace_id, ids, waited=True)
        if sent.message.status not in _UNDECIDED:
            return sent
    transitions.give_up(ids[0])
    return _standing(workspace_id, ids, waited=True)


def _standing(workspace_id: UUID, ids: tuple[UUID, ...], *, waited: bool) -> Sent:
    # Somebody may delete a message meanwhile that is being sent: whoever sent it still hears what became of it.
    message = selectors.message(workspace_id=workspace_id, message_id=ids[0], deleted=True)
    return Sent(message=message, ids=ids, waited=waited)
