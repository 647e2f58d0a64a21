"""What a receiver reads out of our letters, by the standard library's parser."""

from __future__ import annotations

import re
from dataclasses import replace
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser, Parser
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from channels_app.adapters.mime import FRAMES, Composer, Letter, check
from channels_app.errors import InvalidAddress, InvalidMessage
from channels_app.types import Attachment, SharedContent
from tests.channels_app.contract import make_message

PNG = b"\x89PNG\r\n\x1a\n\x00\x00"


def shared(**fields: Any) -> SharedContent:
    return replace(SharedContent(key=uuid4(), sender="Sender <sender@example.com>"), **fields)


def letter_of(content: SharedContent | None = None, **fields: Any) -> Letter:
    return Composer().compose(make_message(shared=content or shared(), **fields))


def plain_bytes(letter: Letter) -> bytes:
    """Undo the doubling of dots, as a server does."""
    raw = letter.head + letter.tail
    assert raw.endswith(b"\r\n")
    return re.sub(rb"^\.", b"", raw, flags=re.MULTILINE)


def read(letter: Letter) -> EmailMessage:
    """Check what every letter must keep, and parse it."""
    raw = letter.head + letter.tail
    assert b"\r\n.\r\n" not in raw
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", raw)
    assert b"\x00" not in raw
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    if not letter.internationalised:
        assert raw.isascii()
    if letter.internationalised:
        message = Parser(policy=policy.SMTPUTF8).parsestr(plain_bytes(letter).decode())
    else:
        message = BytesParser(policy=policy.default).parsebytes(plain_bytes(letter))
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert not part.defects, part.defects
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return lines(part.get_content())


def lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def squeezed(name: str) -> str:
    """Leave out a name's spaces: the standard parser merges them, and adds one between two encoded words."""
    return "".join(name.split())


def assert_same_text(found: str, sent: str) -> None:
    """A letter ends in a line break, so a body that is all of it gains one."""
    assert found in (lines(sent), lines(sent) + "\n")


def test_a_plain_letter_has_the_headers_that_a_letter_needs():
    message = read(letter_of(id=UUID(int=7), name="Some One", subject="Hello", text="Good morning"))
    date = message["Date"]
    assert date.datetime.utcoffset().total_seconds() == 0
    assert sorted(message.keys()) == [
        "Content-Transfer-Encoding",
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ]
    assert message["From"] == "Sender <sender@example.com>"
    assert message["To"] == "Some One <someone@example.com>"
    assert message["Subject"] == "Hello"
    assert message["Message-ID"] == "<00000000-0000-0000-0000-000000000007@example.com>"
    assert message.get_content_type() == "text/plain"
    assert body(message, "plain") == "Good morning\n"


def test_the_message_id_is_the_same_at_every_attempt():
    message = make_message(shared=shared())
    first, second = (Composer().compose(structs.replace(message, attempt=attempt)) for attempt in (1, 2))
    assert first.message_id == second.message_id == f"{message.id}@example.com"


@pytest.mark.parametrize(
    ("html", "text", "inline", "files", "shape"),
    [
        (False, True, False, False, "plain"),
        (True, False, False, False, "html"),
        (False, False, False, False, "plain"),
        (True, True, False, False, "alternative(plain html)"),
        (True, False, True, False, "related(html png)"),
        (True, True, True, False, "alternative(plain related(html png))"),
        (False, True, False, True, "mixed(plain pdf)"),
        (False, True, True, True, "mixed(plain png pdf)"),
        (True, True, True, True, "mixed(alternative(plain related(html png)) pdf)"),
    ],
)
def test_the_tree_of_parts_follows_what_there_is(html, text, inline, files, shape):
    attachments = [Attachment(filename="i.png", content=PNG, content_type="image/png", content_id="<logo>")] * inline
    attachments += [Attachment(filename="d.pdf", content=b"%PDF", content_type="application/pdf")] * files
    message = read(letter_of(shared(attachments=tuple(attachments)), html="<p>Hi</p>" * html, text="Hi" * text))

    def drawn(part: Any) -> str:
        if not part.is_multipart():
            return part.get_content_subtype()
        return f"{part.get_content_subtype()}({' '.join(map(drawn, part.get_payload()))})"

    assert drawn(message) == shape


