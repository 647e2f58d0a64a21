from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0004_template_deletion")]

    operations = [
        migrations.CreateModel(
            name="Usage",
            fields=[
                (
                    "workspace",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="messaging.workspace",
                    ),
                ),
                ("day", models.DateField()),
                ("accepted", models.PositiveBigIntegerField()),
            ],
        ),
    ]
