"""Counted traffic: what statistics are read from, kept by the time of the messages' created_at."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from messaging.models import Workspace
from messaging.models.keys import uuid7
from messaging.models.words import CHANNELS


class Measure(models.TextChoices):
    """A step of a message's life that is timed."""

    SENDING = "sending"
    DELIVERY = "delivery"
    OPENING = "opening"


class Span(models.IntegerChoices):
    """How many hours a row is of. Everything is kept by the hour and once more by the day (UTC)."""

    HOUR = 1
    DAY = 24


class Rollup(models.Model):
    """How far the messages of an hour or a day have come that share channel, template and campaign.

    `total` counts under no provider, since an accepted message has none yet; every other counter counts under the
    provider that the message had when it was counted. So a sum over providers is exact, and a provider's own row
    says what became of what it was given.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    span = models.SmallIntegerField(choices=Span.choices)
    hour = models.DateTimeField()
    """The first one of the span."""
    channel = models.CharField(max_length=10, choices=CHANNELS)
    provider = models.TextField(db_default="")
    template_id = models.UUIDField(null=True)
    campaign_id = models.UUIDField(null=True)
    test = models.BooleanField(db_default=False)
    whole = models.BooleanField()
    """Whether it is the sum over all providers, templates and campaigns: what most questions need, in few rows."""
    total = models.BigIntegerField(db_default=0)
    sent = models.BigIntegerField(db_default=0)
    delivered = models.BigIntegerField(db_default=0)
    opened = models.BigIntegerField(db_default=0)
    clicked = models.BigIntegerField(db_default=0)
    bounced = models.BigIntegerField(db_default=0)
    failed = models.BigIntegerField(db_default=0)
    unsubscribed = models.BigIntegerField(db_default=0)
    cancelled = models.BigIntegerField(db_default=0)
    complained = models.BigIntegerField(db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    *("workspace", "whole", "span", "hour", "channel", "test"),
                    *("provider", "template_id", "campaign_id"),
                ],
                name="rollup_once",
                nulls_distinct=False,
            )
        ]
        indexes = [
            models.Index(
                fields=["campaign_id", "hour"], name="rollup_campaign", condition=models.Q(campaign_id__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel} at {self.hour:%Y-%m-%d %H}:00"


class Timing(models.Model):
    """How many steps took how long: a bucket of a histogram (analytics.histogram has the bounds)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    span = models.SmallIntegerField(choices=Span.choices)
    hour = models.DateTimeField()
    """The first one of the span."""
    channel = models.CharField(max_length=10, choices=CHANNELS)
    test = models.BooleanField(db_default=False)
    measure = models.CharField(max_length=8, choices=Measure.choices)
    bucket = models.SmallIntegerField()
    count = models.BigIntegerField(db_default=0)
    seconds = models.FloatField(db_default=0.0)
    """The sum of all of them, for means."""
    longest = models.FloatField(db_default=0.0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "span", "hour", "channel", "test", "measure", "bucket"], name="timing_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.measure} by {self.channel} at {self.hour:%Y-%m-%d %H}:00"


class Progress(models.Model):
    """How far the log has been counted: the events of every transaction below `xact`, but for those that were open."""

    id = models.SmallIntegerField(primary_key=True)
    xact = models.BigIntegerField()
    open = ArrayField(models.BigIntegerField(), db_default=[])
    counted_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "progress"

    def __str__(self) -> str:
        return f"counted up to transaction {self.xact}"
