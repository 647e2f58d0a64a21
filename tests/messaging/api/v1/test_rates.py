"""How often a caller may ask, and how much a workspace may send: exact over threads and processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from django.db import connections, transaction
from django.http import HttpResponse
from pytest_django import Settings

from messaging.dispatch import queue, rates
from messaging.models import ApiKey, Message, Usage, User, Workspace
from messaging.models.keys import uuid7
from tests.factories import accept_message
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read

ME = "/api/v1/me"
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@pytest.fixture(autouse=True)
def awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test made of a server that is away does not last."""
    monkeypatch.setattr(rates, "_rests_until", 0.0)


def limit(caller: Caller, number: int | None) -> None:
    ApiKey.objects.filter(workspace=caller.workspace).update(rate_limit=number)


def together(work: Callable[[], None], number: int) -> None:
    """Do the work in so many threads at once."""
    ready = threading.Barrier(number)

    def run() -> None:
        ready.wait()
        work()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def told(answer: HttpResponse) -> tuple[int, int]:
    """Limit and remaining, after a look at the time of reset."""
    reset = int(answer["X-RateLimit-Reset"])
    assert time.time() - 5 < reset < time.time() + 65
    return int(answer["X-RateLimit-Limit"]), int(answer["X-RateLimit-Remaining"])


def test_without_a_limit_nothing_is_counted_and_no_header_is_sent(caller: Caller) -> None:
    answer = caller.get(ME)
    read(answer)
    assert not any(name in answer for name in HEADERS)


def test_every_answer_tells_what_is_left_and_the_last_one_says_when_to_come_back(caller: Caller) -> None:
    limit(caller, 3)
    first = caller.get(ME)
    read(first)
    assert told(first) == (3, 2)
    missing = caller.get(f"/api/v1/messages/{uuid7()}")
    assert_problem(missing, 404, "message_not_found")
    assert told(missing) == (3, 1)
    malformed = caller.post("/api/v1/messages", b"{")
    assert malformed.status_code == 400
    assert told(malformed) == (3, 0)
    refused = caller.get(ME)
    assert_problem(refused, 429, "rate_limited")
    assert told(refused) == (3, 0)
    assert 1 <= int(refused["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda caller: caller.get(ME, Accept="text/html"), 406),
        (lambda caller: caller.ask("DELETE", ME), 405),
        (lambda caller: caller.post("/api/v1/messages", b"x", Content_Type="text/plain"), 415),
        (lambda caller: caller.post("/api/v1/messages", {}), 422),
    ],
)
def test_refusals_of_every_kind_carry_the_headers(
    caller: Caller, ask: Callable[[Caller], HttpResponse], status: int
) -> None:
    limit(caller, 5)
    answer = ask(caller)
    assert answer.status_code == status
    assert told(answer) == (5, 4)


def test_a_refused_request_is_not_counted_again(caller: Caller) -> None:
    limit(caller, 1)
    read(caller.get(ME))
    resets = {caller.get(ME)["X-RateLimit-Reset"] for _ in range(5)}
    assert len(resets) == 1


def test_a_batch_is_one_request(caller: Caller) -> None:
    limit(caller, 10)
    body = {"channel": "email", "subject": "Hi", "text": "x", "recipients": [{"to": f"a{n}@e.com"} for n in range(50)]}
    answer = caller.post("/api/v1/messages/batch", body)
    read(answer, 202)
    assert told(answer) == (10, 9)


def test_each_key_has_a_count_of_its_own(caller: Caller) -> None:
    other = make_caller(workspace=caller.workspace)
    limit(caller, 1)
    read(caller.get(ME))
    read(other.get(ME))
    assert_problem(caller.get(ME), 429, "rate_limited")


def test_a_person_without_a_key_has_the_persons_own_limit(caller: Caller) -> None:
    assert caller.member
    person: User = caller.member.user
    person.set_password("correct horse battery")
    person.rate_limit = 2
    person.save()
    nobody = Caller(caller.workspace)
    tokens = read(nobody.post("/api/token/", {"username": person.username, "password": "correct horse battery"}))
    bearer = {"Authorization": f"Bearer {tokens['access']}"}
    assert told(nobody.get(ME, **bearer)) == (2, 1)
    assert told(nobody.get(ME, **bearer)) == (2, 0)
    assert_problem(nobody.get(ME, **bearer), 429, "rate_limited")
    assert "X-RateLimit-Limit" not in caller.get(ME)


