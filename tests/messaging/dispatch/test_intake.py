"""What is accepted, what is refused, and that both are whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from channels_app.types import Attachment, Channel
from messaging.dispatch import intake, providers
from messaging.dispatch.intake import Acceptance, Recipient
from messaging.errors import Invalid
from messaging.models import Attachment as StoredAttachment
from messaging.models import Batch, Content, Message, MessageEvent, Workspace
from messaging.state import Priority
from tests.factories import accept_batch, accept_message, draft, make_user, make_workspace, message
from tests.messaging.dispatch.test_claims import at_once
from tests.messaging.invariants import check_all

pytestmark = pytest.mark.django_db

ODD = "tab\tand\\backslash, \\N, “quotes”, {braces}, 日本, \u200f, 👩‍🚀"


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def accept(workspace: Workspace, *recipients: Recipient, batch: bool = True, test: bool = False, **fields: Any):
    return intake.accept(
        workspace_id=workspace.id, author_id=None, test=test, draft=draft(**fields), recipients=recipients, batch=batch
    )


def refused(workspace: Workspace, *recipients: Recipient, batch: bool = False, **fields: Any) -> list[tuple[str, str]]:
    """The places and codes of a refusal, after which nothing is stored."""
    with pytest.raises(Invalid) as caught:
        accept(workspace, *(recipients or [Recipient(to="ann@example.com")]), batch=batch, **fields)
    assert [model.objects.count() for model in (Message, MessageEvent, Content, Batch)] == [0, 0, 0, 0]
    return [(error.pointer, error.code) for error in caught.value.errors]


class TestOneMessage:
    def test_it_is_queued_and_due_at_once(self, workspace: Workspace):
        key = accept_message(workspace, name="Ann", metadata={"order": 7})

        row = message(key)
        assert (row.status, row.channel, row.recipient, row.name) == ("QUEUED", "email", "ann@example.com", "Ann")
        assert (row.attempts, row.max_attempts, row.priority, row.batch_id) == (0, 3, Priority.NORMAL, None)
        assert row.metadata == {"order": 7}
        assert row.created_at == row.queued_at == row.next_attempt_at
        event = row.events.get()
        assert (event.type, event.status, event.cause, event.at) == ("queued", "QUEUED", "api", row.created_at)
        assert check_all() == []

    def test_it_is_scheduled_where_the_draft_says_when(self, workspace: Workspace):
        at = timezone.now() + timedelta(days=1)

        key = accept_message(workspace, scheduled_at=at)

        row = message(key)
        assert (row.status, row.queued_at, row.next_attempt_at, row.scheduled_at) == ("SCHEDULED", None, at, at)
        assert row.events.get().type == "scheduled"
        assert check_all() == []

    def test_its_subject_is_rendered_and_its_body_is_kept_as_a_template(self, workspace: Workspace):
        key = accept_message(workspace, subject="Dear {{ name }}", text="{{ code }}", name="Ann", data={"code": 5})

        row = message(key)
        assert (row.subject, row.data) == ("Dear Ann", {"code": 5})
        content = Content.objects.get(pk=row.content_id)
        assert (content.subject, content.text) == ("Dear {{ name }}", "{{ code }}")

    def test_its_files_are_kept_with_its_content(self, workspace: Workspace):
        file = Attachment(filename="a.txt", content=b"\x00\xff", content_type="text/plain", content_id="logo")

        key = accept_message(workspace, attachments=(file,))

        stored = StoredAttachment.objects.get(content_id=message(key).content_id)
        assert (stored.filename, bytes(stored.data), stored.size, stored.inline_id) == ("a.txt", b"\x00\xff", 2, "logo")

    def test_nothing_remains_of_an_accept_that_was_rolled_back(self, workspace: Workspace):
        with transaction.atomic():
            accept_message(workspace)
            transaction.set_rollback(True)

        assert (Message.objects.count(), MessageEvent.objects.count(), Content.objects.count()) == (0, 0, 0)


class TestBatch:
    def test_those_that_pass_are_taken_and_the_others_told_by_their_place(self, workspace: Workspace):
        accepted = accept_batch(workspace, ["a@example.com", "nonsense", "b@example.com", ""])

        assert [(one.index, one.code) for one in accepted.rejected] == [
            (1, "invalid_recipient"),
            (3, "required"),
        ]
        assert [message(key).recipient for key in accepted.ids] == ["a@example.com", "b@example.com"]
        batch = Batch.objects.get()
        assert (batch.id, batch.accepted, batch.rejected) == (accepted.batch_id, 2, 2)
        assert check_all() == []

    def test_one_content_is_shared_by_all(self, workspace: Workspace):
        accept_batch(workspace, [f"p{number}@example.com" for number in range(10)])

        assert Content.objects.count() == 1
        assert Message.objects.values("content_id").distinct().count() == 1

    def test_keys_are_in_the_order_of_the_recipients(self, workspace: Workspace):
        accepted = accept_batch(workspace, [f"p{number}@example.com" for number in range(500)])

        assert accepted.ids == sorted(accepted.ids)
        assert [row.recipient for row in Message.objects.order_by("id")] == [
            f"p{number}@example.com" for number in range(500)
        ]
        assert check_all() == []

    def test_a_batch_of_one_is_a_batch(self, workspace: Workspace):
        accepted = accept_batch(workspace, ["a@example.com"])

        assert message(accepted.ids[0]).batch_id == accepted.batch_id

    def test_when_nobody_passes_nothing_is_stored(self, workspace: Workspace):
        places = refused(workspace, Recipient(to="x"), Recipient(to="y"), batch=True)

        assert places == [("/recipients/0/to", "invalid_recipient"), ("/recipients/1/to", "invalid_recipient")]

    def test_one_message_and_many_are_stored_alike(self, workspace: Workspace):
        """They take different roads into the database, whatever the text."""
        author = make_user()
        at = timezone.now() + timedelta(days=1)
        one = Recipient(to="ann@example.com", name=ODD.replace("\t", " "), data={ODD: [ODD, 1.5, None, True]},
                        metadata={ODD: ODD})  # fmt: skip
        fields = {"category": "news", "language": "de", "on_unknown": "resend", "scheduled_at": at,
                  "expires_at": at + timedelta(days=1), "priority": Priority.BULK}  # fmt: skip

        def taken(count: int, *, batch: bool = True) -> Acceptance:
            return intake.accept(
                workspace_id=workspace.id, author_id=author.id, test=True, draft=draft(**fields),
                recipients=[one] * count, batch=batch,
            )  # fmt: skip

        accepted = [taken(1, batch=False), taken(1), taken(2)]
        rows = [Message.objects.values().get(pk=each.ids[0]) for each in accepted]
        said = [Content.objects.values().get(pk=row["content_id"]) for row in rows]
        events = [MessageEvent.objects.values().get(message_id=row["id"]) for row in rows]

        told = accepted[0].message
        assert told is not None
        assert {name: getattr(told, name) for name in rows[0]} == rows[0]
        for row in (*rows, *said, *events):
            assert row.pop("id") is not None
            for own in ("content_id", "batch_id", "created_at", "message_id", "at"):
                row.pop(own, None)
        assert rows[0] == rows[1] == rows[2]
        assert said[0] == said[1] == said[2]
        assert events[0] == events[1] == events[2]
        assert rows[0]["data"] == {ODD: [ODD, 1.5, None, True]}
        assert (rows[0]["name"], rows[0]["metadata"]) == (ODD.replace("\t", " "), {ODD: ODD})
        assert check_all() == []


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "places"),
        [
            ({"subject": " "}, [("/subject", "required")]),
            ({"text": ""}, [("/body", "required")]),
            ({"subject": "a\r\nBcc: x@example.com"}, [("/subject", "control_character")]),
            ({"category": ""}, [("/category", "length")]),
            ({"language": "x" * 101}, [("/language", "length")]),
            ({"text": "{{ open"}, [("/text", "template_refused")]),
            ({"sender": "not an address"}, [("/from", "invalid_message")]),
        ],
    )
    def test_what_all_share_is_checked_first(self, workspace: Workspace, fields: dict[str, Any], places: list[Any]):
        assert refused(workspace, **fields) == places

    def test_every_place_is_told_at_once(self, workspace: Workspace):
        places = refused(workspace, subject="", text="", category="")

        assert {pointer for pointer, _ in places} == {"/subject", "/body", "/category"}

    def test_a_channel_refuses_what_it_does_not_carry(self, workspace: Workspace):
        places = refused(
            workspace, Recipient(to="+12025550199"), channel=Channel.SMS, cc=("a@example.com",), subject="Hello"
        )

        assert places == [("/subject", "not_carried"), ("/cc", "not_carried")]

    def test_a_channel_refuses_more_files_than_it_carries(self, workspace: Workspace):
        file = Attachment(filename="a.txt", content=b"a", content_type="text/plain")

        def places(count: int) -> list[Any]:
            return refused(workspace, Recipient(to="7"), channel=Channel.TELEGRAM, attachments=(file,) * count, text="")

        assert places(1) == [("/body", "required")]
        assert places(2) == [("/body", "required"), ("/attachments", "too_many")]

    def test_times_that_have_passed_are_refused(self, workspace: Workspace):
        past = timezone.now() - timedelta(seconds=1)

        assert refused(workspace, scheduled_at=past) == [("/scheduled_at", "in_the_past")]
        assert refused(workspace, expires_at=past) == [("/expires_at", "in_the_past")]

    def test_a_message_cannot_expire_before_it_is_sent(self, workspace: Workspace):
        at = timezone.now() + timedelta(hours=1)

        assert refused(workspace, scheduled_at=at, expires_at=at) == [("/expires_at", "in_the_past")]

    def test_missing_variables_are_named(self, workspace: Workspace):
        assert refused(workspace, text="{{ code }}") == [("/data", "missing_variables")]

    def test_a_line_break_in_a_name_is_refused(self, workspace: Workspace):
        places = refused(workspace, Recipient(to="ann@example.com", name="Ann\r\nBcc: x@example.com"))

        assert places == [("/name", "control_character")]

    def test_a_channel_without_a_provider_says_so_but_for_tests(self, workspace: Workspace, settings):
        settings.CHANNELS = {**settings.CHANNELS, "email": []}
        providers.registry.cache_clear()
        try:
            assert refused(workspace) == [("/channel", "provider_not_configured")]
            assert message(accept_message(workspace, test=True)).status == "QUEUED"
        finally:
            providers.registry.cache_clear()


class TestExplaining:
    def test_it_tells_what_would_happen_and_stores_nothing(self, workspace: Workspace):
        told = intake.explain(
            workspace_id=workspace.id,
            test=True,
            draft=draft(subject="Hi {{ name }}", text="{{ n }}", priority=Priority.URGENT),
            recipient=Recipient(to="Ann@Example.com", name="Ann", data={"n": 3}),
        )

        assert (told["lane"], told["provider"], told["status"]) == ("email.urgent", "sandbox", "QUEUED")
        assert (told["subject"], told["text"], told["max_attempts"]) == ("Hi Ann", "3", 3)
        assert Message.objects.count() == 0

    def test_it_refuses_what_would_be_refused(self, workspace: Workspace):
        recipient = Recipient(to="ann@example.com")
        with pytest.raises(Invalid):
            intake.explain(workspace_id=workspace.id, test=True, draft=draft(text=""), recipient=recipient)


@pytest.mark.usefixtures("transactional_db")
def test_accepts_at_the_same_moment_are_all_stored():
    workspace = make_workspace()
    people = [f"p{number}@example.com" for number in range(50)]

    accepted = at_once(*[lambda: accept_batch(workspace, people)] * 4)

    assert len({key for one in accepted for key in one.ids}) == Message.objects.count() == 200
    assert check_all() == []
