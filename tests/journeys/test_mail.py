"""From the API through workers to an SMTP server: what a person writes arrives unchanged, and a crowd gets it once."""

from __future__ import annotations

import email.policy
import hashlib
import random
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser

import pytest

from tests.client import Client
from tests.ledger import Ledger, Mail, sink
from tests.running import Stack, eventually
from tests.servers import Pair

pytestmark = pytest.mark.journey

SUBJECT = "Grüße 🎉 aus Zürich, {{ name }} " + "– a long line that has to be folded " * 6
LONG = "ä" + "x" * 1_998 + "z"
TEXT = f"Dear {{{{ name }}}},\n\n.one dot\n..two dots\n.\n{LONG}\n\ttabbed\nlast line without an end"
BODY = "<p>Dear {{ name }}</p>\n.<br>\n" + "<b>" + "y" * 2_000 + "</b>"
NAME = "Ann 🎈 Öztürk"
FILENAME = "Übersicht 総覧 2026.pdf"


MESSAGES = 20_000
BATCH = 10_000
CLAIMS = 60
FLUSHES = 5_000
"""Two hundred at full speed; a busy machine sends fewer in the time that a group may wait. One each would be 20,000."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What runs for all tests here."""

    client: Client
    stack: Stack
    mail: Mail
    ledger: Ledger


@pytest.fixture(scope="module")
def world(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    own = pair.store("mail")
    with sink(tmp_path_factory.mktemp("mail"), "--bodies") as mail, Stack(own.env, EMAIL_URL=mail.url) as stack:
        stack.start("api", "email", "inside", "beat")
        yield World(client=Client(stack, own.key), stack=stack, mail=mail, ledger=Ledger(own.url))


def test_a_letter_arrives_as_it_was_written(world: World) -> None:
    file = random.Random(7).randbytes(3 * 1024 * 1024)
    client = world.client
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
    (letter,) = (letter for letter in world.mail.letters if "ann@example.com" in letter["to"])
    assert world.ledger.violations() == []

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


def test_two_large_batches_arrive_once_each_by_few_transactions(world: World) -> None:
    client, ledger, mail = world.client, world.ledger, world.mail
    before = len(mail.letters)
    claims, flushes = ledger.transactions("sending"), ledger.transactions("sent")
    keys: set[str] = set()
    for start in range(0, MESSAGES, BATCH):
        keys |= set(client.batch([f"reader-{number}@example.com" for number in range(start, start + BATCH)]))
    eventually(lambda: ledger.all_in("SENT"), lambda: f"{ledger.counts()}\n{world.stack.tail('email')}")
    arrived = [letter["message_id"].partition("@")[0] for letter in mail.letters[before:]]

    assert len(keys) == MESSAGES
    assert set(arrived) == keys
    assert len(arrived) == MESSAGES
    shapes = ledger.rows(
        "SELECT timeline, count(*) FROM (SELECT string_agg(type || ' by ' || cause, ', ' ORDER BY at, id) AS timeline "
        "FROM messaging_messageevent WHERE message_id = ANY(%s::uuid[]) GROUP BY message_id) AS each_one GROUP BY 1",
        list(keys),
    )
    assert shapes == [("queued by api, sending by worker, sent by worker", MESSAGES)]
    assert ledger.transactions("sending") - claims <= CLAIMS
    assert ledger.transactions("sent") - flushes <= FLUSHES
    assert ledger.violations() == []
