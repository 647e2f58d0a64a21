"""What providers report keeps later messages back, in the same transaction, and says through which message."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from channels_app.types import Accepted, OutboundMessage, Receipt, ReceiptKind
from messaging.dispatch import delivery, receipts
from messaging.dispatch.queue import Lane
from messaging.models import Consent, Contact, Message, ReceiptRecord, Suppression, Workspace
from tests.factories import accept_message, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import Answers, MaySend, Script
from tests.messaging.invariants import check_all
from tests.messaging.people.rows import accept_to, make_contact, said

pytestmark = pytest.mark.usefixtures("transactional_db")

EMAIL = Lane.named("email.normal")


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def reporting(*kinds: ReceiptKind, code: str = "") -> Script:
    """Take every message and report this on it at once."""

    def script(batch: Any, may_send: MaySend) -> Answers:
        for each in batch:
            reports = [Receipt(kind=kind, key=f"{each.id}:{kind}", message_id=each.id, code=code) for kind in kinds]
            yield each.id, Accepted(provider_message_id=f"p-{each.id}", receipts=tuple(reports))

    return script


def send(key: Any) -> Message:
    delivery.deliver(EMAIL)
    while receipts.apply_due():
        pass
    return message(key)


def standing(workspace: Workspace) -> list[tuple[str, str, str, str]]:
    rows = Suppression.objects.filter(workspace=workspace, lifted_at=None).order_by("id")
    return [(row.channel, row.address, row.category, row.reason) for row in rows]


@pytest.mark.parametrize(("kind", "status"), [(ReceiptKind.BOUNCED, "BOUNCED"), (ReceiptKind.COMPLAINED, "SENT")])
def test_a_bounce_or_complaint_keeps_the_address_from_everything(
    workspace: Workspace, install: Install, kind: ReceiptKind, status: str
):
    install(reporting(kind))
    first = send(accept_message(workspace, "ann@example.com", category="news"))
    assert first.status == status
    assert standing(workspace) == [("email", "ann@example.com", "*", kind.value)]
    assert Suppression.objects.get().message_id == first.id

    second = message(accept_message(workspace, "ann@example.com"))
    assert (second.status, second.error_code) == ("FAILED", "suppressed")
    assert second.events.last().detail["message_id"] == str(first.id)
    assert check_all() == []


def test_a_soft_bounce_suppresses_nothing(workspace: Workspace, install: Install):
    install(reporting(ReceiptKind.BOUNCED, code="soft_bounce"))
    send(accept_message(workspace, "ann@example.com"))
    assert standing(workspace) == []


def test_an_opt_out_by_somebody_unknown_keeps_the_address_from_that_category(workspace: Workspace, install: Install):
    install(reporting(ReceiptKind.UNSUBSCRIBED))
    first = send(accept_message(workspace, "ann@example.com", category="news"))
    assert first.status == "UNSUBSCRIBED"
    assert standing(workspace) == [("email", "ann@example.com", "news", "opted_out")]
    assert message(accept_message(workspace, "ann@example.com", category="news")).error_code == "suppressed"
    assert message(accept_message(workspace, "ann@example.com", category="offers")).status == "QUEUED"


def test_an_opt_out_of_a_contact_is_the_contacts_consent(workspace: Workspace, install: Install):
    install(reporting(ReceiptKind.UNSUBSCRIBED))
    contact = make_contact(workspace)
    first = send(accept_to(workspace, contact, category="news").id)
    assert standing(workspace) == []
    consent = Consent.objects.get()
    assert (consent.contact_id, consent.category, consent.status) == (contact.id, "news", "opted_out")
    assert consent.message_id == first.id
    assert accept_to(workspace, contact, category="news").error_code == "suppressed"
    Consent.objects.update(status="opted_in")
    assert accept_to(workspace, contact, category="news").status == "QUEUED"


@pytest.mark.parametrize("known", [True, False])
def test_whoever_blocked_the_sender_gets_nothing_at_all(workspace: Workspace, install: Install, known: bool):
    install(reporting(ReceiptKind.UNSUBSCRIBED, code="blocked"))
    contact = make_contact(workspace) if known else None
    accept = accept_message(workspace, "bob@example.com", category="news")
    send(accept_to(workspace, contact, category="news").id if contact else accept)
    if contact:
        assert said(contact) == {("email", "*"): "opted_out", ("email", "transactional"): "opted_out"}
    for category in ("news", "offers", "transactional"):
        again = accept_to(workspace, contact, category=category) if contact else None
        again = again or message(accept_message(workspace, "bob@example.com", category=category))
        assert again.error_code == "suppressed"
    assert check_all() == []


def test_a_late_report_suppresses_all_the_same(workspace: Workspace, install: Install):
    install(reporting(ReceiptKind.BOUNCED, ReceiptKind.UNSUBSCRIBED))
    contact = make_contact(workspace)
    first = send(accept_to(workspace, contact, category="news").id)
    assert first.status == "BOUNCED"
    assert said(contact) == {("email", "news"): "opted_out"}
    assert standing(workspace) == [("email", "ann@example.com", "*", "bounced")]


def test_a_second_bounce_while_suppressed_changes_nothing_and_after_a_lift_makes_a_new_row(
    workspace: Workspace, install: Install
):
    install(reporting(ReceiptKind.BOUNCED))
    keys = [accept_message(workspace, "ann@example.com") for _ in range(2)]
    first, second = send(keys[0]), message(keys[1])
    assert second.status == "BOUNCED"
    assert Suppression.objects.count() == 1
    Suppression.objects.update(lifted_at=timezone.now())
    third = send(accept_message(workspace, "ann@example.com"))
    rows = Suppression.objects.order_by("id")
    assert [row.lifted_at is None for row in rows] == [False, True]
    assert rows[1].message_id == third.id
    assert first.id < third.id


def sandboxed(workspace: Workspace, scenario: str, contact: Contact | None, **fields: Any) -> Message:
    """Send by the sandbox, and let its receipts be due."""
    metadata = {"sandbox": scenario} if scenario else {}
    key = (
        accept_message(workspace, metadata=metadata, **fields)
        if contact is None
        else accept_to(workspace, contact, metadata=metadata, **fields).id
    )
    delivery.deliver(EMAIL)
    ReceiptRecord.objects.update(due_at=timezone.now())
    while receipts.apply_due():
        pass
    return message(key)


def test_the_sandbox_suppresses_contacts(workspace: Workspace):
    ann, bob = make_contact(workspace), make_contact(workspace, email="bob@example.com")
    assert sandboxed(workspace, "optout", ann, category="news").status == "UNSUBSCRIBED"
    assert sandboxed(workspace, "bounced", bob).status == "BOUNCED"
    assert said(ann) == {("email", "news"): "opted_out"}
    assert standing(workspace) == [("email", "bob@example.com", "*", "bounced")]
    assert Suppression.objects.get().contact_id == bob.id


@pytest.mark.parametrize("scenario", ["bounced", "optout"])
def test_the_sandbox_suppresses_no_plain_address_and_none_that_asks_for_its_outcome(
    workspace: Workspace, scenario: str
):
    contact = make_contact(workspace, email=f"{scenario}@example.com")
    for _ in range(2):
        assert sandboxed(workspace, "", contact).status in {"BOUNCED", "UNSUBSCRIBED"}
        assert sandboxed(workspace, "", None, to=f"{scenario}+7@example.com").status in {"BOUNCED", "UNSUBSCRIBED"}
        assert sandboxed(workspace, scenario, None, to="eve@example.com").status in {"BOUNCED", "UNSUBSCRIBED"}
    assert (standing(workspace), said(contact)) == ([], {})


def test_a_report_on_a_message_to_a_contact_that_is_gone_is_applied(workspace: Workspace, install: Install):
    taken: list[OutboundMessage] = []

    def script(batch: Any, may_send: MaySend) -> Answers:
        for each in batch:
            taken.append(each)
            yield each.id, Accepted(provider_message_id="x")

    install(script)
    contact = make_contact(workspace)
    key = accept_to(workspace, contact, category="news").id
    delivery.deliver(EMAIL)
    contact.delete()
    receipts.keep("scripted", [Receipt(kind=ReceiptKind.UNSUBSCRIBED, key="1", message_id=taken[0].id)])
    assert receipts.apply_due() == 1
    assert message(key).status == "UNSUBSCRIBED"
    assert standing(workspace) == [("email", "ann@example.com", "news", "opted_out")]
