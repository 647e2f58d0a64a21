"""Lists of live or of test messages are found by their indexes alone, and contacts by their address in any case.

Messages are accepted and sent meanwhile: month after month gets its indexes, and what was interrupted is repeated.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.models.functions import Lower

from messaging.migrations import _indexes

SHOWN = models.Q(deleted_at__isnull=True)

_MESSAGES = {
    "message_workspace": "btree (workspace_id, id) INCLUDE (test) WHERE (deleted_at IS NULL)",
    "message_status": "btree (workspace_id, status, id) INCLUDE (channel, test) WHERE (deleted_at IS NULL)",
    "message_channel": "btree (workspace_id, channel, id) INCLUDE (test) WHERE (deleted_at IS NULL)",
}
_CONTACTS = {"contact_email": "btree (workspace_id, lower(email)) WHERE (NOT (email = ''::text))"}
_MESSAGES_BEFORE = {
    "message_workspace": "btree (workspace_id, id) WHERE (deleted_at IS NULL)",
    "message_status": "btree (workspace_id, status, id) INCLUDE (channel) WHERE (deleted_at IS NULL)",
    "message_channel": "btree (workspace_id, channel, id) WHERE (deleted_at IS NULL)",
}
_CONTACTS_BEFORE = {"contact_email": "btree (workspace_id, email) WHERE (NOT (email = ''::text))"}


def _forwards(apps: Any, schema_editor: Any) -> None:
    _indexes.replace(schema_editor.connection, "messaging_contact", _CONTACTS)
    _indexes.replace(schema_editor.connection, "messaging_message", _MESSAGES)


def _backwards(apps: Any, schema_editor: Any) -> None:
    _indexes.replace(schema_editor.connection, "messaging_message", _MESSAGES_BEFORE)
    _indexes.replace(schema_editor.connection, "messaging_contact", _CONTACTS_BEFORE)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("messaging", "0014_addresses_and_pace")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(_forwards, _backwards)],
            state_operations=[
                migrations.RemoveIndex("contact", "contact_email"),
                migrations.AddIndex(
                    "contact",
                    models.Index("workspace", Lower("email"), name="contact_email", condition=~models.Q(email="")),
                ),
                migrations.RemoveIndex("message", "message_workspace"),
                migrations.RemoveIndex("message", "message_status"),
                migrations.RemoveIndex("message", "message_channel"),
                migrations.AddIndex(
                    "message",
                    models.Index(
                        fields=["workspace", "id"], include=["test"], name="message_workspace", condition=SHOWN
                    ),
                ),
                migrations.AddIndex(
                    "message",
                    models.Index(
                        fields=["workspace", "status", "id"],
                        include=["channel", "test"],
                        name="message_status",
                        condition=SHOWN,
                    ),
                ),
                migrations.AddIndex(
                    "message",
                    models.Index(
                        fields=["workspace", "channel", "id"], include=["test"], name="message_channel", condition=SHOWN
                    ),
                ),
            ],
        )
    ]
