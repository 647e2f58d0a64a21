"""Endpoints of workspaces are told of events."""

from __future__ import annotations

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

import messaging.models.keys

# Events that endpoints are told of although they count nothing: the feed finds the others by messageevent_tally.
LOG = """
CREATE INDEX messageevent_untold ON messaging_messageevent (xact) WHERE tally = 0 AND type IN ('queued', 'failed');
"""
UNLOG = "DROP INDEX messageevent_untold;"


def key() -> models.UUIDField:
    return models.UUIDField(default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False)


class Migration(migrations.Migration):
    dependencies = [("messaging", "0011_fallback")]

    operations = [
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                ("id", key()),
                ("url", models.TextField()),
                ("description", models.TextField(db_default="")),
                (
                    "types",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), db_default=[], size=None),
                ),
                (
                    "format",
                    models.CharField(
                        choices=[("dispatch", "Dispatch"), ("campaignos", "Campaignos")],
                        db_default="dispatch",
                        max_length=10,
                    ),
                ),
                ("test", models.BooleanField(db_default=False)),
                ("secret", models.BinaryField()),
                ("previous_secret", models.BinaryField(null=True)),
                ("previous_until", models.DateTimeField(null=True)),
                ("active", models.BooleanField(db_default=True)),
                ("since", models.TextField()),
                ("failures", models.IntegerField(db_default=0)),
                ("failing_since", models.DateTimeField(null=True)),
                ("disabled_at", models.DateTimeField(null=True)),
                (
                    "disabled_because",
                    models.CharField(choices=[("gone", "Gone"), ("failing", "Failing")], db_default="", max_length=7),
                ),
                ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                ("updated_at", models.DateTimeField(db_default=Now(), editable=False)),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="messaging.workspace",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "indexes": [models.Index(fields=["workspace", "id"], name="webhook_endpoint_workspace")],
            },
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                ("id", key()),
                ("event_id", models.UUIDField()),
                ("type", models.TextField()),
                ("at", models.DateTimeField()),
                ("message_id", models.UUIDField(null=True)),
                ("contact_id", models.UUIDField(null=True)),
                ("detail", models.JSONField(db_default={})),
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "Pending"), ("delivered", "Delivered"), ("failed", "Failed")],
                        db_default="pending",
                        max_length=9,
                    ),
                ),
                ("attempts", models.SmallIntegerField(db_default=0)),
                ("next_attempt_at", models.DateTimeField(db_default=Now(), null=True)),
                ("claim", models.UUIDField(null=True)),
                ("last_status", models.SmallIntegerField(null=True)),
                ("last_detail", models.TextField(db_default="")),
                ("tries", models.JSONField(db_default=[])),
                ("created_at", models.DateTimeField(db_default=Now())),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="messaging.webhookendpoint",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "webhook deliveries",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["endpoint", "id"], name="webhook_delivery_endpoint"),
                    models.Index(fields=["endpoint", "state", "id"], name="webhook_delivery_state"),
                    models.Index(
                        condition=models.Q(("state", "pending")),
                        fields=["endpoint", "next_attempt_at"],
                        name="webhook_delivery_due",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("endpoint", "event_id"), name="webhook_delivery_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookProgress",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("xact", models.BigIntegerField()),
                (
                    "open",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), db_default=[], size=None
                    ),
                ),
                ("read_at", models.DateTimeField()),
            ],
            options={"verbose_name_plural": "webhook progress"},
        ),
        migrations.RunSQL(LOG, UNLOG),
    ]
