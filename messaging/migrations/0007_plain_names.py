"""Names that people read."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0006_campaigns_and_feeds"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="apikey",
            options={"ordering": ["id"], "verbose_name": "API key"},
        ),
        migrations.AlterModelOptions(
            name="batch",
            options={"verbose_name_plural": "batches"},
        ),
    ]
