"""Status webhooks: where a workspace wants to be told of events, and what became of telling it."""

from __future__ import annotations

from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from messaging.models.keys import uuid7
from messaging.models.tenancy import Workspace

NEW_ID: Final = (
    "encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING "
    "substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), "
    "52, 1), 53, 1), 'hex')::uuid"
)
"""SQL: a new key (UUIDv7) for each row, for deliveries that one statement makes."""


class WebhookEndpoint(models.Model):
    """A URL of a workspace that is told of events."""

    class Format(models.TextChoices):
        DISPATCH = "dispatch"
        CAMPAIGNOS = "campaignos"
        """The shape and the signature of that surface."""

    class Ended(models.TextChoices):
        """Why the platform stopped telling it."""

        GONE = "gone"
        """It answered 410."""
        FAILING = "failing"
        """Every try failed for days."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    url = models.TextField()
    description = models.TextField(db_default="")
    types = ArrayField(models.TextField(), db_default=[])
    """The types of events that it is told of; none named is all."""
    format = models.CharField(max_length=10, choices=Format.choices, db_default="dispatch")
    test = models.BooleanField(db_default=False)
    """Told of messages in test mode, and of no others."""
    secret = models.BinaryField()
    """The secret that signs, encrypted where the platform has keys."""
    previous_secret = models.BinaryField(null=True)
    """The one before, which signs as well until `previous_until`."""
    previous_until = models.DateTimeField(null=True)
    active = models.BooleanField(db_default=True)
    since = models.TextField()
    """The snapshot in which it became active: it is told of what was committed after that."""
    failures = models.IntegerField(db_default=0)
    """Tries that failed since the last one that did not."""
    failing_since = models.DateTimeField(null=True)
    disabled_at = models.DateTimeField(null=True)
    disabled_because = models.CharField(max_length=7, choices=Ended.choices, db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["workspace", "id"], name="webhook_endpoint_workspace")]

    def __str__(self) -> str:
        return f"endpoint {self.id}"


class WebhookDelivery(models.Model):
    """An event on its way to an endpoint, and the log of the tries. What it says is made when it is sent."""

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, db_index=False, related_name="deliveries")
    event_id = models.UUIDField()
    """What the receiver is given as the id, in every try."""
    type = models.TextField()
    at = models.DateTimeField()
    """When it happened."""
    message_id = models.UUIDField(null=True)
    contact_id = models.UUIDField(null=True)
    detail = models.JSONField(db_default={})
    """What is told beside the contact."""
    state = models.CharField(max_length=9, choices=State.choices, db_default="pending")
    attempts = models.SmallIntegerField(db_default=0)
    next_attempt_at = models.DateTimeField(null=True, db_default=Now())
    """When it is due; while it is claimed, when the claim ends."""
    claim = models.UUIDField(null=True)
    """The token of the worker that sends it just now."""
    last_status = models.SmallIntegerField(null=True)
    last_detail = models.TextField(db_default="")
    tries = models.JSONField(db_default=[])
    """The latest tries: when, how long, the status, the words."""
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["endpoint", "event_id"], name="webhook_delivery_once")]
        indexes = [
            models.Index(fields=["endpoint", "id"], name="webhook_delivery_endpoint"),
            models.Index(fields=["endpoint", "state", "id"], name="webhook_delivery_state"),
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                name="webhook_delivery_due",
                condition=models.Q(state="pending"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class WebhookProgress(models.Model):
    """How far the log has been read: the events of every transaction below `xact`, but for those that were open."""

    id = models.SmallIntegerField(primary_key=True)
    xact = models.BigIntegerField()
    open = ArrayField(models.BigIntegerField(), db_default=[])
    read_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "webhook progress"

    def __str__(self) -> str:
        return f"read up to transaction {self.xact}"
