"""Feeding: every event of the log becomes a delivery once, however late it commits and whoever else writes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connection, transaction

from messaging.models import WebhookProgress, Workspace
from messaging.webhooks import feeding
from tests.analytics.truth import closing
from tests.factories import accept_message
from tests.messaging.webhooks import telling
from tests.messaging.webhooks.telling import end, listen

URL = "http://127.0.0.1:8080/"


def test_nothing_is_lost_or_told_twice_while_everybody_writes(workspace: Workspace) -> None:
    made = listen(workspace, URL)
    over = threading.Event()

    def write() -> None:
        for place in range(40):
            key = accept_message(workspace)
            if place % 3 == 0:
                end(key)

    def feed() -> None:
        while not over.is_set():
            feeding.feed(step=7)

    with ThreadPoolExecutor(6) as pool:
        feeders = [pool.submit(closing(feed)) for _ in range(2)]
        try:
            for each in [pool.submit(closing(write)) for _ in range(4)]:
                each.result()
        finally:
            over.set()
        for each in feeders:
            each.result()
    feeding.feed()
    told = [each.type for each in telling.deliveries(made.row)]
    assert (told.count("message.queued"), told.count("message.cancelled"), len(told)) == (160, 56, 216)


def test_a_transaction_that_commits_late_is_not_passed_by(workspace: Workspace) -> None:
    made = listen(workspace, URL)
    written, go = threading.Event(), threading.Event()

    def late() -> None:
        try:
            with transaction.atomic():
                accept_message(workspace, "late@example.com")
                written.set()
                go.wait(30)
        finally:
            connection.close()

    writer = threading.Thread(target=late)
    writer.start()
    assert written.wait(30)
    for _ in range(3):
        accept_message(workspace)
    assert feeding.feed() == 3
    go.set()
    writer.join()
    assert feeding.feed() == 1
    assert feeding.feed() == 0
    assert len(telling.deliveries(made.row)) == 4


def test_where_nobody_listens_nothing_is_read(workspace: Workspace) -> None:
    accept_message(workspace)
    assert feeding.feed() == 0
    assert not WebhookProgress.objects.exists()
