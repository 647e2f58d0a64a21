"""Campaigns remember which of their failures are to be tried again as their turn comes."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0015_lists_by_mode")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.AddField("campaign", "retry_before", models.DateTimeField(blank=True, null=True)),
    ]
