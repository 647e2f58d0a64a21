"""Who may use the platform: workspaces, people, keys."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from messaging.models.keys import uuid7


class Role(models.TextChoices):
    """What a member may do; tenancy.access says which scopes each role has."""

    VIEWER = "viewer"
    MEMBER = "member"
    OPERATOR = "operator"
    ADMIN = "admin"
    OWNER = "owner"


class Mode(models.TextChoices):
    """Whether a key reaches real providers or always the sandbox."""

    LIVE = "live"
    TEST = "test"


class User(AbstractUser):
    """A person. Others see only the avatar's id."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    avatar_id = models.UUIDField(unique=True, default=uuid7, editable=False)
    rate_limit = models.PositiveIntegerField(null=True, blank=True)
    """Requests a minute without an API key; none by default."""


class Workspace(models.Model):
    """A tenant: every row of the domain belongs to one."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=100, unique=True)
    language = models.CharField(max_length=35, db_default="en")
    """What a template falls back to where it is not there in a recipient's language."""
    encrypted = models.BooleanField(db_default=False)
    """Every message's content is encrypted at rest, asked for or not."""
    daily_quota = models.PositiveIntegerField(null=True, blank=True)
    """Messages that may be accepted in a day (UTC); none by default."""
    send_rate = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    """Messages that may be sent in a minute; any number by default. What is beyond it waits."""
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    """A person's place in a workspace."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["workspace", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class ApiKey(models.Model):
    """A program's way in; only a keyed hash of the secret is kept."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="api_keys")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=24, unique=True)
    digest = models.BinaryField(max_length=32)
    scopes = ArrayField(models.CharField(max_length=40))
    mode = models.CharField(max_length=4, choices=Mode.choices)
    rate_limit = models.PositiveIntegerField(null=True, blank=True)
    """Requests a minute; none by default."""
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class Usage(models.Model):
    """How many messages a workspace with a quota had accepted on the latest day that it sent on (UTC)."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True, related_name="+")
    day = models.DateField()
    accepted = models.PositiveBigIntegerField()


class WorkspaceKey(models.Model):
    """A workspace's data key, wrapped by one of the platform's keys; the newest encrypts."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    wrapped = models.BinaryField()
    wrapped_by = models.TextField()
    """The id of the key in DISPATCH_KEYS."""
    created_at = models.DateTimeField(db_default=Now(), editable=False)
