"""Every task that is published is known, and every queue that is published to is consumed."""

from __future__ import annotations

import pytest
from celery import current_app

from config.stack.processes import QUEUES, WORKERS, Shape, processes
from messaging.dispatch import queue
from messaging.dispatch.queue import LANES
from messaging.state import Priority
from workers import schedule
from workers.schedule import SCHEDULE


def registered() -> set[str]:
    current_app.loader.import_default_modules()
    return {name for name in current_app.tasks if not name.startswith("celery.")}


def test_every_task_that_is_published_is_registered():
    published = {queue.DELIVER, *(entry["task"] for entry in SCHEDULE.values())}

    assert registered() >= published


def test_every_task_that_is_registered_is_published():
    assert registered() == {queue.DELIVER, *(entry["task"] for entry in SCHEDULE.values())}


def test_every_sweep_is_on_the_schedule_of_the_application():
    assert {entry["task"] for entry in current_app.conf.beat_schedule.values()} >= set(schedule.SWEEPS)


@pytest.mark.parametrize("name", SCHEDULE)
def test_every_scheduled_task_goes_to_a_queue_that_is_consumed(name: str):
    assert SCHEDULE[name]["options"]["queue"] in QUEUES


@pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.name)
def test_every_lane_is_consumed_by_one_family(lane: queue.Lane):
    consumers = [process.name for process in WORKERS if lane.name in process.queues]

    assert len(consumers) == 1
    assert (consumers == ["urgent"]) == (lane.priority is Priority.URGENT)


def test_no_process_consumes_a_queue_that_nobody_publishes_to():
    published = {*(lane.name for lane in LANES), *(entry["options"]["queue"] for entry in SCHEDULE.values())}

    assert published == QUEUES


def test_the_command_of_a_worker_names_its_queues():
    for process in WORKERS:
        assert tuple(process.command[process.command.index("-Q") + 1].split(",")) == process.queues


def test_every_worker_is_asked_for_a_sign_of_life():
    assert {process.name for process in WORKERS} == set(schedule.WORKERS)


def test_processes_have_names_of_their_own():
    names = [process.name for process in processes(Shape())]

    assert len(names) == len(set(names))
