"""The hand-over between the thread that sends and the one that writes."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.db import connection

from channels_app.types import Accepted, Channel, OutboundMessage, Receipt, ReceiptKind
from messaging.dispatch import claims, delivery, receipts, recorder
from messaging.dispatch.claims import Lease
from messaging.dispatch.queue import Lane
from messaging.dispatch.recorder import HandOver
from messaging.dispatch.transitions import Move
from messaging.models import Claim, Message, ReceiptRecord
from messaging.models.keys import uuid7
from messaging.state import Status
from tests.factories import accept_batch, accept_message, make_member, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import Answers, MaySend, accept_all
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all

EMAIL = Lane.named("email.normal")
committed = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def under_way() -> Iterator[tuple[HandOver, list[UUID]]]:
    """A hand-over of twelve messages in groups of three, known to the recorder."""
    accept_batch(make_workspace(), [f"p{number}@example.com" for number in range(12)])
    lease, claimed = claims.take(EMAIL, limit=12, group=3)
    hand_over = HandOver(lease, size=12, group=3)
    recorder.recorder().add(hand_over)
    yield hand_over, [row.id for row in claimed]
    recorder.recorder().remove(hand_over)


def sent(key: UUID) -> Move:
    return Move(id=key, to=Status.SENT)


def test_there_is_one_recorder_in_a_process_however_many_threads_ask():
    recorder._recorder.cache_clear()

    assert len({id(one) for one in at_once(*[recorder.recorder] * 8)}) == 1


def test_a_lease_that_has_ended_gives_nothing_out():
    hand_over = HandOver(Lease(uuid7(), seconds=0.0), size=5, group=5)

    assert not hand_over.reach(0)
    assert not hand_over.may_send()
    assert hand_over.drawn == 0


def test_outcomes_under_a_lease_that_has_ended_are_not_waited_for():
    hand_over = HandOver(Lease(uuid7(), seconds=0.0), size=5, group=5)
    hand_over.put(sent(uuid7()))

    hand_over.finish()

    assert hand_over.written == 0
    assert hand_over.ripe_in() is None


@committed
class TestMarks:
    def test_the_first_group_needs_no_wait(self, under_way: tuple[HandOver, list[UUID]]):
        hand_over, _ = under_way

        assert [hand_over.reach(place) for place in range(3)] == [True] * 3
        assert hand_over.drawn == 3

    def test_the_group_after_it_is_marked_before_anything_of_it_is_given_out(
        self, under_way: tuple[HandOver, list[UUID]]
    ):
        hand_over, _ = under_way

        assert hand_over.reach(3)

        assert Claim.objects.get().handed_over == 6

    def test_the_mark_follows_what_is_written(self, under_way: tuple[HandOver, list[UUID]]):
        hand_over, keys = under_way
        marks = []
        for place in range(12):
            assert hand_over.reach(place)
            hand_over.put(sent(keys[place]))
            hand_over.finish()
            marks.append(Claim.objects.get().handed_over)

        assert marks == [6, 6, 9, 9, 9, 12, 12, 12, 12, 12, 12, 12]
        assert hand_over.written == 12
        assert check_all() == []

    def test_a_session_that_answers_nothing_gets_two_groups_and_no_more(self, under_way: tuple[HandOver, list[UUID]]):
        hand_over, _ = under_way
        assert all(hand_over.reach(place) for place in range(6))
        reached: list[bool] = []
        waiting = threading.Thread(target=lambda: reached.append(hand_over.reach(6)))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()

        Claim.objects.all().delete()
        hand_over.put(sent(uuid7()))
        waiting.join()

        assert reached == [False]

    def test_an_outcome_that_a_request_waits_for_is_ripe_at_once(self):
        awaited, other = uuid7(), uuid7()
        hand_over = HandOver(Lease(uuid7(), seconds=6.0), size=2, group=2, awaited=frozenset({awaited}))

        hand_over.put(sent(other))
        assert hand_over.ripe_in() != 0.0
        hand_over.put(sent(awaited))
        assert hand_over.ripe_in() == 0.0

    def test_when_the_claim_is_gone_the_hand_over_is_over(self, under_way: tuple[HandOver, list[UUID]]):
        hand_over, keys = under_way
        hand_over.reach(0)
        Claim.objects.all().delete()

        hand_over.put(sent(keys[0]))
        hand_over.finish()

        assert hand_over.written == 0
        assert not hand_over.may_send()
        assert not hand_over.reach(1)
        assert message(keys[0]).status == "SENDING"


@committed
class TestReports:
    def test_reports_that_come_with_an_answer_are_kept_with_it(self, install: Install):
        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for outbound in batch:
                report = Receipt(kind=ReceiptKind.DELIVERED, key=f"k{outbound.id}", message_id=outbound.id, after=60.0)
                yield outbound.id, Accepted(receipts=(report,))

        install(script)
        key = accept_message(make_workspace())

        delivery.deliver(EMAIL)

        record = ReceiptRecord.objects.get()
        assert (record.message_id, record.provider, record.state) == (key, "scripted", "pending")

    def test_reports_of_an_answer_that_came_too_late_are_not_kept(self, install: Install):
        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for outbound in batch:
                Claim.objects.all().delete()
                report = Receipt(kind=ReceiptKind.DELIVERED, key="k", message_id=outbound.id)
                yield outbound.id, Accepted(receipts=(report,))

        install(script)
        accept_message(make_workspace())

        delivery.deliver(EMAIL)

        assert not ReceiptRecord.objects.exists()


@committed
def test_one_recorder_writes_for_many_claims_at_once(install: Install):
    install(accept_all, batch=20, group=5)
    for channel in (Channel.ONSITE, Channel.DIRECT):
        install(accept_all, channel=channel, batch=20, group=5)
    workspace = make_workspace()
    accept_batch(workspace, [f"p{number}@example.com" for number in range(60)])
    accept_batch(workspace, [str(uuid7()) for _ in range(60)], channel=Channel.ONSITE)
    reader = str(make_member(workspace).user.avatar_id)
    accept_batch(workspace, [reader] * 60, channel=Channel.DIRECT, subject="")

    def work(name: str) -> int:
        count = 0
        while done := delivery.deliver(Lane.named(name)):
            count += done
        return count

    names = ["email.normal", "onsite.normal", "direct.normal"]

    assert at_once(*[lambda name=name: work(name) for name in names]) == [60, 60, 60]
    assert set(Message.objects.values_list("status", flat=True)) == {"SENT"}
    assert not Claim.objects.exists()
    assert check_all() == []


@committed
def test_a_channel_whose_places_are_taken_leaves_its_rows_to_others(install: Install):
    """A slow provider holds its own threads and no more: the next bell of its channel is let go at once."""
    begun, let_go = threading.Event(), threading.Event()

    def slow(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
        for outbound in batch:
            begun.set()
            let_go.wait(60)
            yield outbound.id, Accepted()

    install(slow)
    workspace = make_workspace()
    accept_message(workspace)

    def first() -> None:
        delivery.deliver(EMAIL)
        connection.close()

    holder = threading.Thread(target=first)
    holder.start()
    assert begun.wait(60)
    key = accept_message(workspace)

    assert delivery.deliver(EMAIL) == 0
    assert message(key).status == "QUEUED"

    let_go.set()
    holder.join()
    assert delivery.deliver(EMAIL) == 1
    assert check_all() == []


@committed
def test_a_providers_name_of_any_length_is_written_and_its_reports_are_told_apart():
    keys = [accept_message(make_workspace(), f"p{number}@example.com") for number in range(2)]
    lease, _ = claims.take(EMAIL, limit=2, group=2)
    # Not to be compressed to what an index takes.
    names = [random.Random(number).randbytes(4_000).hex() for number in range(2)]
    moves = [
        Move(id=key, to=Status.SENT, provider="odd", provider_message_id=name)
        for key, name in zip(keys, names, strict=True)
    ]

    assert recorder.write(lease, [(move, ()) for move in moves], mark=2) == 2

    reports = [
        Receipt(kind=ReceiptKind.DELIVERED, key=f"{names[1]}:delivered", provider_message_id=names[1]) for _ in range(2)
    ]
    assert [len(receipts.keep("odd", [report])) for report in reports] == [1, 0]
    receipts.apply_due()
    assert [message(key).status for key in keys] == ["SENT", "DELIVERED"]
    assert check_all() == []
