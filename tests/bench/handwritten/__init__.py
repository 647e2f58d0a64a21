"""The same product as people write it by hand: one row, one task and one connection for every message."""

from tests.bench.handwritten.celery import app as celery_app

__all__ = ["celery_app"]
