"""The first schema. Messages and events are partitioned by month of the message's key; see dispatch.partitions."""

import django.contrib.auth.models
import django.contrib.auth.validators
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import messaging.models.keys

MESSAGES = """
CREATE TABLE messaging_message (
    id uuid NOT NULL PRIMARY KEY,
    workspace_id uuid NOT NULL,
    content_id uuid NOT NULL,
    batch_id uuid,
    author_id uuid,
    claim_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    scheduled_at timestamptz,
    expires_at timestamptz,
    next_attempt_at timestamptz,
    queued_at timestamptz,
    sending_at timestamptz,
    sent_at timestamptz,
    delivered_at timestamptz,
    opened_at timestamptz,
    clicked_at timestamptz,
    bounced_at timestamptz,
    failed_at timestamptz,
    unsubscribed_at timestamptz,
    cancelled_at timestamptz,
    complained_at timestamptz,
    priority smallint NOT NULL DEFAULT 1,
    attempts smallint NOT NULL DEFAULT 0,
    max_attempts smallint NOT NULL DEFAULT 3,
    throttles smallint NOT NULL DEFAULT 0,
    test boolean NOT NULL DEFAULT false,
    channel varchar(10) NOT NULL,
    status varchar(12) NOT NULL,
    on_unknown varchar(6) NOT NULL DEFAULT '',
    recipient text NOT NULL,
    name text NOT NULL DEFAULT '',
    subject text NOT NULL DEFAULT '',
    category text NOT NULL DEFAULT 'transactional',
    action_type text NOT NULL DEFAULT 'custom',
    language text NOT NULL DEFAULT 'en',
    provider text NOT NULL DEFAULT '',
    provider_message_id text NOT NULL DEFAULT '',
    error_code text NOT NULL DEFAULT '',
    error_detail text NOT NULL DEFAULT '',
    data jsonb,
    metadata jsonb NOT NULL DEFAULT '{}'
) PARTITION BY RANGE (id)
"""

