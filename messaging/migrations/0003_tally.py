"""Events say what they change in the counts of messages (dispatch.tally)."""

from django.db import migrations, models

# Only those that count something are indexed: statistics read them in the order of their transactions.
TALLY = """
ALTER TABLE messaging_messageevent ADD COLUMN tally smallint NOT NULL DEFAULT 0, ADD COLUMN took real;
CREATE INDEX messageevent_tally ON messaging_messageevent (xact) WHERE tally <> 0;
"""
UNTALLY = "ALTER TABLE messaging_messageevent DROP COLUMN tally, DROP COLUMN took;"


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0002_people_and_content"),
    ]

    operations = [
        migrations.AddField(
            model_name="message",
            name="retried_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(TALLY, UNTALLY),
    ]
