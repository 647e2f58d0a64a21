"""Messages that arrived, for tests of feeds and conversations."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from channels_app.types import Channel
from messaging.dispatch import claims, intake, transitions
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.models import User, Workspace
from messaging.state import Cause, Priority, Status
from tests.factories import draft


def send(workspace: Workspace, *, author: User | None = None, test: bool = False, **fields: Any) -> UUID:
    """Accept one message by a channel inside, on-site unless another is named; give its key."""
    own = {name: fields.pop(name) for name in ("to", "contact_id", "avatar_id") if name in fields}
    named = {"channel": Channel.ONSITE, "subject": "", **fields}
    accepted = intake.accept(
        workspace_id=workspace.id,
        author_id=author.id if author else None,
        test=test,
        draft=draft(**named),
        recipients=[intake.Recipient(**own)],
        batch=False,
    )
    return accepted.ids[0]


def arrive(*channels: Channel, delivered: bool = True) -> None:
    """Let everything that waits on these channels be sent, and arrive."""
    for channel in channels or (Channel.ONSITE, Channel.DIRECT):
        while taken := claims.take(Lane(channel, Priority.NORMAL), limit=1000, group=1000):
            lease, rows = taken
            sent = [Move(id=row.id, to=Status.SENT, provider="test") for row in rows]
            transitions.flush_many(sent, claim_id=lease.claim_id, mark=len(rows))
            claims.end(lease.claim_id)
            if delivered:
                transitions.advance_many([Move(id=row.id, to=Status.DELIVERED) for row in rows], cause=Cause.RECEIPT)


def said(workspace: Workspace, **fields: Any) -> UUID:
    """A message that has arrived."""
    key = send(workspace, **fields)
    arrive()
    return key