# `xact` lets a reader of the log skip no transaction that commits late.
EVENTS = """
CREATE TABLE messaging_messageevent (
    id uuid NOT NULL,
    message_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
    attempt smallint NOT NULL DEFAULT 0,
    type text NOT NULL,
    status varchar(12) NOT NULL DEFAULT '',
    cause varchar(8) NOT NULL,
    provider text NOT NULL DEFAULT '',
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (message_id, id)
) PARTITION BY RANGE (message_id)
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="Batch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("accepted", models.PositiveIntegerField()),
                ("rejected", models.PositiveIntegerField(db_default=0)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Content",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("subject", models.TextField(db_default="")),
                ("body", models.TextField(db_default="")),
                ("text", models.TextField(db_default="")),
                ("sender", models.TextField(db_default="")),
                ("reply_to", models.TextField(db_default="")),
                (
                    "cc",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), db_default=[], size=None),
                ),
                (
                    "bcc",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), db_default=[], size=None),
                ),
                ("headers", models.JSONField(db_default={})),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Workspace",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("slug", models.SlugField(max_length=100, unique=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "username",
                    models.CharField(
                        error_messages={"unique": "A user with that username already exists."},
                        help_text="Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
                        max_length=150,
                        unique=True,
                        validators=[django.contrib.auth.validators.UnicodeUsernameValidator()],
                        verbose_name="username",
                    ),
                ),
                ("first_name", models.CharField(blank=True, max_length=150, verbose_name="first name")),
                ("last_name", models.CharField(blank=True, max_length=150, verbose_name="last name")),
                ("email", models.EmailField(blank=True, max_length=254, verbose_name="email address")),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
                ("date_joined", models.DateTimeField(default=django.utils.timezone.now, verbose_name="date joined")),
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("avatar_id", models.UUIDField(default=messaging.models.keys.uuid7, editable=False, unique=True)),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "verbose_name": "user",
                "verbose_name_plural": "users",
                "abstract": False,
            },
            managers=[
                ("objects", django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name="Claim",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("worker", models.TextField()),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("email", "email"),
                            ("sms", "sms"),
                            ("whatsapp", "whatsapp"),
                            ("push", "push"),
                            ("telegram", "telegram"),
                            ("onsite", "onsite"),
                            ("webhook", "webhook"),
                            ("direct", "direct"),
                        ],
                        max_length=10,
                    ),
                ),
                ("priority", models.SmallIntegerField(choices=[(0, "urgent"), (1, "normal"), (2, "bulk")])),
                ("ids", django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), size=None)),
                ("handed_over", models.IntegerField()),
                ("expires_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "indexes": [models.Index(fields=["expires_at"], name="claim_expiry")],
            },
        ),
        migrations.CreateModel(
            name="Attachment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("filename", models.TextField()),
                ("content_type", models.TextField()),
                ("inline_id", models.TextField(db_default="")),
                ("size", models.PositiveIntegerField()),
                ("data", models.BinaryField()),
                (
                    "content",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="attachments", to="messaging.content"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.RunSQL(
            MESSAGES,
            "DROP TABLE messaging_message",
            state_operations=[
                migrations.CreateModel(
                    name="Message",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("claim_id", models.UUIDField(null=True)),
                        (
                            "channel",
                            models.CharField(
                                choices=[
                                    ("email", "email"),
                                    ("sms", "sms"),
                                    ("whatsapp", "whatsapp"),
                                    ("push", "push"),
                                    ("telegram", "telegram"),
                                    ("onsite", "onsite"),
                                    ("webhook", "webhook"),
                                    ("direct", "direct"),
                                ],
                                max_length=10,
                            ),
                        ),
                        (
                            "priority",
                            models.SmallIntegerField(choices=[(0, "urgent"), (1, "normal"), (2, "bulk")], db_default=1),
                        ),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("SCHEDULED", "SCHEDULED"),
                                    ("QUEUED", "QUEUED"),
                                    ("SENDING", "SENDING"),
                                    ("SENT", "SENT"),
                                    ("DELIVERED", "DELIVERED"),
                                    ("OPENED", "OPENED"),
                                    ("CLICKED", "CLICKED"),
                                    ("BOUNCED", "BOUNCED"),
                                    ("FAILED", "FAILED"),
                                    ("UNSUBSCRIBED", "UNSUBSCRIBED"),
                                    ("CANCELLED", "CANCELLED"),
                                ],
                                max_length=12,
                            ),
                        ),
                        ("recipient", models.TextField()),
                        ("name", models.TextField(db_default="")),
                        ("subject", models.TextField(db_default="")),
                        ("data", models.JSONField(null=True)),
                        ("metadata", models.JSONField(db_default={})),
                        ("category", models.TextField(db_default="transactional")),
                        ("action_type", models.TextField(db_default="custom")),
                        ("language", models.TextField(db_default="en")),
                        ("test", models.BooleanField(db_default=False)),
                        (
                            "on_unknown",
                            models.CharField(
                                choices=[("resend", "resend"), ("fail", "fail")], db_default="", max_length=6
                            ),
                        ),
                        ("attempts", models.SmallIntegerField(db_default=0)),
                        ("max_attempts", models.SmallIntegerField(db_default=3)),
                        ("throttles", models.SmallIntegerField(db_default=0)),
                        ("provider", models.TextField(db_default="")),
                        ("provider_message_id", models.TextField(db_default="")),
                        ("error_code", models.TextField(db_default="")),
                        ("error_detail", models.TextField(db_default="")),
                        ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ("scheduled_at", models.DateTimeField(null=True)),
                        ("expires_at", models.DateTimeField(null=True)),
                        ("next_attempt_at", models.DateTimeField(null=True)),
                        ("queued_at", models.DateTimeField(null=True)),
                        ("sending_at", models.DateTimeField(null=True)),
                        ("sent_at", models.DateTimeField(null=True)),
                        ("delivered_at", models.DateTimeField(null=True)),
                        ("opened_at", models.DateTimeField(null=True)),
                        ("clicked_at", models.DateTimeField(null=True)),
                        ("bounced_at", models.DateTimeField(null=True)),
                        ("failed_at", models.DateTimeField(null=True)),
                        ("unsubscribed_at", models.DateTimeField(null=True)),
                        ("cancelled_at", models.DateTimeField(null=True)),
                        ("complained_at", models.DateTimeField(null=True)),
                        (
                            "author",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "batch",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="messaging.batch",
                            ),
                        ),
                        (
                            "content",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="messaging.content",
                            ),
                        ),
                        (
                            "workspace",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="messaging.workspace",
                            ),
                        ),
                    ],
                ),
            ],
        ),
        migrations.CreateModel(
            name="ReceiptRecord",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("provider", models.TextField()),
                ("key", models.TextField()),
                ("message_id", models.UUIDField(null=True)),
                ("provider_message_id", models.TextField(db_default="")),
                ("kind", models.TextField()),
                ("code", models.TextField(db_default="")),
                ("detail", models.JSONField(db_default={})),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("applied", "Applied"),
                            ("late", "Late"),
                            ("unmatched", "Unmatched"),
                        ],
                        db_default="pending",
                        max_length=9,
                    ),
                ),
                ("due_at", models.DateTimeField()),
                ("received_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("state", "pending")), fields=["due_at"], name="receipt_due")
                ],
                "constraints": [models.UniqueConstraint(fields=("provider", "key"), name="receipt_once")],
            },
        ),
        migrations.RunSQL(
            EVENTS,
            "DROP TABLE messaging_messageevent",
            state_operations=[
                migrations.CreateModel(
                    name="MessageEvent",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("type", models.TextField()),
                        (
                            "status",
                            models.CharField(
                                choices=[
                                    ("SCHEDULED", "SCHEDULED"),
                                    ("QUEUED", "QUEUED"),
                                    ("SENDING", "SENDING"),
                                    ("SENT", "SENT"),
                                    ("DELIVERED", "DELIVERED"),
                                    ("OPENED", "OPENED"),
                                    ("CLICKED", "CLICKED"),
                                    ("BOUNCED", "BOUNCED"),
                                    ("FAILED", "FAILED"),
                                    ("UNSUBSCRIBED", "UNSUBSCRIBED"),
                                    ("CANCELLED", "CANCELLED"),
                                ],
                                db_default="",
                                max_length=12,
                            ),
                        ),
                        ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        (
                            "cause",
                            models.CharField(
                                choices=[
                                    ("api", "api"),
                                    ("worker", "worker"),
                                    ("receipt", "receipt"),
                                    ("operator", "operator"),
                                    ("sweeper", "sweeper"),
                                ],
                                max_length=8,
                            ),
                        ),
                        ("attempt", models.SmallIntegerField(db_default=0)),
                        ("provider", models.TextField(db_default="")),
                        ("detail", models.JSONField(db_default={})),
                        (
                            "message",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="events",
                                to="messaging.message",
                            ),
                        ),
                        (
                            "workspace",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="messaging.workspace",
                            ),
                        ),
                    ],
                    options={
                        "ordering": ["at", "id"],
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="Member",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("viewer", "Viewer"),
                            ("member", "Member"),
                            ("operator", "Operator"),
                            ("admin", "Admin"),
                            ("owner", "Owner"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="members", to="messaging.workspace"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="IdempotencyRecord",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.TextField()),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("status", models.SmallIntegerField()),
                ("body", models.BinaryField()),
                ("expires_at", models.DateTimeField()),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="messaging.workspace"
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="content",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="messaging.workspace"
            ),
        ),
        migrations.AddField(
            model_name="batch",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="messaging.workspace"
            ),
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=messaging.models.keys.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("prefix", models.CharField(max_length=24, unique=True)),
                ("digest", models.BinaryField(max_length=32)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), size=None),
                ),
                ("mode", models.CharField(choices=[("live", "Live"), ("test", "Test")], max_length=4)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_keys",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="api_keys", to="messaging.workspace"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["workspace", "id"], name="message_workspace"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["workspace", "status", "id"], name="message_status"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["workspace", "channel", "id"], name="message_channel"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["workspace", "recipient", "id"], name="message_recipient"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("batch__isnull", False)), fields=["batch", "id"], name="message_batch"
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("provider_message_id", ""), _negated=True),
                fields=["provider_message_id"],
                name="message_provider_id",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("status", "QUEUED")),
                fields=["channel", "priority", "workspace", "next_attempt_at", "id"],
                name="message_queue",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("status", "SCHEDULED")), fields=["next_attempt_at"], name="message_scheduled"
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("claim_id__isnull", True), ("status", "SENDING")),
                fields=["next_attempt_at"],
                name="message_unknown",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("expires_at__isnull", False), ("status__in", ["QUEUED", "SCHEDULED"])),
                fields=["expires_at"],
                name="message_expiry",
            ),
        ),
        migrations.AddConstraint(
            model_name="member",
            constraint=models.UniqueConstraint(fields=("workspace", "user"), name="member_once"),
        ),
        migrations.AddIndex(
            model_name="idempotencyrecord",
            index=models.Index(fields=["expires_at"], name="idempotency_expiry"),
        ),
        migrations.AddConstraint(
            model_name="idempotencyrecord",
            constraint=models.UniqueConstraint(fields=("workspace", "key"), name="idempotency_once"),
        ),
    ]
