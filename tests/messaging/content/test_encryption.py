"""Sealed values: what opens them, what does not, and how keys change."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from config.checks import check_keys
from messaging.content import encryption
from messaging.content.encryption import Sealer, unseal
from messaging.errors import EncryptionFailed, KeyMissing
from messaging.models import WorkspaceKey
from messaging.models.keys import uuid7
from tests.factories import make_workspace

SECRET = {"subject": "Your code is 421 907"}
FIRST, SECOND = bytes(range(32)), bytes(range(32, 64))


@pytest.fixture(autouse=True)
def keys(settings: Settings) -> Iterator[None]:
    """One key of the platform, and a process that remembers no other."""
    settings.DISPATCH_KEYS = {"k1": FIRST}
    encryption.forget()
    yield
    encryption.forget()


@pytest.fixture
def workspace(db: None) -> UUID:
    return make_workspace().id


def put(workspace_id: UUID, row: UUID, *, table: str = "message") -> bytes:
    return Sealer(workspace_id).seal(SECRET, table=table, row=row)


def test_what_was_sealed_for_a_row_opens_for_that_row(workspace: UUID) -> None:
    row = uuid7()
    sealed = put(workspace, row)
    assert b"421" not in sealed
    assert unseal(sealed, workspace_id=workspace, table="message", row=row) == SECRET
    encryption.forget()
    assert unseal(sealed, workspace_id=workspace, table="message", row=row) == SECRET


def test_no_two_sealed_values_are_the_same(workspace: UUID) -> None:
    row = uuid7()
    assert len({put(workspace, row) for _ in range(100)}) == 100


def test_a_workspace_gets_one_key_and_keeps_it(workspace: UUID) -> None:
    for _ in range(3):
        put(workspace, uuid7())
    assert WorkspaceKey.objects.filter(workspace_id=workspace).count() == 1


def test_another_rows_table_or_workspace_does_not_open(workspace: UUID) -> None:
    row, other = uuid7(), make_workspace().id
    sealed = put(workspace, row)
    put(other, uuid7())
    for place in (
        {"workspace_id": workspace, "table": "message", "row": uuid7()},
        {"workspace_id": workspace, "table": "content", "row": row},
        {"workspace_id": other, "table": "message", "row": row},
    ):
        with pytest.raises(EncryptionFailed):
            unseal(sealed, **place)  # type: ignore[arg-type]


def test_no_bit_of_it_can_be_changed(workspace: UUID) -> None:
    row = uuid7()
    sealed = put(workspace, row)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(EncryptionFailed):
            unseal(bytes(changed), workspace_id=workspace, table="message", row=row)


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x01" * 28, b"\x01" * 60, b'{"plain": 1}', b"\x02" * 80])
def test_what_is_not_ours_is_refused(workspace: UUID, value: bytes) -> None:
    with pytest.raises(EncryptionFailed):
        unseal(value, workspace_id=workspace, table="message", row=uuid7())


def test_without_keys_nothing_is_sealed(workspace: UUID, settings: Settings) -> None:
    settings.DISPATCH_KEYS = {}
    with pytest.raises(KeyMissing):
        Sealer(workspace)
    assert not WorkspaceKey.objects.exists()


def test_a_wrong_key_neither_opens_nor_seals(workspace: UUID, settings: Settings) -> None:
    row = uuid7()
    sealed = put(workspace, row)
    settings.DISPATCH_KEYS = {"k1": SECOND}
    encryption.forget()
    with pytest.raises(EncryptionFailed):
        unseal(sealed, workspace_id=workspace, table="message", row=row)
    with pytest.raises(EncryptionFailed):
        Sealer(workspace)
    with pytest.raises(ImproperlyConfigured):
        # A workspace without a key would else be the first to be lost.
        Sealer(make_workspace().id)


def test_a_wrapped_key_cannot_be_given_to_another_workspace(workspace: UUID) -> None:
    put(workspace, uuid7())
    row = WorkspaceKey.objects.get()
    other = make_workspace().id
    WorkspaceKey.objects.create(id=uuid7(), workspace_id=other, wrapped=row.wrapped, wrapped_by=row.wrapped_by)
    with pytest.raises(EncryptionFailed):
        Sealer(other)


def test_verify_takes_the_right_keys_and_refuses_wrong_and_missing_ones(workspace: UUID, settings: Settings) -> None:
    encryption.verify()
    put(workspace, uuid7())
    encryption.verify()
    assert check_keys(None, databases=["default"]) == []
    for wrong, said in (({"k1": SECOND}, "'k1' is not the one"), ({"k2": FIRST}, "'k1' is missing"), ({}, "missing")):
        settings.DISPATCH_KEYS = wrong
        with pytest.raises(ImproperlyConfigured, match=said):
            encryption.verify()
        (told,) = check_keys(None, databases=["default"])
        assert told.id == "dispatch.E002"
        assert said in told.msg
        assert "\n" not in told.msg
    assert check_keys(None) == []


def test_one_broken_row_does_not_make_the_platforms_key_a_wrong_one(workspace: UUID) -> None:
    put(workspace, uuid7())
    put(make_workspace().id, uuid7())
    WorkspaceKey.objects.filter(workspace_id=workspace).update(wrapped=b"x" * 60)
    encryption.verify()


def test_a_new_first_key_wraps_and_the_old_one_can_go(workspace: UUID, settings: Settings) -> None:
    row = uuid7()
    sealed = put(workspace, row)
    settings.DISPATCH_KEYS = {"k2": SECOND, "k1": FIRST}
    assert rotate() == "1 key wrapped anew, 0 keys made."
    assert rotate() == "0 keys wrapped anew, 0 keys made."
    settings.DISPATCH_KEYS = {"k2": SECOND}
    encryption.forget()
    encryption.verify()
    assert unseal(sealed, workspace_id=workspace, table="message", row=row) == SECRET


def test_a_renewed_key_seals_and_the_one_before_still_opens(workspace: UUID) -> None:
    row = uuid7()
    old = put(workspace, row)
    assert rotate("--renew") == "0 keys wrapped anew, 1 key made."
    new = put(workspace, row)
    assert old[1:17] != new[1:17]
    for sealed in (old, new):
        assert unseal(sealed, workspace_id=workspace, table="message", row=row) == SECRET


def test_rotation_that_cannot_work_says_so_in_one_line_and_changes_nothing(workspace: UUID, settings: Settings) -> None:
    put(workspace, uuid7())
    before = bytes(WorkspaceKey.objects.get().wrapped)
    settings.DISPATCH_KEYS = {"k2": SECOND}
    with pytest.raises(CommandError, match="'k1' is missing"):
        rotate()
    assert bytes(WorkspaceKey.objects.get().wrapped) == before


def rotate(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rotate_keys", *arguments, stdout=out)
    return out.getvalue().strip()


def _start(project: Path, code: str, key: bytes) -> subprocess.CompletedProcess[str]:
    database = connection.settings_dict
    env = {
        **os.environ,
        "DATABASE_URL": f"postgresql://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}",
        "DISPATCH_KEYS": f"k1:{base64.b64encode(key).decode()}",
    }
    if database["PASSWORD"]:
        env["DATABASE_URL"] = env["DATABASE_URL"].replace("@", f":{database['PASSWORD']}@", 1)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=env, capture_output=True, text=True, timeout=60, check=False
    )


_API = "import config.wsgi; print('started')"
_WORKER = """
import django; django.setup()
from celery.signals import worker_init
import workers.signals
worker_init.send(sender=None)
print("started")
"""
_MIGRATE = (
    "from django.core.management import execute_from_command_line as run; run(['m', 'migrate']); print('started')"
)


@pytest.mark.usefixtures("transactional_db")
@pytest.mark.parametrize("code", [_API, _WORKER, _MIGRATE], ids=["api", "worker", "migrate"])
def test_nothing_starts_with_a_wrong_key(project: Path, code: str) -> None:
    put(make_workspace().id, uuid7())
    right = _start(project, code, FIRST)
    assert right.stdout.endswith("started\n"), right.stderr
    wrong = _start(project, code, SECOND)
    assert wrong.returncode != 0
    assert "started" not in wrong.stdout
    assert "DISPATCH_KEYS: the key 'k1' is not the one" in wrong.stderr
