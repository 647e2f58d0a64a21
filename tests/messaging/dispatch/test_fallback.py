"""Messages that do not arrive, and the channels that they turn to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import Settings

from channels_app.types import (
    Accepted,
    Ambiguous,
    Attachment,
    Channel,
    OutboundMessage,
    Permanent,
    Receipt,
    ReceiptKind,
    Transient,
)
from messaging.content import encryption
from messaging.dispatch import claims, control, delivery, fallback, intake, providers, receipts, steps, sweeps
from messaging.dispatch.draft import Fallback
from messaging.dispatch.explain import explain
from messaging.dispatch.fallback import Deed, Watched, judge
from messaging.dispatch.queue import Lane
from messaging.errors import Invalid
from messaging.models import Contact, FallbackStep, Message, Workspace
from messaging.models.keys import uuid7
from messaging.people import contacts
from messaging.state import Cause, Status
from tests.factories import accept_message, draft, make_template, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import answer
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all

pytestmark = pytest.mark.usefixtures("transactional_db")

EMAIL, SMS = Lane.named("email.normal"), Lane.named("sms.normal")
PHONE = "+12025550123"
K, S = ReceiptKind, FallbackStep.State
BY_SMS = (Fallback(channel=Channel.SMS, to=PHONE),)


@pytest.fixture
def outbox(install: Install, settings: Settings) -> list[OutboundMessage]:
    """What providers took: by e-mail what asks for it is refused, by sms everything is accepted."""
    taken: list[OutboundMessage] = []

    def by_mail(sent: OutboundMessage) -> Any:
        if sent.address.startswith("refused"):
            return Permanent(code="no_such_mailbox", detail="as asked")
        if sent.address.startswith("again"):
            return Transient(code="busy")
        taken.append(sent)
        return Accepted(provider_message_id=f"p-{sent.id}")

    def accepted(sent: OutboundMessage) -> Any:
        taken.append(sent)
        return Accepted(provider_message_id=f"p-{sent.id}")

    install(answer(by_mail))
    for channel in (Channel.SMS, Channel.WHATSAPP, Channel.PUSH):
        install(answer(accepted), channel=channel)
    return taken


def look() -> int:
    """Look at every step that waits, as if its time had come."""
    FallbackStep.objects.filter(state=S.WAITING, due_at__isnull=False).update(due_at=Now() - timedelta(seconds=1))
    return fallback.fall_back()


def steps_of(key: UUID) -> list[FallbackStep]:
    return list(FallbackStep.objects.filter(origin_id=key).order_by("position"))


def states(key: UUID) -> list[str]:
    return [str(step.state) for step in steps_of(key)]


def later(key: UUID, seconds: float) -> None:
    """Let this much time have passed since the message was accepted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_message SET created_at = created_at - %s * interval '1 second' WHERE id = %s",
            [seconds, key],
        )


def report(kind: ReceiptKind, of: UUID, **fields: Any) -> None:
    receipts.keep("scripted", [Receipt(kind=kind, key=uuid7().hex, message_id=of, **fields)])
    receipts.apply_due()


def make_contact(workspace: Workspace, **fields: Any) -> Contact:
    return contacts.create(workspace_id=workspace.id, fields=fields)


