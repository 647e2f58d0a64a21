"""The table of states: what each move implies and what can be reached."""

from __future__ import annotations

import pytest

from messaging.state import CANCELLABLE, IMPLIED, LATER, MOVES, RETRIES, RETRYABLE, WAITING, Status

FINAL = {Status.BOUNCED, Status.FAILED, Status.UNSUBSCRIBED, Status.CANCELLED}


def reachable(start: Status) -> set[Status]:
    found: set[Status] = set()
    todo = [start]
    while todo:
        for to in MOVES[todo.pop()] - found:
            found.add(to)
            todo.append(to)
    return found


def test_every_status_has_its_row():
    assert set(MOVES) == set(Status)


def test_the_final_states_are_those_that_nothing_leaves_by_itself():
    assert {status for status, targets in MOVES.items() if not targets} == FINAL


@pytest.mark.parametrize("start", [Status.SCHEDULED, Status.QUEUED, Status.SENDING])
def test_every_state_that_waits_can_reach_every_end(start: Status):
    assert reachable(start) >= FINAL - {Status.CANCELLED}


def test_every_status_can_be_reached():
    assert reachable(Status.SCHEDULED) | {Status.SCHEDULED} == set(Status)


def test_nothing_goes_back_before_sending_once_it_was_sent():
    for status in reachable(Status.SENT):
        assert not MOVES[status] & {Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.SENT}


def test_only_a_message_that_nobody_began_to_send_can_be_cancelled():
    assert {Status.SCHEDULED, Status.QUEUED} == CANCELLABLE


def test_only_what_ended_badly_can_be_retried_by_a_person():
    assert {Status.FAILED, Status.BOUNCED} == RETRYABLE
    assert set(RETRIES.values()) == {frozenset({Status.QUEUED})}


def test_a_retry_clears_the_timestamps_of_every_state_but_the_first_two():
    assert set(LATER) == set(Status) - {Status.SCHEDULED, Status.QUEUED}


@pytest.mark.parametrize("status", IMPLIED)
def test_what_a_state_implies_lies_on_the_way_to_it(status: Status):
    for passed in IMPLIED[status]:
        assert status in reachable(passed)
        assert passed in reachable(Status.SENT)


def test_what_waits_has_not_gone_out_yet():
    assert {Status.SCHEDULED, Status.QUEUED, Status.SENDING} == WAITING


@pytest.mark.parametrize("status", Status)
def test_every_state_but_the_first_has_a_timestamp_and_an_event(status: Status):
    assert status.event == status.value.lower()
    assert status.stamp == (None if status is Status.SCHEDULED else f"{status.event}_at")
