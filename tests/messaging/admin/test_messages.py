"""Operators find messages, read them and move them, page by page through the real site."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from channels_app.types import Attachment, Channel, Media
from messaging.admin import base, messages
from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.models import Claim, Message
from messaging.models.keys import uuid7
from messaging.state import Cause, Priority, Status
from tests.factories import accept_batch, accept_message, make_user, make_workspace, message

LIST = reverse("admin:messaging_message_changelist")
ATTACK = "<script>alert('x')</script>"
ESCAPED = "&lt;script&gt;"


def page(key: UUID) -> str:
    return reverse("admin:messaging_message_change", args=[key])


def listed(client: Client, **query: Any) -> set[UUID]:
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


def act(client: Client, action: str, *keys: UUID, **more: Any) -> Any:
    return client.post(LIST, {"action": action, "_selected_action": list(keys), **more}, follow=True)


def told(answer: Any) -> list[str]:
    return [str(each) for each in answer.context["messages"]]


def fail(key: UUID) -> None:
    moves = [Move(id=key, to=Status.FAILED, code="gone", error="it is gone")]
    assert transitions.advance_many(moves, cause=Cause.WORKER) == {key}


def hold(key: UUID) -> Claim:
    claim_id = uuid7()
    row = message(key)
    claimed = transitions.claim_many(
        claim_id=claim_id,
        worker="email@here",
        channel=row.channel,
        priority=Priority(row.priority),
        shares={row.workspace_id: 1},
        group=1,
        lease=60.0,
    )
    assert [each.id for each in claimed] == [key]
    return Claim.objects.get(pk=claim_id)


def test_the_list_shows_every_message_newest_first(operator: Client) -> None:
    workspace = make_workspace("Acme")
    keys = accept_batch(workspace, ["ann@example.com", "bob@example.com"]).ids
    answer = operator.get(LIST)
    assert [row.pk for row in answer.context["cl"].result_list] == sorted(keys, reverse=True)
    text = answer.content.decode()
    for shown in ("ann@example.com", "Hello", "Acme", "normal", "QUEUED", "delete_selected"):
        assert (shown in text) is (shown != "delete_selected")


def test_filters_narrow_the_list(operator: Client) -> None:
    workspace = make_workspace()
    plain = accept_message(workspace)
    urgent = accept_message(workspace, "+12025550123", channel=Channel.SMS, subject="", priority=Priority.URGENT)
    tested = accept_message(workspace, test=True)
    fail(tested)
    assert listed(operator, status__exact="FAILED") == {tested}
    assert listed(operator, channel__exact="sms") == {urgent}
    assert listed(operator, priority__exact="0") == {urgent}
    assert listed(operator, test__exact="1") == {tested}
    assert listed(operator, created="hour") == {plain, urgent, tested}
    assert listed(operator, workspace__id__exact=str(workspace.id)) == {plain, urgent, tested}
    assert listed(operator, workspace__id__exact=str(uuid7())) == set()


def test_search_knows_whole_ids_recipients_and_provider_ids(operator: Client) -> None:
    workspace = make_workspace()
    batch = accept_batch(workspace, ["ann@example.com", "bob@example.com"])
    first, second = batch.ids
    moves = [Move(id=first, to=Status.SENT, provider="smtp", provider_message_id="abc@mx")]
    claim = hold(first)
    assert transitions.flush_many(moves, claim_id=claim.id, mark=1) == {first}
    assert listed(operator, q=str(first)) == {first}
    assert listed(operator, q=str(batch.batch_id)) == {first, second}
    assert listed(operator, q="ann@EXAMPLE.com") == {first}
    assert listed(operator, q="abc@mx") == {first}
    for part in ("ann", "example", "abc", "%", str(uuid7())):
        assert listed(operator, q=part) == set()


def test_search_never_looks_for_parts_of_a_text(operator: Client) -> None:
    accept_message(make_workspace())
    with CaptureQueriesContext(
        connection,
    ) as queries:
        operator.get(LIST, {"q": "ann@example.com"})
    statements = [query["sql"] for query in queries if "messaging_message" in query["sql"]]
    assert statements
    assert not any(" LIKE " in sql or "UPPER(" in sql for sql in statements)


def test_counting_stops_at_the_bound(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BOUND", 3)
    accept_batch(make_workspace(), [f"a{number}@example.com" for number in range(8)])
    rows = Message.objects.order_by("-id")
    paginator = base.EstimatingPaginator(rows, 2)
    assert paginator.count > 3
    assert paginator.num_pages == 2
    with CaptureQueriesContext(connection) as queries:
        operator.get(LIST)
    counts = [query["sql"] for query in queries if "COUNT(*)" in query["sql"] and "messaging_message" in query["sql"]]
    assert counts
    assert all("LIMIT" in sql for sql in counts)


def test_media_are_shown_on_the_pages_of_the_message_and_of_its_content(operator: Client) -> None:
    media = Media(url="https://files.example/a.png", caption=ATTACK)
    key = accept_message(make_workspace(), "+12025550100", channel=Channel.WHATSAPP, subject="", text="Hi", media=media)
    content = reverse("admin:messaging_content_change", args=[message(key).content_id])
    for path in (page(key), content):
        text = operator.get(path).content.decode()
        assert "https://files.example/a.png" in text
        assert ESCAPED in text
        assert ATTACK not in text


def test_the_page_of_a_message_tells_its_story(operator: Client) -> None:
    key = accept_message(
        make_workspace("Acme"),
        "ann@example.com",
        name="Ann",
        body="<p>Dear {{ name }}</p>",
        text="Dear {{ name }}",
        data={"order": 7},
        metadata={"trace": "t-1"},
        attachments=(Attachment(filename="bill.pdf", content=b"12345", content_type="application/pdf"),),
    )
    claim = hold(key)
    answer = operator.get(page(key))
    text = answer.content.decode()
    assert "&lt;p&gt;Dear Ann&lt;/p&gt;" in text
    assert "bill.pdf (application/pdf, 5 bytes)" in text
    assert reverse("admin:messaging_claim_change", args=[claim.pk]) in text
    assert "A worker holds it for attempt 1" in text
    assert "The worker is email@here." in text
    assert "t-1" in text
    inline = answer.context["inline_admin_formsets"][0]
    assert [form.instance.type for form in inline.formset.forms] == ["queued", "sending"]
    assert 'name="_save"' not in text


def test_nothing_that_a_caller_wrote_becomes_markup(operator: Client) -> None:
    key = accept_message(
        make_workspace(),
        name=ATTACK,
        subject=ATTACK,
        body=ATTACK,
        text=ATTACK,
        data={"x": ATTACK},
        metadata={ATTACK: ATTACK},
        attachments=(Attachment(filename="<img src=x>.txt", content=b"1", content_type="text/plain"),),
    )
    moves = [Move(id=key, to=Status.FAILED, code="no", error=ATTACK, detail={"reply": ATTACK})]
    assert transitions.advance_many(moves, cause=Cause.WORKER) == {key}
    content = reverse("admin:messaging_content_change", args=[message(key).content_id])
    for address in (LIST, page(key), content, reverse("admin:messaging_content_changelist")):
        text = operator.get(address).content.decode()
        assert ATTACK not in text
        assert "<script>alert" not in text
        assert "<img src=x>" not in text
        assert ESCAPED in text


def test_a_message_whose_content_is_gone_still_has_a_page(operator: Client) -> None:
    key = accept_message(make_workspace())
    Message.objects.get(pk=key)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM messaging_content")
    answer = operator.get(page(key))
    assert answer.status_code == 200
    assert "its content is not kept any more" in answer.content.decode()


def test_retry_moves_what_failed_and_tells_of_the_rest(operator: Client) -> None:
    workspace = make_workspace()
    failed, waiting = accept_message(workspace), accept_message(workspace)
    fail(failed)
    answer = act(operator, "retry", failed, waiting)
    assert told(answer) == ["1 message queued again.", "1 message refused: neither FAILED nor BOUNCED."]
    assert message(failed).status == Status.QUEUED
    assert message(failed).max_attempts == message(failed).attempts + 3
    assert message(failed).events.last().cause == Cause.OPERATOR
    assert LogEntry.objects.get().object_id == str(failed)


def test_cancel_moves_what_waits_and_tells_of_the_rest(operator: Client) -> None:
    workspace = make_workspace()
    held = accept_message(workspace)
    hold(held)
    waiting, failed = accept_message(workspace), accept_message(workspace)
    fail(failed)
    answer = act(operator, "cancel", waiting, failed, held)
    assert told(answer) == ["1 message cancelled.", "2 messages refused: neither SCHEDULED nor QUEUED."]
    assert message(waiting).status == Status.CANCELLED
    assert message(held).status == Status.SENDING
    assert message(failed).status == Status.FAILED


def test_an_action_reaches_every_match_when_asked_to(operator: Client) -> None:
    keys = accept_batch(make_workspace(), [f"a{number}@example.com" for number in range(5)]).ids
    answer = act(operator, "cancel", keys[0], select_across="1")
    assert told(answer) == ["5 messages cancelled."]


def test_an_action_on_too_many_moves_none(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "LARGEST_ACTION", 2)
    keys = accept_batch(make_workspace(), [f"a{number}@example.com" for number in range(3)]).ids
    answer = act(operator, "cancel", *keys)
    assert told(answer) == ["More than 2 messages are selected: narrow the list. Nothing was moved."]
    assert {message(key).status for key in keys} == {Status.QUEUED}


def test_the_page_offers_what_the_state_allows_and_comes_back(operator: Client) -> None:
    key = accept_message(make_workspace())
    text = operator.get(page(key)).content.decode()
    assert 'value="cancel"' in text
    assert 'value="retry"' not in text
    answer = act(operator, "cancel", key, from_page="1")
    assert answer.redirect_chain == [(page(key), 302)]
    assert told(answer) == ["1 message cancelled."]
    assert 'value="cancel"' not in answer.content.decode()


def test_who_may_only_look_is_offered_no_actions(db: None) -> None:
    key = accept_message(make_workspace())
    reader = make_user(is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_message"))
    client = Client()
    client.force_login(reader)
    assert client.get(LIST).status_code == 200
    text = client.get(page(key)).content.decode()
    assert "timeline" in text.lower()
    assert 'value="cancel"' not in text
    act(client, "cancel", key)
    assert message(key).status == Status.QUEUED


def test_messages_are_neither_made_nor_edited_nor_deleted_here(operator: Client) -> None:
    key = accept_message(make_workspace())
    assert operator.get(reverse("admin:messaging_message_add")).status_code == 403
    assert operator.post(page(key), {"status": "SENT"}).status_code == 403
    assert operator.post(reverse("admin:messaging_message_delete", args=[key]), {"post": "yes"}).status_code == 403
    assert message(key).status == Status.QUEUED


def test_the_lanes_are_shown_to_who_is_logged_in(operator: Client) -> None:
    accept_message(make_workspace())
    address = reverse("admin:messaging_message_lanes")
    text = operator.get(address).content.decode()
    assert "email.normal" in text
    assert text.count("<tr>") == 9
    assert address in operator.get(reverse("admin:index")).content.decode()
    assert Client().get(address).status_code == 302