class TestTaking:
    def test_a_message_that_failed_turns_to_its_next_channel_once(self, outbox: list[OutboundMessage]):
        key = accept_message(
            make_workspace(),
            "refused@example.com",
            text="Your code is {{ code }}",
            body="<b>{{ code }}</b>",
            data={"code": "123"},
            metadata={"order": 7},
            name="Ann",
            category="news",
            fallback=BY_SMS,
        )
        assert states(key) == ["waiting"]
        delivery.deliver(EMAIL)

        assert (look(), look()) == (1, 0)
        delivery.deliver(SMS)

        (step,) = steps_of(key)
        assert step.next_id is not None
        second = message(step.next_id)
        assert (second.channel, second.recipient, second.status) == ("sms", PHONE, "SENT")
        assert (second.name, second.data, second.metadata) == ("Ann", {"code": "123"}, {"order": 7})
        assert (second.category, second.workspace_id, second.batch_id) == ("news", message(key).workspace_id, None)
        assert [(each.text, each.html, each.subject) for each in outbox] == [("Your code is 123", "", "")]
        fact = message(key).events.get(type="fallback")
        assert fact.detail == {"channel": "sms", "message_id": str(second.id), "reason": "no_such_mailbox"}
        assert (fact.cause, message(key).status) == ("sweeper", "FAILED")
        assert check_all() == []

    def test_a_message_that_came_back_turns_too(self, outbox: list[OutboundMessage]):
        key = accept_message(make_workspace(), fallback=BY_SMS)
        delivery.deliver(EMAIL)
        report(K.BOUNCED, key, code="hard")
        assert look() == 1

    def test_a_bounce_after_delivery_still_turns(self, outbox: list[OutboundMessage]):
        key = accept_message(make_workspace(), fallback=(*BY_SMS, Fallback(channel=Channel.WHATSAPP, to=PHONE)))
        delivery.deliver(EMAIL)
        report(K.DELIVERED, key)
        assert (look(), states(key)) == (0, ["spared", "spared"])

        report(K.BOUNCED, key)

        assert (look(), states(key)) == (1, ["taken", "waiting"])
        assert check_all() == []

    def test_a_message_that_arrived_does_not_turn(self, outbox: list[OutboundMessage]):
        key = accept_message(make_workspace(), fallback=(Fallback(channel=Channel.SMS, to=PHONE, after_seconds=60),))
        delivery.deliver(EMAIL)
        report(K.DELIVERED, key)
        later(key, 120)
        assert (look(), states(key)) == (0, ["spared"])
        assert Message.objects.count() == 1

    def test_a_message_that_is_not_delivered_in_time_turns(self, outbox: list[OutboundMessage]):
        key = accept_message(make_workspace(), fallback=(Fallback(channel=Channel.SMS, to=PHONE, after_seconds=60),))
        delivery.deliver(EMAIL)
        assert (look(), states(key)) == (0, ["waiting"])
        assert steps_of(key)[0].due_at == message(key).created_at + timedelta(seconds=60)

        later(key, 60)

        assert (look(), states(key)) == (1, ["taken"])
        assert message(key).status == "SENT"

    def test_a_receipt_that_comes_after_the_turn_changes_nothing_of_it(self, outbox: list[OutboundMessage]):
        key = accept_message(make_workspace(), fallback=(Fallback(channel=Channel.SMS, to=PHONE, after_seconds=1),))
        delivery.deliver(EMAIL)
        later(key, 5)
        assert look() == 1

        report(K.DELIVERED, key)
        report(K.BOUNCED, key)

        assert (look(), states(key), Message.objects.count()) == (0, ["taken"], 2)
        assert message(key).status == "BOUNCED"

    def test_a_message_that_was_not_even_sent_in_time_is_not_sent_any_more(self, outbox: list[OutboundMessage]):
        key = accept_message(
            make_workspace(),
            "again@example.com",
            fallback=(Fallback(channel=Channel.SMS, to=PHONE, after_seconds=60),),
        )
        delivery.deliver(EMAIL)
        later(key, 60)

        assert look() == 1

        assert (message(key).status, message(key).error_code) == ("FAILED", "superseded")
        assert message(key).events.last().type == "fallback"
        assert check_all() == []

    def test_what_a_worker_has_in_hand_is_waited_for(self, outbox: list[OutboundMessage]):
        key = accept_message(make_workspace(), fallback=(Fallback(channel=Channel.SMS, to=PHONE, after_seconds=1),))
        claims.take(EMAIL, limit=1, group=1)
        later(key, 60)
        assert (look(), states(key)) == (0, ["waiting"])

    def test_without_a_time_a_message_that_was_sent_has_arrived(self, outbox: list[OutboundMessage]):
        key = accept_message(make_workspace(), fallback=BY_SMS)
        delivery.deliver(EMAIL)
        assert (look(), states(key)) == (0, ["spared"])

    def test_every_step_is_tried_in_its_order(self, outbox: list[OutboundMessage], install: Install):
        install(answer(Permanent(code="unreachable")), channel=Channel.SMS)
        chain = (*BY_SMS, Fallback(channel=Channel.WHATSAPP, to=PHONE))
        key = accept_message(make_workspace(), "refused@example.com", fallback=chain)
        delivery.deliver(EMAIL)
        assert look() == 1
        assert states(key) == ["taken", "waiting"]
        delivery.deliver(SMS)

        assert look() == 1

        first, second = steps_of(key)
        assert (second.watched_id, message(second.next_id).channel) == (first.next_id, "whatsapp")
        assert [len(steps.chain(each).steps) for each in (key, first.next_id, second.next_id)] == [2, 1, 0]
        assert {steps.chain(each).origin_id for each in (first.next_id, second.next_id)} == {key}
        assert check_all() == []

    def test_two_sweeps_at_once_take_a_step_once(self, outbox: list[OutboundMessage]):
        keys = [accept_message(make_workspace(), "refused@example.com", fallback=BY_SMS) for _ in range(5)]
        delivery.deliver(EMAIL)
        FallbackStep.objects.update(due_at=Now() - timedelta(seconds=1))

        taken = at_once(fallback.fall_back, fallback.fall_back)
        look()

        assert sum(taken) <= 5
        assert [states(key) for key in keys] == [["taken"]] * 5
        assert Message.objects.filter(channel="sms").count() == 5

    def test_a_failure_in_the_middle_leaves_nothing_behind(
        self, outbox: list[OutboundMessage], monkeypatch: pytest.MonkeyPatch
    ):
        key = accept_message(make_workspace(), "refused@example.com", fallback=BY_SMS)
        delivery.deliver(EMAIL)
        with monkeypatch.context() as broken:
            broken.setattr(fallback, "_note", lambda *_: 1 / 0)
            assert look() == 0
        assert (states(key), Message.objects.count()) == (["waiting"], 1)
        assert steps_of(key)[0].due_at > timezone.now()

        assert look() == 1
        assert Message.objects.count() == 2

    def test_encrypted_messages_stay_encrypted(self, outbox: list[OutboundMessage], settings: Settings):
        if not encryption.configured():
            settings.DISPATCH_KEYS = {"k1": bytes(32)}
        key = accept_message(
            make_workspace(),
            "refused@example.com",
            text="Secret {{ code }}",
            data={"code": "123"},
            encrypted=True,
            fallback=BY_SMS,
        )
        delivery.deliver(EMAIL)
        look()
        second = message(steps_of(key)[0].next_id)
        assert (second.sealed is not None, second.data, second.content.text) == (True, None, "")
        delivery.deliver(SMS)
        assert [each.text for each in outbox] == ["Secret 123"]

    def test_a_template_of_the_next_channel_speaks_for_itself(self, outbox: list[OutboundMessage]):
        workspace = make_workspace()
        make_template(workspace, "code", body="<b>Mail {{ code }}</b>", text="")
        make_template(workspace, "code", channel=Channel.SMS, subject="", text="Text {{ code }}")
        key = accept_message(
            workspace,
            "refused@example.com",
            template="code",
            subject="",
            text="",
            data={"code": "1"},
            fallback=BY_SMS,
        )
        delivery.deliver(EMAIL)
        look()
        delivery.deliver(SMS)
        assert [each.text for each in outbox] == ["Text 1"]
        assert message(steps_of(key)[0].next_id).template_id is not None

    def test_without_one_the_text_of_the_template_is_sent(self, outbox: list[OutboundMessage]):
        workspace = make_workspace()
        make_template(workspace, "code", body="<b>Mail</b>", text="Mail {{ code }}")
        accept_message(
            workspace,
            "refused@example.com",
            template="code",
            subject="",
            text="",
            data={"code": "1"},
            fallback=BY_SMS,
        )
        delivery.deliver(EMAIL)
        look()
        delivery.deliver(SMS)
        assert [each.text for each in outbox] == ["Mail 1"]

    def test_the_contact_is_reached_where_it_is_by_then(self, outbox: list[OutboundMessage]):
        workspace = make_workspace()
        ann = make_contact(workspace, email="refused@example.com", phone=PHONE)
        accepted = intake.accept(
            workspace_id=workspace.id,
            author_id=None,
            test=False,
            draft=draft(fallback=(Fallback(channel=Channel.SMS),)),
            recipients=[intake.Recipient(contact_id=str(ann.pk))],
            batch=False,
        )
        delivery.deliver(EMAIL)
        contacts.update(workspace_id=workspace.id, contact_id=ann.pk, fields={"phone": "+12025550199"})
        look()
        second = message(steps_of(accepted.ids[0])[0].next_id)
        assert (second.recipient, second.contact_id) == ("+12025550199", ann.pk)

    def test_a_step_that_cannot_be_taken_any_more_is_passed_by(self, outbox: list[OutboundMessage]):
        workspace = make_workspace()
        ann = make_contact(workspace, email="refused@example.com", phone=PHONE)
        accepted = intake.accept(
            workspace_id=workspace.id,
            author_id=None,
            test=False,
            draft=draft(fallback=(Fallback(channel=Channel.SMS), Fallback(channel=Channel.WHATSAPP, to=PHONE))),
            recipients=[intake.Recipient(contact_id=str(ann.pk))],
            batch=False,
        )
        (key,) = accepted.ids
        delivery.deliver(EMAIL)
        contacts.update(workspace_id=workspace.id, contact_id=ann.pk, fields={"phone": None})

        assert (look(), states(key)) == (0, ["refused", "waiting"])
        assert steps_of(key)[0].error_code == "contact_unreachable"
        assert (look(), states(key)) == (1, ["refused", "taken"])
        kinds = list(message(key).events.values_list("type", flat=True))
        assert kinds[-2:] == ["fallback_refused", "fallback"]
        assert check_all() == []


