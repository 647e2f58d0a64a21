"""Counted traffic: what statistics are read from, kept by the hour."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from messaging.models import Workspace
from messaging.models.keys import uuid7
from messaging.models.words import CHANNELS


class Rollup(models.Model):
    """The messages of an hour (of their created_at) with one channel, provider, template and campaign."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    hour = models.DateTimeField()
    channel = models.CharField(max_length=10, choices=CHANNELS)
    provider = models.TextField(db_default="")
    template_id = models.UUIDField(null=True)
    campaign_id = models.UUIDField(null=True)
    test = models.BooleanField(db_default=False)
    total = models.BigIntegerField(db_default=0)
    sent = models.BigIntegerField(db_default=0)
    delivered = models.BigIntegerField(db_default=0)
    opened = models.BigIntegerField(db_default=0)
    clicked = models.BigIntegerField(db_default=0)
    bounced = models.BigIntegerField(db_default=0)
    failed = models.BigIntegerField(db_default=0)
    unsubscribed = models.BigIntegerField(db_default=0)
    complained = models.BigIntegerField(db_default=0)
    cancelled = models.BigIntegerField(db_default=0)
    sending_times = ArrayField(models.BigIntegerField(), db_default=[])
    """A histogram of the seconds from accept to SENT; analytics.histogram has the bounds."""
    delivery_times = ArrayField(models.BigIntegerField(), db_default=[])
    opening_times = ArrayField(models.BigIntegerField(), db_default=[])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "hour", "channel", "provider", "template_id", "campaign_id", "test"],
                name="rollup_once",
                nulls_distinct=False,
            )
        ]


class Progress(models.Model):
    """How far the log has been counted: every event whose transaction is below this is in the rollups."""

    id = models.SmallIntegerField(primary_key=True)
    xact = models.BigIntegerField()
