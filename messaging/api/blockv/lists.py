"""What the lists of this surface are to the domain: filters, orders, and the rows from a place on."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from msgspec import UNSET

from messaging.api.blockv import ids
from messaging.api.blockv.queries import MessageQuery, MessageSort, TemplateQuery, TemplateSort
from messaging.api.blockv.tokens import Listing
from messaging.api.blockv.vocabulary import (
    CHANNEL_IN,
    CHANNELS,
    NAMED_ACTIONS,
    NAMED_LANGUAGES,
    OTHER_ACTION,
    OTHER_LANGUAGE,
    STATUS_IN,
)
from messaging.api.common import queries
from messaging.content import catalogue
from messaging.content.catalogue import CatalogueFilter, Stand
from messaging.content.templates import Edition
from messaging.dispatch import selectors
from messaging.dispatch.selectors import MessageFilter, Place, Sort
from messaging.models import Message

SORTS: dict[MessageSort, Sort] = {
    "when_created": Sort.CREATED,
    "when_modified": Sort.MODIFIED,
    "scheduled_at": Sort.SCHEDULED,
    "to": Sort.RECIPIENT,
}
"""Every order of messages but that of the words for a status."""
TEMPLATE_SORTS: dict[TemplateSort, catalogue.Sort] = {
    "when_created": catalogue.Sort.CREATED,
    "when_modified": catalogue.Sort.MODIFIED,
    "name": catalogue.Sort.NAME,
    "system": catalogue.Sort.CHANNEL,
}


def messages(workspace_id: UUID, listing: Listing[MessageQuery], *, test: bool) -> list[tuple[Message, Place]]:
    """The messages of a page and one more, each with its place; those in test mode, or the others."""
    query = listing.query
    where = replace(message_filter(query), test=test)
    if query.sort_by == "status":
        return _by_status(workspace_id, where, listing)
    sort = SORTS[query.sort_by]
    rows = selectors.messages(
        workspace_id=workspace_id,
        where=where,
        sort=sort,
        ascending=query.ascending,
        after=listing.place,
        limit=query.limit + 1,
    )
    return [(row, selectors.place_of(row, sort)) for row in rows]


def _by_status(workspace_id: UUID, where: MessageFilter, listing: Listing[MessageQuery]) -> list[tuple[Message, Place]]:
    """Word after word, as the words are sorted, since one word stands for several states; within a word by time."""
    query, place = listing.query, listing.place
    words = sorted(STATUS_IN if query.status is UNSET else [query.status], reverse=not query.ascending)
    if place is not None:
        words = words[words.index(place.value) :] if place.value in words else []
    found: list[tuple[Message, Place]] = []
    for word in words:
        rows = selectors.messages(
            workspace_id=workspace_id,
            where=replace(where, standings=STATUS_IN[word]),
            ascending=query.ascending,
            beyond=place.id if place is not None and place.value == word else None,
            limit=query.limit + 1 - len(found),
        )
        found += [(row, Place(value=word, id=row.id)) for row in rows]
        if len(found) > query.limit:
            break
    return found


def message_filter(query: MessageQuery) -> MessageFilter:
    """Which messages are wanted."""
    window = query.window()
    return MessageFilter(
        standings=frozenset() if query.status is UNSET else STATUS_IN[query.status],
        channels=CHANNELS if query.system is UNSET else frozenset({CHANNEL_IN[query.system]}),
        who=queries.address(query.to) or None,
        prefix=queries.address(query.autocomplete) or None,
        template=_name(query.template_id),
        ids=_ids(query.id),
        language=query.language if query.language in NAMED_LANGUAGES else None,
        other_languages=NAMED_LANGUAGES if query.language == OTHER_LANGUAGE else frozenset(),
        action_type=query.action_type if query.action_type in NAMED_ACTIONS else None,
        other_action_types=NAMED_ACTIONS if query.action_type == OTHER_ACTION else frozenset(),
        created_after=window.start,
        created_before=window.end,
    )


def templates(workspace_id: UUID, listing: Listing[TemplateQuery]) -> list[tuple[Edition, Place]]:
    """The templates of a page and one more, each with its place."""
    query, place = listing.query, listing.place
    sort = TEMPLATE_SORTS[query.sort_by]
    rows = catalogue.listed(
        workspace_id=workspace_id,
        where=template_filter(query),
        sort=sort,
        ascending=query.ascending,
        after=Stand(value=place.value, id=place.id) if place else None,
        limit=query.limit + 1,
    )
    stands = [(row, catalogue.stand_of(row, sort)) for row in rows]
    return [(row, Place(value=stand.value, id=stand.id)) for row, stand in stands]


def template_filter(query: TemplateQuery) -> CatalogueFilter:
    """Which templates are wanted."""
    window = query.window()
    return CatalogueFilter(
        channels=CHANNELS if query.system is UNSET else frozenset({CHANNEL_IN[query.system]}),
        q=query.autocomplete or None,
        ids=_ids(query.id),
        root=query.language if query.language in NAMED_LANGUAGES else None,
        other_roots=NAMED_LANGUAGES if query.language == OTHER_LANGUAGE else frozenset(),
        action_type=query.type if query.type in NAMED_ACTIONS else None,
        other_action_types=NAMED_ACTIONS if query.type == OTHER_ACTION else frozenset(),
        created_after=window.start,
        created_before=window.end,
    )


def _ids(text: str) -> frozenset[UUID] | None:
    """The id that is asked for; what is no id of ours is nobody's."""
    key = ids.as_key(text)
    return frozenset({key} if key else ()) if text else None


def _name(text: str) -> str | None:
    """A template's name to the domain: its id in the plain spelling, or its key."""
    key = ids.as_key(text)
    return str(key) if key else text or None
