"""The commands at work on the real database."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from channels_app.types import Channel
from messaging.dispatch import control, transitions
from messaging.dispatch.transitions import Move
from messaging.models import Message
from messaging.models.keys import uuid7
from messaging.state import Cause, Priority, Status
from tests.factories import accept_message, make_workspace, message

pytestmark = pytest.mark.django_db


def run(*arguments: Any, **options: Any) -> str:
    out = io.StringIO()
    call_command(*map(str, arguments), stdout=out, **options)
    return out.getvalue()


# send


def test_send_accepts_a_message_and_prints_its_id() -> None:
    workspace = make_workspace()
    printed = run(
        *("send", "email", "ann@EXAMPLE.com", "--subject", "Order {{ order.id }}", "--text", "Dear {{ name }}"),
        *("--name", "Ann", "--data", 'order={"id": 7}', "--metadata", "trace=t=1", "--priority", "urgent"),
    )
    row = message(UUID(printed.strip()))
    assert row.workspace_id == workspace.id
    assert (row.recipient, row.name, row.subject) == ("ann@example.com", "Ann", "Order 7")
    assert (row.status, row.priority, row.test) == (Status.QUEUED, Priority.URGENT, False)
    assert (row.data, row.metadata) == ({"order": {"id": 7}}, {"trace": "t=1"})


def test_send_takes_a_time_a_workspace_and_the_sandbox() -> None:
    make_workspace("First")
    second = make_workspace("Second")
    at = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    printed = run(
        *("send", "sms", "+1 202 555 0123", "--text", "Hi", "--workspace", second.slug, "--test"),
        *("--at", at.isoformat(), "--expires", f"{at + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"),
    )
    row = message(UUID(printed.strip()))
    assert (row.workspace_id, row.recipient, row.status, row.test) == (second.id, "+12025550123", "SCHEDULED", True)
    assert (row.scheduled_at, row.expires_at) == (at, at + timedelta(hours=1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("email", "nobody", "--subject", "S", "--text", "T"), "/to"),
        (("email", "ann@example.com", "--subject", "S"), "/body"),
        (("email", "ann@example.com", "--subject", "S", "--text", "T", "--data", "x"), "key=value"),
        (("email", "ann@example.com", "--subject", "S", "--text", "T", "--data", "x={1"), "not JSON"),
        (("email", "ann@example.com", "--subject", "S", "--text", "T", "--at", "soon"), "soon is not a time"),
        (("email", "ann@example.com", "--subject", "S", "--text", "T", "--at", "2020-01-01"), "/scheduled_at"),
        (("email", "ann@example.com", "--subject", "S", "--text", "T", "--workspace", "none"), "no workspace none"),
    ],
)
def test_send_says_what_is_wrong_and_stores_nothing(arguments: tuple[str, ...], words: str) -> None:
    make_workspace()
    with pytest.raises(CommandError, match=words):
        run("send", *arguments)
    assert not Message.objects.exists()


def test_send_without_any_workspace_says_so() -> None:
    with pytest.raises(CommandError, match="no workspace yet"):
        run("send", "sms", "+12025550123", "--text", "Hi")


def test_send_that_waits_tells_when_its_patience_is_over() -> None:
    make_workspace()
    with pytest.raises(CommandError, match="still QUEUED after 0 s"):
        run("send", "sms", "+12025550123", "--text", "Hi", "--wait", "0")
    assert Message.objects.get().status == Status.QUEUED


# tail


def test_tail_prints_what_happened_in_order() -> None:
    workspace = make_workspace()
    first, second = accept_message(workspace), accept_message(workspace, "bob@example.com")
    control.cancel(workspace_id=workspace.id, message_id=first, cause=Cause.OPERATOR)
    lines = run("tail", "--since", "60", "--no-follow").splitlines()
    assert [(str(first) in line, str(second) in line) for line in lines] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    assert "cancelled" in lines[2]
    assert "by operator" in lines[2]


def test_tail_narrows_by_workspace_channel_and_status() -> None:
    here, there = make_workspace("Here"), make_workspace("There")
    key, other = accept_message(here), accept_message(there)
    control.cancel(workspace_id=here.id, message_id=key, cause=Cause.API)
    everything = ("tail", "--since", "60", "--no-follow")
    assert str(other) not in run(*everything, "--workspace", here.slug)
    assert len(run(*everything, "--status", "cancelled").splitlines()) == 1
    assert run(*everything, "--channel", "sms") == ""
    assert run("tail", "--no-follow") == ""


# explain


def test_explain_tells_why_a_message_failed() -> None:
    key = accept_message(make_workspace())
    transitions.advance_many([Move(id=key, to=Status.FAILED, code="gone", error="no such box")], cause=Cause.WORKER)
    printed = run("explain", key)
    assert f"{key}  FAILED since" in printed
    assert "It could not be delivered: gone: no such box." in printed
    assert "A person may retry it" in printed
    assert "code=gone, error=no such box" in printed


def test_explain_knows_only_messages() -> None:
    with pytest.raises(CommandError, match="not an id"):
        run("explain", "x")
    with pytest.raises(CommandError, match="there is no message"):
        run("explain", uuid7())


# lanes


def test_lanes_shows_what_waits() -> None:
    accept_message(make_workspace(), "+12025550123", channel=Channel.SMS, subject="", priority=Priority.BULK)
    lines = run("lanes").splitlines()
    assert len(lines) == 25
    busy = run("lanes", "--busy").splitlines()
    assert len(busy) == 2
    assert busy[1].split()[:2] == ["sms.bulk", "1"]
