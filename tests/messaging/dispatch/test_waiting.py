"""Sends that wait for a worker in a process of its own."""

from __future__ import annotations

import pytest
from django.db import connection
from pytest_django import Settings

from messaging.models import Claim, Message, Workspace
from messaging.state import Priority, Status
from tests.factories import make_workspace
from tests.messaging.dispatch.posts import Post, only, story
from tests.messaging.invariants import check_all
from tests.running import Part, eventually

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def workspace(worker: Part, settings: Settings) -> Workspace:
    settings.SYNC_WAIT_SECONDS = 60.0
    return make_workspace()


def test_an_answer_tells_that_the_message_went_out(workspace: Workspace):
    post = Post(workspace, fields={"priority": Priority.BULK})

    post.make()

    row = only()
    assert (post.sent.message.status, post.sent.waited, post.sent.ids) == (Status.SENT, True, (row.id,))
    assert row.priority == Priority.URGENT
    assert post.sent.message.sent_at == row.sent_at
    assert check_all() == []


@pytest.mark.parametrize("scenario", ["permanent", "transient"])
def test_an_answer_that_tells_of_a_failure_is_final(workspace: Workspace, scenario: str):
    post = Post(workspace, to=(f"{scenario}@example.com",))

    post.make()

    told = post.sent.message
    assert (told.status, told.error_code, told.attempts) == (Status.FAILED, f"sandbox_{scenario}", 1)
    row = only()
    assert (row.status, row.next_attempt_at, row.claim_id) == (Status.FAILED, None, None)
    assert story(row.id) == ["queued", "sending", "failed"]
    assert check_all() == []


def test_a_failure_for_now_is_tried_again_where_nobody_waits(workspace: Workspace):
    Post(workspace, to=("transient@example.com",), wait=False, fields={"priority": Priority.URGENT}).make()

    row = eventually(lambda: Message.objects.filter(attempts=1, status=Status.QUEUED).first(), "it waits again")
    assert row.next_attempt_at > row.queued_at
    assert row.error_code == "sandbox_transient"


@pytest.mark.parametrize(("scenario", "status"), [("throttled", Status.QUEUED), ("unknown", Status.SENDING)])
def test_what_is_no_outcome_lets_the_wait_run_out(
    workspace: Workspace, settings: Settings, scenario: str, status: Status
):
    settings.SYNC_WAIT_SECONDS = 1.0
    post = Post(workspace, to=(f"{scenario}@example.com",))

    post.make()

    # Whether the worker is that far when the time is up is its own affair.
    assert post.sent.waited
    assert post.sent.message.status in {Status.QUEUED, Status.SENDING}
    assert post.sent.message.awaited_until is None
    eventually(lambda: len(story(only().id)) > 1 and not Claim.objects.exists(), "the worker is done with it")
    assert only().status == status
    assert check_all() == []


def test_the_worker_keeps_its_connections(workspace: Workspace):
    def backends() -> set[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'dispatch-urgent'"
            )
            return {row[0] for row in cursor.fetchall()}

    Post(workspace).make()
    eventually(lambda: not Claim.objects.exists(), "the worker is done with it")
    kept = backends()
    for _ in range(3):
        Post(workspace).make()
        eventually(lambda: not Claim.objects.exists(), "the worker is done with it")

    assert kept
    assert kept <= backends()
