"""Lists of messages, in any order, from any place.

Ids are found first, by indexes that have the filter before the key, and rows are read after, so that an offset or a
rare filter never drags wide rows along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.utils import timezone

from messaging.dispatch.selectors.conditions import FOLD, FOLDED, Condition, ordered, whole
from messaging.dispatch.selectors.filters import ALL, MessageFilter, Sort
from messaging.dispatch.selectors.rows import LISTED, MOMENTS, bounded, modified_at, read
from messaging.models import Message
from messaging.models.keys import key_time, lowest_key


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a row stands in an order: its value there, as text, and its id."""

    value: str | None
    id: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class _Order:
    """A column to go by, beside the key."""

    sql: str
    given: str = "%s::timestamptz"
    """A place's value, as it is compared."""
    optional: bool = False
    """Whether rows may be without a value."""
    indexed: bool = False
    """Whether an index has the workspace, this and the key."""


_NEAR: Final = 1_000
"""The largest offset for which the months nearby are looked through first."""
_LAST_DAY: Final = datetime(9999, 12, 31, tzinfo=UTC)

_ORDERS: Final[Mapping[Sort, _Order]] = {
    Sort.SENT: _Order(sql="sent_at", optional=True),
    Sort.MODIFIED: _Order(sql=f"GREATEST({', '.join(MOMENTS)})"),
    Sort.SCHEDULED: _Order(sql="scheduled_at", optional=True),
    Sort.RECIPIENT: _Order(sql=FOLDED, given=FOLD, indexed=True),
}
"""Every order but that of the keys."""


def messages(
    *,
    workspace_id: UUID,
    where: MessageFilter = ALL,
    sort: Sort = Sort.CREATED,
    ascending: bool = False,
    beyond: UUID | None = None,
    after: Place | None = None,
    offset: int = 0,
    limit: int,
) -> list[Message]:
    """A stretch of a workspace's messages, newest first, without their data.

    `after` starts behind a place in the order, and `beyond` behind a key in the order of keys; `offset` skips so many.

    Raises:
        QueryTimeout: a filter or an order without an index took too long (as the database's error 57014).
    """
    if beyond is not None:
        after = Place(value=None, id=beyond)
    order = _ORDERS.get(sort)
    found = ordered(workspace_id, where) if order is None else whole(workspace_id, where)
    if not found:
        return []
    if after is not None:
        found = [branch & part for branch in found for part in _behind(order, after, ascending=ascending)]
    with bounded():
        ids: list[UUID] = []
        if order is None and offset <= _NEAR:
            near = _nearest(where, after, ascending=ascending)
            if near is not None:
                ids = _ids([branch & near for branch in found], order, ascending=ascending, offset=offset, limit=limit)
        if len(ids) < limit:
            ids = _ids(found, order, ascending=ascending, offset=offset, limit=limit)
        if not ids:
            return []
        # The bounds let the planner leave out partitions.
        rows = read(LISTED, "id = ANY(%s) AND id BETWEEN %s AND %s", [ids, min(ids), max(ids)])
    known = {row.id: row for row in rows}
    return [known[key] for key in ids if key in known]


def place_of(row: Message, sort: Sort) -> Place:
    """Where a row stands in an order."""
    value: datetime | str | None = None
    match sort:
        case Sort.CREATED:
            pass
        case Sort.SENT:
            value = row.sent_at
        case Sort.MODIFIED:
            value = modified_at(row)
        case Sort.SCHEDULED:
            value = row.scheduled_at
        case Sort.RECIPIENT:
            value = row.recipient
    return Place(value=value.isoformat() if isinstance(value, datetime) else value, id=row.id)


def _ids(found: list[Condition], order: _Order | None, *, ascending: bool, offset: int, limit: int) -> list[UUID]:
    way = "ASC" if ascending else "DESC"
    columns, by = "id", f"id {way}"
    if order is not None:
        columns = f"id, {order.sql} AS place"
        by = f"place {way}{' NULLS LAST' if order.optional else ''}, {by}"
    parts = [f"SELECT {columns} FROM messaging_message WHERE {branch.sql} ORDER BY {by}" for branch in found]
    parameters: list[Any] = [value for branch in found for value in branch.parameters]
    sql = parts[0]
    if len(parts) > 1:
        # Each branch is bounded: only then does the planner take it from an index in order, and merge.
        most = offset + limit
        sql = " UNION ALL ".join(f"({part} LIMIT {most})" for part in parts) + f" ORDER BY {by}"
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} LIMIT %s OFFSET %s", [*parameters, limit, offset])
        return [row[0] for row in cursor.fetchall()]


def _nearest(where: MessageFilter, after: Place | None, *, ascending: bool) -> Condition | None:
    """The months in which a stretch probably lies: to plan for two partitions takes a fraction of what all take."""
    if after is not None:
        at = datetime.fromtimestamp(min(key_time(after.id), _LAST_DAY.timestamp()), UTC)
    elif ascending:
        return None
    else:
        # A day more than enough for clocks that differ.
        now = timezone.now()
        at = min(where.created_before or now, now) + timedelta(days=1)
    low, high = (_month(at), _month(at, ahead=2)) if ascending else (_month(at, ahead=-1), _month(at, ahead=1))
    return Condition("id >= %s AND id < %s", (low, high))


def _month(at: datetime, *, ahead: int = 0) -> UUID:
    """The lowest key of a moment's month, or of one ahead or before."""
    year, month = divmod(at.year * 12 + at.month - 1 + ahead, 12)
    return lowest_key(datetime(min(max(year, 1970), 9999), month + 1, 1, tzinfo=UTC))


def _behind(order: _Order | None, after: Place, *, ascending: bool) -> list[Condition]:
    """What is met by the rows that stand behind a place, in parts of which no row meets two.

    Those that are equal to the place are a part of their own in an index: of both at once the planner would expect
    none, and sort them all.
    """
    than = ">" if ascending else "<"
    if order is None:
        return [Condition(f"id {than} %s", (after.id,))]
    if after.value is None:
        return [Condition(f"{order.sql} IS NULL AND id {than} %s", (after.id,))]
    if order.indexed:
        equal = Condition(f"{order.sql} = {order.given} AND id {than} %s", (after.value, after.id))
        return [equal, Condition(f"{order.sql} {than} {order.given}", (after.value,))]
    behind = f"({order.sql}, id) {than} ({order.given}, %s)"
    sql = f"({behind} OR {order.sql} IS NULL)" if order.optional else behind
    return [Condition(sql, (after.value, after.id))]
