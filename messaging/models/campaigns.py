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
    description = models.TextField(blank=True, db_default="")
    kind = models.TextField(blank=True, db_default="")
    """What sort of campaign its maker calls it; `BROADCAST` and those without a word for it can be started."""
    channel = models.CharField(max_length=10, choices=CHANNELS, blank=True)
    """Empty while nobody has said it; a campaign that is started has one, and a template."""
    template = models.ForeignKey(Template, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    category = models.TextField(db_default="marketing")
    status = models.CharField(max_length=13, choices=CampaignStatus.choices, db_default="draft")
    tags = ArrayField(models.TextField(), blank=True, db_default=[])
    """Contacts with all of these tags are the audience."""
    filter = models.JSONField(blank=True, db_default={})
    contact_ids = ArrayField(models.UUIDField(), blank=True, db_default=[])
    """Contacts that belong to the audience whatever their tags; where nothing else is said, nobody else does."""
    data = models.JSONField(blank=True, db_default={})
    rate = models.PositiveIntegerField(null=True, blank=True)
    """Messages a minute."""
    window = models.JSONField(null=True, blank=True)
    workflow = models.JSONField(null=True, blank=True)
    """The steps as they were drawn; kept and given back."""
    settings = models.JSONField(blank=True, db_default={})
    """Wishes for the pace as they were made; kept and given back."""
    test = models.BooleanField(db_default=False)
    error_code = models.TextField(db_default="")
    """Why it did not start when it should have; it is a draft again then."""
    error_detail = models.TextField(db_default="")
    scheduled_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    """What has not gone out by then does not go out any more."""
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    feed_at = models.DateTimeField(null=True, blank=True)
    """When the next contact of the audience may be written to; empty where nobody is left."""
    retry_before = models.DateTimeField(null=True, blank=True)
    """What failed before this is tried again, by and by where the campaign has a pace."""
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
    """The message that was made for the contact; empty until it is the contact's turn, or where there is none."""
    error_code = models.TextField(db_default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["campaign", "contact", "channel"], name="audience_once")]
        indexes = [
            models.Index(
                fields=["campaign", "id"],
                name="audience_waiting",
                condition=models.Q(message_id__isnull=True, error_code=""),
            )
        ]
