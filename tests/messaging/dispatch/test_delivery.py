"""A lane worked through with an adapter that answers as each test says."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from pytest_django import Settings

from channels_app.adapters.sandbox import Scenario
from channels_app.carriage import CARRIES
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    NotConfigured,
    OnUnknown,
    OutboundMessage,
    Permanent,
    Receipt,
    ReceiptKind,
    Throttled,
    Transient,
)
from messaging.dispatch import claims, delivery, providers, queue, receipts, retry, sweeps
from messaging.dispatch.queue import Lane
from messaging.models import Claim, Content, Message, MessageEvent, ReceiptRecord, Suppression, Workspace
from messaging.models.keys import uuid7
from messaging.state import Priority
from tests.factories import accept_batch, accept_message, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import Answers, MaySend, accept_all, answer
from tests.messaging.invariants import check_all
from tests.running import eventually

pytestmark = pytest.mark.usefixtures("transactional_db")

EMAIL = Lane.named("email.normal")


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def addresses(count: int) -> list[str]:
    return [f"person{number}@example.com" for number in range(count)]


def waits(row: Message) -> float:
    """Seconds between the last event and the time at which the message is due."""
    assert row.next_attempt_at is not None
    return (row.next_attempt_at - MessageEvent.objects.filter(message_id=row.id).latest("at", "id").at).total_seconds()


def statuses() -> Counter[str]:
    return Counter(Message.objects.values_list("status", flat=True))


class TestOutcomes:
    def test_an_accepted_message_is_sent_under_the_providers_id(self, workspace: Workspace, install: Install):
        install(accept_all)
        key = accept_message(workspace)

        assert delivery.deliver(EMAIL) == 1

        row = message(key)
        assert (row.status, row.provider, row.provider_message_id) == ("SENT", "scripted", f"p-{key}")
        assert (row.attempts, row.claim_id, row.next_attempt_at, row.error_code) == (1, None, None, "")
        assert [(e.type, e.cause, e.attempt) for e in row.events.all()] == [
            ("queued", "api", 0),
            ("sending", "worker", 1),
            ("sent", "worker", 1),
        ]
        assert not Claim.objects.exists()
        assert check_all() == []

    def test_what_a_refusal_tells_of_its_recipient_counts(self, workspace: Workspace, install: Install):
        def refuse(outbound: OutboundMessage) -> Permanent:
            left = Receipt(kind=ReceiptKind.UNSUBSCRIBED, key=f"{outbound.id}:left", message_id=outbound.id)
            return Permanent(code="recipient_opted_out", detail="blocked", receipts=(left,))

        install(answer(refuse))
        key = accept_message(workspace)

        delivery.deliver(EMAIL)
        assert receipts.apply_due() == 1

        row = message(key)
        assert (row.status, row.error_code) == ("FAILED", "recipient_opted_out")
        assert [e.type for e in row.events.all()] == ["queued", "sending", "failed", "late_receipt"]
        suppressed = Suppression.objects.get(workspace_id=workspace.id)
        assert (suppressed.address, suppressed.reason, suppressed.message_id) == (row.recipient, "opted_out", key)
        assert check_all() == []

    def test_a_message_that_was_put_off_too_often_ends(self, workspace: Workspace, install: Install):
        install(answer(Throttled(wait=5.0, detail="not today")))
        key = accept_message(workspace)
        Message.objects.filter(pk=key).update(throttles=retry.MOST_THROTTLES)

        delivery.deliver(EMAIL)

        row = message(key)
        assert (row.status, row.error_code, row.error_detail) == ("FAILED", "throttled_too_long", "not today")
        assert check_all() == []

    def test_a_messages_own_data_goes_to_the_provider_with_it(self, workspace: Workspace, install: Install):
        handed: list[OutboundMessage] = []

        def take(outbound: OutboundMessage) -> Accepted:
            handed.append(outbound)
            return Accepted()

        install(answer(take))
        accept_message(workspace, "ann@example.com", data={"screen": "home"})
        accept_message(workspace, "bob@example.com")

        delivery.deliver(EMAIL)

        assert {each.address: each.data for each in handed} == {
            "ann@example.com": {"screen": "home"},
            "bob@example.com": {},
        }

    def test_a_transient_failure_waits_and_keeps_its_attempt(self, workspace: Workspace, install: Install, settings):
        settings.BACKOFF_SECONDS = 100.0
        install(answer(Transient(code="busy", detail="come back later")))
        key = accept_message(workspace)

        delivery.deliver(EMAIL)

        row = message(key)
        assert (row.status, row.attempts, row.error_code, row.error_detail) == ("QUEUED", 1, "busy", "come back later")
        assert 75 <= waits(row) <= 125
        assert delivery.deliver(EMAIL) == 0
        assert check_all() == []

    def test_a_transient_failure_waits_as_long_as_the_provider_asks(self, workspace: Workspace, install: Install):
        install(answer(Transient(code="busy", retry_after=3600.0)))
        key = accept_message(workspace)

        delivery.deliver(EMAIL)

        assert waits(message(key)) == pytest.approx(3600, abs=0.01)

    def test_the_last_transient_failure_ends_the_message(self, workspace: Workspace, install: Install, settings):
        settings.BACKOFF_LIMIT_SECONDS = 0.0
        install(answer(Transient(code="busy")))
        key = accept_message(workspace)

        assert [delivery.deliver(EMAIL) for _ in range(4)] == [1, 1, 1, 0]

        row = message(key)
        assert (row.status, row.attempts, row.error_code) == ("FAILED", 3, "busy")
        assert check_all() == []

    def test_being_throttled_costs_no_attempt(self, workspace: Workspace, install: Install):
        install(answer(Throttled(wait=60.0)))
        key = accept_message(workspace)

        delivery.deliver(EMAIL)

        row = message(key)
        assert (row.status, row.attempts, row.throttles, row.error_code) == ("QUEUED", 0, 1, "throttled")
        assert waits(row) == pytest.approx(60, abs=0.01)
        assert row.events.last().attempt == 1
        assert check_all() == []

    @pytest.mark.parametrize("outcome", [Permanent(code="no_such_box"), NotConfigured(code="no_such_box")])
    def test_a_refusal_for_good_ends_the_message_at_once(self, workspace: Workspace, install: Install, outcome):
        install(answer(outcome))
        key = accept_message(workspace)

        delivery.deliver(EMAIL)

        row = message(key)
        assert (row.status, row.attempts, row.error_code) == ("FAILED", 1, "no_such_box")
        assert check_all() == []

    def test_an_unknown_outcome_is_held_for_a_receipt(self, workspace: Workspace, install: Install, settings):
        settings.UNKNOWN_SECONDS = 500.0
        install(answer(Ambiguous(detail="cut after the dot")), on_unknown=OnUnknown.HOLD)
        key = accept_message(workspace)

        delivery.deliver(EMAIL)

        row = message(key)
        assert (row.status, row.claim_id, row.error_code) == ("SENDING", None, "outcome_unknown")
        assert waits(row) == pytest.approx(500, abs=0.01)
        assert row.events.last().type == "outcome_unknown"
        assert check_all() == []

    def test_an_unknown_outcome_is_repeated_where_that_is_harmless(self, workspace: Workspace, install: Install):
        install(answer(Ambiguous()), on_unknown=OnUnknown.REPEAT)
        key = accept_message(workspace)

        assert [delivery.deliver(EMAIL) for _ in range(4)] == [1, 1, 1, 0]

        row = message(key)
        assert (row.status, row.attempts, row.error_code) == ("FAILED", 3, "outcome_unknown")
        assert check_all() == []

    @pytest.mark.parametrize(
        ("wish", "policy", "status"), [("resend", OnUnknown.HOLD, "QUEUED"), ("fail", OnUnknown.REPEAT, "FAILED")]
    )
    def test_the_caller_may_decide_about_an_unknown_outcome(
        self, workspace: Workspace, install: Install, wish: str, policy: OnUnknown, status: str
    ):
        install(answer(Ambiguous()), on_unknown=policy)
        key = accept_message(workspace, on_unknown=wish)

        delivery.deliver(EMAIL)

        assert message(key).status == status
        assert check_all() == []

    def test_each_message_of_a_batch_has_its_own_outcome(self, workspace: Workspace, install: Install):
        outcomes = [Accepted(), Transient(code="busy"), Permanent(code="gone"), Throttled(wait=9.0), Ambiguous()]

        def by_number(outbound: OutboundMessage):
            return outcomes[int(outbound.address.removeprefix("person").partition("@")[0]) % len(outcomes)]

        install(answer(by_number), group=3)
        accept_batch(workspace, addresses(25))

        assert delivery.deliver(EMAIL) == 25

        assert statuses() == {"SENT": 5, "QUEUED": 10, "FAILED": 5, "SENDING": 5}
        assert not Claim.objects.exists()
        assert check_all() == []

    def test_what_a_provider_says_may_hold_characters_that_no_database_keeps(
        self, workspace: Workspace, install: Install
    ):
        odd = "a\x00b\ud800c"

        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for place, outbound in enumerate(batch):
                yield (
                    outbound.id,
                    (
                        Permanent(code=odd, detail=odd)
                        if place == 1
                        else Accepted(provider_message_id=odd, detail={odd: [odd, {"deep": odd}]})
                    ),
                )

        install(script)
        accept_batch(workspace, addresses(3))

        assert delivery.deliver(EMAIL) == 3

        assert statuses() == {"SENT": 2, "FAILED": 1}
        failed = Message.objects.get(status="FAILED")
        assert "\x00" not in failed.error_detail
        assert failed.error_detail.startswith("a")
        assert check_all() == []

    def test_an_answer_that_cannot_be_written_at_all_leaves_the_others_alone(
        self, workspace: Workspace, install: Install
    ):
        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for place, outbound in enumerate(batch):
                detail = {"reply": object()} if place == 3 else {}
                yield outbound.id, Accepted(provider_message_id=str(place), detail=detail)

        install(script)
        accept_batch(workspace, addresses(8))

        delivery.deliver(EMAIL)
        assert statuses() == {"SENT": 7, "SENDING": 1}
        assert Message.objects.get(status="SENDING").error_code == "outcome_unknown"

        install(accept_all)
        key = accept_message(workspace)
        delivery.deliver(EMAIL)
        assert message(key).status == "SENT"
        assert check_all() == []


class TestContent:
    def test_the_body_is_rendered_for_each_recipient(self, workspace: Workspace, install: Install):
        seen: dict[str, tuple[str, str]] = {}

        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for outbound in batch:
                seen[outbound.address] = (outbound.subject, outbound.text)
                yield outbound.id, Accepted()

        install(script)
        accept_message(workspace, "ann@example.com", subject="Dear {{ name }}", text="Due: {{ sum }}", name="Ann",
                       data={"sum": 12})  # fmt: skip

        delivery.deliver(EMAIL)

        assert seen == {"ann@example.com": ("Dear Ann", "Due: 12")}

    def test_a_message_whose_content_is_gone_fails_alone(self, workspace: Workspace, install: Install):
        install(accept_all)
        keys = [accept_message(workspace, f"p{number}@example.com") for number in range(5)]
        Content.objects.filter(pk=message(keys[1]).content_id).delete()

        assert delivery.deliver(EMAIL) == 5

        assert statuses() == {"SENT": 4, "FAILED": 1}
        failed = message(keys[1])
        assert (failed.error_code, failed.attempts) == ("render_failed", 1)
        assert check_all() == []

    def test_a_message_whose_template_is_refused_by_now_fails_alone(self, workspace: Workspace, install: Install):
        install(accept_all)
        keys = [accept_message(workspace, f"p{number}@example.com") for number in range(5)]
        Content.objects.filter(pk=message(keys[2]).content_id).update(text="{% nonsense %} {{ open")

        assert delivery.deliver(EMAIL) == 5

        assert statuses() == {"SENT": 4, "FAILED": 1}
        assert message(keys[2]).error_code == "render_failed"
        assert check_all() == []


class TestUnfaithfulSessions:
    def test_what_was_drawn_before_the_session_broke_is_in_doubt_and_the_rest_goes_back(
        self, workspace: Workspace, install: Install
    ):
        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for place, outbound in enumerate(batch):
                if place == 4:
                    raise RuntimeError("the session broke")
                yield outbound.id, Accepted()

        install(script, group=3)
        accept_batch(workspace, addresses(12))

        with pytest.raises(RuntimeError, match="the session broke"):
            delivery.deliver(EMAIL)

        # Four were answered; the fifth was in hand; nobody ever saw the other seven, whatever the marks say.
        assert statuses() == {"SENT": 4, "SENDING": 1, "QUEUED": 7}
        assert Message.objects.get(status="SENDING").error_code == "outcome_unknown"
        assert set(Message.objects.filter(status="QUEUED").values_list("attempts", flat=True)) == {0}
        assert not Claim.objects.exists()
        assert check_all() == []

    def test_a_session_that_broke_is_closed_and_not_used_again(self, workspace: Workspace, install: Install):
        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for outbound in batch:
                if len(adapter.sessions) == 1:
                    raise RuntimeError("the session broke")
                yield outbound.id, Accepted()

        adapter = install(script)
        accept_message(workspace)
        with pytest.raises(RuntimeError, match="the session broke"):
            delivery.deliver(EMAIL)
        key = accept_message(workspace)

        delivery.deliver(EMAIL)

        assert message(key).status == "SENT"
        assert [session.closed for session in adapter.sessions] == [True, False]

    def test_a_session_stays_open_from_batch_to_batch(self, workspace: Workspace, install: Install):
        adapter = install(accept_all)
        for _ in range(3):
            accept_message(workspace)
            delivery.deliver(EMAIL)

        assert len(adapter.sessions) == 1

    def test_an_adapter_that_cannot_be_opened_costs_nothing_but_time(self, workspace: Workspace, install: Install):
        install(accept_all, fails_to_open=RuntimeError("no socket left"))
        accept_batch(workspace, addresses(12))

        with pytest.raises(RuntimeError, match="no socket left"):
            delivery.deliver(EMAIL)

        assert statuses() == {"QUEUED": 12}
        assert set(Message.objects.values_list("attempts", flat=True)) == {0}
        # They wait: a worker that failed at once would else claim them again at once, for ever.
        assert delivery.deliver(EMAIL) == 0
        assert check_all() == []

    def test_a_message_that_was_never_answered_is_in_doubt(self, workspace: Workspace, install: Install):
        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for place, outbound in enumerate(batch):
                if place != 2:
                    yield outbound.id, Accepted()

        install(script)
        accept_batch(workspace, addresses(5))

        delivery.deliver(EMAIL)

        assert statuses() == {"SENT": 4, "SENDING": 1}
        assert Message.objects.get(status="SENDING").error_code == "outcome_unknown"
        assert check_all() == []

    def test_a_batch_that_was_not_drawn_to_its_end_is_given_back(self, workspace: Workspace, install: Install):
        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            first = next(batch)
            yield first.id, Accepted()

        install(script)
        accept_batch(workspace, addresses(5))

        delivery.deliver(EMAIL)

        assert statuses() == {"SENT": 1, "QUEUED": 4}
        assert set(Message.objects.filter(status="QUEUED").values_list("attempts", flat=True)) == {0}
        assert check_all() == []

    def test_the_first_of_two_answers_counts(self, workspace: Workspace, install: Install):
        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for outbound in batch:
                yield outbound.id, Accepted(provider_message_id="first")
                yield outbound.id, Permanent(code="second")

        install(script)
        accept_batch(workspace, addresses(30))

        delivery.deliver(EMAIL)

        assert statuses() == {"SENT": 30}
        assert set(Message.objects.values_list("provider_message_id", flat=True)) == {"first"}
        assert check_all() == []

    def test_an_answer_for_a_message_that_was_not_given_out_is_ignored(self, workspace: Workspace, install: Install):
        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            yield uuid7(), Permanent(code="whose")
            yield from accept_all(batch, may_send)

        install(script)
        accept_batch(workspace, addresses(3))

        assert delivery.deliver(EMAIL) == 3

        assert statuses() == {"SENT": 3}
        assert check_all() == []

    def test_an_adapter_that_throttles_without_end_is_not_called_without_end(
        self, workspace: Workspace, install: Install
    ):
        install(answer(Throttled(wait=0.0)))
        accept_message(workspace)

        assert [delivery.deliver(EMAIL) for _ in range(3)] == [1, 0, 0]


class TestRecording:
    def test_no_message_is_drawn_before_its_group_is_marked(self, workspace: Workspace, install: Install):
        seen: list[tuple[int, int]] = []

        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for place, outbound in enumerate(batch):
                seen.append((place, Claim.objects.get().handed_over))
                yield outbound.id, Accepted()

        install(script, group=4)
        accept_batch(workspace, addresses(21))

        delivery.deliver(EMAIL)

        assert [place for place, mark in seen if place >= mark] == []
        assert len(seen) == 21

    def test_at_most_two_groups_are_in_doubt_at_any_time(self, workspace: Workspace, install: Install):
        doubtful: list[int] = []

        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            waiting: list[OutboundMessage] = []
            for outbound in batch:
                waiting.append(outbound)
                claim = Claim.objects.get()
                doubtful.append(Message.objects.filter(pk__in=claim.ids[: claim.handed_over], status="SENDING").count())
                if len(waiting) == 4:
                    yield waiting.pop(0).id, Accepted()
            for outbound in waiting:
                yield outbound.id, Accepted()

        install(script, group=4)
        accept_batch(workspace, addresses(40))

        delivery.deliver(EMAIL)

        assert max(doubtful) <= 8
        assert statuses() == {"SENT": 40}

    def test_without_a_record_nothing_further_is_sent(self, workspace: Workspace, install: Install):
        """The table of events is away for a while: sending stops, and goes on once it is back."""
        away = threading.Event()
        given_out_meanwhile: list[int] = []

        def come_back() -> None:
            away.clear()
            rename("away", "messaging_messageevent")
            connection.close()

        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for place, outbound in enumerate(batch):
                if away.is_set():
                    given_out_meanwhile.append(place)
                if place == 1:
                    rename("messaging_messageevent", "away")
                yield outbound.id, Accepted()
                if place == 1:
                    while may_send():
                        time.sleep(0.01)
                    away.set()
                    back.start()

        back = threading.Timer(1.0, come_back)
        install(script, group=20)
        accept_batch(workspace, addresses(20))

        assert delivery.deliver(EMAIL) == 20
        back.join()

        assert given_out_meanwhile == []
        assert statuses() == {"SENT": 20}
        assert check_all() == []

    def test_a_worker_whose_claim_was_taken_away_sends_no_further_group(self, workspace: Workspace, install: Install):
        """As after a jump of the database's clock: the worker still believes in its lease."""
        drawn: list[int] = []

        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for place, outbound in enumerate(batch):
                drawn.append(place)
                if place == 1:
                    Claim.objects.update(expires_at=Now() - timedelta(seconds=1))
                    sweeps.reap()
                yield outbound.id, Accepted()

        install(script, group=5)
        accept_batch(workspace, addresses(50))

        delivery.deliver(EMAIL)

        # The first group was marked with the claim. The next mark was refused, so nothing of it left.
        assert len(drawn) <= 5
        assert statuses()["SENT"] == 0
        assert check_all() == []

    def test_a_worker_that_comes_back_after_its_lease_sends_nothing_further(
        self, workspace: Workspace, install: Install, settings
    ):
        """As after SIGSTOP: the lease ran out while a message was in hand, and nobody renewed it."""
        settings.LEASE_SECONDS = 3.0
        settings.RENEW_SECONDS = 3600.0
        claims._keeper.cache_clear()
        begun: list[int] = []

        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for place, outbound in enumerate(batch):
                if not may_send():
                    yield outbound.id, Throttled(wait=0.0, code="not_begun")
                    continue
                begun.append(place)
                while place == 2 and may_send():
                    time.sleep(0.02)
                yield outbound.id, Accepted()

        install(script, group=4)
        accept_batch(workspace, addresses(20))

        delivery.deliver(EMAIL)
        claims._keeper.cache_clear()

        assert begun == [0, 1, 2]
        assert set(statuses()) <= {"SENT", "SENDING", "QUEUED"}
        assert statuses()["QUEUED"] == 17
        assert not Claim.objects.exists()
        assert check_all() == []