def test_an_inline_image_is_found_by_its_content_id():
    image = Attachment(filename="logo.png", content=PNG, content_type="image/png", content_id="logo@example")
    message = read(letter_of(shared(attachments=(image,)), html='<img src="cid:logo@example">'))
    (part,) = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert part["Content-ID"] == "<logo@example>"
    assert part.get_content_disposition() == "inline"
    assert part.get_payload(decode=True) == PNG


def test_without_a_page_an_image_is_a_file_like_others():
    image = Attachment(filename="logo.png", content=PNG, content_type="image/png", content_id="logo@example")
    (part,) = read(letter_of(shared(attachments=(image,)), html="", text="Hi")).iter_attachments()
    assert (part.get_content_disposition(), part["Content-ID"]) == ("attachment", None)


@pytest.mark.parametrize(
    ("content_type", "parameters"),
    [
        ("text/calendar; method=REQUEST; charset=utf-8", {"method": "REQUEST", "charset": "utf-8"}),
        ('text/csv;header=present;charset="iso-8859-1";', {"header": "present", "charset": "iso-8859-1"}),
        ('application/pdf ; name="a; b.pdf"', {"name": "a; b.pdf"}),
    ],
)
def test_what_a_type_says_beside_itself_travels_along(content_type, parameters):
    file = Attachment(filename="a", content=b"a", content_type=content_type)
    (part,) = read(letter_of(shared(attachments=(file,)))).iter_attachments()
    assert part.get_content_type() == content_type.partition(";")[0].strip()
    assert dict(part["Content-Type"].params) == parameters


def test_a_message_as_attachment_travels_as_plain_bytes():
    forwarded = Attachment(filename="mail.eml", content=b"Subject: x\r\n\r\nhi", content_type="message/rfc822")
    (part,) = read(letter_of(shared(attachments=(forwarded,)))).iter_attachments()
    assert part.get_content_type() == "application/octet-stream"
    assert part.get_filename() == "mail.eml"
    assert part.get_payload(decode=True) == b"Subject: x\r\n\r\nhi"


@pytest.mark.parametrize(
    "text",
    [
        ".",
        ".\n..\n.dot\nmid . dot\n.",
        "x" * 5_000,
        ("word " * 1_000).strip(),
        "ü" * 3_000,
        "日本語" * 1_000,
        "trailing space \n\ttab\t\n ",
        "\r\n\r\nleading\rmixed\nbreaks\r\n",
        "=3D =?utf-8?b?eA==?= =",
        "--=_alternative-0\n--=_mixed",
        "From me\n>From you",
        "nul \x00, bell \x07, feed \x0c, tab \t",
        "\u2028\u2029\x85\x0b",
        "🎉" * 500,
    ],
)
def test_bodies_arrive_as_they_were_written(text):
    message = read(letter_of(html=text, text=text))
    assert body(message, "plain") == lines(text)
    assert body(message, "html") == lines(text)
    assert_same_text(body(read(letter_of(text=text)), "plain"), text)


def test_a_body_cannot_close_the_part_it_is_in():
    content = shared()
    forged = f"hi\r\n--=_alternative-{content.key.hex}--\r\nevil"
    message = read(letter_of(content, html="<p>Hi</p>", text=forged))
    assert body(message, "plain") == lines(forged)
    assert body(message, "html") == "<p>Hi</p>"


