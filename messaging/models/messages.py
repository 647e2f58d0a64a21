"""Messages, what they carry, and what happened to them.

`messaging_message` and `messaging_messageevent` are partitioned by month on the message's key, so nothing has a
foreign key constraint that points at them, and their tables are made by SQL in the migrations. Every column that
an accept leaves out has a default in the database.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce
from operator import or_
from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import ExpressionWrapper, F, Q, Value
from django.db.models.functions import Coalesce, Collate, Lower, Now
from django.db.models.lookups import Exact

from channels_app.types import Channel
from messaging.models.campaigns import Campaign
from messaging.models.content import Content, Template
from messaging.models.keys import uuid7
from messaging.models.people import Contact
from messaging.models.tenancy import User, Workspace
from messaging.models.words import CAUSES, CHANNELS, PRIORITIES, STATUSES, UNKNOWNS
from messaging.state import Priority

_SHOWN: Final = Q(deleted_at__isnull=True)
"""Rows that lists show: their indexes have no others, so that a list is found without a look at the rows."""


def sent_to(recipients: Collection[str]) -> Q:
    """Messages to these recipients, spelled so but for the case of e-mail addresses: the index has them folded.

    The spelling is compared within COALESCE, or else the planner would take it to leave few of the rows that the index
    gives, and sort all of them.
    """
    folded = Collate(Lower(F("recipient")), "C")
    each = [Q(Exact(folded, Lower(Value(recipient)))) for recipient in recipients]
    spelled = ExpressionWrapper(
        Q(recipient__in=list(recipients)) | Q(channel=Channel.EMAIL.value), output_field=models.BooleanField()
    )
    return reduce(or_, each) & Q(Coalesce(spelled, False)) if each else Q(pk__in=[])


def _where_present(field: str) -> models.Index:
    """An index of the rows that have the field, which most have not."""
    return models.Index(
        fields=[field, "id"], name=f"message_{field}", condition=models.Q(**{f"{field}__isnull": False})
    )


class Batch(models.Model):
    """One accept of many messages."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    accepted = models.PositiveIntegerField()
    rejected = models.PositiveIntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "batches"


