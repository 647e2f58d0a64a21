"""Who may have what, for how long, and how it comes back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now

from channels_app.types import OnUnknown
from messaging.dispatch import claims, sweeps, transitions
from messaging.dispatch.claims import Lease, share_out
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.models import Claim, Message
from messaging.models.keys import uuid7
from messaging.state import Cause, Priority, Status
from tests.factories import accept_batch, accept_message, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import accept_all
from tests.messaging.invariants import check_all

EMAIL = Lane.named("email.normal")
committed = pytest.mark.usefixtures("transactional_db")


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run these at the same moment, each in a thread with a connection of its own; give what each gave or raised."""
    results: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(place: int, call: Callable[[], Any]) -> None:
        start.wait()
        try:
            results[place] = call()
        except Exception as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def take(limit: int = 100, group: int = 10) -> tuple[Lease, list[UUID]] | None:
    taken = claims.take(EMAIL, limit=limit, group=group)
    return None if taken is None else (taken[0], [row.id for row in taken[1]])


def expire(claim_id: UUID) -> None:
    Claim.objects.filter(pk=claim_id).update(expires_at=Now() - timedelta(seconds=1))


def people(count: int) -> list[str]:
    return [f"person{number}@example.com" for number in range(count)]


class TestShares:
    def test_nobody_waits_and_nobody_gets_anything(self):
        assert share_out([], limit=100) == {}

    def test_one_workspace_may_have_it_all(self):
        only = uuid7()

        assert share_out([(only, 500)], limit=100) == {only: 100}

    def test_nobody_gets_more_than_waits(self):
        small, large = sorted([uuid7(), uuid7()])

        assert share_out([(small, 3), (large, 500)], limit=100) == {small: 3, large: 97}

    def test_equal_hunger_gets_equal_parts(self):
        due = [(uuid7(), 500) for _ in range(4)]

        assert set(share_out(due, limit=100).values()) == {25}

    @pytest.mark.parametrize("count", [1, 2, 3, 7, 99, 100, 101, 1000])
    def test_a_claim_is_full_while_enough_waits(self, count: int):
        due = [(uuid7(), 100) for _ in range(count)]

        shares = share_out(due, limit=100, after=due[count // 2][0])

        assert sum(shares.values()) == 100
        assert all(share > 0 for share in shares.values())
        assert max(shares.values()) - min(shares.values()) <= 1

    def test_of_a_thousand_workspaces_each_has_its_turn_after_ten_claims_of_a_hundred(self):
        due = [(uuid7(), 500) for _ in range(1000)]
        served: Counter[UUID] = Counter()
        last = None
        for _ in range(10):
            shares = share_out(due, limit=100, after=last)
            last = list(shares)[-1]
            served.update(shares)

        assert set(served.values()) == {1}
        assert len(served) == 1000

    def test_what_is_left_over_goes_round(self):
        due = [(uuid7(), 500) for _ in range(4)]
        served: Counter[UUID] = Counter()
        last = None
        for _ in range(4):
            shares = share_out(due, limit=10, after=last)
            last = list(shares)[-1]
            served.update(shares)

        assert set(served.values()) == {10}

    def test_the_turn_goes_on_where_the_last_workspace_has_left(self):
        due = [(uuid7(), 500) for _ in range(5)]

        shares = share_out([*due[:2], *due[3:]], limit=2, after=due[2][0])

        assert list(shares) == [due[3][0], due[4][0]]


@committed
class TestWaiting:
    @pytest.mark.parametrize(
        ("rows", "limit", "counted"),
        [
            ([], 10, []),
            ([3], 10, [10]),
            ([20, 20], 10, [5, 5]),
            ([20, 20, 20], 10, [4, 4, 4]),
            ([20, 1, 20], 10, [5, 1, 5]),
            ([20, 1, 3, 20], 12, [4, 1, 3, 4]),
            ([1, 2, 1], 10, [1, 2, 1]),
            ([9] * 12, 10, [1] * 12),
        ],
    )
    def test_no_more_is_counted_than_a_claim_can_take(self, rows: list[int], limit: int, counted: list[int]):
        """However much waits, a claim looks at about as many rows as it takes."""
        workspaces = sorted([make_workspace() for _ in rows], key=lambda workspace: workspace.id)
        for workspace, count in zip(workspaces, rows, strict=True):
            accept_batch(workspace, people(count))

        found = claims.waiting(EMAIL, limit=limit)

        assert [workspace for workspace, _ in found] == [workspace.id for workspace in workspaces]
        assert [count for _, count in found] == counted
        assert (found == [] and take(limit) is None) or len(take(limit)[1]) == min(limit, sum(rows))

    def test_a_workspace_whose_rows_are_not_due_is_left_out(self):
        one, other = make_workspace(), make_workspace()
        accept_message(one)
        later = accept_message(other)
        Message.objects.filter(pk=later).update(next_attempt_at=Now() + timedelta(hours=1))

        assert [workspace for workspace, _ in claims.waiting(EMAIL, limit=10)] == [one.id]


@committed
class TestTaking:
    def test_an_empty_lane_gives_nothing(self):
        assert take() is None
        assert not Claim.objects.exists()

    def test_a_claim_names_its_messages_in_the_order_of_their_hand_over(self):
        accepted = accept_batch(make_workspace(), people(5))

        taken = take(group=2)

        assert taken is not None
        claim = Claim.objects.get()
        assert (claim.id, claim.ids, claim.handed_over) == (taken[0].claim_id, taken[1], 2)
        assert taken[1] == accepted.ids
        assert set(Message.objects.values_list("status", "attempts", "claim_id")) == {("SENDING", 1, claim.id)}
        assert check_all() == []

    def test_the_oldest_come_first(self):
        workspace = make_workspace()
        first, second, third = (accept_message(workspace) for _ in range(3))
        Message.objects.filter(pk=third).update(next_attempt_at=Now() - timedelta(hours=1))

        assert take(limit=2)[1] == [third, first]
        assert take(limit=2)[1] == [second]

    def test_workspaces_take_turns_within_a_claim(self):
        one, other = make_workspace(), make_workspace()
        accept_batch(one, people(50))
        accept_batch(other, people(3))

        keys = take(limit=10)[1]

        assert Counter(message(key).workspace_id for key in keys) == {one.id: 7, other.id: 3}
        assert {message(key).workspace_id for key in keys[:2]} == {one.id, other.id}

    def test_messages_of_the_sandbox_are_handed_over_last(self):
        workspace = make_workspace()
        test = accept_message(workspace, test=True)
        live = accept_message(workspace)

        assert take()[1] == [live, test]

    @pytest.mark.parametrize(
        "fields",
        [
            {"status": "CANCELLED"},
            {"next_attempt_at": Now() + timedelta(seconds=5)},
            {"expires_at": Now() - timedelta(seconds=1)},
            {"priority": Priority.URGENT.value},
            {"channel": "sms"},
        ],
    )
    def test_what_is_not_due_in_this_lane_is_not_taken(self, fields: dict[str, Any]):
        key = accept_message(make_workspace())
        Message.objects.filter(pk=key).update(**fields)

        assert take() is None

    def test_two_workers_never_take_the_same_message(self):
        accept_batch(make_workspace(), people(300))
        found: list[list[UUID]] = []

        def work() -> None:
            while (taken := take(limit=20)) is not None:
                found.append(taken[1])

        at_once(work, work, work)

        keys = [key for some in found for key in some]
        # A worker may meet only rows that another is just taking, and leave; the sweep rings for what is left.
        assert len(keys) == len(set(keys))
        assert Message.objects.filter(status="SENDING").count() == len(keys)
        assert check_all() == []

    def test_a_cancel_and_a_claim_never_both_win(self):
        workspace = make_workspace()
        for _ in range(25):
            key = accept_message(workspace)
            move = Move(id=key, to=Status.CANCELLED)

            taken, cancelled = at_once(take, lambda move=move: transitions.advance_many([move], cause=Cause.API))

            won = taken is not None
            assert won != bool(cancelled)
            assert message(key).status == ("SENDING" if won else "CANCELLED")
        assert check_all() == []


@committed
class TestComingBack:
    def test_what_was_not_handed_over_comes_back_with_its_attempt(self):
        accept_batch(make_workspace(), people(30))
        lease, keys = take(group=10)
        expire(lease.claim_id)

        sweeps.reap()

        back = Message.objects.filter(status="QUEUED")
        assert {row.id for row in back} == set(keys[10:])
        assert {(row.attempts, row.claim_id) for row in back} == {(0, None)}
        assert not Claim.objects.exists()
        assert {event.detail["reason"] for row in back for event in row.events.filter(cause="sweeper")} == {
            "lease_expired"
        }
        assert check_all() == []

    def test_what_was_handed_over_is_held_where_the_adapter_says_so(self, install: Install):
        install(accept_all, on_unknown=OnUnknown.HOLD)
        accept_batch(make_workspace(), people(3))
        lease, _ = take(group=10)
        expire(lease.claim_id)

        sweeps.reap()

        rows = Message.objects.all()
        assert {(row.status, row.attempts, row.error_code) for row in rows} == {("SENDING", 1, "outcome_unknown")}
        assert check_all() == []

    def test_what_was_handed_over_is_repeated_where_that_is_harmless_until_no_attempt_is_left(self, install: Install):
        install(accept_all, on_unknown=OnUnknown.REPEAT)
        key = accept_message(make_workspace())
        seen = []
        for _ in range(3):
            lease, _ = take()
            expire(lease.claim_id)
            sweeps.reap()
            seen.append((message(key).status, message(key).attempts))

        assert seen == [("QUEUED", 1), ("QUEUED", 2), ("FAILED", 3)]
        assert message(key).error_code == "outcome_unknown"
        assert check_all() == []

    def test_a_lease_that_lives_is_left_alone(self):
        accept_message(make_workspace())
        lease, _ = take()

        assert sweeps.reap() == 0
        assert Claim.objects.filter(pk=lease.claim_id).exists()

    def test_a_renewal_that_was_about_to_commit_is_not_overtaken(self):
        """The reaper saw an end that had passed; the renewal, begun in time, has committed since."""
        accept_message(make_workspace())
        lease, keys = take()

        assert claims.reap(lease.claim_id, reason="lease_expired") == 0
        assert message(keys[0]).claim_id == lease.claim_id

    def test_two_reapers_return_a_claim_once(self):
        accept_batch(make_workspace(), people(40))
        lease, _ = take(group=10)
        expire(lease.claim_id)

        returned = at_once(sweeps.reap, sweeps.reap, sweeps.reap)

        assert sorted(returned) == [0, 0, 40]
        assert Message.objects.filter(status="QUEUED").count() == 30
        assert check_all() == []

    def test_a_flush_and_a_reaper_never_both_win(self):
        for _ in range(10):
            accept_batch(make_workspace(), people(20))
            lease, keys = take(group=20)
            moves = [Move(id=key, to=Status.SENT) for key in reversed(keys)]
            # It lives when the flush begins, and ends while both are under way.
            Claim.objects.update(expires_at=Now() + timedelta(milliseconds=3))

            def flush(moves: list[Move] = moves, claim: UUID = lease.claim_id) -> set[UUID] | None:
                return transitions.flush_many(moves, claim_id=claim, mark=20)

            flushed, reaped = at_once(flush, sweeps.reap)
            sweeps.reap()
            Claim.objects.update(expires_at=Now())
            sweeps.reap()

            sent = Message.objects.filter(status="SENT").count()
            assert sent == (20 if flushed else 0)
            assert reaped == 0 or not flushed
            assert not Claim.objects.exists()
            assert check_all() == []
            Message.objects.all().delete()
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM messaging_messageevent")

    def test_a_claim_that_cannot_be_treated_does_not_hold_up_the_others(self):
        accept_message(make_workspace())
        strange, _ = take()
        accept_message(make_workspace())
        _, keys = take(group=0)
        Claim.objects.filter(pk=strange.claim_id).update(channel="pigeon")
        Claim.objects.update(expires_at=Now() - timedelta(seconds=1))

        assert sweeps.reap() == 1

        assert message(keys[0]).status == "QUEUED"
        assert list(Claim.objects.values_list("id", flat=True)) == [strange.claim_id]


@committed
class TestLeases:
    def test_a_renewal_moves_the_end_on_in_row_and_worker(self):
        accept_message(make_workspace())
        lease, _ = take()
        Claim.objects.update(expires_at=Now() + timedelta(seconds=1))
        before = Claim.objects.get().expires_at

        lease.renew()

        assert Claim.objects.get().expires_at - before > timedelta(seconds=4)
        assert lease.alive()

    def test_a_lease_that_ended_cannot_be_renewed(self):
        accept_message(make_workspace())
        lease, _ = take()
        expire(lease.claim_id)

        lease.renew()

        assert not lease.alive()
        assert lease.ended()

    def test_the_worker_stops_before_the_row_says_so(self):
        accept_message(make_workspace())
        lease, _ = take()

        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM expires_at - clock_timestamp()) FROM messaging_claim")
            left = float(cursor.fetchone()[0])

        assert lease._ends - claims.boottime() <= left

    def test_a_short_lease_is_over_before_it_has_ended(self):
        lease = Lease(uuid7(), seconds=0.5)

        assert not lease.alive()
        assert not lease.ended()

    def test_a_worker_that_finishes_nothing_is_not_renewed(self, settings):
        lease = Lease(uuid7(), seconds=6)
        assert not lease.stuck()

        settings.PROVIDER_DEADLINE_SECONDS = -1.0

        assert lease.stuck()

    def test_nothing_can_be_written_under_a_lease_that_has_ended(self):
        accept_message(make_workspace())
        lease, keys = take()
        expire(lease.claim_id)

        written = transitions.flush_many([Move(id=keys[0], to=Status.SENT)], claim_id=lease.claim_id, mark=1)

        assert written is None
        assert not transitions.mark_handed_over(claim_id=lease.claim_id, mark=5)
        assert message(keys[0]).status == "SENDING"

    def test_there_is_one_keeper_in_a_process_however_many_threads_ask(self):
        claims._keeper.cache_clear()

        assert len({id(keeper) for keeper in at_once(*[claims.keeper] * 8)}) == 1
