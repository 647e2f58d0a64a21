"""Encrypted messages on their way: they arrive in clear, and the database never holds a word of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from channels_app.types import Accepted, Attachment, Media, MediaKind, OutboundMessage
from messaging.content import contents, encryption
from messaging.content.parts import Parts
from messaging.content.sealing import seal_content
from messaging.dispatch import delivery
from messaging.dispatch.queue import Lane
from messaging.dispatch.revision import Revision, revise
from messaging.models import Attachment as AttachmentRow
from messaging.models import Content, Message, MessageEvent, Workspace, WorkspaceKey
from messaging.state import Cause
from tests.factories import accept_batch, accept_message, make_template, make_workspace, message
from tests.messaging.api.callers import make_caller, read
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import Answers, MaySend, accept_all
from tests.messaging.invariants import check_all

pytestmark = pytest.mark.usefixtures("transactional_db", "keys")

EMAIL = Lane.named("email.normal")
KEY = bytes(range(32))


@pytest.fixture
def keys(settings: Settings) -> Iterator[None]:
    settings.DISPATCH_KEYS = {"k1": KEY}
    _forget()
    yield
    _forget()


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def _forget() -> None:
    """As a process that just started."""
    encryption.forget()
    contents._kept.clear()


def seen(install: Install) -> dict[str, OutboundMessage]:
    """What goes out, by address; everything is accepted."""
    found: dict[str, OutboundMessage] = {}

    def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
        for outbound in batch:
            found[outbound.address] = outbound
            yield outbound.id, Accepted()

    install(script)
    return found


def stored() -> str:
    """Every value of every table as text, bytes as hexadecimals."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        )
        tables = [row[0] for row in cursor.fetchall()]
        assert "messaging_message" in tables
        values = []
        for table in tables:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM \"{table}\" t")  # noqa: S608
            values.append(cursor.fetchone()[0])
    return "\n".join(values).lower()


def assert_nowhere(*words: str) -> None:
    everything = stored()
    for word in words:
        raw = word.encode()
        for form in (word, raw.hex(), base64.b64encode(raw).decode().rstrip("=")[:-1]):
            assert form.lower() not in everything, word


def test_the_search_finds_what_is_not_encrypted(workspace: Workspace) -> None:
    accept_message(workspace, subject="Plainsubject", attachments=(_file("plain.txt", b"plainbytes"),))
    everything = stored()
    assert "plainsubject" in everything
    assert b"plainbytes".hex() in everything


def _file(filename: str, content: bytes) -> Attachment:
    return Attachment(filename=filename, content=content, content_type="text/plain")


def _break(content: Content) -> None:
    """Let a content say what the accept would have refused, so that its render fails at delivery."""
    sealer = encryption.Sealer(content.workspace_id)
    parts = Parts(subject="", body="", text="Nadeltext {{ code | divided_by: 0 }}")
    Content.objects.filter(id=content.id).update(sealed=seal_content(sealer, parts, {}, {}, row=content.id))


SEND: dict[str, Any] = {
    "channel": "email",
    "to": "ann@example.com",
    "name": "Nadelname Ann",
    "subject": "Nadelsubject {{ code }}",
    "body": "<p>Nadelbody {{ code }}</p>",
    "text": "Nadeltext {{ code }} {{ order.nadelfield }}",
    "data": {"code": "Nadeldata-421", "order": {"nadelfield": "Nadeldeep"}},
    "headers": {"X-Order": "Nadelheader"},
    "attachments": [
        {
            "filename": "nadelfile.txt",
            "content": base64.b64encode(b"Nadelbytes of the file").decode(),
            "content_type": "text/plain",
            "content_id": "nadelinline",
        }
    ],
}
NEEDLES = (
    "nadelname", "nadelsubject", "nadelbody", "nadeltext", "nadeldata", "nadelfield", "nadeldeep", "nadelheader",
    "nadelfile", "Nadelbytes of the file", "nadelinline", "nadeltemplatedata", "nadelfailed", "nadelbatch",
)  # fmt: skip


