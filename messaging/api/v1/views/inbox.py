"""The caller's own feed, and conversations with other avatars. A key acts as the avatar of whoever made it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from messaging import models
from messaging.api.common import cursors
from messaging.api.common.cursors import Slice
from messaging.api.common.rendering import answer
from messaging.api.v1.envelope import Page, page
from messaging.api.v1.filters import InboxFilters, Listing, PageFilters
from messaging.api.v1.operations import View, operation
from messaging.api.v1.parameters import INBOX, PAGE
from messaging.api.v1.serializers import inbox as out
from messaging.inbox import conversations, feed
from messaging.inbox.feed import Reader
from messaging.tenancy.access import mode_seen

READ = "messages:read"


class InboxView(View):
    """A path of the caller's own feed."""

    @property
    def reader(self) -> Reader:
        caller = self.caller
        return Reader(workspace_id=caller.workspace_id, avatar_id=caller.avatar_id, test=mode_seen(caller))

    def paged(self, found: Slice[Any], listing: Listing) -> HttpResponse:
        shown = dict(zip((row.id for row in found.rows), out.items(found.rows), strict=True))
        return answer(page(self.request._request, found, lambda row: shown[row.id], query=listing.query))

    def marked(self, mark: Callable[..., models.Message], message_id: UUID) -> HttpResponse:
        return answer(out.items([mark(reader=self.reader, message_id=message_id)])[0])


class Inbox(InboxView):
    scopes = {"GET": READ}

    @operation("list_inbox", answers={200: Page[out.Item]}, parameters=INBOX, tag="inbox")
    def get(self, request: Request) -> HttpResponse:
        """List what was sent to the caller on-site or directly, the newest first."""
        listing = Listing(request._request, InboxFilters, workspace_id=self.caller.workspace_id)
        unread, archived = bool(listing.values["unread"]), bool(listing.values["archived"])

        def fetch(beyond: UUID | None, ascending: bool, limit: int) -> list[models.Message]:
            return feed.items(
                reader=self.reader, unread=unread, archived=archived, ascending=ascending, beyond=beyond, limit=limit
            )

        found = cursors.turn(fetch, cursor=listing.cursor, ascending=False, limit=listing.limit)
        return self.paged(found, listing)


class InboxCounts(InboxView):
    scopes = {"GET": READ}

    @operation("count_inbox", answers={200: out.Unread}, tag="inbox")
    def get(self, request: Request) -> HttpResponse:
        """Tell how much the caller has not seen and not read."""
        return answer(out.unread(feed.counts(reader=self.reader)))


class InboxSeen(InboxView):
    scopes = {"POST": READ}

    @operation("see_inbox_item", answers={200: out.Item}, tag="inbox")
    def post(self, request: Request, message_id: UUID) -> HttpResponse:
        """Note that an item was on the caller's screen."""
        return self.marked(feed.see, message_id)


class InboxRead(InboxView):
    scopes = {"POST": READ}

    @operation("read_inbox_item", answers={200: out.Item}, tag="inbox")
    def post(self, request: Request, message_id: UUID) -> HttpResponse:
        """Note that the caller read an item: its message is OPENED."""
        return self.marked(feed.read, message_id)


class InboxArchive(InboxView):
    scopes = {"POST": READ}

    @operation("archive_inbox_item", answers={200: out.Item}, tag="inbox")
    def post(self, request: Request, message_id: UUID) -> HttpResponse:
        """Put an item away."""
        return self.marked(feed.archive, message_id)


class Conversation(InboxView):
    scopes = {"GET": READ}

    @operation("get_conversation", answers={200: Page[out.Item]}, parameters=PAGE, tag="inbox")
    def get(self, request: Request, avatar_id: UUID) -> HttpResponse:
        """List what the caller and another avatar wrote to each other, the oldest first."""
        listing = Listing(request._request, PageFilters, workspace_id=self.caller.workspace_id)

        def fetch(beyond: UUID | None, ascending: bool, limit: int) -> list[models.Message]:
            return conversations.messages(
                workspace_id=self.caller.workspace_id,
                avatar_id=self.caller.avatar_id,
                other_id=avatar_id,
                ascending=ascending,
                beyond=beyond,
                limit=limit,
                test=mode_seen(self.caller),
            )

        found = cursors.turn(fetch, cursor=listing.cursor, ascending=True, limit=listing.limit)
        return self.paged(found, listing)
