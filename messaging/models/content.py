"""What messages say: templates, their versions, and the content that the messages of one accept share."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from messaging.models.keys import uuid7
from messaging.models.tenancy import User, Workspace
from messaging.models.words import CHANNELS


class Template(models.Model):
    """A text with places to fill in, for one key, channel and language; what it says is in its versions."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    key = models.CharField(max_length=100)
    name = models.TextField(blank=True, db_default="")
    channel = models.CharField(max_length=10, choices=CHANNELS)
    language = models.CharField(max_length=35)
    action_type = models.TextField(db_default="custom")
    version = models.PositiveIntegerField(db_default=1)
    """The newest version, which new messages take."""
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)
    """Nothing new is made from it; it stays for the messages that were."""

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "key", "channel", "language"],
                name="template_once",
                condition=models.Q(deleted_at__isnull=True),
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "id"], name="template_workspace"),
            models.Index(fields=["workspace", "action_type", "channel", "language"], name="template_action"),
        ]

    def __str__(self) -> str:
        return f"{self.key} ({self.channel}, {self.language})"


class TemplateVersion(models.Model):
    """What a template said from one save to the next; never changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    template = models.ForeignKey(Template, on_delete=models.CASCADE, db_index=False, related_name="versions")
    version = models.PositiveIntegerField()
    subject = models.TextField(blank=True, db_default="")
    body = models.TextField(blank=True, db_default="")
    text = models.TextField(blank=True, db_default="")
    variables = ArrayField(models.TextField(), db_default=[])
    author = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["template", "version"]
        constraints = [models.UniqueConstraint(fields=["template", "version"], name="template_version_once")]


class Content(models.Model):
    """What the messages of one accept share; never changed once written."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    template_version = models.ForeignKey(TemplateVersion, on_delete=models.PROTECT, null=True, related_name="+")
    """What the messages say where the columns below are empty."""
    subject = models.TextField(db_default="")
    body = models.TextField(db_default="")
    text = models.TextField(db_default="")
    sender = models.TextField(db_default="")
    reply_to = models.TextField(db_default="")
    cc = ArrayField(models.TextField(), db_default=[])
    bcc = ArrayField(models.TextField(), db_default=[])
    headers = models.JSONField(db_default={})
    media = models.JSONField(null=True)
    """A file that is fetched from an address: `url`, and `type`, `caption` and `filename` where they were given."""
    sealed = models.BinaryField(null=True)
    """Subject, body, text, headers, media and the names of the files, encrypted; where it is set, the plain columns are
    empty, and the files' data is encrypted too."""
    created_at = models.DateTimeField(db_default=Now(), editable=False)


class Attachment(models.Model):
    """A file of a Content, kept apart so that reading a Content does not read its files."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    content = models.ForeignKey(Content, on_delete=models.CASCADE, related_name="attachments")
    filename = models.TextField()
    content_type = models.TextField()
    inline_id = models.TextField(db_default="")
    size = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        ordering = ["id"]
