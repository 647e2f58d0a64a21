"""`manage.py bootstrap`."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command

from messaging.models import ApiKey, Member, Role, User, Workspace
from messaging.tenancy import keys
from messaging.tenancy.access import SCOPES
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def bootstrap(*options: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("bootstrap", *options, stdout=out, stderr=io.StringIO())
    lines = out.getvalue().splitlines()
    assert len(lines) == 1
    return dict(json.loads(lines[0]))


def test_it_makes_the_first_workspace_and_its_owner() -> None:
    made = bootstrap()
    user, workspace = User.objects.get(), Workspace.objects.get()
    assert made == {
        "username": "admin",
        "password": made["password"],
        "avatar_id": str(user.avatar_id),
        "workspace_id": str(workspace.id),
        "api_key": made["api_key"],
        "test_api_key": made["test_api_key"],
    }
    assert (workspace.name, workspace.slug) == ("Default", "default")
    assert Member.objects.get().role == Role.OWNER
    assert user.is_staff
    assert user.is_superuser
    assert user.check_password(made["password"])
    live, test = keys.authenticate(made["api_key"]), keys.authenticate(made["test_api_key"])
    assert (live.test, test.test) == (False, True)
    assert live.scopes == test.scopes == SCOPES
    assert live.user_id == user.id


def test_a_second_run_changes_nothing() -> None:
    bootstrap()
    before = [list(model.objects.values().order_by("id")) for model in (User, Workspace, Member, ApiKey)]
    assert bootstrap() == {}
    assert [list(model.objects.values().order_by("id")) for model in (User, Workspace, Member, ApiKey)] == before


def test_a_reset_makes_new_credentials_and_ends_the_old() -> None:
    first = bootstrap()
    second = bootstrap("--reset")
    same = ("username", "avatar_id", "workspace_id")
    assert {name: first[name] for name in same} == {name: second[name] for name in same}
    assert User.objects.get().check_password(second["password"])
    for name in ("api_key", "test_api_key"):
        keys.authenticate(second[name])
        with pytest.raises(Exception, match="not a valid API key"):
            keys.authenticate(first[name])


def test_a_reset_works_on_an_empty_database_and_beside_others() -> None:
    make_user("ann")
    assert bootstrap() == {}
    made = bootstrap("--reset")
    assert User.objects.count() == 2
    keys.authenticate(made["api_key"])


def test_a_run_that_is_cut_short_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(**arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keys, "make", cut)
        with pytest.raises(KeyboardInterrupt):
            bootstrap()
    assert not User.objects.exists()
    assert not Workspace.objects.exists()
    bootstrap()
