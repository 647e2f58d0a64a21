"""What a person writes arrives unchanged: from the API through a worker to an SMTP server."""

from __future__ import annotations

import email.policy
import hashlib
import random
from base64 import b64decode, b64encode
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import pytest

from tests.client import Client
from tests.ledger import Ledger, sink
from tests.running import Stack, eventually

pytestmark = pytest.mark.journey

SUBJECT = "Grüße 🎉 aus Zürich, {{ name }} " + "– a long line that has to be folded " * 6
LONG = "ä" + "x" * 1_998 + "z"
TEXT = f"Dear {{{{ name }}}},\n\n.one dot\n..two dots\n.\n{LONG}\n\ttabbed\nlast line without an end"
BODY = "<p>Dear {{ name }}</p>\n.<br>\n" + "<b>" + "y" * 2_000 + "</b>"
NAME = "Ann 🎈 Öztürk"
FILENAME = "Übersicht 総覧 2026.pdf"


def test_a_letter_arrives_as_it_was_written(own: dict[str, str], tmp_path: Path) -> None:
    file = random.Random(7).randbytes(3 * 1024 * 1024)
    with sink(tmp_path, "--bodies") as mail, Stack(own, EMAIL_URL=mail.url) as stack:
        stack.start("api", "email", "inside", "beat")
        client = Client(stack)
        key = client.send(
            "ann@example.com",
            name=NAME,
            subject=SUBJECT,
            text=TEXT,
            body=BODY,
            cc=["Bob <bob@example.com>"],
            bcc=["eve@example.com"],
            reply_to="Answers <answers@example.com>",
            headers={"X-Campaign": "spring"},
            attachments=[
                {"filename": FILENAME, "content_type": "application/pdf", "content": b64encode(file).decode()},
                {"filename": "empty.txt", "content_type": "text/plain", "content": ""},
            ],
            **{"from": "Zoë <zoe@example.org>"},
        )
        eventually(lambda: client.message(key)["status"] == "SENT", lambda: str(client.message(key)))
        (letter,) = mail.letters
        assert Ledger(own["DATABASE_URL"]).violations() == []

    arrived = BytesParser(policy=email.policy.default).parsebytes(b64decode(letter["raw"]))
    assert isinstance(arrived, EmailMessage)
    assert arrived.defects == []
    assert letter["from"] == "zoe@example.org"
    assert sorted(letter["to"]) == ["ann@example.com", "bob@example.com", "eve@example.com"]
    assert arrived["Message-ID"].startswith(f"<{key}@")
    assert arrived["Subject"] == SUBJECT.replace("{{ name }}", NAME).strip()
    assert str(arrived["From"]) == "Zoë <zoe@example.org>"
    assert arrived["To"].addresses[0].display_name == NAME
    assert (str(arrived["Cc"]), arrived["Bcc"]) == ("Bob <bob@example.com>", None)
    assert (arrived["Reply-To"], arrived["X-Campaign"]) == ("Answers <answers@example.com>", "spring")
    assert _text(arrived, "plain") == TEXT.replace("{{ name }}", NAME)
    assert _text(arrived, "html") == BODY.replace("{{ name }}", NAME)
    files = {part.get_filename(): part for part in arrived.iter_attachments()}
    assert list(files) == [FILENAME, "empty.txt"]
    received = files[FILENAME].get_content()
    assert hashlib.sha256(received).hexdigest() == hashlib.sha256(file).hexdigest()
    assert files[FILENAME].get_content_type() == "application/pdf"


def _text(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content.replace("\r\n", "\n").removesuffix("\n")
