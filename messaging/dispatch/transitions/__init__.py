"""The only writer of a message's status: guarded, set-wise changes, each with its event in the same statement.

A move that the state table does not allow, or whose claim is not held any more, changes nothing; the caller learns
which messages moved. Times come from the database's clock. Whoever may meet another writer locks the rows first,
in key order, so that an event is stamped after the change that it follows.
"""

from messaging.dispatch.transitions.alone import begin_alone
from messaging.dispatch.transitions.amend import Amendment, amend, hide_many
from messaging.dispatch.transitions.begin import Common, NewMessage, begin_many
from messaging.dispatch.transitions.claim import Claimed, claim_many, decoded
from messaging.dispatch.transitions.move import (
    FAR,
    HELD,
    Move,
    advance_many,
    flush_many,
    lock,
    mark_handed_over,
    retry_many,
    return_many,
    suppression,
)
from messaging.dispatch.transitions.waiting import awaits, give_up, postpone

__all__ = [
    "FAR",
    "HELD",
    "Amendment",
    "Claimed",
    "Common",
    "Move",
    "NewMessage",
    "advance_many",
    "amend",
    "awaits",
    "begin_alone",
    "begin_many",
    "claim_many",
    "decoded",
    "flush_many",
    "give_up",
    "hide_many",
    "lock",
    "mark_handed_over",
    "postpone",
    "retry_many",
    "return_many",
    "suppression",
]
