"""What providers told us that no message was found for, as it came."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from messaging.models.keys import uuid7


class RawCallback(models.Model):
    """The body of a verified callback that no message was found for; kept for a day, for whoever looks into it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.TextField()
    url = models.TextField()
    content_type = models.TextField(db_default="")
    body = models.BinaryField()
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["received_at"], name="raw_callback_age")]

    def __str__(self) -> str:
        return f"{self.provider} {self.id}"
