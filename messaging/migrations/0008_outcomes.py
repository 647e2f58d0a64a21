"""Requests wait for outcomes; messages are revised and deleted; a file may be fetched from an address."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0007_plain_names")]

    operations = [
        migrations.AddField("message", "revised_at", models.DateTimeField(null=True)),
        migrations.AddField("message", "deleted_at", models.DateTimeField(null=True)),
        migrations.AddField("message", "awaited_until", models.DateTimeField(null=True)),
        migrations.AddField("idempotencyrecord", "message_id", models.UUIDField(null=True)),
        migrations.AddField("idempotencyrecord", "pending_until", models.DateTimeField(null=True)),
        migrations.AddField("content", "media", models.JSONField(null=True)),
    ]
