"""Makes the first workspace, its owner and two API keys, and prints them once as JSON."""

from __future__ import annotations

import json
import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand
from django.db import connection, transaction

from messaging.models import Member, Mode, Role, User, Workspace
from messaging.tenancy import keys, workspaces
from messaging.tenancy.access import SCOPES

USERNAME = "admin"
WORKSPACE = "Default"
KEY_NAMES = {Mode.LIVE: "bootstrap live", Mode.TEST: "bootstrap test"}
_LOCK = 0x64697370617463


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--reset",
            action="store_true",
            help="give the first owner a new password and new keys, and revoke those that an earlier run made",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Everything in one transaction: after a kill either all of it is there or nothing."""
        password = secrets.token_urlsafe(18)
        hashed = make_password(password)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            if User.objects.exists() and not options["reset"]:
                self.stderr.write("There are users already; --reset makes new credentials.")
                self.stdout.write("{}")
                return
            owner = _owner(hashed)
            made = {mode: _key(owner, mode) for mode in KEY_NAMES}
        credentials = {
            "username": owner.user.username,
            "password": password,
            "avatar_id": str(owner.user.avatar_id),
            "workspace_id": str(owner.workspace_id),
            "api_key": made[Mode.LIVE],
            "test_api_key": made[Mode.TEST],
        }
        self.stdout.write(json.dumps(credentials))


def _owner(hashed: str) -> Member:
    """The superuser who owns the first workspace, made where there is none, with a new password."""
    user, _ = User.objects.get_or_create(username=USERNAME)
    User.objects.filter(id=user.id).update(password=hashed, is_staff=True, is_superuser=True, is_active=True)
    workspace = Workspace.objects.order_by("id").first() or workspaces.make(name=WORKSPACE)
    member, _ = Member.objects.update_or_create(workspace=workspace, user=user, defaults={"role": Role.OWNER})
    return member


def _key(owner: Member, mode: Mode) -> str:
    """A new key in place of the one that an earlier run made."""
    keys.end(keys.keys_of(workspace_id=owner.workspace_id).filter(user_id=owner.user_id, name=KEY_NAMES[mode]))
    made = keys.make(
        workspace_id=owner.workspace_id,
        user_id=owner.user_id,
        name=KEY_NAMES[mode],
        scopes=sorted(SCOPES),
        mode=mode,
    )
    return made.raw
