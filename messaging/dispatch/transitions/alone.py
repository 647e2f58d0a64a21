"""Writes one message with all that belongs to it, in one statement that commits by itself.

Most accepts are of one message that nothing stands in the way of. They need no transaction of many statements: what
the message says, the message and its event are written where nobody refuses it, and else nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from channels_app.types import Channel
from messaging.dispatch import tally
from messaging.dispatch.transitions.begin import NewMessage, values
from messaging.models.statements import prepared
from messaging.people import refusals
from messaging.state import Cause

_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("id", "workspace_id", "content_id", "batch_id", "author_id", "contact_id"), "uuid"),
    **dict.fromkeys(("template_id", "campaign_id"), "uuid"),
    **dict.fromkeys(("priority", "max_attempts"), "smallint"),
    **dict.fromkeys(("data", "metadata"), "jsonb"),
    **dict.fromkeys(("scheduled_at", "expires_at"), "timestamptz"),
    "test": "boolean",
    "sealed": "bytea",
}
"""Types of columns that are no text."""
_OWN: Final = (
    *("id", "workspace_id", "content_id", "batch_id", "author_id", "contact_id", "template_id", "campaign_id"),
    *("channel", "priority", "recipient", "name", "subject", "data", "metadata", "category", "action_type"),
    *("language", "test", "on_unknown", "max_attempts", "scheduled_at", "expires_at", "sealed", "status"),
)
# A workspace that encrypts everything or has a quota is one that something stands in the way of.
_ALONE: Final = """
WITH r AS (
    SELECT %(contact_id)s::uuid AS contact_id, %(workspace_id)s::uuid AS workspace_id,
           %(recipient)s::text AS recipient, %(category)s::text AS category
), free AS MATERIALIZED (
    SELECT FROM messaging_workspace w, r
     WHERE w.id = r.workspace_id AND w.daily_quota IS NULL AND (%(sealed)s::bytea IS NOT NULL OR NOT w.encrypted)
       AND NOT EXISTS (SELECT FROM {probe})
), {beside}, m AS (
    INSERT INTO messaging_message ({own}, created_at, queued_at, next_attempt_at, awaited_until)
    SELECT {values}, now(), CASE WHEN %(scheduled_at)s::timestamptz IS NULL THEN now() END,
           COALESCE(%(scheduled_at)s::timestamptz, now()), now() + %(awaited_for)s::float8 * interval '1 second'
      FROM free
    RETURNING {columns}
), e AS (
    INSERT INTO messaging_messageevent (id, message_id, workspace_id, type, status, at, cause, tally)
    SELECT %(event)s::uuid, id, workspace_id, lower(status), status, now(), %(cause)s::text, {tally} FROM m
)
SELECT * FROM m
"""


def begin_alone(
    message: NewMessage, *, cause: Cause, columns: Sequence[str], beside: str, parameters: Mapping[str, Any]
) -> tuple[Any, ...] | None:
    """Write a message and its first event, and give the columns that are wanted; None where nothing was written.

    Nothing is where the recipient must not be written to, or the workspace has a quota, or encrypts everything and
    this is plain. `beside` is a part of the statement that writes from `free` what the message says.
    """
    statement = _statement(message.common.channel, tuple(columns), beside)
    with prepared(statement, {**_plain(values(message, cause=cause)), **parameters}) as cursor:
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


@cache
def _statement(channel: str, columns: tuple[str, ...], beside: str) -> str:
    return _ALONE.format(
        probe=refusals.probe(Channel(channel)),
        beside=beside,
        own=", ".join(_OWN),
        values=", ".join(f"%({name})s::{_TYPES.get(name, 'text')}" for name in _OWN),
        columns=", ".join(columns),
        tally=tally.ACCEPTED,
    )


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with what may be missing as text: a statement is prepared anew for other types of its parameters."""
    return {
        name: str(value) if _TYPES.get(name) in {"uuid", "timestamptz"} and value is not None else value
        for name, value in parameters.items()
    }