class TestCallingOff:
    def test_a_cancel_calls_the_fallback_off(self, outbox: list[OutboundMessage]):
        workspace = make_workspace()
        key = accept_message(workspace, fallback=(*BY_SMS, Fallback(channel=Channel.WHATSAPP, to=PHONE)))
        control.cancel(workspace_id=workspace.id, message_id=key, cause=Cause.API)
        assert states(key) == ["dropped", "dropped"]
        assert (look(), Message.objects.count()) == (0, 1)

    def test_a_cancel_of_the_second_calls_off_what_follows_it(self, outbox: list[OutboundMessage]):
        workspace = make_workspace()
        chain = (*BY_SMS, Fallback(channel=Channel.WHATSAPP, to=PHONE))
        key = accept_message(workspace, "refused@example.com", fallback=chain)
        delivery.deliver(EMAIL)
        look()
        second = steps_of(key)[0].next_id
        assert second is not None
        control.cancel(workspace_id=workspace.id, message_id=second, cause=Cause.API)
        assert states(key) == ["taken", "dropped"]

    def test_what_expired_is_wanted_by_no_channel(self, outbox: list[OutboundMessage]):
        soon = timezone.now() + timedelta(seconds=60)
        key = accept_message(make_workspace(), "refused@example.com", expires_at=soon, fallback=BY_SMS)
        delivery.deliver(EMAIL)
        Message.objects.update(expires_at=Now())
        assert (look(), states(key), steps_of(key)[0].error_code) == (0, ["dropped"], "expired")

    def test_whoever_complained_is_not_reached_by_another_way(self, outbox: list[OutboundMessage]):
        workspace = make_workspace()
        first = accept_message(workspace)
        delivery.deliver(EMAIL)
        report(K.COMPLAINED, first)
        key = accept_message(workspace, fallback=BY_SMS)
        assert message(key).error_code == "suppressed"
        assert (look(), states(key), steps_of(key)[0].error_code) == (0, ["dropped"], "complained")

    def test_an_opt_out_of_one_channel_forbids_no_other(self, outbox: list[OutboundMessage]):
        workspace = make_workspace()
        first = accept_message(workspace)
        delivery.deliver(EMAIL)
        report(K.UNSUBSCRIBED, first)
        key = accept_message(workspace, fallback=BY_SMS)
        assert message(key).error_code == "suppressed"
        assert (look(), states(key)) == (1, ["taken"])

    def test_a_fallback_to_whom_it_is_not_allowed_fails_and_leads_on(self, outbox: list[OutboundMessage]):
        workspace = make_workspace()
        told = accept_message(workspace, PHONE, channel=Channel.SMS, subject="")
        delivery.deliver(SMS)
        report(K.UNSUBSCRIBED, told)
        chain = (*BY_SMS, Fallback(channel=Channel.WHATSAPP, to=PHONE))
        key = accept_message(workspace, "refused@example.com", fallback=chain)
        delivery.deliver(EMAIL)
        assert (look(), look()) == (1, 1)
        assert message(steps_of(key)[0].next_id).error_code == "suppressed"
        assert states(key) == ["taken", "taken"]

    def test_a_message_that_is_not_kept_any_more_calls_for_nothing(self, outbox: list[OutboundMessage]):
        key = accept_message(make_workspace(), fallback=BY_SMS)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM messaging_messageevent")
            cursor.execute("DELETE FROM messaging_message")
        assert (look(), states(key)) == (0, ["dropped"])


