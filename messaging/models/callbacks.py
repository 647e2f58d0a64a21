"""What providers told us, as it came."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from messaging.models.keys import uuid7


class RawCallback(models.Model):
    """The body of a verified callback, kept for a day for whoever looks into what a provider says."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.TextField()
    url = models.TextField()
    content_type = models.TextField(db_default="")
    body = models.BinaryField()
    digest = models.BinaryField(max_length=32, unique=True)
    """SHA-256 of provider, URL and body: what is repeated is kept once."""
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["received_at"], name="raw_callback_age")]

    def __str__(self) -> str:
        return f"{self.provider} {self.id}"
