"""What people may do to a message that exists."""

from __future__ import annotations

import pytest

from messaging.dispatch import claims, control, delivery, transitions
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.errors import NotFound, TransitionRefused
from messaging.models import Workspace
from messaging.models.keys import uuid7
from messaging.state import Cause, Status
from tests.factories import accept_message, make_workspace, message
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
