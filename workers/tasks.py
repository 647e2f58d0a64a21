"""Tasks: each takes a name, calls one function and owns nothing."""

from __future__ import annotations

from celery import shared_task

from analytics import health, rollups
from messaging.campaigns import sweeps as campaigns
from messaging.dispatch import asking, delivery, fallback, queue, receipts, sweeps
from messaging.webhooks import deliveries, feeding, sending
from workers import signals
from workers.schedule import WORKERS


@shared_task(name=queue.DELIVER)
def deliver(lane: str) -> None:
    delivery.deliver(queue.Lane.named(lane))


@shared_task(name="workers.sweep")
def sweep() -> None:
    sweeps.sweep_due()


@shared_task(name="workers.reap")
def reap() -> None:
    sweeps.reap()


@shared_task(name="workers.ask")
def ask() -> None:
    asking.ask_due()


@shared_task(name="workers.start_campaigns")
def start_campaigns() -> None:
    campaigns.start_due()


@shared_task(name="workers.feed_campaigns")
def feed_campaigns() -> None:
    campaigns.feed()


@shared_task(name="workers.settle_campaigns")
def settle_campaigns() -> None:
    campaigns.settle()


@shared_task(name="workers.apply_receipts")
def apply_receipts() -> None:
    while receipts.apply_due() == receipts.BATCH:
        pass


@shared_task(name="workers.fall_back")
def fall_back() -> None:
    fallback.fall_back()


@shared_task(name="workers.maintain")
def maintain() -> None:
    sweeps.maintain()


@shared_task(name="workers.rollup")
def rollup() -> None:
    rollups.roll_up()


@shared_task(name="workers.feed_webhooks")
def feed_webhooks() -> None:
    feeding.feed()


@shared_task(name="workers.send_webhooks")
def send_webhooks(lane: str) -> None:
    sending.send(deliveries.Lane(lane))


@shared_task(name="workers.forget_webhooks")
def forget_webhooks() -> None:
    deliveries.forget()


@shared_task(name="workers.probe")
def probe() -> None:
    health.look(workers=WORKERS)


@shared_task(name="workers.pulse")
def pulse(process: str) -> None:
    signals.beat_pulse(process)
