"""Sends that wait: the answer and the row agree, whoever comes first."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from channels_app.types import (
    Accepted,
    Ambiguous,
    Attachment,
    Channel,
    NotConfigured,
    OutboundMessage,
    Outcome,
    Permanent,
    Throttled,
    Transient,
)
from messaging import models
from messaging.content.encryption import is_sealed
from messaging.dispatch import claims, control, delivery, intake, providers, queue, sending, transitions, wake
from messaging.dispatch.idempotency import Answer
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.errors import IdempotencyInFlight, IdempotencyMismatch, Invalid
from messaging.models import IdempotencyRecord, Message, Workspace
from messaging.state import Cause, Priority, Status
from tests.factories import accept_message, draft, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.posts import Post, only, story, under_way
from tests.messaging.dispatch.scripted import Answers, MaySend, answer
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all
from tests.running import eventually
from tests.urgent import KEYS

URGENT = Lane.named("email.urgent")
committed = pytest.mark.usefixtures("transactional_db")
LONG, SHORT = 60.0, 0.2
"""A wait that an outcome must end, and one that is to run out."""


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace()


@pytest.fixture(autouse=True)
def patience(settings: Settings) -> Iterator[Settings]:
    """Waits that an outcome ends; a test that lets one run out makes it short."""
    settings.SYNC_WAIT_SECONDS = LONG
    wake._rests_until = 0.0
    yield settings
    queue.valkey.cache_clear()


@contextmanager
def working() -> Iterator[None]:
    """A worker of the urgent lane in this process, at work until the end of the block."""
    stop = threading.Event()

    def run() -> None:
        try:
            while not stop.wait(0.01):
                delivery.deliver(URGENT)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class TestOutcomes:
    """With a provider that answers as the test says."""

    @pytest.mark.parametrize(
        ("outcome", "status"),
        [
            (Accepted(provider_message_id="p"), Status.SENT),
            (Permanent(code="no_such_user"), Status.FAILED),
            (Transient(code="greylisted", retry_after=60.0), Status.FAILED),
            (NotConfigured(), Status.FAILED),
        ],
        ids=lambda each: type(each).__name__,
    )
    def test_an_outcome_ends_the_wait(self, workspace: Workspace, install: Install, outcome: Outcome, status: Status):
        install(answer(outcome))
        post = Post(workspace)

        with working():
            post.make()

        assert (post.sent.message.status, only().status) == (status, status)
        assert check_all() == []

    def test_a_provider_that_was_taken_away_ends_the_wait(self, workspace: Workspace, patience: Settings):
        post = Post(workspace)
        with under_way(post) as making:
            patience.CHANNELS = {**patience.CHANNELS, "email": []}
            providers.registry.cache_clear()
            try:
                with working():
                    making.result()
            finally:
                providers.registry.cache_clear()

        assert (post.sent.message.status, post.sent.message.error_code) == (Status.FAILED, "provider_not_configured")

    @pytest.mark.parametrize("outcome", [Throttled(wait=3600.0), Ambiguous()], ids=lambda each: type(each).__name__)
    def test_what_is_no_outcome_does_not(
        self, workspace: Workspace, install: Install, patience: Settings, outcome: Outcome
    ):
        install(answer(outcome))
        patience.SYNC_WAIT_SECONDS = 0.5
        post = Post(workspace)

        with working():
            post.make()

        assert post.sent.message.status == only().status
        assert post.sent.message.status in {Status.QUEUED, Status.SENDING}
        assert only().awaited_until is None

    def test_a_failure_after_the_wait_is_tried_again(self, workspace: Workspace, install: Install, patience: Settings):
        patience.SYNC_WAIT_SECONDS = SHORT
        answered = threading.Event()

        def late(batch: Iterator[Any], may_send: MaySend) -> Answers:
            for outbound in batch:
                assert answered.wait(30)
                yield outbound.id, Transient(code="greylisted")

        install(late)
        post = Post(workspace)
        with working():
            post.make()
            assert post.sent.message.status in {Status.QUEUED, Status.SENDING}
            answered.set()
            row = eventually(lambda: Message.objects.filter(error_code="greylisted").first(), "the outcome is written")

        assert row.status == Status.QUEUED
        assert row.next_attempt_at > timezone.now()
        assert story(row.id) == ["queued", "sending", "queued"]

    def test_a_message_that_a_worker_takes_at_once_is_waited_for(self, workspace: Workspace, patience: Settings):
        patience.SYNC_WAIT_SECONDS = SHORT
        file = Attachment(filename="a.txt", content=b"a", content_type="text/plain")
        post = Post(workspace, fields={"attachments": (file,)})

        def accept(awaited: bool) -> list[UUID]:
            ids = post.accept(awaited)
            assert claims.take(URGENT, limit=1, group=1) is not None
            return ids

        sending.send(workspace_id=workspace.id, key=None, accept=accept, show=post.show, whole=True)

        row = only()
        assert (post.sent.message.status, post.sent.waited) == (Status.SENDING, True)
        assert row.awaited_until is None

    def test_a_suppression_found_by_the_worker_ends_the_wait(self, workspace: Workspace):
        post = Post(workspace)
        with under_way(post):
            models.Suppression.objects.create(
                workspace=workspace, channel=Channel.EMAIL, address="ann@example.com", category="*", reason="manual"
            )
            with working():
                eventually(lambda: post.seen, "there is an answer")

        assert (post.sent.message.status, post.sent.message.error_code) == (Status.FAILED, "suppressed")

    def test_the_others_of_a_claim_are_tried_again(self, workspace: Workspace, install: Install):
        install(answer(Transient(code="greylisted")))
        other = accept_message(workspace, priority=Priority.URGENT)
        post = Post(workspace)

        with working():
            post.make()
            eventually(lambda: message(other).attempts, "the other was tried, too")

        assert (post.sent.message.status, message(other).status) == (Status.FAILED, Status.QUEUED)
        assert check_all() == []


class TestRaces:
    """A failure for now is written while the request gives up: the two connections in every order."""

    @pytest.fixture
    def row(self, workspace: Workspace) -> Message:
        """A message that is awaited and in a worker's hands."""
        intake.accept(
            workspace_id=workspace.id,
            author_id=None,
            test=False,
            draft=draft(),
            recipients=[intake.Recipient(to="ann@example.com")],
            batch=False,
            awaited=True,
        )
        taken = claims.take(URGENT, limit=10, group=10)
        assert taken is not None
        assert [one.awaited for one in taken[1]] == [True]
        return only()

    @staticmethod
    def fail(row: Message) -> None:
        move = Move(id=row.id, to=Status.QUEUED, due=60.0, code="greylisted", error="later", ends_awaited=True)
        assert transitions.flush_many([move], claim_id=row.claim_id, mark=1) == {row.id}

    @contextmanager
    def uncommitted(self, change: Callable[[], None], *, commit: bool = True) -> Iterator[None]:
        """The change made by another connection, which ends its transaction after the block."""
        made, end = threading.Event(), threading.Event()

        def run() -> None:
            with transaction.atomic():
                change()
                made.set()
                assert end.wait(30)
                transaction.set_rollback(not commit)
            connection.close()

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run)
            assert made.wait(30)
            try:
                yield
            finally:
                end.set()
                running.result()

    @contextmanager
    def waiting_for_it(self, change: Callable[[], None]) -> Iterator[None]:
        """The change begun by another connection, which waits for a lock; it has been made after the block."""

        def run() -> None:
            try:
                change()
            finally:
                connection.close()

        def waits() -> bool:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                return cursor.fetchone() is not None

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run)
            eventually(waits, "it waits for the row")
            yield
        running.result()

    def assert_failed(self, row: Message) -> None:
        row.refresh_from_db()
        assert (row.status, row.next_attempt_at, row.error_code) == (Status.FAILED, None, "greylisted")
        assert row.failed_at is not None
        assert story(row.id) == ["queued", "sending", "failed"]
        assert check_all() == []

    def assert_queued(self, row: Message) -> None:
        row.refresh_from_db()
        assert (row.status, row.failed_at, row.error_code) == (Status.QUEUED, None, "greylisted")
        assert row.next_attempt_at > timezone.now() + timedelta(seconds=30)
        assert story(row.id) == ["queued", "sending", "queued"]
        assert check_all() == []

    def test_the_worker_is_first(self, row: Message):
        self.fail(row)
        transitions.give_up(row.id)

        self.assert_failed(row)

    def test_the_request_is_first(self, row: Message):
        transitions.give_up(row.id)
        self.fail(row)

        self.assert_queued(row)

    def test_the_worker_waits_for_the_request(self, row: Message):
        with ExitStack() as stack, self.uncommitted(lambda: transitions.give_up(row.id)):
            stack.enter_context(self.waiting_for_it(lambda: self.fail(row)))

        self.assert_queued(row)

    def test_the_worker_waits_for_a_request_that_fails_to_give_up(self, row: Message):
        with ExitStack() as stack, self.uncommitted(lambda: transitions.give_up(row.id), commit=False):
            stack.enter_context(self.waiting_for_it(lambda: self.fail(row)))

        self.assert_failed(row)

    def test_the_request_waits_for_the_worker(self, row: Message):
        with ExitStack() as stack, self.uncommitted(lambda: self.fail(row)):
            stack.enter_context(self.waiting_for_it(lambda: transitions.give_up(row.id)))

        self.assert_failed(row)

    def test_the_request_waits_for_a_worker_that_cannot_write(self, row: Message):
        with ExitStack() as stack, self.uncommitted(lambda: self.fail(row), commit=False):
            stack.enter_context(self.waiting_for_it(lambda: transitions.give_up(row.id)))
        row.refresh_from_db()
        assert (row.status, row.awaited_until) == (Status.SENDING, None)

        self.fail(row)

        self.assert_queued(row)

    def test_a_request_that_died_waits_no_longer_than_it_would_have(self, row: Message):
        Message.objects.update(awaited_until=timezone.now() - timedelta(seconds=1))

        self.fail(row)

        self.assert_queued(row)

    def test_a_lease_that_has_ended_writes_nothing_and_holds_nothing(self, row: Message):
        models.Claim.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        move = Move(id=row.id, to=Status.QUEUED, due=60.0, ends_awaited=True)

        assert transitions.flush_many([move], claim_id=row.claim_id, mark=1) is None

        row.refresh_from_db()
        assert row.status == Status.SENDING

    def test_a_persons_retry_is_not_awaited(self, row: Message):
        self.fail(row)

        control.retry(workspace_id=row.workspace_id, message_id=row.id, cause=Cause.API)

        row.refresh_from_db()
        assert (row.status, row.awaited_until) == (Status.QUEUED, None)
        taken = claims.take(URGENT, limit=10, group=10)
        assert taken is not None
        assert [one.awaited for one in taken[1]] == [False]


