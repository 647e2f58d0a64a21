"""Direct messages between two avatars, both directions in one line, the oldest first."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from channels_app.types import Channel
from messaging.errors import NotFound
from messaging.inbox.feed import ARRIVED, addresses_of, stretch
from messaging.models import Contact, Message, User
from messaging.people.recipients import members_among
from messaging.state import Status

SHOWN_TO_WRITER = (*ARRIVED, Status.QUEUED, Status.SENDING, Status.FAILED, Status.BOUNCED)
"""A writer also sees what is on its way and what did not arrive; what is scheduled or cancelled was not said."""


def messages(
    *,
    workspace_id: UUID,
    avatar_id: UUID,
    other_id: UUID,
    ascending: bool,
    beyond: UUID | None,
    limit: int,
    offset: int = 0,
    test: bool = False,
) -> list[Message]:
    """A stretch of what two avatars wrote to each other; what one wrote to oneself is there once.

    Raises:
        NotFound: the workspace has no such other avatar, and never had.
    """
    writers = avatars(avatar_ids={avatar_id, other_id})
    branches = []
    for writer, reader, statuses in ((avatar_id, other_id, SHOWN_TO_WRITER), (other_id, avatar_id, ARRIVED)):
        if writer in writers:
            addresses = addresses_of(workspace_id=workspace_id, avatar_id=reader)
            branches += [
                _way(workspace_id, writers[writer], address, statuses).filter(test=test) for address in addresses
            ]
    found = stretch(branches, ascending=ascending, beyond=beyond, limit=limit, offset=offset)
    if not found and beyond is None and not offset and not _is_known(workspace_id, other_id):
        raise NotFound("There is no such avatar in the workspace.", code="avatar_not_found")
    return found


def avatars(*, avatar_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Avatar → user."""
    return dict(User.objects.filter(avatar_id__in=avatar_ids).values_list("avatar_id", "id"))


def avatars_of(author_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """User → avatar."""
    return dict(User.objects.filter(id__in=author_ids).values_list("id", "avatar_id"))


def _is_known(workspace_id: UUID, avatar_id: UUID) -> bool:
    if members_among(workspace_id=workspace_id, avatars=[avatar_id]):
        return True
    return Contact.objects.filter(workspace_id=workspace_id, avatar_id=avatar_id).exists()


def _way(workspace_id: UUID, author_id: UUID, address: str, statuses: Collection[Status]) -> QuerySet[Message]:
    return Message.objects.filter(
        workspace_id=workspace_id,
        author_id=author_id,
        recipient=address,
        channel=Channel.DIRECT.value,
        status__in=[status.value for status in statuses],
    )
