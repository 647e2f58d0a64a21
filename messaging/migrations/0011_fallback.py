"""Messages turn to other channels when they do not arrive; callbacks about nothing that is known are kept for a day."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions.datetime import Now

import messaging.models.keys

_CHANNELS = ["email", "sms", "whatsapp", "push", "telegram", "onsite", "webhook", "direct"]
_STATES = ["waiting", "taken", "spared", "dropped", "refused"]


def _id() -> models.UUIDField:
    return models.UUIDField(default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False)


class Migration(migrations.Migration):
    dependencies = [("messaging", "0010_lists")]

    operations = [
        migrations.CreateModel(
            name="RawCallback",
            fields=[
                ("id", _id()),
                ("provider", models.TextField()),
                ("url", models.TextField()),
                ("content_type", models.TextField(db_default="")),
                ("body", models.BinaryField()),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("received_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["received_at"], name="raw_callback_age")],
            },
        ),
        migrations.CreateModel(
            name="FallbackStep",
            fields=[
                ("id", _id()),
                ("origin_id", models.UUIDField()),
                ("position", models.SmallIntegerField()),
                (
                    "channel",
                    models.CharField(choices=[(channel, channel) for channel in _CHANNELS], max_length=10),
                ),
                ("recipient", models.TextField(db_default="")),
                ("contact_id", models.UUIDField(null=True)),
                ("template", models.TextField(db_default="")),
                ("after_seconds", models.IntegerField(null=True)),
                ("watched_id", models.UUIDField(null=True)),
                ("due_at", models.DateTimeField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[(state, state.title()) for state in _STATES], db_default="waiting", max_length=7
                    ),
                ),
                ("next_id", models.UUIDField(null=True)),
                ("error_code", models.TextField(db_default="")),
                ("error_detail", models.TextField(db_default="")),
                ("created_at", models.DateTimeField(db_default=Now())),
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
                "ordering": ["origin_id", "position"],
                "constraints": [models.UniqueConstraint(fields=("origin_id", "position"), name="fallback_once")],
                "indexes": [
                    models.Index(fields=["workspace", "id"], name="fallback_workspace"),
                    models.Index(
                        condition=models.Q(("due_at__isnull", False), ("state", "waiting")),
                        fields=["due_at"],
                        name="fallback_due",
                    ),
                    models.Index(
                        condition=models.Q(("watched_id__isnull", False)),
                        fields=["watched_id"],
                        name="fallback_watched",
                    ),
                    models.Index(
                        condition=models.Q(("next_id__isnull", False)), fields=["next_id"], name="fallback_next"
                    ),
                ],
            },
        ),
    ]