class TestMeanwhile:
    """What else may happen to a message while a request waits."""

    def test_a_message_that_is_cancelled_is_told_as_such(self, workspace: Workspace, patience: Settings):
        patience.SYNC_WAIT_SECONDS = 2.0
        post = Post(workspace)
        with under_way(post):
            control.cancel(workspace_id=workspace.id, message_id=only().id, cause=Cause.API)

        assert (post.sent.message.status, only().status) == (Status.CANCELLED, Status.CANCELLED)

    def test_a_message_that_is_deleted_is_told_as_cancelled(self, workspace: Workspace):
        post = Post(workspace, key="k")
        with under_way(post) as making:
            key = only().id
            control.delete(workspace_id=workspace.id, message_id=key, cause=Cause.API)
            wake.wake([key])

        assert post.sent.message.status == Status.CANCELLED
        assert Post(workspace, key="k").make() == replace(making.result(), replayed=True)

    def test_a_message_that_is_deleted_while_it_is_sent_is_told_as_sent(self, workspace: Workspace, install: Install):
        def deleting(each: OutboundMessage) -> Outcome:
            control.delete(workspace_id=workspace.id, message_id=each.id, cause=Cause.API)
            return Accepted(provider_message_id="p")

        install(answer(deleting))
        post = Post(workspace)
        with working():
            post.make()

        assert (post.sent.message.status, only().status) == (Status.SENT, Status.SENT)

    def test_a_message_that_nobody_sends_is_told_as_queued_and_is_tried_again_as_any_other(
        self, workspace: Workspace, install: Install, patience: Settings
    ):
        patience.SYNC_WAIT_SECONDS = SHORT
        post = Post(workspace)
        post.make()
        assert (post.sent.message.status, only().awaited_until) == (Status.QUEUED, None)

        install(answer(Transient(code="greylisted")))
        assert delivery.deliver(URGENT) == 1

        assert (only().status, only().attempts) == (Status.QUEUED, 1)

    def test_being_woken_for_nothing_is_no_outcome(self, workspace: Workspace):
        post = Post(workspace)
        with under_way(post):
            wake.wake([only().id])

        assert (post.sent.message.status, only().awaited_until) == (Status.QUEUED, None)

    def test_no_connection_is_held_while_waiting(self, workspace: Workspace):
        def held() -> bool:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = ANY(%s)", [list(post.backends)])
                return cursor.fetchone() is not None

        post = Post(workspace)
        with under_way(post) as making:
            eventually(lambda: not held(), "the request's connection is given back")
            assert not making.done()
            wake.wake([only().id])

        assert making.result().status == 200

    def test_valkey_away_means_queued_at_once(self, workspace: Workspace, install: Install, patience: Settings):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            patience.REDIS_URL = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        queue.valkey.cache_clear()
        post = Post(workspace)

        post.make()

        assert (post.sent.message.status, only().awaited_until) == (Status.QUEUED, None)
        install(answer(Transient(code="greylisted")))
        assert delivery.deliver(URGENT) == 1
        assert (only().status, only().attempts) == (Status.QUEUED, 1)

    def test_valkey_that_goes_while_a_request_waits_means_queued(self, workspace: Workspace, patience: Settings):
        # Bells keep to the server that they know: only who waits comes to this one.
        queue.valkey()
        with socket.create_server(("127.0.0.1", 0)) as server:
            patience.REDIS_URL = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
            post = Post(workspace)
            with under_way(post) as making:
                peer, _ = server.accept()
                assert peer.recv(1)
                assert not making.done()
                peer.close()

        assert (post.sent.message.status, only().awaited_until) == (Status.QUEUED, None)