class TestRefusals:
    def refused(self, code: str, pointer: str, **fields: Any) -> None:
        with pytest.raises(Invalid) as caught:
            accept_message(make_workspace(), **fields)
        assert [(each.pointer, each.code) for each in caught.value.errors] == [(pointer, code)]
        assert not Message.objects.exists()

    def test_an_address_that_the_channel_cannot_take(self):
        wrong = (Fallback(channel=Channel.SMS, to="ann@example.com"),)
        self.refused("invalid_recipient", "/fallback/0/to", fallback=wrong)

    def test_nowhere_to_go(self):
        chain = (*BY_SMS, Fallback(channel=Channel.WHATSAPP))
        self.refused("required", "/fallback/1/to", fallback=chain)

    def test_html_without_a_text(self):
        self.refused("text_required", "/fallback/0/channel", text="", body="<b>Hi</b>", fallback=BY_SMS)

    def test_files_where_there_is_no_place_for_them(self):
        files = (Attachment(filename="a.txt", content=b"a", content_type="text/plain"),)
        self.refused("not_carried", "/fallback/0/channel", attachments=files, fallback=BY_SMS)

    def test_a_subject_that_is_missing(self):
        mail = (Fallback(channel=Channel.EMAIL, to="ann@example.com"),)
        fields = {"to": PHONE, "channel": Channel.SMS, "subject": ""}
        self.refused("required", "/fallback/0/channel", fallback=mail, **fields)

    def test_a_channel_without_a_provider(self, settings: Settings):
        settings.CHANNELS = {**settings.CHANNELS, "sms": []}
        providers.registry.cache_clear()
        try:
            self.refused("provider_not_configured", "/fallback/0/channel", fallback=BY_SMS)
        finally:
            providers.registry.cache_clear()

    def test_too_many(self):
        self.refused("too_long", "/fallback", fallback=BY_SMS * (steps.MOST + 1))

    def test_a_contact_without_an_address_there(self):
        workspace = make_workspace()
        ann = make_contact(workspace, email="ann@example.com")
        with pytest.raises(Invalid) as caught:
            intake.accept(
                workspace_id=workspace.id,
                author_id=None,
                test=False,
                draft=draft(fallback=(Fallback(channel=Channel.SMS),)),
                recipients=[intake.Recipient(contact_id=str(ann.pk))],
                batch=False,
            )
        assert (caught.value.code, caught.value.errors[0].pointer) == ("contact_unreachable", "/fallback/0/to")

    def test_a_batch_takes_those_whom_every_fallback_reaches(self):
        workspace = make_workspace()
        ann = make_contact(workspace, email="ann@example.com", phone=PHONE)
        ben = make_contact(workspace, email="ben@example.com")
        accepted = intake.accept(
            workspace_id=workspace.id,
            author_id=None,
            test=False,
            draft=draft(fallback=(Fallback(channel=Channel.SMS),)),
            recipients=[
                intake.Recipient(to="nobody"),
                intake.Recipient(contact_id=str(ben.pk)),
                intake.Recipient(contact_id=str(ann.pk)),
                intake.Recipient(to="cat@example.com"),
            ],
            batch=True,
        )
        assert [(each.index, each.code) for each in accepted.rejected] == [
            (0, "invalid_recipient"),
            (1, "contact_unreachable"),
            (3, "required"),
        ]
        (key,) = accepted.ids
        assert (message(key).contact_id, states(key)) == (ann.pk, ["waiting"])