def rename(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


class TestLanes:
    def test_a_channel_without_a_provider_fails_its_messages_plainly(self, workspace: Workspace, install, settings):
        key = accept_message(workspace, "+12025550199", channel=Channel.SMS, subject="")
        settings.CHANNELS = {**settings.CHANNELS, "sms": []}
        providers.registry.cache_clear()

        assert delivery.deliver(Lane.named("sms.normal")) == 1

        assert (message(key).status, message(key).error_code) == ("FAILED", "provider_not_configured")
        assert check_all() == []

    def test_messages_in_test_mode_go_to_the_sandbox_whatever_the_provider(self, workspace: Workspace, install):
        install(answer(Permanent(code="live")))
        live, test = accept_message(workspace), accept_message(workspace, test=True)

        assert delivery.deliver(EMAIL) == 2

        assert (message(live).status, message(live).provider) == ("FAILED", "scripted")
        assert (message(test).status, message(test).provider) == ("SENT", "sandbox")
        assert check_all() == []

    def test_what_found_no_place_is_rung_for_when_one_is_given_back(
        self, workspace: Workspace, install: Install, settings: Settings
    ):
        settings.CHANNEL_THREADS = 1
        delivery._places.clear()
        handing_over, go_on = threading.Event(), threading.Event()

        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for outbound in batch:
                handing_over.set()
                assert go_on.wait(30)
                yield outbound.id, Accepted()

        install(script)
        accept_message(workspace)
        urgent = Lane.named("email.urgent")

        def run() -> None:
            try:
                delivery.deliver(EMAIL)
            finally:
                connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        assert handing_over.wait(30)
        accept_message(workspace, priority=Priority.URGENT)
        assert delivery.deliver(urgent) == 0
        queue.lift(urgent)
        go_on.set()
        thread.join()

        eventually(lambda: queue.valkey().exists(f"bell:{urgent.name}"), "the lane is rung")
        assert not delivery._turned_away
        delivery._places.clear()


SETTLED = {
    "delivered": ("DELIVERED", 1),
    "opened": ("OPENED", 1),
    "clicked": ("CLICKED", 1),
    "bounced": ("BOUNCED", 1),
    "transient": ("DELIVERED", 3),
    "permanent": ("FAILED", 1),
    "throttled": ("DELIVERED", 1),
    "unknown": ("FAILED", 1),
    "optout": ("UNSUBSCRIBED", 1),
    "silent": ("SENT", 1),
}


def test_every_scenario_of_the_sandbox_is_known_here():
    assert set(SETTLED) == {scenario.value for scenario in Scenario}


@pytest.mark.parametrize("channel", Channel)
def test_the_sandbox_walks_every_scenario_to_its_end_on_every_channel(workspace: Workspace, channel: Channel):
    to = {
        Channel.EMAIL: "ann@example.com",
        Channel.WEBHOOK: "https://example.com/hook",
        Channel.TELEGRAM: "12345678",
    }.get(channel, "+12025550199" if channel in {Channel.SMS, Channel.WHATSAPP} else str(uuid7()))
    subject = "Hello" if "subject" in CARRIES[channel] else ""
    keys = {
        word: accept_message(workspace, to, channel=channel, subject=subject, test=True, metadata={"sandbox": word})
        for word in SETTLED
    }
    lane = Lane(channel, Priority.NORMAL)
    # Time is brought forward in the rows instead of being waited for.
    while delivery.deliver(lane) or receipts.apply_due():
        Message.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=Now())
        ReceiptRecord.objects.filter(state="pending").update(due_at=Now())
    sweeps.sweep_due()

    assert {word: (message(key).status, message(key).attempts) for word, key in keys.items()} == SETTLED
    assert message(keys["unknown"]).error_code == "outcome_unknown"
    assert message(keys["throttled"]).throttles == 1
    assert check_all() == []
