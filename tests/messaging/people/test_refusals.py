"""Who must not be written to is told when a message is accepted, and again when a worker takes it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from channels_app.types import Channel, OutboundMessage
from messaging.dispatch import control, delivery, intake
from messaging.dispatch.queue import Lane
from messaging.models import Message, Suppression, Workspace
from messaging.models.keys import uuid7
from messaging.people import refusals
from messaging.state import Cause
from tests.factories import accept_batch, accept_message, draft, make_user, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import accept_all
from tests.messaging.invariants import check_all
from tests.messaging.people.rows import accept_to, make_contact, say, suppress

EMAIL = Lane.named("email.normal")


@pytest.fixture
def workspace(db: None) -> Workspace:
    return make_workspace()


RULE = [
    # What was said or is suppressed, the category of the message, whether it goes out.
    ([], "marketing", True),
    ([("marketing", "opted_out")], "marketing", False),
    ([("marketing", "opted_out")], "news", True),
    ([("marketing", "opted_out")], "transactional", True),
    ([("*", "opted_out")], "marketing", False),
    ([("*", "opted_out")], "transactional", True),
    ([("*", "opted_out"), ("marketing", "opted_in")], "marketing", True),
    ([("*", "opted_in"), ("marketing", "opted_out")], "marketing", False),
    ([("transactional", "opted_out")], "transactional", False),
]


@pytest.mark.parametrize(("said", "category", "goes"), RULE)
def test_the_exact_category_counts_before_all_and_silence_allows(
    workspace: Workspace, said: list[tuple[str, str]], category: str, goes: bool
):
    contact = make_contact(workspace)
    for each, status in said:
        say(contact, each, status)
    assert accept_to(workspace, contact, category=category).status == ("QUEUED" if goes else "FAILED")
    by_address = message(accept_message(workspace, "ann@example.com", category=category))
    assert by_address.status == ("QUEUED" if goes else "FAILED")


@pytest.mark.parametrize(
    ("category", "reason", "of_message", "goes"),
    [
        ("*", "bounced", "transactional", False),
        ("*", "complained", "transactional", False),
        ("*", "manual", "transactional", False),
        ("*", "opted_out", "transactional", True),
        ("*", "opted_out", "news", False),
        ("news", "opted_out", "news", False),
        ("news", "opted_out", "marketing", True),
        ("transactional", "opted_out", "transactional", False),
    ],
)
def test_a_suppressed_address_gets_nothing_of_its_category(
    workspace: Workspace, category: str, reason: str, of_message: str, goes: bool
):
    suppress(workspace, category, reason)
    key = accept_message(workspace, "ann@example.com", category=of_message)
    assert message(key).status == ("QUEUED" if goes else "FAILED")


def test_a_refused_recipient_is_stored_failed_with_where_the_refusal_came_from(workspace: Workspace):
    person, through = make_user(), uuid7()
    bounced = suppress(workspace, message_id=through)
    suppress(workspace, "news", "manual", address="bob@example.com", author=person)

    first = message(accept_message(workspace, "ann@example.com"))
    second = message(accept_message(workspace, "bob@example.com", category="news"))

    assert (first.status, first.error_code, first.attempts) == ("FAILED", "suppressed", 0)
    assert first.error_detail == "a message to this address bounced"
    queued, failed = first.events.all()
    assert [(e.type, e.cause) for e in (queued, failed)] == [("queued", "api"), ("failed", "api")]
    assert failed.detail["code"] == "suppressed"
    assert failed.detail["reason"] == "bounced"
    assert failed.detail["suppression_id"] == str(bounced.id)
    assert failed.detail["message_id"] == str(through)
    assert "by" not in failed.detail
    assert second.events.last().detail["by"] == str(person.avatar_id)
    assert check_all() == []


def test_a_batch_keeps_its_refused_recipients_among_the_accepted(workspace: Workspace):
    suppress(workspace, address="p1@example.com")
    accepted = accept_batch(workspace, [f"p{n}@example.com" for n in range(3)])
    assert len(accepted.ids) == 3
    assert [message(key).status for key in accepted.ids] == ["QUEUED", "FAILED", "QUEUED"]
    assert check_all() == []


def test_a_scheduled_message_to_a_suppressed_address_fails_at_once(workspace: Workspace):
    suppress(workspace)
    key = accept_message(workspace, "ann@example.com", scheduled_at=timezone.now() + timedelta(hours=1))
    assert [e.type for e in message(key).events.all()] == ["scheduled", "failed"]
    assert check_all() == []


def test_nothing_reaches_over_to_another_workspace_channel_or_address(workspace: Workspace):
    other = make_workspace("Other")
    suppress(other)
    suppress(workspace, channel="push")
    say(make_contact(other), "*", "opted_out")
    contact = make_contact(workspace)
    say(contact, "*", "opted_out", channel="sms")
    assert accept_to(workspace, contact, category="news").status == "QUEUED"
    assert message(accept_message(workspace, "ann@example.com", category="news")).status == "QUEUED"


def test_a_lifted_suppression_holds_nobody_up(workspace: Workspace):
    suppress(workspace, lifted_at=timezone.now())
    assert message(accept_message(workspace, "ann@example.com")).status == "QUEUED"


def test_a_contact_is_held_to_its_own_word_not_to_that_of_another_with_the_same_address(workspace: Workspace):
    say(make_contact(workspace), "*", "opted_out")
    second = make_contact(workspace, name="Bob")
    assert accept_to(workspace, second, category="news").status == "QUEUED"
    assert message(accept_message(workspace, "ann@example.com", category="news")).status == "FAILED"


def test_a_dry_run_tells_of_the_refusal(workspace: Workspace):
    suppress(workspace)
    told = intake.explain(
        workspace_id=workspace.id, test=False, draft=draft(), recipient=intake.Recipient(to="ann@example.com")
    )
    assert (told["status"], told["error"]) == (
        "FAILED",
        {"code": "suppressed", "detail": "a message to this address bounced"},
    )
    assert not Message.objects.exists()


@pytest.mark.usefixtures("transactional_db")
class TestAtTheClaim:
    @pytest.fixture
    def workspace(self, transactional_db: None) -> Workspace:
        return make_workspace()

    def test_a_contact_that_opts_out_after_the_accept_gets_nothing(self, workspace: Workspace, install: Install):
        sent: list[OutboundMessage] = []

        def script(batch, may_send):
            def noted():
                for each in batch:
                    sent.append(each)
                    yield each

            yield from accept_all(noted(), may_send)

        install(script)
        contact, other = make_contact(workspace), make_contact(workspace, email="bob@example.com")
        first = accept_to(workspace, contact, category="news").id
        second = accept_to(workspace, other, category="news").id
        third = accept_message(workspace, "ann@example.com", category="news")
        say(contact, "news", "opted_out")

        assert delivery.deliver(EMAIL) == 3

        assert [each.id for each in sent] == [second]
        assert message(second).status == "SENT"
        for key in (first, third):
            row = message(key)
            assert (row.status, row.error_code, row.attempts) == ("FAILED", "suppressed", 0)
            last = row.events.last()
            assert (last.type, last.cause, last.detail["contact_id"]) == ("failed", "worker", str(contact.id))
        assert check_all() == []

    def test_an_address_suppressed_after_the_accept_gets_nothing(self, workspace: Workspace, install: Install):
        install(accept_all)
        accepted = accept_batch(workspace, [f"p{n}@example.com" for n in range(40)])
        for number in (0, 7, 39):
            suppress(workspace, address=f"p{number}@example.com")

        delivery.deliver(EMAIL)

        failed = [place for place, key in enumerate(accepted.ids) if message(key).status == "FAILED"]
        assert failed == [0, 7, 39]
        assert Message.objects.filter(status="SENT").count() == 37
        assert check_all() == []

    def test_a_retry_of_a_suppressed_message_goes_out_once_it_is_lifted(self, workspace: Workspace, install: Install):
        install(accept_all)
        suppressed = suppress(workspace)
        key = accept_message(workspace, "ann@example.com")
        control.retry(workspace_id=workspace.id, message_id=key, cause=Cause.API)
        delivery.deliver(EMAIL)
        assert message(key).status == "FAILED"
        Suppression.objects.filter(pk=suppressed.pk).update(lifted_at=timezone.now())
        control.retry(workspace_id=workspace.id, message_id=key, cause=Cause.API)
        delivery.deliver(EMAIL)
        assert message(key).status == "SENT"
        assert check_all() == []


@pytest.mark.parametrize("channel", list(Channel))
def test_every_channel_can_be_asked_about(workspace: Workspace, channel: Channel):
    who = [(None, "somebody"), (uuid7(), "somebody else")]
    assert refusals.refused(workspace_id=workspace.id, channel=channel, category="news", recipients=who) == {}