class TestExplaining:
    def test_it_tells_what_comes_next(self, outbox: list[OutboundMessage]):
        timed = (Fallback(channel=Channel.SMS, to=PHONE, after_seconds=60),)
        key = accept_message(make_workspace(), "refused@example.com", fallback=timed)
        assert "has not arrived by" in explain(message(key))["next"]
        delivery.deliver(EMAIL)
        assert explain(message(key))["next"].endswith("A message by sms takes its place within seconds.")
        look()
        second = steps_of(key)[0].next_id
        assert explain(message(key))["next"].endswith(f"A message by sms took its place: {second}.")


NOW = datetime(2026, 1, 1, 12)


def watched(**fields: Any) -> Watched:
    known: dict[str, Any] = {
        "step_id": uuid7(),
        "message_id": uuid7(),
        "after_seconds": None,
        "now": NOW,
        "status": Status.QUEUED,
        "held": False,
        "provider": "",
        "error_code": "",
        "suppressed_for": "",
        "complained": False,
        "deleted": False,
        "begun_at": NOW - timedelta(seconds=40),
        "next_attempt_at": None,
        "expires_at": None,
    }
    return Watched(**{**known, **fields})


@pytest.mark.parametrize(
    ("fields", "deed"),
    [
        ({}, Deed.WAIT),
        ({"after_seconds": 40}, Deed.TAKE),
        ({"after_seconds": 41}, Deed.WAIT),
        ({"after_seconds": 40, "held": True, "status": Status.SENDING}, Deed.WAIT),
        ({"after_seconds": 40, "status": Status.SENDING}, Deed.TAKE),
        ({"status": Status.SENT, "provider": "twilio"}, Deed.SPARE),
        ({"status": Status.SENT, "provider": "twilio", "after_seconds": 41}, Deed.WAIT),
        ({"status": Status.SENT, "provider": "twilio", "after_seconds": 40}, Deed.TAKE),
        ({"status": Status.SENT, "provider": "smtp", "after_seconds": 40}, Deed.SPARE),
        ({"status": Status.SENT, "provider": "gone", "after_seconds": 40}, Deed.SPARE),
        ({"status": Status.DELIVERED, "after_seconds": 40}, Deed.SPARE),
        ({"status": Status.UNSUBSCRIBED}, Deed.SPARE),
        ({"status": Status.FAILED}, Deed.TAKE),
        ({"status": Status.FAILED, "error_code": "suppressed", "suppressed_for": "opted_out"}, Deed.TAKE),
        ({"status": Status.FAILED, "error_code": "suppressed", "suppressed_for": "complained"}, Deed.DROP),
        ({"status": Status.FAILED, "error_code": "expired"}, Deed.DROP),
        ({"status": Status.FAILED, "deleted": True}, Deed.DROP),
        ({"status": Status.FAILED, "expires_at": NOW}, Deed.DROP),
        ({"status": Status.BOUNCED}, Deed.TAKE),
        ({"status": Status.BOUNCED, "complained": True}, Deed.DROP),
        ({"status": Status.CANCELLED}, Deed.DROP),
        ({"status": Status.SCHEDULED, "next_attempt_at": NOW + timedelta(days=1)}, Deed.WAIT),
    ],
)
def test_what_follows_from_how_a_message_stands(fields: dict[str, Any], deed: Deed):
    assert judge(watched(**fields)).deed is deed


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"begun_at": NOW}, 1),
        ({}, 10),
        ({"begun_at": NOW - timedelta(days=1)}, 60),
        ({"after_seconds": 43}, 3),
        ({"status": Status.SCHEDULED, "next_attempt_at": NOW + timedelta(hours=1)}, 3601),
        ({"status": Status.SENT, "provider": "twilio", "after_seconds": 100}, 60),
    ],
)
def test_a_message_is_looked_at_the_less_the_longer_it_takes(fields: dict[str, Any], seconds: int):
    assert judge(watched(**fields)).due == NOW + timedelta(seconds=seconds)


def test_an_unknown_outcome_that_ends_turns_too(install: Install, outbox: list[OutboundMessage]):
    install(answer(Ambiguous()))
    key = accept_message(make_workspace(), fallback=BY_SMS)
    delivery.deliver(EMAIL)
    assert (look(), message(key).status) == (0, "SENDING")
    Message.objects.update(next_attempt_at=Now(), sending_at=Now() - timedelta(days=1))
    sweeps.sweep_due()
    assert (look(), message(key).error_code) == (1, "outcome_unknown")
