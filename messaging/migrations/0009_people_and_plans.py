"""Contacts have a divided name and events of their own; campaigns keep more of what their makers planned."""

from __future__ import annotations

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import messaging.models.keys

_CHANNELS = ["email", "sms", "whatsapp", "push", "telegram", "onsite", "webhook", "direct"]


class Migration(migrations.Migration):
    dependencies = [("messaging", "0008_outcomes")]

    operations = [
        migrations.AddField("contact", "first_name", models.TextField(blank=True, db_default="", default="")),
        migrations.AddField("contact", "last_name", models.TextField(blank=True, db_default="", default="")),
        migrations.AddField("campaign", "description", models.TextField(blank=True, db_default="")),
        migrations.AddField("campaign", "kind", models.TextField(blank=True, db_default="")),
        migrations.AddField(
            "campaign",
            "contact_ids",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(), blank=True, db_default=[], size=None
            ),
        ),
        migrations.AddField("campaign", "workflow", models.JSONField(blank=True, null=True)),
        migrations.AddField("campaign", "settings", models.JSONField(blank=True, db_default={})),
        migrations.AddField("campaign", "ends_at", models.DateTimeField(blank=True, null=True)),
        migrations.AlterField(
            "campaign",
            "channel",
            models.CharField(blank=True, choices=[(channel, channel) for channel in _CHANNELS], max_length=10),
        ),
        migrations.CreateModel(
            name="ContactEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("type", models.TextField()),
                ("metadata", models.JSONField(blank=True, db_default={})),
                ("session_id", models.TextField(blank=True, db_default="")),
                ("page_url", models.TextField(blank=True, db_default="")),
                ("referrer", models.TextField(blank=True, db_default="")),
                ("utm_source", models.TextField(blank=True, db_default="")),
                ("utm_medium", models.TextField(blank=True, db_default="")),
                ("utm_campaign", models.TextField(blank=True, db_default="")),
                (
                    "at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "contact",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="messaging.contact",
                    ),
                ),
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
                "indexes": [
                    models.Index(fields=["workspace", "id"], name="contact_event_workspace"),
                    models.Index(fields=["workspace", "type", "id"], name="contact_event_type"),
                    models.Index(
                        condition=models.Q(("contact__isnull", False)),
                        fields=["contact", "id"],
                        name="contact_event_contact",
                    ),
                ],
            },
        ),
    ]
