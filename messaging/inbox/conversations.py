"""Direct messages between two avatars, both directions in one line, the oldest first."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from channels_app.types import Channel
from messaging.inbox.feed import ARRIVED, addresses_of
from messaging.models import Message, User
from messaging.state import WAITING


def messages(
    *,
    workspace_id: UUID,
    avatar_id: UUID,
    other_id: UUID,
    ascending: bool,
    beyond: UUID | None,
    limit: int,
    offset: int = 0,
) -> list[Message]:
    """A stretch of what two avatars wrote to each other. One's own messages are there while they wait, too."""
    writers = {avatar: user for user, avatar in _users([avatar_id, other_id])}
    ways = {(avatar_id, other_id): [*ARRIVED, *WAITING], (other_id, avatar_id): [*ARRIVED]}
    order = "id" if ascending else "-id"
    ids: set[UUID] = set()
    for (writer, reader), statuses in ways.items():
        if writer not in writers:
            continue
        way = _way(workspace_id, writers[writer], reader).filter(status__in=statuses)
        if beyond is not None:
            way = way.filter(id__gt=beyond) if ascending else way.filter(id__lt=beyond)
        ids.update(way.order_by(order).values_list("id", flat=True)[: offset + limit])
    wanted = sorted(ids, reverse=not ascending)[offset : offset + limit]
    rows = {row.id: row for row in Message.objects.filter(id__in=wanted)}
    return [rows[key] for key in wanted]


def avatars_of(author_ids: set[UUID]) -> dict[UUID, UUID]:
    """User → avatar."""
    return dict(User.objects.filter(id__in=author_ids).values_list("id", "avatar_id"))


def _users(avatars: list[UUID]) -> list[tuple[UUID, UUID]]:
    return list(User.objects.filter(avatar_id__in=avatars).values_list("id", "avatar_id"))


def _way(workspace_id: UUID, author_id: UUID, to_avatar: UUID) -> QuerySet[Message]:
    recipients = addresses_of(workspace_id=workspace_id, avatar_id=to_avatar)
    return Message.objects.filter(
        workspace_id=workspace_id,
        author_id=author_id,
        recipient__in=recipients,
        channel=Channel.DIRECT.value,
    )
