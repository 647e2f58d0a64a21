"""The people that messages go to, and what they agreed to."""

from __future__ import annotations

import unicodedata
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Case, When
from django.db.models.functions import Lower, Now
from django.db.models.lookups import Exact

from channels_app.types import Channel
from messaging.models.keys import uuid7
from messaging.models.tenancy import User, Workspace
from messaging.models.words import CHANNELS

ALL = "*"
"""The category that stands for all of them."""


def folded(text: str) -> str:
    """The text as searches compare it: without regard to case, whatever the locale of the database."""
    return unicodedata.normalize("NFC", text).casefold()


def reached_at(field: str, address: str) -> models.Q:
    """Contacts with this address in a field; no two people have e-mail addresses that differ in case alone."""
    if field != "email":
        return models.Q(**{field: address})
    return models.Q(Exact(Lower(models.F(field)), Lower(models.Value(address)))) & ~models.Q(email="")


class FoldedField(models.TextField):  # type: ignore[type-arg]  # takes none at run time
    """What another field says, folded, and sorted so that a prefix is a range.

    It follows saves and bulk inserts; whoever writes by other ways folds the text along with it.
    """

    def __init__(self, *args: Any, of: str, **kwargs: Any) -> None:
        super().__init__(*args, **{"editable": False, "db_collation": "C", "db_default": "", **kwargs})
        self.of = of

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        for fixed in ("editable", "db_collation", "db_default"):
            kwargs.pop(fixed, None)
        return name, path, args, {**kwargs, "of": self.of}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        value = folded(str(getattr(model_instance, self.of)))
        setattr(model_instance, self.attname, value)
        return value


class Contact(models.Model):
    """A person that a workspace knows, with an address for each channel."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    external_id = models.TextField(null=True, blank=True)
    avatar_id = models.UUIDField(null=True, blank=True)
    name = models.TextField(blank=True, db_default="", default="")
    first_name = models.TextField(blank=True, db_default="", default="")
    last_name = models.TextField(blank=True, db_default="", default="")
    """How the name divides, where somebody said so; it counts only as long as the two make up the name."""
    email = models.TextField(blank=True, db_default="", default="")
    phone = models.TextField(blank=True, db_default="")
    telegram_chat_id = models.TextField(blank=True, db_default="")
    locale = models.TextField(blank=True, db_default="")
    time_zone = models.TextField(blank=True, db_default="")
    attributes = models.JSONField(blank=True, db_default={})
    tags = ArrayField(models.TextField(), blank=True, db_default=[])
    folded_name = FoldedField(of="name")
    folded_email = FoldedField(of="email")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "external_id"], name="contact_external_id"),
            models.UniqueConstraint(fields=["workspace", "avatar_id"], name="contact_avatar"),
        ]
        indexes = [
            models.Index(fields=["workspace", "id"], name="contact_workspace"),
            models.Index("workspace", Lower("email"), name="contact_email", condition=~models.Q(email="")),
            models.Index(fields=["workspace", "phone"], name="contact_phone", condition=~models.Q(phone="")),
            models.Index(
                fields=["workspace", "telegram_chat_id"],
                name="contact_telegram",
                condition=~models.Q(telegram_chat_id=""),
            ),
            GinIndex(fields=["tags"], name="contact_tags"),
            models.Index(fields=["workspace", "folded_name", "id"], name="contact_by_name"),
            models.Index(fields=["workspace", "folded_email", "id"], name="contact_by_email"),
        ]

    def __str__(self) -> str:
        return self.name or self.external_id or str(self.id)


class ContactAlias(models.Model):
    """The id of a contact that was merged into another: what was kept under it belongs to that other now."""

    id = models.UUIDField(primary_key=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="aliases")
    created_at = models.DateTimeField(db_default=Now(), editable=False)


class ConsentStatus(models.TextChoices):
    """What a contact said about a channel and category."""

    OPTED_IN = "opted_in"
    OPTED_OUT = "opted_out"


class Consent(models.Model):
    """What a contact said last about one category on one channel; `*` is every category without its own record."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, db_index=False, related_name="consents")
    channel = models.CharField(max_length=10, choices=CHANNELS)
    category = models.TextField(db_default=ALL)
    status = models.CharField(max_length=9, choices=ConsentStatus.choices)
    message_id = models.UUIDField(null=True, blank=True)
    """The message through which the contact said so, where it was one."""
    author = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    """Who wrote it down, where it was a person."""
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["contact", "channel", "category"], name="consent_once")]


class Reason(models.TextChoices):
    """Why an address is suppressed."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"
    OPTED_OUT = "opted_out"
    MANUAL = "manual"


def suppressed_as() -> Case:
    """An address as suppressions compare it, which `refusals` says in SQL: e-mail addresses without regard to case."""
    return Case(When(channel=Channel.EMAIL.value, then=Lower("address")), default="address")


class Suppression(models.Model):
    """An address that gets nothing more on a channel, in one category or, with `*`, in all of them.

    It is kept as it was spelled. Only a person lifts it, somebody of the workspace or the recipient; the row stays and
    says which of them.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    channel = models.CharField(max_length=10, choices=CHANNELS)
    address = models.TextField()
    category = models.TextField(db_default=ALL)
    reason = models.CharField(max_length=10, choices=Reason.choices)
    message_id = models.UUIDField(null=True, blank=True)
    """The message that was reported on, where it was one."""
    contact = models.ForeignKey(Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    author = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    """Who wrote it down, where it was a person."""
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "workspace",
                "channel",
                suppressed_as(),
                "category",
                "reason",
                name="suppression_once",
                condition=models.Q(lifted_at__isnull=True),
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "id"], name="suppression_workspace"),
            models.Index("workspace", Lower("address"), "id", name="suppression_address"),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.address}"


class PushSubscription(models.Model):
    """A browser or device that takes push messages for a contact."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="push_subscriptions")
    endpoint = models.TextField()
    p256dh = models.TextField()
    auth = models.TextField()
    topic = models.TextField(blank=True, db_default="")
    active = models.BooleanField(db_default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["workspace", "endpoint"], name="push_subscription_once")]
        indexes = [models.Index(fields=["workspace", "id"], name="push_subscription_workspace")]


class ContactEvent(models.Model):
    """Something that a contact, or a visitor whom nobody knows, did, or that was noted of one; never changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False, related_name="+")
    contact = models.ForeignKey(
        Contact, on_delete=models.CASCADE, null=True, blank=True, db_index=False, related_name="events"
    )
    type = models.TextField()
    metadata = models.JSONField(blank=True, db_default={})
    session_id = models.TextField(blank=True, db_default="")
    page_url = models.TextField(blank=True, db_default="")
    referrer = models.TextField(blank=True, db_default="")
    utm_source = models.TextField(blank=True, db_default="")
    utm_medium = models.TextField(blank=True, db_default="")
    utm_campaign = models.TextField(blank=True, db_default="")
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["workspace", "id"], name="contact_event_workspace"),
            models.Index(fields=["workspace", "type", "id"], name="contact_event_type"),
            models.Index(
                fields=["contact", "id"], name="contact_event_contact", condition=models.Q(contact__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} at {self.at:%Y-%m-%d %H:%M:%S}"