@pytest.mark.parametrize("whole", [False, True], ids=["by message", "whole workspace"])
def test_no_word_of_an_encrypted_message_is_in_the_database(install: Install, whole: bool) -> None:
    found = seen(install)
    caller = make_caller()
    flag = {} if whole else {"encrypted": True}
    Workspace.objects.filter(id=caller.workspace.id).update(encrypted=whole)
    make_template(caller.workspace, "order", subject="Order {{ code }}", text="Thanks {{ code }}")

    first = read(caller.post("/api/v1/messages", {**SEND, **flag}, Idempotency_Key="once"), 202)
    again = read(caller.post("/api/v1/messages", {**SEND, **flag}, Idempotency_Key="once"), 202)
    templated = {
        "channel": "email",
        "to": "bob@example.com",
        "template": "order",
        "data": {"code": "Nadeltemplatedata"},
    }
    read(caller.post("/api/v1/messages", {**templated, **flag}, Idempotency_Key="second"), 202)
    failing = {**SEND, "to": "cy@example.com", "data": {**SEND["data"], "code": "Nadelfailed"}}
    failed = read(caller.post("/api/v1/messages", {**failing, **flag}), 202)
    _break(Content.objects.get(id=message(failed["id"]).content_id))
    batch = {
        **{name: SEND[name] for name in ("channel", "subject", "body", "text", "headers", "attachments")},
        "recipients": [
            {"to": f"p{n}@example.com", "name": "Nadelbatch", "data": {**SEND["data"], "code": f"Nadelbatch{n}"}}
            for n in range(3)
        ],
    }
    many = read(caller.post("/api/v1/messages/batch", {**batch, **flag}, Idempotency_Key="third"), 202)
    scheduled = read(caller.post("/api/v1/messages", {**SEND, **flag, "scheduled_at": "2099-01-01T00:00:00Z"}), 202)
    assert_nowhere(*NEEDLES)

    assert delivery.deliver(EMAIL) == 6
    assert_nowhere(*NEEDLES)
    assert again == first
    assert message(failed["id"]).error_code == "render_failed"
    out = found["ann@example.com"]
    assert (out.name, out.subject, out.html) == (
        "Nadelname Ann",
        "Nadelsubject Nadeldata-421",
        "<p>Nadelbody Nadeldata-421</p>",
    )
    assert out.text == "Nadeltext Nadeldata-421 Nadeldeep"
    assert dict(out.shared.headers) == {"X-Order": "Nadelheader"}
    (file,) = out.shared.attachments
    assert (file.filename, file.content, file.content_id) == ("nadelfile.txt", b"Nadelbytes of the file", "nadelinline")
    assert found["bob@example.com"].subject == "Order Nadeltemplatedata"
    assert found["p2@example.com"].text == "Nadeltext Nadelbatch2 Nadeldeep"
    assert len(many["ids"]) == 3
    assert read(caller.get(f"/api/v1/messages/{scheduled['id']}"))["subject"] == "Nadelsubject Nadeldata-421"
    assert check_all() == []


def test_encrypted_media_goes_out_in_clear_and_no_word_of_it_is_in_the_database() -> None:
    caller = make_caller()
    media = {
        "url": "https://files.example/nadelurl.png",
        "type": "image",
        "caption": "Nadelcaption",
        "filename": "nadelfile.png",
    }
    send = {"channel": "whatsapp", "to": "+12025550100", "text": "Hush", "media": media, "encrypted": True}
    sent = read(caller.post("/api/v1/messages", send), 202)
    assert sent["media"] == media
    assert delivery.deliver(Lane.named("whatsapp.normal")) == 1
    assert_nowhere("nadelurl", "nadelcaption", "nadelfile")
    shared = contents.load(message(sent["id"]).content_id, html=False).shared
    assert shared.media == Media(
        url=media["url"], type=MediaKind.IMAGE, caption="Nadelcaption", filename="nadelfile.png"
    )
    assert read(caller.get(f"/api/v1/messages/{sent['id']}"))["media"] == media


def test_a_corrupted_row_fails_alone(workspace: Workspace, install: Install) -> None:
    install(accept_all, batch=500, group=100)
    accepted = accept_batch(workspace, [f"p{n}@example.com" for n in range(200)], text="Hi {{ to }}", encrypted=True)
    sick = accepted.ids[77]
    sealed = bytearray(message(sick).sealed or b"")
    sealed[-1] ^= 1
    Message.objects.filter(id=sick).update(sealed=bytes(sealed))

    assert delivery.deliver(EMAIL) == 200

    assert Message.objects.filter(status="SENT").count() == 199
    failed = Message.objects.get(status="FAILED")
    assert (failed.id, failed.error_code) == (sick, "encryption_failed")
    event = MessageEvent.objects.get(message_id=sick, type="failed")
    assert event.detail == {"code": "encryption_failed", "error": "the stored value does not open with its key"}
    assert check_all() == []


def test_what_was_sealed_for_another_message_or_workspace_is_not_sent(workspace: Workspace, install: Install) -> None:
    found = seen(install)
    other = make_workspace()
    first, second, third = (
        accept_message(place, f"p{n}@example.com", subject=f"Secret {n}", encrypted=True)
        for n, place in enumerate((workspace, workspace, other))
    )
    Message.objects.filter(id=first).update(sealed=message(second).sealed)
    Message.objects.filter(id=third).update(sealed=message(second).sealed)

    assert delivery.deliver(EMAIL) == 3

    assert set(found) == {"p1@example.com"}
    assert [message(key).error_code for key in (first, third)] == ["encryption_failed"] * 2


