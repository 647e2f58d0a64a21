"""Encrypted messages as their readers see them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import Settings

from messaging.content import encryption
from messaging.models import Batch, Content, IdempotencyRecord, Message, User, Workspace
from tests.factories import make_user
from tests.messaging.api.callers import Caller, assert_problem, read

PATH = "/api/v1/messages"
SEND: dict[str, Any] = {
    "channel": "email",
    "to": "ann@example.com",
    "name": "Ann",
    "subject": "Code {{ code }}",
    "body": "<p>{{ code }}</p>",
    "text": "{{ code }}",
    "data": {"code": "421"},
    "attachments": [{"filename": "a.txt", "content": base64.b64encode(b"file").decode(), "content_type": "text/plain"}],
    "encrypted": True,
}


@pytest.fixture(autouse=True)
def keys(settings: Settings) -> Iterator[None]:
    settings.DISPATCH_KEYS = {"k1": bytes(range(32))}
    encryption.forget()
    yield
    encryption.forget()


def plain_columns(row: Message) -> tuple[str, str, Any]:
    return row.name, row.subject, row.data


def test_its_readers_see_it_in_clear(caller: Caller) -> None:
    sent = read(caller.post(PATH, SEND), 202)
    assert (sent["name"], sent["subject"], sent["body"], sent["text"]) == ("Ann", "Code 421", "<p>421</p>", "421")
    assert sent["attachments"] == [{"filename": "a.txt", "content_type": "text/plain", "size": 4}]
    assert read(caller.get(f"{PATH}/{sent['id']}")) == sent
    (listed,) = read(caller.get(PATH))["results"]
    assert (listed["name"], listed["subject"]) == ("Ann", "Code 421")
    row = Message.objects.get()
    assert plain_columns(row) == ("", "", None)
    assert row.sealed is not None


def test_it_looks_like_a_plain_one(caller: Caller) -> None:
    sealed = read(caller.post(PATH, SEND), 202)
    plain = read(caller.post(PATH, {**SEND, "encrypted": False}), 202)
    own = {"id", "created_at", "next_attempt_at", "queued_at"}
    assert {name: value for name, value in sealed.items() if name not in own} == {
        name: value for name, value in plain.items() if name not in own
    }


def test_a_batch_is_encrypted(caller: Caller) -> None:
    body = {name: value for name, value in SEND.items() if name not in {"to", "name", "data"}}
    recipients = [{"to": f"p{n}@example.com", "name": f"P{n}", "data": {"code": str(n)}} for n in range(3)]
    made = read(caller.post(f"{PATH}/batch", {**body, "recipients": recipients}), 202)
    assert {plain_columns(row) for row in Message.objects.all()} == {("", "", None)}
    assert [read(caller.get(f"{PATH}/{key}"))["subject"] for key in made["ids"]] == ["Code 0", "Code 1", "Code 2"]


def test_a_workspace_that_encrypts_everything_need_not_be_asked(caller: Caller) -> None:
    Workspace.objects.filter(id=caller.workspace.id).update(encrypted=True)
    for flag in ({}, {"encrypted": False}):
        body = {name: value for name, value in SEND.items() if name != "encrypted"}
        assert read(caller.post(PATH, {**body, **flag}), 202)["subject"] == "Code 421"
    assert {plain_columns(row) for row in Message.objects.all()} == {("", "", None)}


@pytest.mark.parametrize("everything", [False, True])
def test_the_answer_kept_under_a_key_is_encrypted_and_given_again(caller: Caller, everything: bool) -> None:
    Workspace.objects.filter(id=caller.workspace.id).update(encrypted=everything)
    send = {**SEND, "encrypted": not everything}
    first = caller.post(PATH, send, Idempotency_Key="k")
    second = caller.post(PATH, send, Idempotency_Key="k")
    assert first.content == second.content
    assert second["Idempotency-Replayed"] == "true"
    assert b"421" not in bytes(IdempotencyRecord.objects.get().body)
    assert_problem(caller.post(PATH, {**send, "text": "x"}, Idempotency_Key="k"), 422, "idempotency_mismatch")


@pytest.mark.parametrize("table", ["message", "content"])
def test_one_that_does_not_open_shows_what_is_not_sealed_and_says_why(caller: Caller, table: str) -> None:
    key = read(caller.post(PATH, SEND), 202)["id"]
    if table == "message":
        Message.objects.update(sealed=b"\x01" + bytes(60))
    else:
        Content.objects.update(sealed=b"\x01" + bytes(60))
    shown = read(caller.get(f"{PATH}/{key}"))
    assert (shown["body"], shown["text"]) == (None, None)
    assert (shown["to"], shown["status"]) == ("ann@example.com", "QUEUED")
    assert shown["error"]["code"] == "encryption_failed"
    if table == "message":
        assert (shown["name"], shown["subject"]) == (None, None)
        (listed,) = read(caller.get(PATH))["results"]
        assert (listed["subject"], listed["error"]["code"]) == (None, "encryption_failed")
    assert Message.objects.get().error_code == ""
    read(caller.get(f"{PATH}/{key}/events"))
    read(caller.get(f"{PATH}/{key}/explain"))
    assert read(caller.post(f"{PATH}/{key}/cancel"))["status"] == "CANCELLED"


def test_a_feed_is_shown_in_clear_and_goes_on_past_what_does_not_open(caller: Caller) -> None:
    assert caller.member
    avatar = str(caller.member.user.avatar_id)
    item = {"channel": "onsite", "subject": "Hush {{ n }}", "text": "Hush {{ n }}", "to": avatar, "encrypted": True}
    keys = [read(caller.post(PATH, {**item, "data": {"n": n}}), 202)["id"] for n in range(3)]
    Message.objects.update(status="SENT", sent_at="2026-01-01T00:00:00Z")
    Message.objects.filter(id=keys[1]).update(sealed=b"\x01" + bytes(60))
    shown = read(caller.get("/api/v1/inbox"))["results"]
    assert [(each["subject"], each["text"]) for each in shown] == [
        ("Hush 2", "Hush 2"),
        (None, None),
        ("Hush 0", "Hush 0"),
    ]


def test_without_keys_what_asks_for_encryption_is_refused(caller: Caller, settings: Settings) -> None:
    settings.DISPATCH_KEYS = {}
    answer = caller.post(PATH, SEND)
    assert_problem(answer, 422, "encryption_not_configured", ("/encrypted", "encryption_not_configured"))
    assert_problem(
        caller.post(PATH, {**SEND, "dry_run": True}),
        422,
        "encryption_not_configured",
        ("/encrypted", "encryption_not_configured"),
    )
    Workspace.objects.filter(id=caller.workspace.id).update(encrypted=True)
    answer = caller.post(PATH, {**SEND, "encrypted": False})
    assert_problem(answer, 503, "encryption_not_configured")
    assert answer["Retry-After"] == "60"
    assert not Message.objects.exists()
    assert not Batch.objects.exists()


def test_with_a_wrong_key_nothing_is_taken(caller: Caller, settings: Settings) -> None:
    read(caller.post(PATH, SEND), 202)
    settings.DISPATCH_KEYS = {"k1": bytes(range(1, 33))}
    encryption.forget()
    assert_problem(caller.post(PATH, SEND), 500, "encryption_failed")
    assert Message.objects.count() == 1


def test_operators_of_the_admin_do_not_read_it(caller: Caller) -> None:
    body = {**SEND, "subject": "Nadelsubject", "text": "Nadeltext", "name": "Nadelname", "body": "<p>Nadelbody</p>"}
    read(caller.post(PATH, {**body, "data": {"nadel": "Nadeldata"}}), 202)
    boss: User = make_user(is_staff=True, is_superuser=True)
    boss.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(boss)
    message, content = Message.objects.get(), Content.objects.get()
    for path in (
        "/admin/messaging/message/",
        f"/admin/messaging/message/{message.id}/change/",
        "/admin/messaging/content/",
        f"/admin/messaging/content/{content.id}/change/",
    ):
        answer = client.get(path)
        assert answer.status_code == 200
        page = answer.content.decode()
        assert "nadel" not in page.lower()
        assert "encrypted" in page
        assert "a.txt" not in page


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_the_wish_is_true_or_false(caller: Caller, value: Any) -> None:
    assert_problem(
        caller.post(PATH, {**SEND, "encrypted": value}), 422, "validation_error", ("/encrypted", "wrong_type")
    )
