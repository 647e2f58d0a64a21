"""Reads messages, always of one workspace, and never those that it deleted."""

from messaging.dispatch.selectors.batches import BatchProgress, batch
from messaging.dispatch.selectors.contents import NOTHING, Rendered, fill, rendered, rendered_many
from messaging.dispatch.selectors.filters import ALL, MessageFilter, Party, Sort
from messaging.dispatch.selectors.lists import Place, messages, place_of
from messaging.dispatch.selectors.rows import ALL_COLUMNS, due_at, events, message, modified_at, opened, standing_of
from messaging.dispatch.selectors.totals import BOUND, Total, total

__all__ = [
    "ALL",
    "ALL_COLUMNS",
    "BOUND",
    "NOTHING",
    "BatchProgress",
    "MessageFilter",
    "Party",
    "Place",
    "Rendered",
    "Sort",
    "Total",
    "batch",
    "due_at",
    "events",
    "fill",
    "message",
    "messages",
    "modified_at",
    "opened",
    "place_of",
    "rendered",
    "rendered_many",
    "standing_of",
    "total",
]