@pytest.mark.parametrize("field", ["subject", "name"])
@pytest.mark.parametrize("evil", ["a\r\nBcc: evil@example.com", "a\nb", "a\rb", "a\x00b", "a\ud800b"])
def test_a_subject_or_name_cannot_break_out_of_its_header(field, evil):
    with pytest.raises(InvalidMessage) as refused:
        letter_of(**{field: evil})
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("from", {"sender": None}),
        ("from", {"sender": "nobody"}),
        ("from", {"sender": "A\r\nBcc: evil@example.com <a@example.com>"}),
        ("from", {"sender": "A <a@example.com> <b@example.com"}),
        ("reply_to", {"reply_to": "a@example.com\nBcc: evil@example.com"}),
        ("reply_to", {"reply_to": "a@example.com, b@example.com"}),
        ("cc", {"cc": ("fine@example.com", "wrong")}),
        ("bcc", {"bcc": ("wrong\r\n@example.com",)}),
        ("headers", {"headers": {"Bcc": "evil@example.com"}}),
        ("headers", {"headers": {"From": "evil@example.com"}}),
        ("headers", {"headers": {"Content-Type": "text/html"}}),
        ("headers", {"headers": {"DKIM-Signature": "v=1"}}),
        ("headers", {"headers": {"X-A\r\nBcc": "evil@example.com"}}),
        ("headers", {"headers": {"X A": "b"}}),
        ("headers", {"headers": {"X-A:": "b"}}),
        ("headers", {"headers": {"X-A": "b\r\nBcc: evil@example.com"}}),
        ("headers", {"headers": {"X-A": "b\x00"}}),
        ("headers", {"headers": {"X-A": "b" * 2_000}}),
        ("attachments", {"attachments": (Attachment(filename="a\r\nb", content=b"", content_type="text/plain"),)}),
        ("attachments", {"attachments": (Attachment(filename="a" * 256, content=b"", content_type="text/plain"),)}),
        ("attachments", {"attachments": (Attachment(filename="a", content=b"", content_type="text"),)}),
        ("attachments", {"attachments": (Attachment(filename="a", content=b"", content_type="a/b\r\nX: y"),)}),
        ("attachments", {"attachments": (Attachment(filename="a", content=b"", content_type="a/b; c=d\r\nX: y"),)}),
        ("attachments", {"attachments": (Attachment(filename="a", content=b"", content_type="a/b; c"),)}),
        (
            "attachments",
            {"attachments": (Attachment(filename="a", content=b"", content_type="a/b", content_id="a>\r\nX: y"),)},
        ),
    ],
)
def test_what_no_letter_can_carry_is_refused_at_accept_and_at_send_by_the_fields_name(field, fields):
    content = shared(**fields)
    for refuse in (lambda: check(content), lambda: letter_of(content)):
        with pytest.raises(InvalidMessage) as refused:
            refuse()
        assert refused.value.field == field


def test_a_recipients_own_headers_are_held_to_the_same_rules_and_win_over_the_shared_ones():
    content = shared(headers={"List-Unsubscribe": "<https://example.com/all>", "X-Campaign": "spring"})
    message = read(letter_of(content, headers={"list-unsubscribe": "<https://example.com/me>"}))
    assert message.get_all("List-Unsubscribe") == ["<https://example.com/me>"]
    assert message["X-Campaign"] == "spring"
    with pytest.raises(InvalidMessage):
        letter_of(content, headers={"Bcc": "evil@example.com"})


def test_a_refused_recipient_is_an_address_error():
    with pytest.raises(InvalidAddress):
        letter_of(address="nobody")


def test_copies_go_into_the_envelope_and_blind_ones_nowhere_else():
    content = shared(
        cc=("Copy <copy@example.com>", "someone@example.com"), bcc=("blind@example.com",), reply_to="R <r@example.com>"
    )
    letter = letter_of(content)
    message = read(letter)
    assert letter.sender == "sender@example.com"
    assert letter.recipients == ("someone@example.com", "copy@example.com", "blind@example.com")
    assert message["Cc"] == "Copy <copy@example.com>, someone@example.com"
    assert message["Reply-To"] == "R <r@example.com>"
    assert b"blind" not in letter.head


def test_a_sender_may_be_missing_where_a_default_is_set():
    letter = Composer("Default <default@example.com>").compose(make_message(shared=shared(sender=None)))
    assert letter.sender == "default@example.com"
    check(shared(sender=None), default_from="default@example.com")


