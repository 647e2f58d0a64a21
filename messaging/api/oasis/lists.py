"""Messages in the orders that callers may ask for."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from messaging.api.oasis.vocabulary import STATUS_IN
from messaging.dispatch import selectors
from messaging.dispatch.selectors import MessageFilter, Sort
from messaging.models import Message


def messages(
    *, workspace_id: UUID, where: MessageFilter, sort: Sort | None, ascending: bool, offset: int, limit: int
) -> list[Message]:
    """A stretch of a workspace's messages; without a column to go by, in the order of their words.

    Raises:
        QueryTimeout: see `selectors.messages`.
    """
    if sort is None:
        return _by_word(workspace_id, where, ascending=ascending, offset=offset, limit=limit)
    return selectors.messages(
        workspace_id=workspace_id, where=where, sort=sort, ascending=ascending, offset=offset, limit=limit
    )


def _by_word(workspace_id: UUID, where: MessageFilter, *, ascending: bool, offset: int, limit: int) -> list[Message]:
    """Word after word, as the words are sorted, since one word stands for several states; within a word by time."""
    found: list[Message] = []
    for word in sorted(STATUS_IN, reverse=not ascending):
        standings = STATUS_IN[word] & (where.standings or STATUS_IN[word])
        if not standings:
            continue
        part = replace(where, standings=standings)
        found += (
            rows := selectors.messages(
                workspace_id=workspace_id, where=part, ascending=ascending, offset=offset, limit=limit - len(found)
            )
        )
        if len(found) == limit:
            break
        if rows:
            offset = 0
        elif offset:
            offset = max(0, offset - selectors.total(workspace_id=workspace_id, where=part, bound=offset).number)
    return found
