"""The same Idempotency-Key and the same body: one message, one answer."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.dispatch import idempotency
from messaging.dispatch.idempotency import Answer, Key
from messaging.errors import IdempotencyInFlight
from messaging.models import IdempotencyRecord, Message, Mode
from tests.factories import make_workspace
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read

PATH = "/api/v1/messages"
SEND: dict[str, Any] = {"channel": "email", "to": "ann@example.com", "subject": "Hi", "text": "Good day"}


@pytest.mark.parametrize("again", [PATH, f"{PATH}/"])
def test_a_repeat_gets_the_first_answer(caller: Caller, again: str) -> None:
    first = caller.post(PATH, SEND, Idempotency_Key="k")
    second = caller.post(again, SEND, Idempotency_Key="k")
    assert read(first, 202) == read(second, 202)
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert Message.objects.count() == 1


def test_a_key_costs_an_accept_few_round_trips(caller: Caller) -> None:
    read(caller.post(PATH, SEND, Idempotency_Key="once"), 202)
    with CaptureQueriesContext(connection) as seen:
        read(caller.post(PATH, SEND, Idempotency_Key="k"), 202)
    words = [each["sql"].split()[0] for each in seen]
    # Beside the statement that accepts the message; the key's last use is noted now and then.
    assert [word for word in words if word != "UPDATE"] == [
        *("SAVEPOINT", "SELECT", "SAVEPOINT", "RELEASE", "INSERT", "RELEASE")
    ]


def test_a_batch_is_repeated_too(caller: Caller) -> None:
    body = {"channel": "email", "subject": "Hi", "text": "x", "recipients": [{"to": "a@example.com"}]}
    first, second = (caller.post(f"{PATH}/batch", body, Idempotency_Key="k") for _ in range(2))
    assert first.content == second.content
    assert Message.objects.count() == 1


def test_another_body_under_the_same_key_is_refused(caller: Caller) -> None:
    read(caller.post(PATH, SEND, Idempotency_Key="k"), 202)
    answer = caller.post(PATH, {**SEND, "text": "Else"}, Idempotency_Key="k")
    assert_problem(answer, 422, "idempotency_mismatch")
    assert Message.objects.count() == 1


def test_a_test_key_does_not_get_the_answer_of_a_live_one(caller: Caller) -> None:
    read(caller.post(PATH, SEND, Idempotency_Key="k"), 202)
    tester = make_caller(workspace=caller.workspace, mode=Mode.TEST)
    assert_problem(tester.post(PATH, SEND, Idempotency_Key="k"), 422, "idempotency_mismatch")


def test_workspaces_do_not_share_keys(caller: Caller, stranger: Caller) -> None:
    first = read(caller.post(PATH, SEND, Idempotency_Key="k"), 202)
    assert read(stranger.post(PATH, SEND, Idempotency_Key="k"), 202)["id"] != first["id"]


def test_a_refused_request_leaves_its_key_free(caller: Caller) -> None:
    assert caller.post(PATH, {**SEND, "to": "nobody"}, Idempotency_Key="k").status_code == 422
    read(caller.post(PATH, SEND, Idempotency_Key="k"), 202)


@pytest.mark.parametrize("key", ["", "x" * 256, "naïve", "a\tb"])
def test_a_malformed_key_is_refused(caller: Caller, key: str) -> None:
    assert_problem(caller.post(PATH, SEND, Idempotency_Key=key), 422, "invalid_idempotency_key")
    assert not Message.objects.exists()


def test_an_expired_key_can_be_used_again(caller: Caller) -> None:
    first = read(caller.post(PATH, SEND, Idempotency_Key="k"), 202)
    IdempotencyRecord.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert read(caller.post(PATH, SEND, Idempotency_Key="k"), 202)["id"] != first["id"]
    assert IdempotencyRecord.objects.count() == 1


def test_expired_answers_are_forgotten_a_few_at_a_time(caller: Caller) -> None:
    for key in "abc":
        read(caller.post(PATH, SEND, Idempotency_Key=key), 202)
    IdempotencyRecord.objects.filter(key__in="ab").update(expires_at=timezone.now() - timedelta(seconds=1))
    assert [idempotency.forget_expired(1) for _ in range(3)] == [1, 1, 0]
    assert IdempotencyRecord.objects.get().key == "c"


@pytest.mark.usefixtures("transactional_db")
def test_a_key_in_flight_answers_at_once() -> None:
    key = Key(workspace_id=make_workspace().id, value="k", fingerprint=b"f")
    working, finish = threading.Event(), threading.Event()

    def work() -> Answer:
        working.set()
        assert finish.wait(10)
        return Answer(status=202, body=b"{}")

    def first() -> None:
        try:
            idempotency.once(key, work)
        finally:
            connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert working.wait(10)
    with pytest.raises(IdempotencyInFlight):
        idempotency.once(key, work)
    finish.set()
    thread.join()
    again = idempotency.once(key, work)
    assert again == Answer(status=202, body=b"{}", replayed=True)


@pytest.mark.usefixtures("transactional_db")
def test_a_key_in_flight_is_a_conflict() -> None:
    caller = make_caller()
    held, finish = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            key = Key(workspace_id=caller.workspace.id, value="k", fingerprint=b"f")
            idempotency.once(key, lambda: Answer(status=202, body=b""))
            held.set()
            finish.wait(10)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    answer = caller.post(PATH, SEND, Idempotency_Key="k")
    finish.set()
    thread.join()
    assert_problem(answer, 409, "idempotency_in_flight")
    assert not Message.objects.exists()
