"""What people may do to a message that exists."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from channels_app.types import Channel
from messaging.dispatch import claims, control, delivery, transitions
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.errors import NotFound, TransitionRefused
from messaging.inbox import feed
from messaging.inbox.feed import Reader
from messaging.models import MessageEvent, Workspace
from messaging.models.keys import uuid7
from messaging.state import Cause, Status
from tests.factories import accept_message, make_member, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import accept_all
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all

pytestmark = pytest.mark.usefixtures("transactional_db")

EMAIL = Lane.named("email.normal")


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def test_a_cancelled_message_is_never_sent(workspace: Workspace, install: Install):
    install(accept_all)
    key = accept_message(workspace)

    control.cancel(workspace_id=workspace.id, message_id=key, cause=Cause.API)

    assert delivery.deliver(EMAIL) == 0
    assert message(key).status == "CANCELLED"
    assert check_all() == []


def test_a_cancel_of_what_is_being_sent_is_refused(workspace: Workspace):
    key = accept_message(workspace)
    claims.take(EMAIL, limit=1, group=1)

    with pytest.raises(TransitionRefused, match="SENDING"):
        control.cancel(workspace_id=workspace.id, message_id=key, cause=Cause.API)


def test_a_second_cancel_is_refused(workspace: Workspace):
    key = accept_message(workspace)
    control.cancel(workspace_id=workspace.id, message_id=key, cause=Cause.API)

    with pytest.raises(TransitionRefused, match="CANCELLED"):
        control.cancel(workspace_id=workspace.id, message_id=key, cause=Cause.API)


def test_a_cancel_that_is_answered_and_a_send_never_both_happen(workspace: Workspace, install: Install):
    install(accept_all)
    for _ in range(15):
        key = accept_message(workspace)

        def cancel(key=key) -> None:
            control.cancel(workspace_id=workspace.id, message_id=key, cause=Cause.API)

        cancelled, delivered = at_once(cancel, lambda: delivery.deliver(EMAIL))

        assert (cancelled is None) != (delivered == 1)
        assert message(key).status == ("CANCELLED" if cancelled is None else "SENT")
    assert check_all() == []


@pytest.mark.parametrize("deed", [control.cancel, control.retry])
def test_what_is_not_there_is_not_found(workspace: Workspace, deed):
    foreign = accept_message(make_workspace("Other"))

    for key in (uuid7(), foreign):
        with pytest.raises(NotFound):
            deed(workspace_id=workspace.id, message_id=key, cause=Cause.API)
    assert message(foreign).status == "QUEUED"


def test_a_failed_message_is_queued_once_more_and_sent(workspace: Workspace, install: Install, settings):
    install(accept_all)
    settings.MAX_ATTEMPTS = 5
    key = accept_message(workspace)
    transitions.advance_many([Move(id=key, to=Status.FAILED, code="x")], cause=Cause.OPERATOR)

    control.retry(workspace_id=workspace.id, message_id=key, cause=Cause.API)

    assert (message(key).status, message(key).max_attempts) == ("QUEUED", 5)
    assert delivery.deliver(EMAIL) == 1
    assert (message(key).status, message(key).attempts) == ("SENT", 1)
    assert check_all() == []


def test_a_retry_of_what_has_not_failed_is_refused(workspace: Workspace):
    key = accept_message(workspace)

    with pytest.raises(TransitionRefused, match="QUEUED"):
        control.retry(workspace_id=workspace.id, message_id=key, cause=Cause.API)


def test_of_many_those_that_can_are_moved_and_named(workspace: Workspace):
    mine, cancelled = accept_message(workspace), accept_message(workspace)
    foreign = accept_message(make_workspace("Other"))
    control.cancel(workspace_id=workspace.id, message_id=cancelled, cause=Cause.API)
    ids = [mine, cancelled, foreign, uuid7()]

    assert control.cancel_many(workspace_id=workspace.id, ids=ids, cause=Cause.OPERATOR) == {mine}
    assert control.cancel_many(workspace_id=None, ids=ids, cause=Cause.OPERATOR) == {foreign}
    assert control.cancel_many(workspace_id=None, ids=[], cause=Cause.OPERATOR) == set()
    assert control.retry_many(workspace_id=None, ids=[], cause=Cause.OPERATOR) == set()
    assert check_all() == []


def test_a_cancel_keeps_its_reason(workspace: Workspace):
    key, plain = accept_message(workspace), accept_message(workspace)

    control.cancel(workspace_id=workspace.id, message_id=key, cause=Cause.API, reason="sold out\0")
    control.cancel(workspace_id=workspace.id, message_id=plain, cause=Cause.API)

    cancelled = MessageEvent.objects.filter(type="cancelled").order_by("message_id")
    assert [event.detail for event in cancelled] == [{"reason": "sold out\ufffd"}, {}]


def test_what_waits_is_cancelled_by_its_deletion(workspace: Workspace, install: Install):
    install(accept_all)
    soon = timezone.now() + timedelta(hours=1)
    for fields in ({}, {"scheduled_at": soon}):
        key = accept_message(workspace, **fields)

        control.delete(workspace_id=workspace.id, message_id=key, cause=Cause.API)

        row = message(key)
        events = list(MessageEvent.objects.filter(message_id=key).order_by("at").values_list("type", "cause"))
        assert row.status == "CANCELLED"
        assert row.deleted_at is not None
        assert events[1:] == [("cancelled", "api"), ("deleted", "api")]
    assert delivery.deliver(EMAIL) == 0
    assert check_all() == []


def test_what_is_being_sent_is_deleted_and_not_recalled(workspace: Workspace):
    key = accept_message(workspace)
    claims.take(EMAIL, limit=1, group=1)

    control.delete(workspace_id=workspace.id, message_id=key, cause=Cause.API)

    row = message(key)
    assert row.status == "SENDING"
    assert row.deleted_at is not None
    assert check_all() == []


@pytest.mark.parametrize("deed", [control.delete, control.cancel, control.retry])
def test_what_is_deleted_is_not_found_any_more(workspace: Workspace, deed):
    key = accept_message(workspace)
    control.delete(workspace_id=workspace.id, message_id=key, cause=Cause.API)

    with pytest.raises(NotFound):
        deed(workspace_id=workspace.id, message_id=key, cause=Cause.API)
    foreign = accept_message(make_workspace("Other"))
    with pytest.raises(NotFound):
        deed(workspace_id=workspace.id, message_id=foreign, cause=Cause.API)
    assert message(foreign).deleted_at is None


def test_a_deleted_message_stays_in_its_recipients_feed(workspace: Workspace):
    member = make_member(workspace)
    avatar_id = member.user.avatar_id
    key = accept_message(workspace, str(avatar_id), channel=Channel.DIRECT, subject="")
    delivery.deliver(Lane.named("direct.normal"))
    reader = Reader(workspace_id=workspace.id, avatar_id=avatar_id)

    control.delete(workspace_id=workspace.id, message_id=key, cause=Cause.API)

    assert [row.id for row in feed.items(reader=reader, ascending=False, beyond=None, limit=5)] == [key]
    assert feed.read(reader=reader, message_id=key).opened_at is not None
