"""Months of messages and events: tables attached to the two partitioned parents before anybody needs them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from messaging.models.keys import key_time, lowest_key

PARENTS = {"messaging_message": "id", "messaging_messageevent": "message_id"}
"""Partitioned tables and the column that their months are ranges of."""

MONTHS_AHEAD = 3

# A partitioned parent takes no storage parameters, so every month carries them. The queue index dies quickly
# under the defaults: each message enters and leaves it once.
_STORAGE = (
    "autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.05, "
    "autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 5000, autovacuum_vacuum_cost_delay = 1"
)
_LOCK = 0x6469_7370  # one maker at a time


def month_start(year: int, month: int) -> datetime:
    """The first instant of a month; months beyond 12 run into the next years."""
    return datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)


def ensure(*, using: str = DEFAULT_DB_ALIAS, now: datetime | None = None) -> list[str]:
    """Make the partitions from last month to three months ahead that are missing; give the names of the new ones."""
    at = now or datetime.now(UTC)
    made: list[str] = []
    for offset in range(-1, MONTHS_AHEAD + 1):
        made += _make(month_start(at.year, at.month + offset), using=using)
    return made


def ensure_for(keys: list[UUID]) -> list[str]:
    """Make the partitions that these keys need, for an accept that met a missing month."""
    months = {datetime.fromtimestamp(key_time(key), UTC).replace(day=1).date() for key in keys}
    return [name for day in sorted(months) for name in _make(month_start(day.year, day.month), using=DEFAULT_DB_ALIAS)]


def missing(now: datetime | None = None) -> list[str]:
    """The names of partitions that should exist by now and do not; none before their parents are made."""
    at = now or datetime.now(UTC)
    wanted = [
        (parent, _name(parent, month_start(at.year, at.month + offset)))
        for parent in PARENTS
        for offset in range(MONTHS_AHEAD)
    ]
    parents, names = zip(*wanted, strict=True)
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[], %s::text[]) AS wanted(parent, name) "
            "WHERE to_regclass(parent) IS NOT NULL AND to_regclass(name) IS NULL",
            [list(parents), list(names)],
        )
        return [row[0] for row in cursor.fetchall()]


def _name(parent: str, start: datetime) -> str:
    return f"{parent}_{start:%Y_%m}"


def _make(start: datetime, *, using: str) -> list[str]:
    """Make one month of each parent. The table is made apart and attached: CREATE … PARTITION OF would wait for
    every open insert."""
    low, high = lowest_key(start), lowest_key(month_start(start.year, start.month + 1))
    made = []
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '3s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        for parent in PARENTS:
            name = _name(parent, start)
            cursor.execute("SELECT to_regclass(%s)", [name])
            if cursor.fetchone()[0] is not None:
                continue
            cursor.execute(
                f"CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH ({_STORAGE})"
            )
            cursor.execute(f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')")
            made.append(name)
    return made