def test_a_keys_limit_is_set_when_it_is_made_and_changed_later(caller: Caller) -> None:
    made = read(caller.post("/api/v1/api-keys", {"name": "n", "scopes": ["admin"], "rate_limit": 7}), 201)
    assert made["rate_limit"] == 7
    key = Caller(caller.workspace, None, made["key"])
    assert told(key.get(ME)) == (7, 6)
    path = f"/api/v1/api-keys/{made['id']}"
    assert read(caller.ask("PATCH", path, {"rate_limit": 9}))["rate_limit"] == 9
    assert told(key.get(ME)) == (9, 7)
    assert read(caller.ask("PATCH", path, {"rate_limit": None}))["rate_limit"] is None
    assert "X-RateLimit-Limit" not in key.get(ME)


@pytest.mark.parametrize("body", [{"rate_limit": 0}, {"rate_limit": -1}, {"rate_limit": "9"}, {}, {"name": "x"}])
def test_a_limit_is_a_positive_number_or_null(caller: Caller, body: dict[str, Any]) -> None:
    key = ApiKey.objects.get(workspace=caller.workspace)
    assert caller.ask("PATCH", f"/api/v1/api-keys/{key.id}", body).status_code == 422


def test_another_workspaces_key_is_not_there(caller: Caller, stranger: Caller) -> None:
    key = ApiKey.objects.get(workspace=stranger.workspace)
    assert_problem(caller.ask("PATCH", f"/api/v1/api-keys/{key.id}", {"rate_limit": 1}), 404, "not_found")


def test_without_valkey_every_request_passes(caller: Caller, away: None) -> None:
    limit(caller, 1)
    for _ in range(3):
        answer = caller.get(ME)
        read(answer)
        assert not any(name in answer for name in HEADERS)


@pytest.fixture
def away(settings: Settings) -> Iterator[None]:
    """Nobody listens where Valkey should be."""
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    caches: tuple[Any, ...] = (queue.valkey, rates._script)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


_PROCESS = """
import sys, threading
import django
django.setup()
from messaging.dispatch import rates
subject, limit = sys.argv[1], int(sys.argv[2])
passed, ready = [], threading.Barrier(33)
def ask():
    ready.wait()
    passed.append(rates.take(subject, limit=limit).passed)
threads = [threading.Thread(target=ask) for _ in range(32)]
for each in threads: each.start()
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
ready.wait()
for each in threads: each.join()
sys.stdout.write(f"{sum(passed)}\\n")
"""


