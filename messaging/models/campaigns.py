"""Campaigns: one template to many contacts, each once."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from messaging.models.content import Template
from messaging.models.keys import uuid7
from messaging.models.people import Contact
from messaging.models.tenancy import User, Workspace
from messaging.models.words import CHANNELS


class CampaignStatus(models.TextChoices):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    PARTLY_FAILED = "partly_failed"
    CANCELLED = "cancelled"


class Campaign(models.Model):
    """What is sent to whom; the audience is frozen when it starts."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    author = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    name = models.TextField()
    channel = models.CharField(max_length=10, choices=CHANNELS)
    template = models.ForeignKey(Template, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    category = models.TextField(db_default="marketing")
    status = models.CharField(max_length=13, choices=CampaignStatus.choices, db_default="draft")
    tags = ArrayField(models.TextField(), blank=True, db_default=[])
    """Contacts with all of these tags are the audience."""
    filter = models.JSONField(blank=True, db_default={})
    data = models.JSONField(blank=True, db_default={})
    rate = models.PositiveIntegerField(null=True, blank=True)
    """Messages a minute."""
    window = models.JSONField(null=True, blank=True)
    test = models.BooleanField(db_default=False)
    error_code = models.TextField(db_default="")
    """Why it did not start when it should have; it is a draft again then."""
    error_detail = models.TextField(db_default="")
    scheduled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["workspace", "id"], name="campaign_workspace"),
            models.Index(
                fields=["status", "scheduled_at"],
                name="campaign_unfinished",
                condition=models.Q(finished_at__isnull=True) & ~models.Q(status="draft"),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Audience(models.Model):
    """A contact that a campaign goes to, frozen at its start; nobody is written to twice."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, db_index=False, related_name="audience")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    channel = models.CharField(max_length=10, choices=CHANNELS)
    message_id = models.UUIDField(null=True)
    """The message that was made for the contact; empty until then, or where there was no address."""
    error_code = models.TextField(db_default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["campaign", "contact", "channel"], name="audience_once")]
