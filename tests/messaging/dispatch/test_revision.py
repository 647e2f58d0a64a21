"""What a message says, changed before it goes out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from channels_app.types import Accepted, Attachment, Channel, OutboundMessage
from messaging.dispatch import claims, control, delivery, intake, revision, selectors
from messaging.dispatch.queue import Lane
from messaging.dispatch.revision import Revision
from messaging.errors import Invalid, NotFound, TransitionRefused
from messaging.models import Contact, Content, Message, MessageEvent, Workspace
from messaging.models.keys import uuid7
from messaging.state import Cause, Priority
from tests.factories import accept_batch, accept_message, draft, make_template, make_workspace, message, revise_template
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import Answers, MaySend
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all

EMAIL = Lane.named("email.normal")


@pytest.fixture
def workspace(db: None) -> Workspace:
    return make_workspace()


def revise(workspace: Workspace, key: UUID, **changes: object) -> Message:
    """Revise a message and give it as it became."""
    revision.revise(
        workspace_id=workspace.id,
        message_id=key,
        revision=Revision(**changes),  # type: ignore[arg-type]
        cause=Cause.API,
    )
    return selectors.message(workspace_id=workspace.id, message_id=key)


def said(row: Message) -> tuple[str, str, str]:
    rendered = selectors.rendered(message=row)
    return row.subject, rendered.body, rendered.text


def test_what_is_given_is_changed_and_the_rest_stays(workspace: Workspace):
    key = accept_message(workspace, subject="Hello", body="<p>Old</p>", text="Old", metadata={"a": 1})
    before = message(key)

    row = revise(workspace, key, text="New {{ n }}", data={"n": 3})

    assert said(row) == ("Hello", "<p>Old</p>", "New 3")
    assert (row.metadata, row.status, row.queued_at) == ({"a": 1}, "QUEUED", before.queued_at)
    assert row.content_id != before.content_id
    assert Content.objects.get(id=before.content_id).text == "Old"
    event = MessageEvent.objects.filter(message_id=key, type="revised").get()
    assert (event.status, event.cause, event.at) == ("QUEUED", "api", row.revised_at)
    assert event.detail == {"fields": ["text", "data"]}
    assert check_all() == []


def test_a_change_of_one_leaves_the_others_of_its_batch(workspace: Workspace):
    first, second = accept_batch(workspace, ["a@example.com", "b@example.com"], text="Old").ids

    revise(workspace, first, subject="Another", text="New")

    assert [said(message(key)) for key in (first, second)] == [("Another", "", "New"), ("Hello", "", "Old")]


def test_only_the_data_changes_without_another_content(workspace: Workspace):
    key = accept_message(workspace, subject="For {{ n }}", text="{{ n }}", data={"n": 1})

    row = revise(workspace, key, data={"n": 2}, metadata={"k": "v"})

    assert said(row) == ("For 2", "", "2")
    assert row.metadata == {"k": "v"}
    assert Content.objects.filter(workspace=workspace).count() == 1


def test_files_go_along(workspace: Workspace):
    file = Attachment(filename="a.txt", content=b"abc", content_type="text/plain")
    key = accept_message(workspace, attachments=(file,), headers={"X-Kind": "note"})

    row = revise(workspace, key, text="New")

    (shown,) = selectors.rendered(message=row).attachments
    assert (shown.filename, shown.size, shown.content_type) == ("a.txt", 3, "text/plain")
    assert bytes(Content.objects.get(id=row.content_id).attachments.get().data) == b"abc"
    assert Content.objects.get(id=row.content_id).headers == {"X-Kind": "note"}


def test_a_template_stays_below_what_is_changed(workspace: Workspace):
    edition = make_template(workspace, subject="Hi {{ name }}", text="Body of it")
    key = accept_message(workspace, template="welcome", subject="", text="", name="Ann")
    revise_template(edition, text="A later version")

    row = revise(workspace, key, subject="Dear {{ name }}")

    assert said(row) == ("Dear Ann", "", "Body of it")
    assert row.template_id == edition.template.id


def test_another_template_takes_the_place_of_everything_said(workspace: Workspace):
    edition = make_template(workspace, "other", subject="Other", text="Said by {{ who }}", action_type="otp")
    key = accept_message(workspace, subject="Own", text="Own")

    row = revise(workspace, key, template="other", data={"who": "us"})

    assert said(row) == ("Other", "", "Said by us")
    assert (row.template_id, row.action_type) == (edition.template.id, "otp")


def test_what_a_contact_is_called_is_filled_in(workspace: Workspace):
    person = Contact.objects.create(workspace=workspace, name="Ann", email="ann@example.com")
    accepted = intake.accept(
        workspace_id=workspace.id,
        author_id=None,
        test=False,
        draft=draft(),
        recipients=[intake.Recipient(contact_id=str(person.id))],
        batch=False,
    )

    row = revise(workspace, accepted.ids[0], text="{{ contact.name }}, {{ n }}", data={"n": 1})
    assert said(row)[2] == "Ann, 1"
    Contact.objects.filter(id=person.id).update(name="Anna")
    row = revise(workspace, accepted.ids[0], data={"n": 2})
    assert said(row)[2] == "Ann, 2"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"text": "{{ missing }}"}, ("/data", "missing_variables")),
        ({"text": "{% if %}"}, ("/text", "template_refused")),
        ({"text": ""}, ("/body", "required")),
        ({"subject": " "}, ("/subject", "required")),
        ({"template": "nothing"}, ("/template", "template_not_found")),
    ],
)
def test_what_an_accept_would_refuse_is_refused(workspace: Workspace, changes: dict[str, str], place: tuple[str, str]):
    key = accept_message(workspace)
    before = message(key)

    with pytest.raises(Invalid) as refused:
        revise(workspace, key, **changes)

    (error,) = refused.value.errors
    assert (error.pointer, error.code) == place
    after = message(key)
    assert (after.content_id, after.subject, after.revised_at) == (before.content_id, before.subject, None)


def test_a_scheduled_message_moves_in_time(workspace: Workspace):
    soon, later = (timezone.now() + timedelta(hours=hours) for hours in (1, 2))
    key = accept_message(workspace, scheduled_at=soon)

    row = revise(workspace, key, scheduled_at=later)

    assert (row.status, row.scheduled_at, row.next_attempt_at) == ("SCHEDULED", later, later)
    with pytest.raises(Invalid) as refused:
        revise(workspace, key, scheduled_at=timezone.now() - timedelta(seconds=1), subject="No")
    assert refused.value.errors[0].pointer == "/scheduled_at"
    assert message(key).subject == "Hello"
    assert check_all() == []


def test_another_priority_is_a_place_in_another_lane(workspace: Workspace):
    key = accept_message(workspace)

    row = revise(workspace, key, priority=Priority.URGENT)

    assert row.priority == Priority.URGENT
    assert claims.take(EMAIL, limit=1, group=1) is None
    assert claims.take(Lane.named("email.urgent"), limit=1, group=1) is not None


def test_what_has_a_place_in_the_queue_is_not_scheduled(workspace: Workspace):
    key = accept_message(workspace)

    with pytest.raises(TransitionRefused, match="QUEUED"):
        revise(workspace, key, subject="No", scheduled_at=timezone.now() + timedelta(hours=1))

    assert message(key).subject == "Hello"


def test_nothing_to_change_leaves_no_trace(workspace: Workspace):
    key = accept_message(workspace)

    assert revise(workspace, key).revised_at is None
    assert MessageEvent.objects.filter(message_id=key).count() == 1


def test_what_is_not_there_is_not_found(workspace: Workspace):
    deleted = accept_message(workspace)
    control.delete(workspace_id=workspace.id, message_id=deleted, cause=Cause.API)

    for key in (uuid7(), accept_message(make_workspace("Other")), deleted):
        with pytest.raises(NotFound):
            revise(workspace, key, subject="No")


def test_what_is_being_sent_or_has_ended_is_refused(workspace: Workspace):
    cancelled = accept_message(workspace)
    control.cancel(workspace_id=workspace.id, message_id=cancelled, cause=Cause.API)
    held = accept_message(workspace)
    claims.take(EMAIL, limit=1, group=1)

    for key, status in ((cancelled, "CANCELLED"), (held, "SENDING")):
        with pytest.raises(TransitionRefused, match=status):
            revise(workspace, key, subject="No")


@pytest.mark.usefixtures("transactional_db")
def test_a_message_goes_out_as_it_was_or_as_it_became(install: Install):
    workspace = make_workspace()
    sent: dict[UUID, list[tuple[str, str]]] = {}

    def note(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
        for each in batch:
            sent.setdefault(each.id, []).append((each.subject, each.text))
            yield each.id, Accepted()

    install(note)
    for _ in range(15):
        key = accept_message(workspace, subject="Old", text="Old")

        def change(key: UUID = key) -> None:
            revise(workspace, key, subject="New", text="New")

        refused, _ = at_once(change, lambda: delivery.deliver(EMAIL))
        delivery.deliver(EMAIL)

        wanted = "New" if refused is None else "Old"
        assert refused is None or isinstance(refused, TransitionRefused)
        assert message(key).status == "SENT"
        assert sent[key] == [(wanted, wanted)]
    assert check_all() == []


def test_other_channels_are_held_to_what_they_carry(workspace: Workspace):
    key = accept_message(workspace, "+12025550100", channel=Channel.SMS, subject="")

    with pytest.raises(Invalid) as refused:
        revise(workspace, key, subject="No")

    assert [(error.pointer, error.code) for error in refused.value.errors] == [("/subject", "not_carried")]
