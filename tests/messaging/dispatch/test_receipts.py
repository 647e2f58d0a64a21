"""What providers report, in every order and at every time."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from django.db.models.functions import Now

from channels_app.types import Ambiguous, OnUnknown, Receipt, ReceiptKind
from messaging.dispatch import claims, delivery, receipts, sweeps, transitions
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.models import Message, MessageEvent, ReceiptRecord
from messaging.models.keys import uuid7
from messaging.state import Cause, Status
from tests.factories import accept_batch, accept_message, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import accept_all, answer
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all

pytestmark = pytest.mark.usefixtures("transactional_db")

EMAIL = Lane.named("email.normal")
K = ReceiptKind


def report(kind: ReceiptKind, of: UUID | None = None, **fields: Any) -> Receipt:
    return Receipt(**{"kind": kind, "key": uuid7().hex, "message_id": of, **fields})


def apply(*reports: Receipt) -> None:
    """Keep and apply reports, each by itself."""
    for one in reports:
        receipts.keep("scripted", [one])
        receipts.apply_due()


@pytest.fixture
def sent(install: Install) -> UUID:
    """A message that a provider has accepted."""
    install(accept_all)
    key = accept_message(make_workspace())
    delivery.deliver(EMAIL)
    assert message(key).status == "SENT"
    return key


def states() -> list[str]:
    return list(ReceiptRecord.objects.order_by("id").values_list("state", flat=True))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (K.DELIVERED, "DELIVERED"),
        (K.OPENED, "OPENED"),
        (K.CLICKED, "CLICKED"),
        (K.BOUNCED, "BOUNCED"),
        (K.FAILED, "FAILED"),
        (K.UNSUBSCRIBED, "UNSUBSCRIBED"),
    ],
)
def test_a_report_moves_a_sent_message(sent: UUID, kind: ReceiptKind, status: str):
    apply(report(kind, sent, code="because"))

    row = message(sent)
    assert row.status == status
    assert getattr(row, Status(status).stamp) is not None
    assert row.error_code == ("because" if status in {"FAILED", "BOUNCED"} else "")
    assert row.events.last().cause == "receipt"
    assert states() == ["applied"]
    assert check_all() == []


def test_a_report_is_matched_by_the_providers_id(sent: UUID):
    apply(report(K.DELIVERED, provider_message_id=f"p-{sent}"))

    assert message(sent).status == "DELIVERED"
    assert ReceiptRecord.objects.get().message_id == sent


def test_another_providers_id_matches_nothing(sent: UUID):
    receipts.keep("another", [report(K.DELIVERED, provider_message_id=f"p-{sent}")])
    receipts.apply_due()

    assert message(sent).status == "SENT"
    assert states() == ["pending"]


@pytest.mark.parametrize("order", list(permutations([K.DELIVERED, K.OPENED, K.CLICKED])))
def test_reports_in_any_order_end_at_the_furthest_state(sent: UUID, order: tuple[ReceiptKind, ...]):
    apply(*(report(kind, sent) for kind in order))

    row = message(sent)
    assert row.status == "CLICKED"
    assert row.delivered_at <= row.clicked_at
    assert row.opened_at <= row.clicked_at
    assert check_all() == []


@pytest.mark.parametrize("order", list(permutations([K.DELIVERED, K.OPENED, K.CLICKED, K.BOUNCED])))
def test_reports_that_come_together_are_applied_in_their_order(sent: UUID, order: tuple[ReceiptKind, ...]):
    receipts.keep("scripted", [report(kind, sent, after=-1.0 + place / 10) for place, kind in enumerate(order)])

    assert receipts.apply_due() == 4

    assert message(sent).status == ("BOUNCED" if order.index(K.BOUNCED) < order.index(K.CLICKED) else "CLICKED")
    assert message(sent).events.filter(cause="receipt").count() == 4
    assert check_all() == []


def test_a_late_bounce_is_applied(sent: UUID):
    apply(report(K.DELIVERED, sent), report(K.OPENED, sent), report(K.BOUNCED, sent, code="mailbox_full"))

    assert (message(sent).status, message(sent).error_code) == ("BOUNCED", "mailbox_full")
    assert check_all() == []


def test_a_report_that_comes_too_late_is_kept_as_a_fact(sent: UUID):
    apply(report(K.OPENED, sent), report(K.DELIVERED, sent), report(K.SENT, sent))

    assert message(sent).status == "OPENED"
    late = MessageEvent.objects.filter(type="late_receipt")
    assert [event.detail["kind"] for event in late] == ["delivered", "sent"]
    assert states() == ["applied", "late", "late"]
    assert check_all() == []


def test_a_late_delivery_does_not_reopen_a_failed_message(sent: UUID):
    apply(report(K.FAILED, sent, code="refused"), report(K.DELIVERED, sent))

    assert (message(sent).status, message(sent).error_code) == ("FAILED", "refused")
    assert message(sent).delivered_at is None
    assert check_all() == []


def test_the_same_report_twice_counts_once(sent: UUID):
    one = report(K.DELIVERED, sent)

    assert len(receipts.keep("scripted", [one, one])) == 1
    assert receipts.keep("scripted", [one]) == []
    assert at_once(receipts.apply_due, receipts.apply_due)
    receipts.apply_due()

    assert message(sent).events.filter(cause="receipt").count() == 1
    assert check_all() == []


def test_the_same_key_of_two_providers_is_two_reports(sent: UUID):
    one = report(K.DELIVERED, sent)

    assert receipts.keep("scripted", [one])
    assert receipts.keep("another", [one])


def test_a_complaint_is_noted_and_moves_nothing(sent: UUID):
    apply(report(K.DELIVERED, sent), report(K.COMPLAINED, sent), report(K.COMPLAINED, sent))

    row = message(sent)
    assert row.status == "DELIVERED"
    complaints = row.events.filter(type="complained")
    assert (row.complained_at, len(complaints)) == (complaints[0].at, 2)
    assert states() == ["applied"] * 3
    assert check_all() == []


def test_a_report_waits_for_our_own_record_of_the_sending():
    key = accept_message(make_workspace())
    apply(report(K.DELIVERED, key))
    assert (message(key).status, states()) == ("QUEUED", ["pending"])

    lease, _ = claims.take(EMAIL, limit=1, group=1)
    ReceiptRecord.objects.update(due_at=Now())
    receipts.apply_due()
    assert (message(key).status, states()) == ("SENDING", ["pending"])

    transitions.flush_many([Move(id=key, to=Status.SENT)], claim_id=lease.claim_id, mark=1)
    ReceiptRecord.objects.update(due_at=Now())
    receipts.apply_due()
    assert (message(key).status, states()) == ("DELIVERED", ["applied"])
    assert check_all() == []


class TestUnknownOutcomes:
    @pytest.fixture
    def held(self, install: Install) -> UUID:
        """A message of which nobody knows whether the provider took it."""
        install(answer(Ambiguous()), on_unknown=OnUnknown.HOLD)
        key = accept_message(make_workspace())
        delivery.deliver(EMAIL)
        assert (message(key).status, message(key).claim_id) == ("SENDING", None)
        return key

    @pytest.mark.parametrize(
        ("kind", "path"),
        [
            (K.SENT, ["sent"]),
            (K.DELIVERED, ["sent", "delivered"]),
            (K.CLICKED, ["sent", "clicked"]),
            (K.BOUNCED, ["sent", "bounced"]),
            (K.FAILED, ["failed"]),
            (K.UNSUBSCRIBED, ["sent", "unsubscribed"]),
        ],
    )
    def test_a_report_settles_it(self, held: UUID, kind: ReceiptKind, path: list[str]):
        apply(report(kind, held, code="known"))

        row = message(held)
        assert list(row.events.filter(cause="receipt").values_list("type", flat=True)) == path
        assert (row.status, row.next_attempt_at) == (path[-1].upper(), None)
        assert row.error_code == ("known" if kind in {K.FAILED, K.BOUNCED} else "")
        assert check_all() == []

    def test_a_complaint_leaves_it_waiting(self, held: UUID):
        apply(report(K.COMPLAINED, held))

        assert message(held).next_attempt_at is not None
        assert check_all() == []

    def test_without_a_report_it_fails_at_its_deadline(self, held: UUID):
        sweeps.sweep_due()
        assert message(held).status == "SENDING"

        Message.objects.filter(pk=held).update(next_attempt_at=Now())
        sweeps.sweep_due()

        assert (message(held).status, message(held).error_code) == ("FAILED", "outcome_unknown")
        assert check_all() == []

    def test_a_report_and_the_deadline_never_both_win(self, held: UUID):
        Message.objects.filter(pk=held).update(next_attempt_at=Now())
        receipts.keep("scripted", [report(K.DELIVERED, held)])

        at_once(receipts.apply_due, sweeps.sweep_due)

        assert message(held).status in {"DELIVERED", "FAILED"}
        assert check_all() == []


class TestUnmatched:
    @pytest.mark.parametrize("fields", [{"message_id": uuid7()}, {"provider_message_id": "nobody"}, {}])
    def test_a_report_for_an_unknown_message_is_kept_for_a_day(self, fields: dict[str, Any]):
        apply(report(K.DELIVERED, **fields))
        record = ReceiptRecord.objects.get()
        assert (record.state, record.due_at > record.received_at) == ("pending", True)

        ReceiptRecord.objects.update(due_at=Now(), received_at=Now() - timedelta(days=1, seconds=1))
        receipts.apply_due()

        assert states() == ["unmatched"]

    def test_it_is_looked_at_less_and_less_often(self):
        apply(report(K.DELIVERED, uuid7()))
        waits = []
        for hours in (0, 1, 20):
            ReceiptRecord.objects.update(due_at=Now(), received_at=Now() - timedelta(hours=hours))
            record = ReceiptRecord.objects.get()
            receipts.apply_due()
            waits.append(round((ReceiptRecord.objects.get().due_at - record.due_at).total_seconds()))

        assert waits == [1, 600, 600]

    def test_what_a_report_says_may_hold_characters_that_no_database_keeps(self, sent: UUID):
        odd = "a\x00b\ud800"
        apply(report(K.BOUNCED, sent, code=odd, provider_message_id=odd, key=odd, detail={odd: odd}))

        assert message(sent).status == "BOUNCED"
        assert check_all() == []

    def test_a_report_that_cannot_be_applied_holds_up_nobody(self, sent: UUID):
        receipts.keep("scripted", [report(K.OPENED, sent), report(K.DELIVERED, sent)])
        ReceiptRecord.objects.filter(kind="opened").update(kind="teleported")

        assert receipts.apply_due() == 2

        assert message(sent).status == "DELIVERED"
        assert sorted(states()) == ["applied", "pending"]
        assert receipts.apply_due() == 0
        assert check_all() == []

    def test_a_report_is_not_applied_before_it_is_due(self, sent: UUID):
        receipts.keep("scripted", [report(K.DELIVERED, sent, after=60.0)])

        assert receipts.apply_due() == 0


def test_many_reports_at_once_by_several_workers_all_count(install: Install):
    install(accept_all, batch=200, group=50)
    keys = accept_batch(make_workspace(), [f"p{number}@example.com" for number in range(120)]).ids
    delivery.deliver(EMAIL)
    for kind in (K.CLICKED, K.DELIVERED, K.OPENED):
        receipts.keep("scripted", [report(kind, key) for key in reversed(keys)])

    def work() -> None:
        while receipts.apply_due(limit=50):
            pass

    results = at_once(work, work, work)
    work()

    assert [result for result in results if result is not None] == []
    assert set(Message.objects.values_list("status", flat=True)) == {"CLICKED"}
    assert set(states()) <= {"applied", "late"}
    assert check_all() == []


def test_a_flush_and_early_reports_of_the_same_messages_wait_for_each_other_in_one_order():
    """The session answers in an order of its own; the reports come in another; nobody is a deadlock's victim."""
    keys = accept_batch(make_workspace(), [f"p{number}@example.com" for number in range(100)]).ids
    lease, _ = claims.take(EMAIL, limit=100, group=100)
    receipts.keep("scripted", [report(K.DELIVERED, key) for key in keys])
    moves = [Move(id=key, to=Status.SENT) for key in reversed(keys)]

    def look() -> None:
        for _ in range(10):
            ReceiptRecord.objects.filter(state="pending").update(due_at=Now())
            receipts.apply_due()

    flushed, looked = at_once(lambda: transitions.flush_many(moves, claim_id=lease.claim_id, mark=100), look)
    look()

    assert (flushed, looked) == (set(keys), None)
    assert set(Message.objects.values_list("status", flat=True)) == {"DELIVERED"}
    assert check_all() == []


def test_a_cancel_beside_a_report_changes_nothing(sent: UUID):
    receipts.keep("scripted", [report(K.DELIVERED, sent)])

    _, cancelled = at_once(
        receipts.apply_due,
        lambda: transitions.advance_many([Move(id=sent, to=Status.CANCELLED)], cause=Cause.API),
    )

    assert cancelled == set()
    assert message(sent).status == "DELIVERED"