def test_of_64_at_once_from_two_processes_exactly_the_last_one_passes(settings: Settings) -> None:
    subject = f"test:{uuid7()}"
    for _ in range(9):
        found = rates.take(subject, limit=10)
        assert found is not None
        assert found.passed
    command = [sys.executable, "-c", _PROCESS, subject, "10"]
    env = {**os.environ, "REDIS_URL": settings.REDIS_URL}
    started = [
        subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for each in started:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    answers = [each.communicate(timeout=60)[0] for each in started]
    assert sum(int(answer) for answer in answers) == 1


@pytest.mark.usefixtures("transactional_db")
def test_of_64_requests_at_once_exactly_the_allowed_number_is_answered() -> None:
    caller = make_caller()
    limit(caller, 20)
    statuses: list[int] = []

    def ask() -> None:
        own = Caller(caller.workspace)
        own.headers = caller.headers
        try:
            statuses.append(own.get(ME).status_code)
        finally:
            connections.close_all()

    together(ask, 64)
    assert (statuses.count(200), statuses.count(429)) == (20, 44)


def test_no_minute_holds_more_than_the_limit_wherever_it_begins() -> None:
    subject = f"test:{uuid7()}"
    now = int(queue.valkey().time()[0])
    key = f"rate:{subject}"
    queue.valkey().hset(key, mapping={str(now - 61): 50, str(now - 50): 6, str(now - 1): 3})
    first = rates.take(subject, limit=10)
    assert first is not None
    assert (first.passed, first.remaining, first.reset) == (True, 0, now - 50 + rates.WINDOW)
    second = rates.take(subject, limit=10)
    assert second is not None
    assert not second.passed
    assert str(now - 61) not in queue.valkey().hkeys(key)
    assert 0 < queue.valkey().ttl(key) <= rates.WINDOW + 1


SEND: dict[str, Any] = {"channel": "email", "to": "ann@example.com", "subject": "Hi", "text": "Good day"}
MESSAGES = "/api/v1/messages"


def grant(caller: Caller, number: int | None) -> None:
    Workspace.objects.filter(id=caller.workspace.id).update(daily_quota=number)


def batch(number: int) -> dict[str, Any]:
    shared = {name: value for name, value in SEND.items() if name != "to"}
    return {**shared, "recipients": [{"to": f"p{n}@example.com"} for n in range(number)]}


def test_a_day_has_as_many_messages_as_the_quota(caller: Caller) -> None:
    grant(caller, 2)
    for _ in range(2):
        read(caller.post(MESSAGES, SEND), 202)
    refused = caller.post(MESSAGES, SEND)
    assert_problem(refused, 429, "quota_exceeded")
    assert 0 < int(refused["Retry-After"]) <= 86_400
    assert Message.objects.count() == 2
    grant(caller, 3)
    read(caller.post(MESSAGES, SEND), 202)
    grant(caller, None)
    read(caller.post(MESSAGES, SEND), 202)


def test_a_batch_that_does_not_fit_is_refused_whole(caller: Caller) -> None:
    grant(caller, 10)
    read(caller.post(f"{MESSAGES}/batch", batch(6)), 202)
    assert_problem(caller.post(f"{MESSAGES}/batch", batch(5)), 429, "quota_exceeded")
    assert Message.objects.count() == 6
    read(caller.post(f"{MESSAGES}/batch", batch(4)), 202)


def test_recipients_that_are_not_taken_cost_nothing(caller: Caller) -> None:
    grant(caller, 2)
    body = batch(2)
    body["recipients"].append({"to": "nobody"})
    assert len(read(caller.post(f"{MESSAGES}/batch", body), 202)["rejected"]) == 1


def test_a_repeat_a_dry_run_and_a_refusal_cost_nothing(caller: Caller) -> None:
    grant(caller, 2)
    for _ in range(3):
        read(caller.post(MESSAGES, SEND, Idempotency_Key="k"), 202)
        read(caller.post(MESSAGES, {**SEND, "dry_run": True}))
        assert caller.post(MESSAGES, {**SEND, "to": "nobody"}).status_code == 422
    read(caller.post(MESSAGES, SEND), 202)
    assert_problem(caller.post(MESSAGES, {**SEND, "dry_run": True}), 429, "quota_exceeded")
    # What was answered is answered again, whatever is left of the day.
    read(caller.post(MESSAGES, SEND, Idempotency_Key="k"), 202)


def test_a_new_day_begins_with_a_full_quota(caller: Caller) -> None:
    grant(caller, 1)
    read(caller.post(MESSAGES, SEND), 202)
    Usage.objects.update(day=date(2026, 1, 1))
    read(caller.post(MESSAGES, SEND), 202)
    assert_problem(caller.post(MESSAGES, SEND), 429, "quota_exceeded")


def test_what_comes_late_from_the_day_before_counts_for_the_new_day(caller: Caller) -> None:
    grant(caller, 5)
    Usage.objects.create(workspace=caller.workspace, day=date(2999, 1, 1), accepted=4)
    read(caller.post(MESSAGES, SEND), 202)
    assert list(Usage.objects.values_list("day", "accepted")) == [(date(2999, 1, 1), 5)]
    assert_problem(caller.post(MESSAGES, SEND), 429, "quota_exceeded")


def test_workspaces_have_quotas_of_their_own(caller: Caller, stranger: Caller) -> None:
    for each in (caller, stranger):
        grant(each, 1)
        read(each.post(MESSAGES, SEND), 202)
        assert_problem(each.post(MESSAGES, SEND), 429, "quota_exceeded")


def test_a_workspace_without_a_quota_is_not_counted(caller: Caller) -> None:
    read(caller.post(MESSAGES, SEND), 202)
    assert not Usage.objects.exists()


def test_a_quota_of_zero_takes_nothing(caller: Caller) -> None:
    grant(caller, 0)
    assert_problem(caller.post(MESSAGES, SEND), 429, "quota_exceeded")


@pytest.mark.usefixtures("transactional_db")
def test_twenty_threads_together_never_get_beyond_the_quota() -> None:
    caller = make_caller()
    grant(caller, 50)
    statuses: list[int] = []

    def ask() -> None:
        own = Caller(caller.workspace)
        own.headers = caller.headers
        try:
            for turn in range(5):
                body, path = (batch(3), f"{MESSAGES}/batch") if turn == 2 else (SEND, MESSAGES)
                statuses.append(own.post(path, body).status_code)
        finally:
            connections.close_all()

    together(ask, 20)
    assert set(statuses) == {202, 429}
    assert len(statuses) == 100
    stored, (counted,) = Message.objects.count(), Usage.objects.values_list("accepted", flat=True)
    # Where three do not fit, fewer may be left.
    assert stored == counted
    assert 48 <= stored <= 50


@pytest.mark.usefixtures("transactional_db")
def test_an_accept_that_is_rolled_back_gives_its_messages_back() -> None:
    caller = make_caller()
    grant(caller, 1)

    class Broken(Exception):
        pass

    def accept() -> None:
        with transaction.atomic():
            accept_message(caller.workspace)
            raise Broken

    with pytest.raises(Broken):
        accept()
    read(caller.post(MESSAGES, SEND), 202)
