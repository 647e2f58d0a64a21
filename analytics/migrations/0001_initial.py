"""Rollups of the log of events."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import messaging.models.keys


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("messaging", "0003_tally"),
    ]

    operations = [
        migrations.CreateModel(
            name="Progress",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("xact", models.BigIntegerField()),
                (
                    "open",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), db_default=[], size=None
                    ),
                ),
                ("counted_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "progress",
            },
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
                ("span", models.SmallIntegerField(choices=[(1, "Hour"), (24, "Day")])),
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
                ("whole", models.BooleanField()),
                ("total", models.BigIntegerField(db_default=0)),
                ("sent", models.BigIntegerField(db_default=0)),
                ("delivered", models.BigIntegerField(db_default=0)),
                ("opened", models.BigIntegerField(db_default=0)),
                ("clicked", models.BigIntegerField(db_default=0)),
                ("bounced", models.BigIntegerField(db_default=0)),
                ("failed", models.BigIntegerField(db_default=0)),
                ("unsubscribed", models.BigIntegerField(db_default=0)),
                ("cancelled", models.BigIntegerField(db_default=0)),
                ("complained", models.BigIntegerField(db_default=0)),
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
                "indexes": [
                    models.Index(
                        condition=models.Q(("campaign_id__isnull", False)),
                        fields=["campaign_id", "hour"],
                        name="rollup_campaign",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=(
                            "workspace",
                            "whole",
                            "span",
                            "hour",
                            "channel",
                            "test",
                            "provider",
                            "template_id",
                            "campaign_id",
                        ),
                        name="rollup_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Timing",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("span", models.SmallIntegerField(choices=[(1, "Hour"), (24, "Day")])),
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
                ("test", models.BooleanField(db_default=False)),
                (
                    "measure",
                    models.CharField(
                        choices=[("sending", "Sending"), ("delivery", "Delivery"), ("opening", "Opening")], max_length=8
                    ),
                ),
                ("bucket", models.SmallIntegerField()),
                ("count", models.BigIntegerField(db_default=0)),
                ("seconds", models.FloatField(db_default=0.0)),
                ("longest", models.FloatField(db_default=0.0)),
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
                        fields=("workspace", "span", "hour", "channel", "test", "measure", "bucket"), name="timing_once"
                    )
                ],
            },
        ),
    ]
