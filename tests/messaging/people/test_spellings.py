"""One address in several spellings: kept as it was given, compared without regard to case, and never mailed by it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest
from django.db import IntegrityError, connection, transaction

from channels_app.types import Accepted, Channel, OutboundMessage, ReceiptKind
from messaging.dispatch import delivery, selectors
from messaging.dispatch.queue import Lane
from messaging.dispatch.selectors import MessageFilter
from messaging.models import Contact, Reason, Suppression, Workspace
from messaging.people import contacts, imports, recipients, refusals, suppressions
from messaging.people.suppressions import Report
from tests.factories import accept_message, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import Answers, MaySend
from tests.messaging.people.rows import accept_to, make_contact, say, suppress

SPELLINGS = [
    ("ann@example.com", "Ann@Example.COM"),
    ("ANN.LEE@example.com", "ann.lee@example.com"),
    ("ann@bücher.example", "Ann@xn--bcher-kva.example"),
    ("ÉMILE@example.com", "émile@example.com"),
]
EMAIL = Lane.named("email.normal")


@pytest.fixture
def workspace(db: None) -> Workspace:
    return make_workspace()


def suppressed(workspace: Workspace, address: str) -> Suppression:
    row, _ = suppressions.create(
        workspace_id=workspace.id,
        author_id=None,  # type: ignore[arg-type]
        channel=Channel.EMAIL,
        address=address,
        contact=None,
        category="*",
        reason=Reason.MANUAL,
    )
    return row


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_suppressed_address_is_not_mailed_in_another_spelling(
    workspace: Workspace, one: str, other: str, turned: bool
) -> None:
    listed, sent = (other, one) if turned else (one, other)
    row = suppressed(workspace, listed)
    refused_one = message(accept_message(workspace, sent))
    assert (refused_one.status, refused_one.error_code) == ("FAILED", "suppressed")
    assert refused_one.recipient.rpartition("@")[0] == sent.rpartition("@")[0], "the spelling is kept"
    assert suppressed(workspace, sent) == row
    (found,) = suppressions.matching(workspace_id=workspace.id, channel=None, address=sent, reason=None, active=True)
    assert found == row


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_what_a_contact_said_holds_for_its_address_in_another_spelling(
    workspace: Workspace, one: str, other: str
) -> None:
    contact = contacts.create(workspace_id=workspace.id, fields={"email": one})
    say(contact, "news", "opted_out")
    assert message(accept_message(workspace, other, category="news")).error_code == "suppressed"
    assert message(accept_message(workspace, other, category="offers")).status == "QUEUED"


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_a_contact_is_found_by_its_address_in_another_spelling(workspace: Workspace, one: str, other: str) -> None:
    contact = contacts.create(workspace_id=workspace.id, fields={"email": one})
    found = recipients.only_bearer(workspace_id=workspace.id, channel=Channel.EMAIL, address=other)
    assert found == str(contact.id)
    done = imports.take_in(workspace_id=workspace.id, rows=[{"email": other, "name": "Ann"}])
    assert (done.created, done.updated, Contact.objects.get().name) == (0, 1, "Ann")


def test_messages_are_found_by_their_recipient_in_another_spelling(workspace: Workspace) -> None:
    key = accept_message(workspace, "Ann@example.com")
    for where in (MessageFilter(to="ann@EXAMPLE.com"), MessageFilter(q="ANN@example.com")):
        assert [row.id for row in selectors.messages(workspace_id=workspace.id, where=where, limit=5)] == [key]
    for number in ("+49 30 1234567", "+49 (30) 123-4567", "+49.30.1234567"):
        key = accept_message(workspace, number, channel=Channel.SMS, subject="")
        assert message(key).recipient == "+49301234567"


def test_a_recipient_whose_case_is_folded_otherwise_by_the_database_is_found(workspace: Workspace) -> None:
    key = accept_message(workspace, "İrem@example.com")

    for where in (MessageFilter(to="İrem@example.com"), MessageFilter(q="İrem@EXAMPLE.com")):
        assert [row.id for row in selectors.messages(workspace_id=workspace.id, where=where, limit=5)] == [key]


def test_a_bounce_keeps_its_address_from_messages_in_every_spelling(workspace: Workspace) -> None:
    first = message(accept_message(workspace, "Ann@example.com"))
    for sent in (first.id, accept_message(workspace, "ann@example.com")):
        suppressions.record([Report(message_id=sent, provider="smtp", kind=ReceiptKind.BOUNCED)])
    row = Suppression.objects.get()
    assert (row.address, row.message_id) == ("Ann@example.com", first.id)
    assert message(accept_message(workspace, "ANN@example.com")).error_code == "suppressed"


def test_a_message_that_waits_is_judged_by_every_spelling(transactional_db: None, install: Install) -> None:
    workspace = make_workspace()
    taken: list[str] = []

    def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
        for outbound in batch:
            taken.append(outbound.address)
            yield outbound.id, Accepted()

    install(script)
    key = accept_message(workspace, "Ann@example.com")
    other = accept_message(workspace, "Bob@Example.com")
    suppress(workspace, address="ann@example.com")
    delivery.deliver(EMAIL)
    assert (message(key).error_code, message(other).status) == ("suppressed", "SENT")
    assert taken == ["Bob@example.com"], "as it was written, but for the domain"


def test_other_addresses_are_compared_as_they_are(workspace: Workspace) -> None:
    suppress(workspace, channel="webhook", address="https://shop.example/Hook")
    key = accept_message(workspace, "https://shop.example/hook", channel=Channel.WEBHOOK, subject="")
    assert message(key).status == "QUEUED"


def test_suppressions_that_were_several_are_one_after_the_migration(workspace: Workspace) -> None:
    first = suppress(workspace, address="Ann@example.com")
    with pytest.raises(IntegrityError), transaction.atomic():
        suppress(workspace, address="ann@example.com")
    other = suppress(workspace, address="ann@example.com", reason="manual")
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX suppression_once")
        second = suppress(workspace, address="ann@example.com")
        cursor.execute(import_module("messaging.migrations.0014_addresses_and_pace")._MEET)
    kept = set(Suppression.objects.filter(lifted_at=None))
    assert kept == {first, other}
    second.refresh_from_db()
    assert (second.lifted_at is not None, second.lifted_by) == (True, None)
    told = refusals.refused(
        workspace_id=workspace.id, channel=Channel.EMAIL, category="news", recipients=[(None, "ANN@example.com")]
    )
    assert set(told) == {0}


def test_lifting_what_stands_there_lets_every_spelling_through(workspace: Workspace) -> None:
    contact = make_contact(workspace, email="Ann@example.com")
    row = suppress(workspace, address="ann@example.com", reason="opted_out", category="news")
    assert list(suppressions.about(contact)) == [row]
    assert accept_to(workspace, contact, category="news").error_code == "suppressed"
    Suppression.objects.filter(id=row.id).update(lifted_at=row.created_at)
    assert accept_to(workspace, contact, category="news").status == "QUEUED"


def test_the_look_at_suppressions_and_bearers_goes_by_indexes(workspace: Workspace) -> None:
    # Among many, one index is the best by far, whatever the tables have been through.
    addresses = [f"user{number}@example.com" for number in range(1_000)]
    Contact.objects.bulk_create(Contact(workspace=workspace, email=each) for each in addresses)
    shared = {"workspace": workspace, "channel": "email", "reason": "manual"}
    Suppression.objects.bulk_create(Suppression(address=each, **shared) for each in addresses)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_contact, messaging_suppression")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN SELECT told FROM messaging_message r CROSS JOIN {refusals.probe(Channel.EMAIL)}")  # noqa: S608
        plan = "\n".join(row[0] for row in cursor.fetchall())
    for index in ("suppression_once", "contact_email"):
        assert index in plan
    for condition in ("Filter: (CASE WHEN", "Filter: (lower"):
        assert condition not in plan


# Copies


@pytest.fixture
def sent(transactional_db: None, install: Install) -> list[OutboundMessage]:
    taken: list[OutboundMessage] = []

    def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
        for outbound in batch:
            taken.append(outbound)
            yield outbound.id, Accepted(detail={"code": "250"})

    install(script)
    return taken


COPIES = {"cc": ("Carol <Carol@example.com>", "dan@example.com"), "bcc": ("EVE@example.com", "Frank@example.com")}


def test_copies_that_are_suppressed_are_left_out_and_the_event_tells_it(sent: list[OutboundMessage]) -> None:
    workspace = make_workspace()
    suppress(workspace, address="carol@example.com")
    say(make_contact(workspace, email="eve@example.com"), "news", "opted_out")
    key = accept_message(workspace, category="news", **COPIES)
    plain = accept_message(workspace, **COPIES)
    delivery.deliver(EMAIL)
    by_id = {outbound.id: outbound.shared for outbound in sent}
    assert (by_id[key].cc, by_id[key].bcc) == (("dan@example.com",), ("Frank@example.com",))
    assert (by_id[plain].cc, by_id[plain].bcc) == (("dan@example.com",), COPIES["bcc"])
    event = message(key).events.get(type="sent")
    left_out = {"cc": ["Carol <Carol@example.com>"], "bcc": ["EVE@example.com"]}
    assert event.detail == {"code": "250", "left_out": left_out}
    assert message(plain).events.get(type="sent").detail["left_out"] == {"cc": ["Carol <Carol@example.com>"]}
    assert by_id[key].key != by_id[plain].key


def test_copies_are_judged_anew_each_time_and_nothing_is_told_where_all_go_out(sent: list[OutboundMessage]) -> None:
    workspace = make_workspace()
    row = suppress(workspace, address="carol@example.com")
    Suppression.objects.filter(id=row.id).update(lifted_at=row.created_at)
    key = accept_message(workspace, **COPIES)
    delivery.deliver(EMAIL)
    assert (sent[0].shared.cc, sent[0].shared.bcc) == (COPIES["cc"], COPIES["bcc"])
    assert message(key).events.get(type="sent").detail == {"code": "250"}


def test_a_message_whose_recipient_is_suppressed_sends_no_copies(sent: list[OutboundMessage]) -> None:
    workspace = make_workspace()
    suppress(workspace)
    key = accept_message(workspace, **COPIES)
    delivery.deliver(EMAIL)
    assert (sent, message(key).error_code) == ([], "suppressed")
