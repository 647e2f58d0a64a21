"""A message as a row with its content, and a row for each step."""

from django.db import models


class Message(models.Model):
    """One e-mail to one recipient."""

    class Status(models.TextChoices):
        QUEUED = "QUEUED"
        SENDING = "SENDING"
        SENT = "SENT"
        FAILED = "FAILED"

    to = models.EmailField()
    name = models.CharField(max_length=200, blank=True)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    text = models.TextField(blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED, db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "handwritten"
        indexes = [models.Index(fields=["to"]), models.Index(fields=["created_at"])]

    def __str__(self) -> str:
        return f"{self.to}: {self.status}"


class MessageEvent(models.Model):
    """A step that a message took."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="events")
    status = models.CharField(max_length=10)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "handwritten"

    def __str__(self) -> str:
        return f"{self.status} at {self.at}"
