"""Rollups of the log of events."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import messaging.models.keys


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("messaging", "0002_people_and_content"),
    ]

    operations = [
        migrations.CreateModel(
            name="Progress",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("xact", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Rollup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("hour", models.DateTimeField()),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("email", "email"),
                            ("sms", "sms"),
                            ("whatsapp", "whatsapp"),
                            ("push", "push"),
                            ("telegram", "telegram"),
                            ("onsite", "onsite"),
                            ("webhook", "webhook"),
                            ("direct", "direct"),
                        ],
                        max_length=10,
                    ),
                ),
                ("provider", models.TextField(db_default="")),
                ("template_id", models.UUIDField(null=True)),
                ("campaign_id", models.UUIDField(null=True)),
                ("test", models.BooleanField(db_default=False)),
                ("total", models.BigIntegerField(db_default=0)),
                ("sent", models.BigIntegerField(db_default=0)),
                ("delivered", models.BigIntegerField(db_default=0)),
                ("opened", models.BigIntegerField(db_default=0)),
                ("clicked", models.BigIntegerField(db_default=0)),
                ("bounced", models.BigIntegerField(db_default=0)),
                ("failed", models.BigIntegerField(db_default=0)),
                ("unsubscribed", models.BigIntegerField(db_default=0)),
                ("complained", models.BigIntegerField(db_default=0)),
                ("cancelled", models.BigIntegerField(db_default=0)),
                (
                    "sending_times",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), db_default=[], size=None
                    ),
                ),
                (
                    "delivery_times",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), db_default=[], size=None
                    ),
                ),
                (
                    "opening_times",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), db_default=[], size=None
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("workspace", "hour", "channel", "provider", "template_id", "campaign_id", "test"),
                        name="rollup_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
    ]