class TestNobodyWaits:
    """Sends that are answered at once."""

    @pytest.fixture(autouse=True)
    def nobody_works(self, workspace: Workspace) -> None:
        """Whoever waited here would do so for a minute."""

    def assert_at_once(self, post: Post, status: Status) -> Message:
        post.make()
        row = Message.objects.get(id=post.sent.ids[0])
        assert (post.sent.message.status, post.sent.waited, row.awaited_until) == (status, False, row.awaited_until)
        return row

    def test_without_a_free_place(self, workspace: Workspace, patience: Settings):
        patience.API_THREADS = 4
        with wake.place(), wake.place():
            row = self.assert_at_once(Post(workspace), Status.QUEUED)

        assert (row.awaited_until, row.priority) == (None, Priority.NORMAL)

    def test_where_the_caller_does_not_want_to(self, workspace: Workspace):
        row = self.assert_at_once(Post(workspace, wait=False), Status.QUEUED)

        assert (row.awaited_until, row.priority) == (None, Priority.NORMAL)

    def test_for_what_is_scheduled(self, workspace: Workspace):
        later = timezone.now() + timedelta(days=1)

        row = self.assert_at_once(Post(workspace, fields={"scheduled_at": later}), Status.SCHEDULED)

        assert (row.awaited_until, row.priority) == (None, Priority.NORMAL)

    def test_for_what_ends_at_its_accept(self, workspace: Workspace):
        models.Suppression.objects.create(
            workspace=workspace, channel=Channel.EMAIL, address="ann@example.com", category="*", reason="manual"
        )

        row = self.assert_at_once(Post(workspace), Status.FAILED)

        assert row.error_code == "suppressed"

    def test_inside_of_a_transaction(self, workspace: Workspace):
        with transaction.atomic():
            row = self.assert_at_once(Post(workspace), Status.QUEUED)

        assert row.awaited_until is None

    def test_places_are_given_back_by_what_is_refused(self, workspace: Workspace, patience: Settings):
        patience.API_THREADS = 2
        for _ in range(3):
            with pytest.raises(Invalid):
                Post(workspace, to=("nobody",)).make()

        assert not Message.objects.exists()
        with wake.place() as free:
            assert free


