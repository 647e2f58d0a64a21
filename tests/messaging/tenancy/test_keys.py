"""How keys are kept."""

from __future__ import annotations

import itertools
import threading

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from messaging.errors import Unauthenticated
from messaging.models import ApiKey, Mode, Role
from messaging.tenancy import keys
from messaging.tenancy.access import READ, ROLES, SCOPES
from tests.factories import make_member, make_workspace


def make(scopes: list[str] | None = None) -> keys.NewKey:
    member = make_member(make_workspace(), Role.OWNER)
    return keys.make(
        workspace_id=member.workspace_id,
        user_id=member.user_id,
        name="k",
        scopes=["messages:read"] if scopes is None else scopes,
        mode=Mode.LIVE,
    )


def test_each_role_holds_what_the_one_before_holds() -> None:
    assert list(ROLES) == [Role.VIEWER, Role.MEMBER, Role.OPERATOR, Role.ADMIN, Role.OWNER]
    steps = list(ROLES.values())
    assert all(lower <= higher for lower, higher in itertools.pairwise(steps))
    assert (steps[0], steps[-1]) == (READ, SCOPES)


@pytest.mark.django_db
def test_the_secret_is_not_kept() -> None:
    made = make()
    assert made.raw not in repr(made)
    secret = made.raw.removeprefix(f"{made.row.prefix}_")
    row = ApiKey.objects.values().get()
    assert secret not in repr(row)
    assert len(bytes(row["digest"])) == 32


@pytest.mark.django_db
def test_a_digest_is_worth_nothing_under_another_secret_key(settings: Settings) -> None:
    made = make()
    old, settings.SECRET_KEY = settings.SECRET_KEY, "x" * 50
    with pytest.raises(Unauthenticated):
        keys.authenticate(made.raw)
    settings.SECRET_KEY_FALLBACKS = [old]
    keys.authenticate(made.raw)


@pytest.mark.usefixtures("transactional_db")
def test_noting_the_use_of_a_key_waits_for_nobody() -> None:
    made = make()
    held, finish = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(ApiKey.objects.select_for_update())
            held.set()
            finish.wait(60)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '2s'")
    try:
        keys.authenticate(made.raw)
        assert ApiKey.objects.get().last_used_at is None
    finally:
        finish.set()
        thread.join()
        connection.close()
    keys.authenticate(made.raw)
    assert ApiKey.objects.get().last_used_at is not None