def test_international_domains_travel_in_ascii_and_local_parts_ask_for_smtputf8():
    letter = letter_of(shared(sender="Bücher <post@bücher.example>"), address="someone@例子.example")
    assert not letter.internationalised
    assert letter.sender == "post@xn--bcher-kva.example"
    assert letter.message_id.endswith("@xn--bcher-kva.example")
    assert letter.recipients == ("someone@xn--fsqu00a.example",)
    letter = letter_of(address="用户@例子.example", name="用户")
    message = read(letter)
    assert letter.internationalised
    assert letter.recipients == ("用户@xn--fsqu00a.example",)
    assert message["To"].addresses[0].addr_spec == "用户@xn--fsqu00a.example"
    assert message["To"].addresses[0].display_name == "用户"
    assert letter_of(shared(reply_to="søren@example.com")).internationalised


def test_a_list_of_recipients_cannot_be_smuggled_in_a_name():
    message = read(letter_of(name='evil@example.com>, "x" <other@example.com'))
    (address,) = message["To"].addresses
    assert address.addr_spec == "someone@example.com"


def test_bodies_and_files_are_encoded_once_for_a_content():
    composer = Composer()
    content = shared(attachments=(Attachment(filename="a.bin", content=b"x" * 100_000, content_type="a/b"),))
    first, second = (
        composer.compose(make_message(shared=content, address=f"r{number}@example.com", text=f"Hi {number}"))
        for number in range(2)
    )
    assert first.tail is second.tail
    assert (body(read(first), "plain"), body(read(second), "plain")) == ("Hi 0", "Hi 1")


def test_a_composer_that_saw_many_contents_still_writes_the_first_one_right():
    composer = Composer()
    contents = [shared(sender=f"s{number}@example.com") for number in range(FRAMES * 2)]
    for content in [*contents, contents[0]]:
        letter = composer.compose(make_message(shared=content, text=str(content.key)))
        assert letter.sender == content.sender
        assert body(read(letter), "plain") == f"{content.key}\n"


# Whatever a person may write. Controls are left to the tests above, where the standard parser can be trusted with them.
words = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=300)
bodies = st.text(st.characters(exclude_categories=("Cs",)), max_size=400) | st.builds(
    lambda line, times: line * times,
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1),
    st.integers(1, 800),
)
filenames = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=120)
attachments = st.builds(
    Attachment,
    filename=filenames,
    content=st.binary(max_size=500),
    content_type=st.sampled_from(["application/pdf", "text/plain", "image/png", "application/octet-stream"]),
    content_id=st.none() | st.from_regex(r"[a-z0-9.@-]{1,40}", fullmatch=True),
)


@settings(max_examples=60, deadline=None)
@given(subject=words, name=words, sender=words, html=bodies, text=bodies, files=st.lists(attachments, max_size=3))
def test_any_letter_is_read_back_as_it_was_written(subject, name, sender, html, text, files):
    quoted = sender.replace("\\", "\\\\").replace('"', '\\"')
    content = shared(sender=f'"{quoted}" <sender@example.com>', attachments=tuple(files))
    message = read(letter_of(content, subject=subject, name=name, html=html, text=text))

    assert message["Subject"] == subject
    assert squeezed(message["To"].addresses[0].display_name) == squeezed(name)
    assert squeezed(message["From"].addresses[0].display_name) == squeezed(sender)
    assert message["From"].addresses[0].addr_spec == "sender@example.com"
    if html:
        assert_same_text(body(message, "html"), html)
    if text or not html:
        assert_same_text(body(message, "plain"), text)
    found = [part for part in message.walk() if part.get_content_disposition() in ("attachment", "inline")]
    assert sorted(
        (part.get_filename() or "", part.get_payload(decode=True), part.get_content_type()) for part in found
    ) == sorted((file.filename.strip(), file.content, file.content_type) for file in files)


@settings(max_examples=60, deadline=None)
@given(value=words)
def test_a_custom_header_is_read_back_as_it_was_written(value):
    message = read(letter_of(shared(headers={"X-Note": value})))
    assert message["X-Note"] == value.strip(" ")
