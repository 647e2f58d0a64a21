"""What a request that sends may ask for, and what its answer carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework.request import Request

from messaging.api.common import sending
from messaging.dispatch.sending import Sent
from messaging.errors import IdempotencyMismatch
from messaging.models import Message, Role, Workspace
from messaging.models.keys import uuid7
from messaging.tenancy.access import Caller
from tests.factories import accept_message, make_workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def caller() -> Caller:
    return caller_of(make_workspace())


def caller_of(workspace: Workspace) -> Caller:
    somebody = uuid7()
    return Caller(
        workspace_id=workspace.id,
        user_id=somebody,
        avatar_id=somebody,
        name="Ann",
        role=Role.MEMBER,
        scopes=frozenset(),
    )


def send(caller: Caller, body: bytes = b"{}", *, path: str = "/send", **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(RequestFactory().post(path, body, content_type="application/json", headers=named))

    def accept(awaited: bool) -> Sequence[UUID]:
        return [accept_message(Workspace.objects.get(id=caller.workspace_id))]

    def show(sent: Sent) -> tuple[int, object]:
        return 201, {"id": sent.message.id, "status": sent.message.status}

    return sending.send(request, caller, body, accept=accept, show=show)


def test_the_answer_is_what_the_surface_shows(caller: Caller) -> None:
    answer = send(caller)

    row = Message.objects.get()
    assert (answer.status_code, answer["Content-Type"]) == (201, "application/json")
    assert answer.content.decode() == f'{{"id":"{row.id}","status":"QUEUED"}}'
    assert "Preference-Applied" not in answer
    assert "Idempotency-Replayed" not in answer


@pytest.mark.parametrize(
    "preference", ["respond-async", "Respond-Async", "wait=10, respond-async", "respond-async; x=1,return=minimal"]
)
def test_a_caller_may_prefer_not_to_wait(caller: Caller, preference: str) -> None:
    assert send(caller, Prefer=preference)["Preference-Applied"] == "respond-async"


@pytest.mark.parametrize("preference", ["", "wait=10", "return=minimal", "respond-asynchronously", "async"])
def test_other_preferences_are_passed_by(caller: Caller, preference: str) -> None:
    assert "Preference-Applied" not in send(caller, Prefer=preference)


def test_a_repeat_gets_the_first_answer(caller: Caller) -> None:
    first, second = (send(caller, Idempotency_Key="k", path=path) for path in ("/send", "/send/"))

    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert Message.objects.count() == 1


@pytest.mark.parametrize("other", [{"body": b"[]"}, {"path": "/else"}, {"path": "/send?kind=other"}])
def test_another_body_path_or_query_is_another_request(caller: Caller, other: dict[str, Any]) -> None:
    send(caller, Idempotency_Key="k")
    with pytest.raises(IdempotencyMismatch):
        send(caller, Idempotency_Key="k", **other)
    assert Message.objects.count() == 1


@pytest.mark.parametrize("other", [{"test": True}, {"user_id": uuid7()}])
def test_the_same_of_somebody_else_or_in_another_mode_is_another_request(caller: Caller, other: dict[str, Any]) -> None:
    send(caller, Idempotency_Key="k")
    with pytest.raises(IdempotencyMismatch):
        send(replace(caller, **other), Idempotency_Key="k")
    assert Message.objects.count() == 1


def test_another_key_of_the_same_person_repeats_the_same_request(caller: Caller) -> None:
    first = send(caller, Idempotency_Key="k")
    assert send(replace(caller, api_key_id=uuid7()), Idempotency_Key="k").content == first.content
    assert Message.objects.count() == 1
