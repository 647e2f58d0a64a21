"""Months of messages: made ahead, and made by an accept that meets a missing one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from messaging.dispatch import partitions
from messaging.dispatch.partitions import PARENTS, month_start
from messaging.errors import Unavailable
from messaging.models import Batch, Content, Message
from messaging.models.keys import lowest_key
from tests.factories import accept_batch, accept_message, make_workspace, message
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all


def this_month() -> list[str]:
    """The tables of the month that it is."""
    return [f"{parent}_{datetime.now(UTC):%Y_%m}" for parent in PARENTS]


@pytest.fixture
def no_month(transactional_db: None) -> Iterator[None]:
    """The tables of this month are missing."""
    drop(this_month())
    yield
    partitions.ensure()


def drop(names: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {', '.join(names)}")


def bounds(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = %s", [name])
        return cursor.fetchone()[0]


def options(name: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = %s", [name])
        return cursor.fetchone()[0]


@pytest.mark.parametrize(
    ("year", "month", "start"),
    [(2026, 1, (2026, 1)), (2026, 12, (2026, 12)), (2026, 13, (2027, 1)), (2026, 0, (2025, 12)), (2026, 25, (2028, 1))],
)
def test_months_run_over_into_other_years(year: int, month: int, start: tuple[int, int]):
    assert month_start(year, month) == datetime(*start, 1, tzinfo=UTC)


@pytest.mark.django_db
class TestAhead:
    def test_the_months_to_come_are_there_after_a_migration(self):
        assert partitions.missing() == []
        assert partitions.ensure() == []

    def test_what_is_missing_is_named_and_made(self):
        drop(this_month())

        assert partitions.missing() == this_month()
        assert partitions.ensure() == this_month()
        assert partitions.missing() == []

    def test_messages_and_events_have_the_same_bounds(self):
        now = datetime.now(UTC)
        low, high = (lowest_key(month_start(now.year, month)) for month in (now.month, now.month + 1))

        assert {bounds(name) for name in this_month()} == {f"FOR VALUES FROM ('{low}') TO ('{high}')"}

    def test_every_month_is_vacuumed_early(self):
        for name in this_month():
            assert "autovacuum_vacuum_scale_factor=0.01" in options(name)

    def test_the_turn_of_the_year_is_made_ahead(self):
        made = partitions.ensure(now=datetime(2040, 11, 30, tzinfo=UTC))

        assert [name for name in made if name.startswith("messaging_message_")] == [
            f"messaging_message_{month}" for month in ("2040_10", "2040_11", "2040_12", "2041_01", "2041_02")
        ]


@pytest.mark.usefixtures("no_month")
class TestAcceptWithoutAMonth:
    def test_one_message_makes_the_month_it_needs(self):
        key = accept_message(make_workspace())

        assert message(key).status == "QUEUED"
        assert partitions.missing() == []
        assert check_all() == []

    def test_a_batch_makes_the_month_it_needs_and_is_stored_once(self):
        accepted = accept_batch(make_workspace(), ["a@example.com", "b@example.com"])

        assert Message.objects.count() == 2
        assert (Batch.objects.get().id, Content.objects.count()) == (accepted.batch_id, 1)
        assert check_all() == []

    def test_an_accept_within_a_transaction_makes_the_month_too(self):
        workspace = make_workspace()
        with transaction.atomic():
            accept_batch(workspace, ["a@example.com", "b@example.com"])

        assert Message.objects.count() == 2

    def test_accepts_at_the_same_moment_make_it_once(self):
        workspace = make_workspace()

        results = at_once(*[lambda: accept_batch(workspace, ["a@example.com", "b@example.com"])] * 4)

        assert [result for result in results if isinstance(result, Exception)] == []
        assert Message.objects.count() == 8
        assert check_all() == []

    def test_a_month_that_cannot_be_made_now_is_told_and_nothing_is_stored(self):
        workspace = make_workspace()
        with connection.cursor() as cursor:
            # A table in its place that is no partition: nothing can be made, nothing can be stored.
            cursor.execute(f"CREATE TABLE {this_month()[0]} (id int)")
        try:
            with pytest.raises(Unavailable):
                accept_batch(workspace, ["a@example.com", "b@example.com"])
            assert (Batch.objects.count(), Content.objects.count()) == (0, 0)
        finally:
            drop(this_month())
