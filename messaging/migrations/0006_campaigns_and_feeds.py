"""Campaigns tell why they did not start, and what is unread in a feed is found without reading the rest."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0005_usage")]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="error_code",
            field=models.TextField(db_default=""),
        ),
        migrations.AddField(
            model_name="campaign",
            name="error_detail",
            field=models.TextField(db_default=""),
        ),
        migrations.AddIndex(
            model_name="campaign",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", True), models.Q(("status", "draft"), _negated=True)),
                fields=["status", "scheduled_at"],
                name="campaign_unfinished",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(
                    ("archived_at__isnull", True),
                    ("channel__in", ["onsite", "direct"]),
                    ("opened_at__isnull", True),
                ),
                fields=["workspace", "recipient", "id"],
                name="message_unread",
            ),
        ),
    ]
