"""The channels that messages turn to when they do not reach their recipients."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from messaging.models.keys import uuid7
from messaging.models.tenancy import Workspace
from messaging.models.words import CHANNELS


class FallbackStep(models.Model):
    """What takes a message's place when it does not arrive: another channel, for the same recipient.

    All steps belong to the message that was sent first, the origin. One at a time watches a message: the first step the
    origin, each further one the message that the step before it led to.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        """The message before it may still arrive."""
        TAKEN = "taken"
        """It led to a message of its own."""
        SPARED = "spared"
        """The message before it arrived, as far as that is known; a bounce that comes later still calls for it."""
        DROPPED = "dropped"
        """Nobody wants it any more: the message before it was cancelled, expired, or complained about."""
        REFUSED = "refused"
        """It could not be taken; the next one was tried in its place."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    origin_id = models.UUIDField()
    position = models.SmallIntegerField()
    channel = models.CharField(max_length=10, choices=CHANNELS)
    recipient = models.TextField(db_default="")
    """Where it goes; empty where the contact's address counts, as it is then."""
    contact_id = models.UUIDField(null=True)
    template = models.TextField(db_default="")
    """The template of its own channel that says it, where there is one."""
    after_seconds = models.IntegerField(null=True)
    """How long the message before it may take to arrive; without it only a failure counts."""
    watched_id = models.UUIDField(null=True)
    """The message that must not have arrived; empty while an earlier step waits."""
    due_at = models.DateTimeField(null=True)
    """When to look at that message next."""
    state = models.CharField(max_length=7, choices=State.choices, db_default="waiting")
    next_id = models.UUIDField(null=True)
    """The message that it led to."""
    error_code = models.TextField(db_default="")
    error_detail = models.TextField(db_default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["origin_id", "position"]
        constraints = [models.UniqueConstraint(fields=["origin_id", "position"], name="fallback_once")]
        indexes = [
            models.Index(fields=["workspace", "id"], name="fallback_workspace"),
            models.Index(
                fields=["due_at"], name="fallback_due", condition=models.Q(state="waiting", due_at__isnull=False)
            ),
            models.Index(fields=["watched_id"], name="fallback_watched", condition=models.Q(watched_id__isnull=False)),
            models.Index(fields=["next_id"], name="fallback_next", condition=models.Q(next_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.position}"
