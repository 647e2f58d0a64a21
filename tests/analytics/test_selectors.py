"""The depth of lanes, from the rows themselves."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from analytics import selectors
from channels_app.types import Channel
from messaging.dispatch import transitions
from messaging.dispatch.queue import LANES
from messaging.dispatch.transitions import Move
from messaging.models.keys import uuid7
from messaging.state import Priority, Status
from tests.factories import accept_batch, accept_message, make_workspace

pytestmark = pytest.mark.django_db


def depth(name: str) -> selectors.LaneDepth:
    return next(each for each in selectors.lanes() if each.lane.name == name)


def test_every_lane_is_told_of_even_when_nothing_was_ever_sent() -> None:
    depths = selectors.lanes()
    assert [each.lane for each in depths] == list(LANES)
    assert {(each.waiting, each.deeper, each.oldest, each.in_flight) for each in depths} == {(0, False, None, 0)}


def test_a_lane_counts_its_own_waiting_messages_over_all_workspaces() -> None:
    accept_batch(make_workspace("One"), ["ann@example.com", "bob@example.com"])
    accept_message(make_workspace("Two"))
    accept_message(make_workspace("Three"), priority=Priority.BULK)
    accept_message(make_workspace("Four"), "+12025550123", channel=Channel.SMS, subject="")
    waiting = {each.lane.name: each.waiting for each in selectors.lanes() if each.waiting}
    assert waiting == {"email.normal": 3, "email.bulk": 1, "sms.normal": 1}


def test_the_oldest_due_message_of_any_workspace_is_found() -> None:
    workspaces = [make_workspace(str(number)) for number in range(3)]
    keys = [accept_message(workspace) for workspace in workspaces]
    for key, due in zip(keys, (-10.0, -100.0, 50.0), strict=True):
        hold_until(key, due)
    found = depth("email.normal")
    assert found.oldest is not None
    assert 100 <= found.oldest < 200
    assert found.waiting == 3


def test_what_is_due_later_makes_nothing_late() -> None:
    hold_until(accept_message(make_workspace()), 60.0)
    found = depth("email.normal")
    assert (found.waiting, found.oldest) == (1, None)


def test_scheduled_messages_are_in_no_lane() -> None:
    accept_message(make_workspace(), scheduled_at=timezone.now() + timedelta(hours=1))
    assert depth("email.normal").waiting == 0


def test_held_messages_are_in_flight_until_their_outcome() -> None:
    workspace = make_workspace()
    keys = accept_batch(workspace, [f"a{number}@example.com" for number in range(3)]).ids
    claim = uuid7()
    transitions.claim_many(
        claim_id=claim,
        worker="email@here",
        channel="email",
        priority=Priority.NORMAL,
        shares={workspace.id: 2},
        group=1,
        lease=60.0,
    )
    assert (depth("email.normal").in_flight, depth("email.normal").waiting) == (2, 1)
    transitions.flush_many([Move(id=keys[0], to=Status.SENT, provider="smtp")], claim_id=claim, mark=2)
    assert depth("email.normal").in_flight == 1


def test_counting_stops_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "BOUND", 2)
    accept_batch(make_workspace(), [f"a{number}@example.com" for number in range(5)])
    found = depth("email.normal")
    assert (found.waiting, found.deeper) == (2, True)


def hold_until(key: UUID, due: float) -> None:
    """Make a queued message due so many seconds from now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_message SET next_attempt_at = now() + %s * interval '1 second' WHERE id = %s", [due, key]
        )
