"""Lists leave out what was deleted, tell a retry from a first try, find recipients in either case, and authors."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models.functions import Collate, Lower

SHOWN = models.Q(deleted_at__isnull=True)


class Migration(migrations.Migration):
    dependencies = [("messaging", "0009_people_and_plans")]

    operations = [
        migrations.RemoveIndex("message", "message_workspace"),
        migrations.RemoveIndex("message", "message_status"),
        migrations.RemoveIndex("message", "message_channel"),
        migrations.RemoveIndex("message", "message_recipient"),
        migrations.RemoveIndex("message", "message_unread"),
        migrations.AddIndex(
            "message", models.Index(fields=["workspace", "id"], name="message_workspace", condition=SHOWN)
        ),
        migrations.AddIndex(
            "message",
            models.Index(
                fields=["workspace", "status", "id"], include=["channel"], name="message_status", condition=SHOWN
            ),
        ),
        migrations.AddIndex(
            "message",
            models.Index(
                fields=["workspace", "id"],
                name="message_retrying",
                condition=models.Q(status="QUEUED", attempts__gt=0) & SHOWN,
            ),
        ),
        migrations.AddIndex(
            "message", models.Index(fields=["workspace", "channel", "id"], name="message_channel", condition=SHOWN)
        ),
        migrations.AddIndex(
            "message",
            models.Index("workspace", Collate(Lower("recipient"), "C"), "id", name="message_recipient"),
        ),
        migrations.AddIndex(
            "message",
            models.Index(
                "workspace",
                Collate(Lower("recipient"), "C"),
                "id",
                name="message_unread",
                condition=models.Q(channel__in=["onsite", "direct"], opened_at__isnull=True, archived_at__isnull=True),
            ),
        ),
        migrations.AddIndex(
            "message",
            models.Index(
                fields=["workspace", "author", "id"],
                name="message_author",
                condition=models.Q(author__isnull=False) & SHOWN,
            ),
        ),
    ]