def test_content_and_files_of_another_row_are_not_sent(workspace: Workspace, install: Install) -> None:
    found = seen(install)
    first, second, third, fourth = (
        accept_message(workspace, f"p{n}@example.com", text=f"Secret {n}", encrypted=True,
                       attachments=(_file(f"{n}.txt", b"%d" % n),))
        for n in range(4)
    )  # fmt: skip
    contents_of = {key: Content.objects.get(id=message(key).content_id) for key in (first, second, third, fourth)}
    Content.objects.filter(id=contents_of[first].id).update(sealed=contents_of[second].sealed)
    foreign = AttachmentRow.objects.get(content=contents_of[second])
    AttachmentRow.objects.filter(content=contents_of[third]).update(data=foreign.data)

    assert delivery.deliver(EMAIL) == 4

    assert set(found) == {"p1@example.com", "p3@example.com"}
    assert {message(key).error_code for key in (first, third)} == {"encryption_failed"}


def test_a_message_waits_for_a_platform_key_that_this_worker_was_not_given(
    workspace: Workspace, install: Install, settings: Settings
) -> None:
    found = seen(install)
    key = accept_message(workspace, encrypted=True)
    settings.DISPATCH_KEYS = {"k2": bytes(range(32, 64))}
    _forget()

    assert delivery.deliver(EMAIL) == 1

    row = message(key)
    assert (row.status, row.error_code, row.attempts) == ("QUEUED", "encryption_failed", 0)
    settings.DISPATCH_KEYS = {"k1": KEY}
    Message.objects.filter(id=key).update(next_attempt_at=row.created_at)
    assert delivery.deliver(EMAIL) == 1
    assert (message(key).status, set(found)) == ("SENT", {"ann@example.com"})


def test_messages_accepted_before_a_rotation_are_sent_after_it(
    workspace: Workspace, install: Install, settings: Settings
) -> None:
    found = seen(install)
    accept_message(workspace, "old@example.com", subject="Old", encrypted=True)
    settings.DISPATCH_KEYS = {"k2": bytes(range(32, 64)), "k1": KEY}
    encryption.renew_all()
    encryption.rewrap()
    accept_message(workspace, "new@example.com", subject="New", encrypted=True)
    settings.DISPATCH_KEYS = {"k2": bytes(range(32, 64))}
    _forget()

    assert delivery.deliver(EMAIL) == 2

    assert {address: out.subject for address, out in found.items()} == {
        "old@example.com": "Old",
        "new@example.com": "New",
    }
    assert WorkspaceKey.objects.count() == 2


def test_plain_and_encrypted_messages_go_out_together(workspace: Workspace, install: Install) -> None:
    found = seen(install)
    for n in range(6):
        accept_message(workspace, f"p{n}@example.com", subject=f"Number {n}", encrypted=n % 2 == 0)
    assert delivery.deliver(EMAIL) == 6
    assert {out.subject for out in found.values()} == {f"Number {n}" for n in range(6)}
    assert Message.objects.filter(sealed=None).count() == 3


def test_what_a_batch_seals_is_what_copy_wrote(workspace: Workspace) -> None:
    """Bytes of every value pass through COPY's text format."""
    data = {"bytes": "".join(map(chr, range(1, 256)))}
    body = json.dumps(data)
    accepted = accept_batch(workspace, [f"p{n}@example.com" for n in range(300)], text=body, encrypted=True)
    rows = Message.objects.filter(id__in=accepted.ids)
    for row in rows:
        opened = encryption.unseal(bytes(row.sealed or b""), workspace_id=workspace.id, table="message", row=row.id)
        assert opened == {"name": "", "subject": "Hello", "data": None}
    assert {(row.name, row.subject, row.data) for row in rows} == {("", "", None)}


@pytest.mark.parametrize("whole", [False, True], ids=["by message", "whole workspace"])
def test_what_is_revised_is_encrypted_again(workspace: Workspace, install: Install, whole: bool) -> None:
    """A message that was, and any message of a workspace that came to encrypt everything."""
    found = seen(install)
    file = _file("nadelfile.txt", b"Nadelbytes") if not whole else _file("plain.txt", b"bytes")
    key = accept_message(
        workspace,
        text="Plain" if whole else "Nadelold",
        headers={"X-Order": "a" if whole else "Nadelheader"},
        attachments=(file,),
        encrypted=not whole,
    )
    Workspace.objects.filter(id=workspace.id).update(encrypted=whole)

    change = Revision(subject="Nadelsubject {{ code }}", text="Nadeltext {{ code }}", data={"code": "Nadeldata"})
    revise(workspace_id=workspace.id, message_id=key, revision=change, cause=Cause.API)

    assert message(key).sealed is not None
    assert_nowhere("nadelsubject", "nadeltext", "nadeldata", "nadelold", "nadelheader", "nadelfile", "Nadelbytes")
    delivery.deliver(EMAIL)
    out = found["ann@example.com"]
    assert (out.subject, out.text) == ("Nadelsubject Nadeldata", "Nadeltext Nadeldata")
    assert [(each.filename, each.content) for each in out.shared.attachments] == [(file.filename, file.content)]
    assert out.shared.headers == {"X-Order": "a" if whole else "Nadelheader"}
    assert check_all() == []