class Message(models.Model):
    """One dispatch to one recipient by one channel."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    content = models.ForeignKey(
        Content, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    batch = models.ForeignKey(
        Batch, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="+"
    )
    author = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="+"
    )
    contact = models.ForeignKey(
        Contact, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="+"
    )
    campaign = models.ForeignKey(
        Campaign, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="+"
    )
    template = models.ForeignKey(
        Template, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="+"
    )
    claim_id = models.UUIDField(null=True)
    channel = models.CharField(max_length=10, choices=CHANNELS)
    priority = models.SmallIntegerField(choices=PRIORITIES, db_default=Priority.NORMAL.value)
    status = models.CharField(max_length=12, choices=STATUSES)
    recipient = models.TextField()
    name = models.TextField(db_default="")
    subject = models.TextField(db_default="")
    data = models.JSONField(null=True)
    sealed = models.BinaryField(null=True)
    """Name, subject and data, encrypted; where it is set, the plain columns are empty."""
    metadata = models.JSONField(db_default={})
    category = models.TextField(db_default="transactional")
    action_type = models.TextField(db_default="custom")
    language = models.TextField(db_default="en")
    test = models.BooleanField(db_default=False)
    on_unknown = models.CharField(max_length=6, choices=UNKNOWNS, db_default="")
    attempts = models.SmallIntegerField(db_default=0)
    max_attempts = models.SmallIntegerField(db_default=3)
    throttles = models.SmallIntegerField(db_default=0)
    provider = models.TextField(db_default="")
    provider_message_id = models.TextField(db_default="")
    error_code = models.TextField(db_default="")
    error_detail = models.TextField(db_default="")
    created_at = models.DateTimeField(db_default=Now())
    scheduled_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(null=True)
    sending_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    clicked_at = models.DateTimeField(null=True)
    bounced_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    unsubscribed_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    complained_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    archived_at = models.DateTimeField(null=True)
    retried_at = models.DateTimeField(null=True)
    """When a person last had it tried again."""
    revised_at = models.DateTimeField(null=True)
    """When what it says was last changed, before it went out."""
    deleted_at = models.DateTimeField(null=True)
    """When it was taken out of the workspace's lists; a message that was sent is not recalled by that."""
    awaited_until = models.DateTimeField(null=True)
    """Until when a request waits for its outcome, at the longest: a failure that would be tried again ends it then."""

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "id"], include=["test"], name="message_workspace", condition=_SHOWN),
            models.Index(
                fields=["workspace", "status", "id"],
                include=["channel", "test"],
                name="message_status",
                condition=_SHOWN,
            ),
            models.Index(
                fields=["workspace", "id"],
                name="message_retrying",
                condition=models.Q(status="QUEUED", attempts__gt=0) & _SHOWN,
            ),
            models.Index(
                fields=["workspace", "channel", "id"], include=["test"], name="message_channel", condition=_SHOWN
            ),
            models.Index("workspace", Collate(Lower("recipient"), "C"), "id", name="message_recipient"),
            models.Index(
                fields=["workspace", "author", "id"],
                name="message_author",
                condition=models.Q(author__isnull=False) & _SHOWN,
            ),
            _where_present("batch"),
            _where_present("contact"),
            models.Index(
                fields=["campaign", "id"], name="message_campaign", condition=models.Q(campaign__isnull=False)
            ),
            models.Index(
                fields=["template", "id"], name="message_template", condition=models.Q(template__isnull=False)
            ),
            models.Index(
                fields=["workspace", "author", "recipient", "id"],
                name="message_conversation",
                condition=models.Q(channel="direct"),
            ),
            models.Index(
                "workspace",
                Collate(Lower("recipient"), "C"),
                "id",
                name="message_unread",
                condition=models.Q(channel__in=["onsite", "direct"], opened_at__isnull=True, archived_at__isnull=True),
            ),
            models.Index(
                fields=["provider_message_id"],
                name="message_provider_id",
                condition=~models.Q(provider_message_id=""),
            ),
            models.Index(
                fields=["channel", "priority", "workspace", "next_attempt_at", "id"],
                name="message_queue",
                condition=models.Q(status="QUEUED"),
            ),
            models.Index(fields=["next_attempt_at"], name="message_scheduled", condition=models.Q(status="SCHEDULED")),
            models.Index(
                fields=["next_attempt_at"],
                name="message_unknown",
                condition=models.Q(status="SENDING", claim_id__isnull=True),
            ),
            models.Index(
                fields=["expires_at"],
                name="message_expiry",
                condition=models.Q(status__in=["QUEUED", "SCHEDULED"], expires_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.id}"


class MessageEvent(models.Model):
    """A timestamped fact about a message; the state entered, in lower case, or a fact that moved nothing."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message = models.ForeignKey(
        Message, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    workspace = models.ForeignKey(
        Workspace, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    type = models.TextField()
    status = models.CharField(max_length=12, choices=STATUSES, db_default="")
    at = models.DateTimeField(db_default=Now())
    cause = models.CharField(max_length=8, choices=CAUSES)
    attempt = models.SmallIntegerField(db_default=0)
    provider = models.TextField(db_default="")
    detail = models.JSONField(db_default={})

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.type} at {self.at:%Y-%m-%d %H:%M:%S}"


class Claim(models.Model):
    """A worker's lease on some messages of one lane; its key is the token that every write needs."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    worker = models.TextField()
    channel = models.CharField(max_length=10, choices=CHANNELS)
    priority = models.SmallIntegerField(choices=PRIORITIES)
    ids = ArrayField(models.UUIDField())
    handed_over = models.IntegerField()
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="claim_expiry")]


class ReceiptRecord(models.Model):
    """A provider's report as it came, and what became of it."""

    class State(models.TextChoices):
        PENDING = "pending"
        """Not due yet, or its message is not known or not ready yet."""
        APPLIED = "applied"
        LATE = "late"
        UNMATCHED = "unmatched"
        """No message was found for it within a day."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.TextField()
    key = models.TextField()
    message_id = models.UUIDField(null=True)
    provider_message_id = models.TextField(db_default="")
    kind = models.TextField()
    code = models.TextField(db_default="")
    detail = models.JSONField(db_default={})
    state = models.CharField(max_length=9, choices=State.choices, db_default="pending")
    due_at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "key"], name="receipt_once")]
        indexes = [models.Index(fields=["due_at"], name="receipt_due", condition=models.Q(state="pending"))]


class IdempotencyRecord(models.Model):
    """The answer that was given under an Idempotency-Key."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    key = models.TextField()
    fingerprint = models.BinaryField(max_length=32)
    status = models.SmallIntegerField()
    body = models.BinaryField()
    message_id = models.UUIDField(null=True)
    """The message whose outcome the answer tells, where the request waits for one."""
    pending_until = models.DateTimeField(null=True)
    """Until when the first request may still be waiting; empty once it was answered."""
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "key"], name="idempotency_once")]
        indexes = [models.Index(fields=["expires_at"], name="idempotency_expiry")]
