"""The hand-written app."""

from django.apps import AppConfig


class HandwrittenConfig(AppConfig):
    name = "tests.bench.handwritten"
    label = "handwritten"
