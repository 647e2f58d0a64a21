"""Templates can be deleted and stay for the messages that were made from them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0003_tally"),
    ]

    operations = [
        migrations.AddField(
            model_name="template",
            name="deleted_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.RemoveConstraint(
            model_name="template",
            name="template_once",
        ),
        migrations.AddConstraint(
            model_name="template",
            constraint=models.UniqueConstraint(
                condition=models.Q(("deleted_at__isnull", True)),
                fields=("workspace", "key", "channel", "language"),
                name="template_once",
            ),
        ),
    ]
