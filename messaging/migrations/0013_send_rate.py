"""Workspaces may have a rate at which their messages are sent."""

from __future__ import annotations

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0012_webhooks")]

    operations = [
        migrations.AddField(
            "workspace",
            "send_rate",
            models.PositiveIntegerField(
                blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
            ),
        ),
    ]