@committed
def test_only_the_first_of_several_is_awaited(workspace: Workspace, install: Install):
    install(answer(Transient(code="greylisted")))
    post = Post(workspace, to=("a@example.com", "b@example.com", "c@example.com"))

    with working():
        post.make()

    rows = [message(key) for key in post.sent.ids]
    assert [row.recipient for row in rows] == list(post.to)
    assert [row.priority for row in rows] == [Priority.URGENT, Priority.NORMAL, Priority.NORMAL]
    assert [row.awaited_until is None for row in rows] == [False, True, True]
    assert [row.status for row in rows] == [Status.FAILED, Status.QUEUED, Status.QUEUED]
    assert post.sent.message.id == rows[0].id
    assert check_all() == []


class TestIdempotency:
    def test_a_repeat_while_the_first_request_waits_is_a_conflict(self, workspace: Workspace):
        post = Post(workspace, key="k")
        with under_way(post) as making:
            with pytest.raises(IdempotencyInFlight):
                Post(workspace, key="k").make()
            with pytest.raises(IdempotencyMismatch):
                Post(workspace, key="k", body=b"else").make()
            assert not making.done()
            wake.wake([only().id])

    @pytest.mark.parametrize("encrypted", [False, True])
    def test_a_repeat_gets_the_first_answer_whatever_became_of_the_message(
        self, workspace: Workspace, install: Install, patience: Settings, encrypted: bool
    ):
        patience.DISPATCH_KEYS = KEYS
        install(answer(Transient(code="greylisted")))
        first, again = (Post(workspace, key="k", encrypted=encrypted) for _ in range(2))
        with working():
            given = first.make()
        control.retry(workspace_id=workspace.id, message_id=only().id, cause=Cause.API)

        repeated = again.make()

        assert given == Answer(status=200, body=f"{only().id} FAILED 1".encode())
        assert repeated == Answer(status=200, body=given.body, replayed=True)
        assert again.seen == []
        record = IdempotencyRecord.objects.get()
        assert is_sealed(bytes(record.body)) is encrypted
        assert (record.pending_until, record.message_id) == (None, only().id)
        with pytest.raises(IdempotencyMismatch):
            Post(workspace, key="k", body=b"else").make()

    def test_an_answer_that_was_not_waited_for_is_kept_too(self, workspace: Workspace):
        first, again = (Post(workspace, key="k", wait=wait) for wait in (False, True))

        given = first.make()

        assert again.make() == Answer(status=200, body=given.body, replayed=True)
        assert given.body == f"{only().id} QUEUED 1".encode()

    def test_a_refused_send_leaves_its_key_free(self, workspace: Workspace, install: Install):
        install(answer(Accepted()))
        with pytest.raises(Invalid):
            Post(workspace, key="k", to=("nobody",)).make()

        with working():
            assert Post(workspace, key="k").make().body == f"{only().id} SENT 1".encode()

    def died(self, post: Post) -> None:
        """A request that ended between its wait and its answer, long enough ago."""
        post.fails = SystemExit()
        with pytest.raises(SystemExit):
            post.make()
        record = IdempotencyRecord.objects.get()
        assert record.pending_until > timezone.now()
        with pytest.raises(IdempotencyInFlight):
            Post(post.workspace, key=post.key).make()
        IdempotencyRecord.objects.update(pending_until=timezone.now())

    def test_after_a_request_that_died_a_repeat_tells_what_the_row_says(self, workspace: Workspace, install: Install):
        install(answer(Transient(code="greylisted")))
        with working():
            self.died(Post(workspace, key="k"))
        with pytest.raises(IdempotencyMismatch):
            Post(workspace, key="k", body=b"else").make()
        second, third = Post(workspace, key="k"), Post(workspace, key="k")

        given = second.make()
        control.retry(workspace_id=workspace.id, message_id=only().id, cause=Cause.API)

        assert given.body == f"{only().id} FAILED 1".encode()
        assert third.make() == Answer(status=200, body=given.body, replayed=True)
        assert Message.objects.count() == 1

    def test_it_knows_all_that_was_sent(self, workspace: Workspace, patience: Settings):
        patience.SYNC_WAIT_SECONDS = SHORT
        to = ("a@example.com", "b@example.com")
        self.died(Post(workspace, key="k", to=to))
        again = Post(workspace, key="k", to=to)

        again.make()

        assert again.sent.ids == tuple(Message.objects.order_by("recipient").values_list("id", flat=True))
        assert again.sent.message.id == again.sent.ids[0]

    def test_repeats_after_a_death_give_one_answer(self, workspace: Workspace, patience: Settings):
        patience.SYNC_WAIT_SECONDS = SHORT
        self.died(Post(workspace, key="k"))

        given = at_once(*[Post(workspace, key="k").make] * 6)

        answers = {each.body for each in given if isinstance(each, Answer)}
        others = [each for each in given if not isinstance(each, Answer)]
        assert answers == {f"{only().id} QUEUED 1".encode()}
        assert all(isinstance(each, IdempotencyInFlight) for each in others)

    def test_a_request_that_was_taken_for_dead_gives_the_answer_that_was_given(self, workspace: Workspace):
        post = Post(workspace, key="k")
        with under_way(post) as making:
            IdempotencyRecord.objects.update(pending_until=timezone.now())
            given = Post(workspace, key="k").make()
            control.cancel(workspace_id=workspace.id, message_id=only().id, cause=Cause.API)
            wake.wake([only().id])

        assert making.result() == Answer(status=200, body=given.body, replayed=True)
        assert given.body == f"{only().id} QUEUED 1".encode()
