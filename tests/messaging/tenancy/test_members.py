"""Owners who remove each other at the same time."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from messaging.errors import Conflict, DispatchError
from messaging.models import Member, Role
from messaging.tenancy import members, workspaces
from tests.factories import make_member, make_workspace


@pytest.mark.usefixtures("transactional_db")
def test_two_owners_cannot_remove_each_other() -> None:
    workspace = make_workspace()
    owners = [make_member(workspace, Role.OWNER) for _ in range(2)]
    callers = [workspaces.enter(user_id=owner.user_id) for owner in owners]
    barrier = threading.Barrier(2)
    refused: list[DispatchError] = []

    def remove(caller: Any, target: Member) -> None:
        barrier.wait(60)
        try:
            members.remove(caller=caller, member_id=target.id)
        except DispatchError as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=remove, args=pair) for pair in zip(callers, reversed(owners), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Member.objects.get(workspace=workspace).role == Role.OWNER
    assert [type(error) for error in refused] == [Conflict]
