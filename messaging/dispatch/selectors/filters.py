"""Which messages of a workspace are wanted, and in what order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from channels_app.types import Channel
from messaging.state import Standing, Status


class Sort(StrEnum):
    """What a list goes by. Rows that are equal in it go by their keys; those without a value stand last."""

    CREATED = "created"
    """By key, which is the order of time."""
    SENT = "sent"
    MODIFIED = "modified"
    SCHEDULED = "scheduled"
    RECIPIENT = "recipient"


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """Somebody who sees what they sent and what was sent to them, and nothing else of the workspace.

    A direct message that is scheduled, or was cancelled, was not said: its recipient does not see it.
    """

    user_id: UUID | None
    """Whose messages count as sent by them."""
    addresses: frozenset[str]
    """Recipients that mean them; an id of a contact stands for what went to that contact by any channel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageFilter:
    """Which messages of a workspace are wanted; what is left out narrows nothing. Deleted ones are never given."""

    statuses: frozenset[Status] = frozenset()
    standings: frozenset[Standing] = frozenset()
    """The same for those who tell what was tried before: QUEUED is without an attempt here, RETRYING with one."""
    channels: frozenset[Channel] = frozenset()
    to: str | None = None
    """A recipient's address, in any spelling that means it."""
    who: str | None = None
    """A recipient by whatever names it, in either case: a contact's id, external id or avatar's id, an address, a push
    subscription's endpoint or id."""
    contact: str | None = None
    """A contact, by any of its ids."""
    party: Party | None = None
    prefix: str | None = None
    """How a recipient begins, or the name or key of a message's template, in either case."""
    template: str | None = None
    """A template's key, or the id of one in one language."""
    campaign_id: UUID | None = None
    batch_id: UUID | None = None
    ids: frozenset[UUID] | None = None
    language: str | None = None
    """A language with its regional forms: `pt` is `pt-BR`, too."""
    other_languages: frozenset[str] = frozenset()
    """Languages that are not wanted, in none of their forms."""
    action_type: str | None = None
    other_action_types: frozenset[str] = frozenset()
    """Kinds of action that are not wanted."""
    error_code: str | None = None
    test: bool | None = None
    created_after: datetime | None = None
    """The first moment that is wanted."""
    created_before: datetime | None = None
    """The first moment that is not wanted any more."""
    q: str | None = None
    """A message's id, its recipient or the provider's id for it, exactly."""

    def stages(self) -> list[tuple[Status, bool | None]] | None:
        """The statuses that are wanted, each with whether it was tried before where that counts; None for all."""
        if not self.statuses and not self.standings:
            return None
        return list(self._stages())

    def _stages(self) -> Iterator[tuple[Status, bool | None]]:
        for status in sorted(self.statuses or Status):
            if not self.standings:
                yield status, None
            elif status is not Status.QUEUED:
                if Standing(status.value) in self.standings:
                    yield status, None
            elif (wanted := {Standing.QUEUED, Standing.RETRYING} & self.standings) and len(wanted) == 1:
                yield status, Standing.RETRYING in wanted
            elif wanted:
                yield status, None


ALL = MessageFilter()
