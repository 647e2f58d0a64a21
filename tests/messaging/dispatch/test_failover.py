"""Several providers on one channel: who gets what, what is handed on, and what is left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from pytest_django import Settings

from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    NotConfigured,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    Throttled,
    Transient,
)
from messaging.dispatch import breakers, buckets, delivery, queue
from messaging.dispatch.breakers import FAULTS, State
from messaging.dispatch.queue import Lane
from messaging.models import Message, Workspace
from tests.factories import accept_batch, accept_message, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import Answers, MaySend, Script, accept_all, answer
from tests.messaging.invariants import check_all

pytestmark = pytest.mark.usefixtures("transactional_db")

EMAIL = Lane.named("email.normal")
FAULT = Transient(code="http_503", detail="out of order")


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def addresses(count: int) -> list[str]:
    return [f"person{number}@example.com" for number in range(count)]


def outcomes() -> Counter[tuple[str, str, int]]:
    return Counter(Message.objects.values_list("status", "provider", "attempts"))


def state(name: str = "scripted") -> State:
    return breakers.look(Channel.EMAIL, [name])[0].state


def rest_is_over(name: str = "scripted") -> None:
    queue.valkey().hset(f"breaker:email:{name}", "until", "1")


class Counting:
    """A script that counts what came to it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.came = 0

    def __call__(self, batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
        def counted() -> Iterator[OutboundMessage]:
            for outbound in batch:
                self.came += 1
                yield outbound

        yield from self.script(counted(), may_send)


class TestHandingOn:
    @pytest.mark.parametrize("first", [FAULT, NotConfigured(detail="out of order"), Throttled(wait=30.0)])
    def test_what_one_provider_surely_did_not_take_the_next_one_gets(
        self, workspace: Workspace, install: Install, first: Outcome
    ) -> None:
        install(answer(first), then=[{"script": accept_all}])
        key = accept_message(workspace)

        delivery.deliver(EMAIL)

        row = message(key)
        assert (row.status, row.provider, row.attempts, row.error_code) == ("SENT", "scripted-2", 1, "")
        event = row.events.get(type="sent")
        assert event.provider == "scripted-2"
        assert event.detail["tried"] == [{"provider": "scripted", "code": first.code, "error": first.detail}]
        assert check_all() == []

    @pytest.mark.parametrize("first", [Ambiguous(), Permanent(code="no_such_user"), Throttled(wait=0.0)])
    def test_what_may_have_been_taken_or_never_can_be_is_not_handed_on(
        self, workspace: Workspace, install: Install, first: Outcome
    ) -> None:
        second = Counting(accept_all)
        install(answer(first), then=[{"script": second}])
        accept_message(workspace)

        delivery.deliver(EMAIL)

        assert second.came == 0
        assert check_all() == []

    def test_when_all_fail_the_attempt_counts_once_and_the_event_tells_of_each(
        self, workspace: Workspace, install: Install
    ) -> None:
        install(
            answer(NotConfigured(detail="no such key")),
            then=[{"script": answer(FAULT)}, {"script": answer(Throttled(wait=9.0, detail="later"))}],
        )
        key = accept_message(workspace)

        delivery.deliver(EMAIL)

        row = message(key)
        assert (row.status, row.provider, row.attempts, row.error_code) == ("QUEUED", "scripted-2", 1, "http_503")
        assert row.events.last().detail["tried"] == [
            {"provider": "scripted", "code": "provider_not_configured", "error": "no such key"},
            {"provider": "scripted-3", "code": "throttled", "error": "later"},
        ]
        assert check_all() == []

    def test_an_unknown_outcome_at_the_next_provider_ends_the_search(
        self, workspace: Workspace, install: Install
    ) -> None:
        third = Counting(accept_all)
        install(answer(FAULT), then=[{"script": answer(Ambiguous()), "on_unknown": OnUnknown.HOLD}, {"script": third}])
        key = accept_message(workspace)

        delivery.deliver(EMAIL)

        row = message(key)
        assert (row.status, row.provider, row.error_code) == ("SENDING", "scripted-2", "outcome_unknown")
        assert third.came == 0
        assert check_all() == []

    def test_when_the_time_is_over_nobody_else_is_asked(
        self, workspace: Workspace, install: Install, settings: Settings
    ) -> None:
        settings.PROVIDER_DEADLINE_SECONDS = 0.0
        second = Counting(accept_all)
        install(answer(FAULT), then=[{"script": second}])
        key = accept_message(workspace)

        delivery.deliver(EMAIL)

        assert (message(key).status, message(key).error_code, second.came) == ("QUEUED", "http_503", 0)

    @pytest.mark.parametrize("group", [1, 3, 10])
    def test_a_whole_batch_finds_its_way_and_the_first_is_soon_left_alone(
        self, workspace: Workspace, install: Install, group: int
    ) -> None:
        first = Counting(answer(FAULT))
        install(first, group=group, shares_fate=True, then=[{"script": accept_all}])
        accept_batch(workspace, addresses(30))

        assert delivery.deliver(EMAIL) == 30

        assert outcomes() == {("SENT", "scripted-2", 1): 30}
        assert first.came == 2
        assert check_all() == []

    def test_a_session_that_has_many_at_once_hands_on_all_that_failed(
        self, workspace: Workspace, install: Install
    ) -> None:
        def in_groups(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            drawn: list[OutboundMessage] = []
            for outbound in batch:
                drawn.append(outbound)
                if len(drawn) == 10:
                    yield from ((each.id, FAULT) for each in drawn)
                    drawn = []
            yield from ((each.id, FAULT) for each in drawn)

        install(in_groups, group=10, then=[{"script": accept_all}])
        accept_batch(workspace, addresses(35))

        delivery.deliver(EMAIL)

        assert outcomes() == {("SENT", "scripted-2", 1): 35}
        assert check_all() == []

    def test_test_messages_stay_with_the_sandbox(self, workspace: Workspace, install: Install) -> None:
        first, second = Counting(answer(FAULT)), Counting(accept_all)
        install(first, then=[{"script": second}])
        accept_batch(workspace, addresses(3))
        accept_batch(workspace, ["transient@example.com", "ann@example.com"], test=True)

        delivery.deliver(EMAIL)

        assert outcomes() == {("SENT", "scripted-2", 1): 3, ("SENT", "sandbox", 1): 1, ("QUEUED", "sandbox", 1): 1}
        assert check_all() == []

    def test_a_session_that_breaks_leaves_what_it_was_given_in_doubt_and_no_more(
        self, workspace: Workspace, install: Install
    ) -> None:
        def breaks(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            next(batch)
            raise RuntimeError("broken")
            yield

        install(answer(FAULT), group=5, on_unknown=OnUnknown.HOLD, then=[{"script": breaks}])
        accept_batch(workspace, addresses(5))

        with pytest.raises(RuntimeError, match="broken"):
            delivery.deliver(EMAIL)

        assert outcomes() == {("SENDING", "", 1): 1, ("QUEUED", "", 0): 4}
        assert check_all() == []


class TestBreakers:
    def test_a_provider_that_fails_again_and_again_is_passed_by(self, workspace: Workspace, install: Install) -> None:
        first = Counting(answer(FAULT))
        install(first, shares_fate=True, then=[{"script": accept_all}])
        for _ in range(4):
            accept_batch(workspace, addresses(3))
            delivery.deliver(EMAIL)

        assert state() is State.OPEN
        assert first.came == FAULTS
        assert outcomes() == {("SENT", "scripted-2", 1): 12}
        assert check_all() == []

    def test_nothing_is_claimed_while_every_provider_is_left_alone(
        self, workspace: Workspace, install: Install
    ) -> None:
        install(answer(FAULT), shares_fate=True, then=[{"script": answer(FAULT)}])
        accept_batch(workspace, addresses(40))
        while delivery.deliver(EMAIL):
            Message.objects.filter(status="QUEUED", attempts=0).update(next_attempt_at=Now())

        assert (state(), state("scripted-2")) == (State.OPEN, State.OPEN)
        assert sum(Message.objects.values_list("attempts", flat=True)) == FAULTS
        assert Message.objects.filter(status="QUEUED").count() == 40
        assert buckets.resting([EMAIL]) == {EMAIL: True}
        assert check_all() == []

    def test_after_the_rest_one_message_goes_first_and_the_others_follow_when_it_was_taken(
        self, workspace: Workspace, install: Install
    ) -> None:
        install(answer(FAULT), shares_fate=True)
        accept_batch(workspace, addresses(FAULTS))
        delivery.deliver(EMAIL)
        assert state() is State.OPEN
        accept_batch(workspace, addresses(20))
        assert delivery.deliver(EMAIL) == 0

        rest_is_over()
        assert delivery.deliver(EMAIL) == 1
        assert state() is State.OPEN
        install(accept_all, shares_fate=True)
        rest_is_over()
        assert delivery.deliver(EMAIL) == 1
        assert state() is State.CLOSED
        assert delivery.deliver(EMAIL) == 18
        assert check_all() == []

    def test_a_trial_is_free_again_where_nothing_was_due(self, workspace: Workspace, install: Install) -> None:
        install(answer(FAULT), shares_fate=True)
        accept_batch(workspace, addresses(FAULTS))
        delivery.deliver(EMAIL)
        rest_is_over()
        assert delivery.deliver(EMAIL) == 0
        assert state() is State.HALF_OPEN

    def test_a_trial_goes_on_while_the_next_provider_has_the_rest(self, workspace: Workspace, install: Install) -> None:
        first = Counting(accept_all)
        install(first, shares_fate=True, then=[{"script": accept_all}])
        for _ in range(FAULTS):
            breakers.note("email", "scripted", FAULT, fault=True)
        rest_is_over()
        accept_batch(workspace, addresses(10))

        assert delivery.deliver(EMAIL) == 10

        assert outcomes() == {("SENT", "scripted", 1): 1, ("SENT", "scripted-2", 1): 9}
        assert state() is State.CLOSED
        assert check_all() == []

    def test_a_trial_at_the_next_provider_is_one_message_however_many_are_handed_on(
        self, workspace: Workspace, install: Install
    ) -> None:
        tried: list[int] = []

        def fails(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            yield from ((each.id, FAULT) for each in list(batch))

        def takes(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            drawn = list(batch)
            tried.append(len(drawn))
            yield from ((each.id, Accepted()) for each in drawn)

        install(fails, shares_fate=True, then=[{"script": takes}])
        for _ in range(FAULTS):
            breakers.note("email", "scripted-2", FAULT, fault=True)
        rest_is_over("scripted-2")
        accept_batch(workspace, addresses(10))

        delivery.deliver(EMAIL)

        assert tried[0] == 1
        assert state("scripted-2") is State.CLOSED
        assert check_all() == []

    def test_what_goes_to_servers_of_its_own_has_no_breaker(self, workspace: Workspace, install: Install) -> None:
        install(answer(FAULT), shares_fate=False)
        accept_batch(workspace, addresses(3 * FAULTS))
        delivery.deliver(EMAIL)
        assert state() is State.CLOSED
        assert outcomes() == {("QUEUED", "scripted", 1): 3 * FAULTS}


class TestRates:
    def test_no_more_is_claimed_than_the_rate_allows(
        self, workspace: Workspace, install: Install, settings: Settings
    ) -> None:
        install(accept_all)
        settings.PROVIDER_RATES = {"scripted": 4 / 3600 + 4}
        accept_batch(workspace, addresses(20))
        sent = delivery.deliver(EMAIL)
        assert sent == 4
        assert Message.objects.filter(status="QUEUED", attempts=0).count() == 16
        assert check_all() == []

    def test_tokens_of_what_never_went_out_are_given_back(
        self, workspace: Workspace, install: Install, settings: Settings
    ) -> None:
        install(accept_all)
        settings.PROVIDER_RATES = {"scripted": 1 / 3600}
        accept_message(workspace, test=True)
        assert delivery.deliver(EMAIL) == 1
        accept_message(workspace)
        assert delivery.deliver(EMAIL) == 1
        accept_message(workspace)
        assert delivery.deliver(EMAIL) == 0
        assert buckets.resting([EMAIL]) == {EMAIL: True}

    def test_a_provider_that_asks_to_wait_is_passed_by_for_so_long(
        self, workspace: Workspace, install: Install
    ) -> None:
        first = Counting(answer(Throttled(wait=30.0)))
        install(first, shares_fate=True, then=[{"script": accept_all}])
        for _ in range(3):
            accept_batch(workspace, addresses(3))
            delivery.deliver(EMAIL)
        assert first.came == 1
        assert outcomes() == {("SENT", "scripted-2", 1): 9}
        assert state() is State.CLOSED

    def test_a_wish_to_wait_for_one_recipient_alone_holds_up_nobody_else(
        self, workspace: Workspace, install: Install
    ) -> None:
        def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
            for outbound in batch:
                busy = outbound.address == "person0@example.com"
                yield outbound.id, Throttled(wait=30.0, alone=True) if busy else Accepted()

        install(script, shares_fate=True)
        accept_batch(workspace, addresses(3))
        delivery.deliver(EMAIL)
        assert outcomes() == {("SENT", "scripted", 1): 2, ("QUEUED", "scripted", 0): 1}

    def test_a_workspace_sends_no_more_than_its_rate_and_holds_up_no_other(
        self, workspace: Workspace, install: Install
    ) -> None:
        other = make_workspace()
        Workspace.objects.filter(id=workspace.id).update(send_rate=180)
        install(accept_all)
        accept_batch(workspace, addresses(10))
        accept_batch(other, addresses(10))

        assert delivery.deliver(EMAIL) == 13

        assert Message.objects.filter(status="SENT", workspace=workspace).count() == 3
        assert Message.objects.filter(status="SENT", workspace=other).count() == 10
        assert check_all() == []

    def test_what_a_workspace_may_send_is_not_used_up_by_a_claim_of_nothing(
        self, workspace: Workspace, install: Install
    ) -> None:
        Workspace.objects.filter(id=workspace.id).update(send_rate=1)
        install(accept_all)
        key = accept_message(workspace)

        def worker() -> int:
            try:
                return delivery.deliver(EMAIL)
            finally:
                connection.close()

        with transaction.atomic(), ThreadPoolExecutor(1) as pool:
            Message.objects.select_for_update().get(id=key)
            assert pool.submit(worker).result() == 0
        assert delivery.deliver(EMAIL) == 1

    def test_the_next_provider_keeps_its_own_rate(
        self, workspace: Workspace, install: Install, settings: Settings
    ) -> None:
        install(answer(FAULT), then=[{"script": accept_all}])
        settings.PROVIDER_RATES = {"scripted-2": 1 / 3600}
        accept_batch(workspace, addresses(5))

        delivery.deliver(EMAIL)

        assert Message.objects.filter(status="SENT").count() == 1
        assert check_all() == []


class TestKinds:
    """Providers of one channel that reach addresses of several kinds."""

    @pytest.fixture
    def sent(self) -> Counter[tuple[str, bool]]:
        return Counter()

    @pytest.fixture
    def kinds(self, install: Install, sent) -> None:
        def noting(name: str) -> Script:
            def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
                for outbound in batch:
                    sent[name, outbound.address.startswith("room")] += 1
                    yield outbound.id, Accepted()

            return script

        install(
            noting("people"),
            takes=lambda address: address.startswith("person"),
            then=[{"script": noting("rooms"), "takes": lambda address: address.startswith("room")}],
        )

    def test_each_message_goes_to_the_one_that_takes_its_address(self, workspace: Workspace, kinds, sent) -> None:
        rooms = [f"room{number}@example.com" for number in range(7)]
        mixed = [each for pair in zip(addresses(7), rooms, strict=True) for each in pair]
        accept_batch(workspace, [*addresses(5), *mixed, *rooms, *rooms])

        assert delivery.deliver(EMAIL) == 33

        assert sent == {("people", False): 12, ("rooms", True): 21}
        assert outcomes() == {("SENT", "scripted", 1): 12, ("SENT", "scripted-2", 1): 21}
        assert check_all() == []

    def test_what_others_took_long_for_is_no_reason_to_keep_one_from_its_own(
        self, workspace: Workspace, kinds, sent, settings: Settings
    ) -> None:
        settings.PROVIDER_DEADLINE_SECONDS = 0.0
        accept_batch(workspace, ["person@example.com", "room@example.com"])

        delivery.deliver(EMAIL)

        assert outcomes() == {("SENT", "scripted", 1): 1, ("SENT", "scripted-2", 1): 1}
        assert check_all() == []

    def test_an_address_that_none_takes_ends_alone(self, workspace: Workspace, kinds) -> None:
        accept_batch(workspace, ["person@example.com", "nobody@example.com", "room@example.com"])

        delivery.deliver(EMAIL)

        ended = {row.recipient: (row.status, row.error_code) for row in Message.objects.all()}
        assert ended == {
            "person@example.com": ("SENT", ""),
            "nobody@example.com": ("FAILED", "unknown_destination"),
            "room@example.com": ("SENT", ""),
        }
        assert check_all() == []

    def test_trouble_of_one_recipient_is_nothing_to_the_next(self, workspace: Workspace, install: Install) -> None:
        def moody(outbound: OutboundMessage) -> Outcome:
            return FAULT if outbound.address < "person5" else Accepted()

        install(
            answer(moody), takes=lambda address: True, then=[{"script": accept_all, "takes": lambda address: False}]
        )
        accept_batch(workspace, addresses(10))

        delivery.deliver(EMAIL)

        assert outcomes() == {("QUEUED", "scripted", 1): 5, ("SENT", "scripted", 1): 5}
        assert check_all() == []


class TestWeights:
    def test_messages_are_shared_by_weight_and_reserves_get_none(self, workspace: Workspace, install: Install) -> None:
        install(accept_all, weight=3, then=[{"weight": 1}, {"weight": None}])
        accept_batch(workspace, addresses(40))
        delivery.deliver(EMAIL)
        assert outcomes() == {("SENT", "scripted", 1): 30, ("SENT", "scripted-2", 1): 10}

    def test_a_full_batch_is_shared_by_weight_too(self, workspace: Workspace, install: Install) -> None:
        install(accept_all, batch=8, weight=3, then=[{"weight": 1}])
        accept_batch(workspace, addresses(8))
        delivery.deliver(EMAIL)
        assert outcomes() == {("SENT", "scripted", 1): 6, ("SENT", "scripted-2", 1): 2}

    def test_what_one_has_no_tokens_for_goes_to_the_others(
        self, workspace: Workspace, install: Install, settings: Settings
    ) -> None:
        install(accept_all, weight=1, then=[{"weight": 1}])
        settings.PROVIDER_RATES = {"scripted": 1 / 3600}
        accept_batch(workspace, addresses(4))
        delivery.deliver(EMAIL)
        assert outcomes() == {("SENT", "scripted", 1): 1, ("SENT", "scripted-2", 1): 3}

    def test_a_reserve_steps_in_when_the_others_are_left_alone(self, workspace: Workspace, install: Install) -> None:
        install(accept_all, shares_fate=True, weight=3, then=[{"weight": 1}, {"weight": None}])
        for name in ("scripted", "scripted-2"):
            for _ in range(FAULTS):
                breakers.note("email", name, FAULT, fault=True)
        accept_batch(workspace, addresses(5))
        delivery.deliver(EMAIL)
        assert outcomes() == {("SENT", "scripted-3", 1): 5}
