"""Statistics while everybody writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import connection, transaction

from analytics import rollups
from channels_app.types import Channel, Receipt, ReceiptKind
from messaging.dispatch import control, delivery, receipts
from messaging.dispatch.queue import Lane
from messaging.models import Message, Workspace
from messaging.models.keys import uuid7
from messaging.state import Cause, Priority
from tests.analytics.truth import closing, told, truth
from tests.factories import accept_batch, make_workspace

ROUNDS = 12
SCENARIOS = ("opened", "clicked", "bounced", "permanent", "ann", "optout", "transient", "silent")
KINDS = (ReceiptKind.DELIVERED, ReceiptKind.OPENED, ReceiptKind.COMPLAINED, ReceiptKind.BOUNCED, ReceiptKind.FAILED)


class Crowd:
    """Everybody who writes, each at their own pace until it is over."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.over = threading.Event()
        self.looks = 0

    def accept(self) -> None:
        for _ in range(ROUNDS):
            accept_batch(self.workspace, [f"{SCENARIOS[place % 8]}+{place}@example.com" for place in range(24)])

    def deliver(self) -> None:
        delivery.deliver(Lane(Channel.EMAIL, Priority.NORMAL))

    def report(self) -> None:
        """Reports too early and too late, each twice under different keys."""
        some = Message.objects.filter(workspace=self.workspace).order_by("?").values_list("id", flat=True)[:10]
        reports = [
            Receipt(kind=KINDS[place % len(KINDS)], key=str(uuid7()), message_id=key)
            for place, key in enumerate(some)
            for _ in range(2)
        ]
        receipts.keep("sandbox", reports)
        receipts.apply_due()

    def retry(self) -> None:
        ended = Message.objects.filter(workspace=self.workspace, status__in=["FAILED", "BOUNCED"])
        ids = list(ended.values_list("id", flat=True)[:5])
        control.retry_many(workspace_id=self.workspace.id, ids=ids, cause=Cause.OPERATOR)

    def cancel(self) -> None:
        waiting = Message.objects.filter(workspace=self.workspace, status="QUEUED")
        ids = list(waiting.values_list("id", flat=True)[:2])
        control.cancel_many(workspace_id=self.workspace.id, ids=ids, cause=Cause.API)

    def roll_up(self) -> None:
        rollups.roll_up(step=50)

    def look(self) -> None:
        """Compare in one snapshot."""
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            assert told(self.workspace) == truth(self.workspace)
        self.looks += 1

    def until_over(self, work: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            while not self.over.is_set():
                work()

        return closing(run)


def test_statistics_hold_while_everybody_writes(transactional_db: None) -> None:
    crowd = Crowd(make_workspace())
    parts = (crowd.deliver, crowd.report, crowd.retry, crowd.cancel, crowd.roll_up, crowd.roll_up, crowd.look)
    with ThreadPoolExecutor(len(parts) + 2) as pool:
        working: list[Future[None]] = [pool.submit(crowd.until_over(part)) for part in parts]
        try:
            for accepting in [pool.submit(closing(crowd.accept)) for _ in range(2)]:
                accepting.result()
        finally:
            crowd.over.set()
        for each in working:
            each.result()
    assert crowd.looks
    assert told(crowd.workspace) == truth(crowd.workspace)
    rollups.roll_up()
    assert told(crowd.workspace) == truth(crowd.workspace)
    assert told(crowd.workspace, by=())[()].total == 2 * ROUNDS * 24
