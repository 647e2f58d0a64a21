"""E-mail addresses are compared without regard to case, and campaigns remember when they may write to the next contact."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models import Case, When
from django.db.models.functions import Lower

# Of suppressions that are one now, the first stays in force.
_MEET = """
UPDATE messaging_suppression s SET lifted_at = now()
 WHERE s.lifted_at IS NULL AND s.channel = 'email'
   AND EXISTS (SELECT FROM messaging_suppression o
                WHERE o.workspace_id = s.workspace_id AND o.channel = s.channel AND lower(o.address) = lower(s.address)
                  AND o.category = s.category AND o.reason = s.reason AND o.lifted_at IS NULL AND o.id < s.id)
"""


class Migration(migrations.Migration):
    dependencies = [("messaging", "0013_send_rate")]

    operations = [
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.RunSQL(_MEET, migrations.RunSQL.noop),
        migrations.RemoveConstraint("suppression", "suppression_once"),
        migrations.AddConstraint(
            "suppression",
            models.UniqueConstraint(
                "workspace",
                "channel",
                Case(When(channel="email", then=Lower("address")), default="address"),
                "category",
                "reason",
                name="suppression_once",
                condition=models.Q(lifted_at__isnull=True),
            ),
        ),
        migrations.RemoveIndex("suppression", "suppression_address"),
        migrations.AddIndex(
            "suppression", models.Index("workspace", Lower("address"), "id", name="suppression_address")
        ),
        migrations.AddField("campaign", "feed_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddIndex(
            "audience",
            models.Index(
                fields=["campaign", "id"],
                name="audience_waiting",
                condition=models.Q(message_id__isnull=True, error_code=""),
            ),
        ),
    ]
