"""The Celery application, as Celery's own guide for Django has it."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.bench.handwritten.settings")

app = Celery("handwritten")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["tests.bench.handwritten"])
app.set_default()
