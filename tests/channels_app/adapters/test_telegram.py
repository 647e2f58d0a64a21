"""The Telegram adapter against a Bot API server of our own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from channels_app.adapters.telegram import TelegramAdapter
from channels_app.base import ChannelAdapter
from channels_app.errors import CallbackRejected, ProviderMissing
from channels_app.http import MOST_WAIT
from channels_app.types import (
    Accepted,
    Ambiguous,
    Attachment,
    Callback,
    Channel,
    Media,
    MediaKind,
    NotConfigured,
    OutboundMessage,
    Outcome,
    Permanent,
    Receipt,
    ReceiptKind,
    SharedContent,
    Signal,
    SignalKind,
    Throttled,
    Transient,
)
from tests.channels_app.contract import AdapterContract, answers, make_message
from tests.peers.http import running as http_running
from tests.peers.telegram import TOKEN, Bot, Posted, running

SECRET = "a_secret-Token"


def adapter_for(bot: Bot, **options: Any) -> TelegramAdapter:
    return TelegramAdapter.from_options(
        Channel.TELEGRAM, {"token": TOKEN, "base": bot.peer.url(""), "secret": SECRET, **options}
    )


def outcome(adapter: ChannelAdapter, message: OutboundMessage) -> Outcome:
    (found,) = answers(adapter, [message])
    return found


def to(chat: str = "4711", **fields: Any) -> OutboundMessage:
    return make_message(Channel.TELEGRAM, chat, **fields)


def with_files(*files: Attachment) -> SharedContent:
    return SharedContent(key=uuid4(), attachments=files)


def file(filename: str = "a.pdf", content_type: str = "application/pdf", content: bytes = b"%PDF") -> Attachment:
    return Attachment(filename=filename, content_type=content_type, content=content)


@pytest.fixture
def bot() -> Iterator[Bot]:
    with running() as bot:
        yield bot


@pytest.fixture
def adapter(bot) -> TelegramAdapter:
    return adapter_for(bot)


class TestContract(AdapterContract):
    name = "telegram"

    @pytest.fixture
    def adapter(self, bot) -> ChannelAdapter:
        return adapter_for(bot)

    @pytest.fixture
    def hasty(self, bot) -> ChannelAdapter:
        return adapter_for(bot, timeout=2.0)


# What is posted


def test_a_text_goes_out_below_its_subject(adapter, bot):
    found = outcome(adapter, to(subject="Grüße", text="Hello <you> *there*"))
    assert found == Accepted(provider_message_id="4711/1")
    fields = {"chat_id": "4711", "text": "Grüße\n\nHello <you> *there*"}
    assert bot.messages == [Posted(method="sendMessage", fields=fields, files={})]


@pytest.mark.parametrize(
    ("mode", "name", "text"),
    [
        ("HTML", "HTML", "<b>1 &lt; 2 &amp; 3</b>\n\n<i>body</i>"),
        ("html", "HTML", "<b>1 &lt; 2 &amp; 3</b>\n\n<i>body</i>"),
        ("MarkdownV2", "MarkdownV2", "*1 < 2 & 3*\n\n<i>body</i>"),
        ("Markdown", "Markdown", "*1 < 2 & 3*\n\n<i>body</i>"),
    ],
)
def test_a_parse_mode_takes_the_body_and_escapes_the_subject(adapter, bot, mode, name, text):
    outcome(adapter, to(subject="1 < 2 & 3", html="<i>body</i>", text="plain", metadata={"parse_mode": mode}))
    assert bot.messages[0].fields == {"chat_id": "4711", "text": text, "parse_mode": name}


def test_every_letter_that_markdown_reads_is_escaped_in_a_subject(adapter, bot):
    outcome(adapter, to(subject=r"_*[]()~`>#+-=|{}.!\ a", text="x", metadata={"parse_mode": "MarkdownV2"}))
    assert bot.messages[0].fields["text"] == r"*\_\*\[\]\(\)\~\`\>\#\+\-\=\|\{\}\.\!\\ a*" + "\n\nx"


@pytest.mark.parametrize("mode", ["text", "", 7, ["HTML"], True])
def test_a_parse_mode_that_telegram_does_not_have_is_refused(adapter, bot, mode):
    found = outcome(adapter, to(metadata={"parse_mode": mode}))
    assert isinstance(found, Permanent)
    assert found.code == "invalid_message"
    assert bot.peer.requests == []


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "IMAGE/WEBP"])
def test_a_picture_goes_out_as_a_photo_with_the_text_below(adapter, bot, content_type):
    picture = file("Bild \u201e1\u201c.jpg", content_type, b"\xff\xd8\x00\r\n--\r\n")
    outcome(adapter, to(subject="", text="look", shared=with_files(picture)))
    (posted,) = bot.messages
    assert (posted.method, posted.fields) == ("sendPhoto", {"chat_id": "4711", "caption": "look"})
    assert posted.files["photo"] == (picture.filename, content_type.lower(), picture.content)


@pytest.mark.parametrize(
    ("media", "method", "field"),
    [
        (Media(url="https://files.example/a.jpg"), "sendPhoto", "photo"),
        (Media(url="https://files.example/a", type=MediaKind.IMAGE), "sendPhoto", "photo"),
        (Media(url="https://files.example/a.mp4"), "sendVideo", "video"),
        (Media(url="https://files.example/a.mp3"), "sendAudio", "audio"),
        (Media(url="https://files.example/a.pdf"), "sendDocument", "document"),
    ],
)
def test_media_goes_out_by_its_url_with_the_text_below(adapter, bot, media, method, field):
    outcome(adapter, to(subject="", text="look", shared=SharedContent(key=uuid4(), media=media)))
    fields = {"chat_id": "4711", "caption": "look", field: media.url}
    assert bot.messages == [Posted(method=method, fields=fields, files={})]


def test_the_caption_of_media_goes_before_the_text(adapter, bot):
    media = Media(url="https://files.example/a.jpg", caption="The harbour")
    outcome(adapter, to(subject="", text="look", shared=SharedContent(key=uuid4(), media=media)))
    assert bot.messages[0].fields["caption"] == "The harbour"


def test_a_file_and_media_in_one_message_are_refused(adapter, bot):
    shared = SharedContent(key=uuid4(), attachments=(file(),), media=Media(url="https://files.example/a.jpg"))
    found = outcome(adapter, to(shared=shared))
    assert isinstance(found, Permanent)
    assert found.code == "invalid_message"
    assert bot.peer.requests == []


def test_any_other_file_goes_out_as_a_document(adapter, bot):
    outcome(adapter, to(shared=with_files(file()), metadata={"parse_mode": "HTML"}))
    (posted,) = bot.messages
    assert posted.method == "sendDocument"
    assert posted.fields == {"chat_id": "4711", "caption": "<b>Hello</b>\n\nGood morning", "parse_mode": "HTML"}
    assert posted.files["document"] == ("a.pdf", "application/pdf", b"%PDF")


def test_a_picture_that_telegram_would_not_show_goes_out_as_a_document(adapter, bot):
    outcome(adapter, to(shared=with_files(file("a.png", "image/png", bytes(10 * 1024 * 1024 + 1)))))
    assert bot.messages[0].method == "sendDocument"


def test_a_file_without_a_text_has_no_caption(adapter, bot):
    outcome(adapter, to(subject="", text="", shared=with_files(file())))
    assert bot.messages[0].fields == {"chat_id": "4711"}


@pytest.mark.parametrize(
    "fields",
    [
        {"shared": with_files(file(), file())},
        {"subject": "", "text": "x" * 4_097},
        {"subject": "", "text": "\U0001f600" * 2_049},
        {"subject": "", "text": "x" * 1_025, "shared": with_files(file())},
    ],
    ids=["two files", "long", "long in UTF-16", "long below a file"],
)
def test_what_one_call_does_not_carry_is_refused_before_it_is_made(adapter, bot, fields):
    found = outcome(adapter, to(**fields))
    assert isinstance(found, Permanent)
    assert found.code == "invalid_message"
    assert bot.peer.requests == []


def test_a_text_of_just_the_limit_goes_out(adapter, bot):
    assert isinstance(outcome(adapter, to(subject="", text="\U0001f600" * 2_048)), Accepted)


# What the answer means


@pytest.mark.parametrize(
    ("chat", "kind", "code"),
    [
        ("@blocked", Permanent, "recipient_opted_out"),
        ("@kicked", Permanent, "recipient_opted_out"),
        ("@deactivated", Permanent, "recipient_gone"),
        ("@unlinked", Permanent, "recipient_not_linked"),
        ("@missing", Permanent, "chat_not_found"),
        ("@no_media", Permanent, "media_refused"),
        ("@moved", Permanent, "chat_moved"),
        ("@bad_markup", Permanent, "markup_refused"),
        ("@revoked", NotConfigured, "provider_not_configured"),
        ("@throttled_7", Throttled, "throttled"),
        ("@status_302", NotConfigured, "provider_not_configured"),
        ("@status_404", NotConfigured, "provider_not_configured"),
        ("@status_409", Permanent, "telegram_409"),
        ("@status_413", Permanent, "message_too_large"),
        ("@status_418", Permanent, "telegram_418"),
        ("@status_429", Throttled, "throttled"),
        ("@status_500", Transient, "telegram_500"),
        ("@status_502", Transient, "telegram_502"),
        ("@not_json", Ambiguous, "outcome_unknown"),
        ("@deep", Ambiguous, "outcome_unknown"),
        ("@odd", Ambiguous, "outcome_unknown"),
        ("@endless_body", Ambiguous, "outcome_unknown"),
    ],
)
def test_what_telegram_says_decides(adapter, chat, kind, code):
    found = outcome(adapter, to(chat))
    assert (type(found), getattr(found, "code", "")) == (kind, code), found


def test_the_chat_that_a_group_went_on_in_is_named(adapter):
    assert outcome(adapter, to("@moved")).detail.endswith("(it is -1001234567890 now)")


def test_telegrams_own_words_are_kept(adapter):
    found = outcome(adapter, to("@missing"))
    assert isinstance(found, Permanent)
    assert found.detail == "400 Bad Request: chat not found"
    assert found.receipts == ()


@pytest.mark.parametrize("chat", ["@blocked", "@kicked"])
def test_whoever_blocked_the_bot_has_opted_out(adapter, chat):
    message = to(chat, attempt=3)
    found = outcome(adapter, message)
    assert isinstance(found, Permanent)
    assert found.receipts == (
        Receipt(
            kind=ReceiptKind.UNSUBSCRIBED,
            key=f"{message.id}:3:recipient_opted_out",
            message_id=message.id,
            code="blocked",
        ),
    )


def test_a_throttle_waits_as_long_as_telegram_asks(adapter):
    found = outcome(adapter, to("@throttled_7"))
    assert isinstance(found, Throttled)
    assert found.wait == 7.0
    found = outcome(adapter, to("@status_429"))
    assert isinstance(found, Throttled)
    assert found.wait == 5.0
    assert outcome(adapter, to("@throttled_99999999999")).wait == MOST_WAIT
    # To wait for nothing is what a message does that was never begun.
    found = outcome(adapter, to("@throttled_0"))
    assert isinstance(found, Throttled)
    assert found.wait == 1.0


def test_a_chat_that_had_too_many_messages_waits_alone_and_is_not_asked_meanwhile(adapter, bot):
    bot.most = 1
    assert isinstance(outcome(adapter, to("-1001")), Accepted)
    second, third, other = answers(adapter, [to("-1001"), to("-1001"), to("-1002")])
    assert isinstance(other, Accepted)
    for late in (second, third):
        assert isinstance(late, Throttled)
        assert late.alone
        assert 0 < late.wait <= 9
    asked = len(bot.peer.requests)
    assert isinstance(outcome(adapter, to("-1001")), Throttled)
    assert len(bot.peer.requests) == asked


def test_a_throttle_of_a_chat_that_had_nothing_before_is_about_the_bot(adapter):
    for _ in range(2):
        found = outcome(adapter, to("@throttled_7"))
        assert isinstance(found, Throttled)
        assert not found.alone


def test_numbers_beyond_any_bound_are_no_id(adapter):
    found = outcome(adapter, to("@wide"))
    assert found == Accepted()


def test_a_token_that_telegram_does_not_know_is_a_matter_of_settings(bot):
    adapter = adapter_for(bot, token="4712:AAE-another_token_01234")
    assert isinstance(outcome(adapter, to()), NotConfigured)
    health = adapter.probe()
    assert not health.ok
    assert health.detail.startswith("401")


def test_a_server_that_is_not_there_is_tried_again():
    with http_running() as gone:
        base = gone.url("")
    adapter = TelegramAdapter.from_options(Channel.TELEGRAM, {"token": TOKEN, "base": base})
    found = outcome(adapter, to())
    assert isinstance(found, Transient)
    assert found.code == "connection_failed"
    assert not adapter.probe().ok


@pytest.mark.parametrize("chat", ["4711", "@missing", "@stall", "@garbage", "@endless", "@hangs_up", "@status_502"])
def test_the_token_is_repeated_in_no_outcome_and_no_log(bot, caplog, chat):
    with caplog.at_level(logging.INFO):
        found = outcome(adapter_for(bot, timeout=2.0), to(chat))
    assert "peer_token" not in f"{found!r}{caplog.text}"


# Callbacks


def callback(body: Any, *, header: str = "X-Telegram-Bot-Api-Secret-Token", secret: str = SECRET) -> Callback:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Callback(method="POST", url="https://dispatch.example/", headers={header: secret}, body=raw)


def said(text: str, *, kind: str = "private", chat: Any = 99) -> dict[str, Any]:
    person = {"id": 99, "is_bot": False, "first_name": "Ada", "last_name": "L\u202eovelace"}
    return {
        "update_id": 1,
        "message": {"message_id": 5, "from": person, "chat": {"id": chat, "type": kind}, "text": text},
    }


def standing(status: str, *, kind: str = "private", chat: int = 99) -> dict[str, Any]:
    changed = {"chat": {"id": chat, "type": kind}, "new_chat_member": {"status": status}}
    return {"update_id": 2, "my_chat_member": changed}


def signal(kind: SignalKind, *, token: str = "") -> Signal:
    return Signal(kind=kind, key="1", address="99", token=token, name="Ada L ovelace")


@pytest.mark.parametrize("header", ["X-Telegram-Bot-Api-Secret-Token", "x-telegram-bot-api-secret-token"])
def test_a_callback_with_the_secret_is_believed(adapter, header):
    adapter.verify_callback(callback({}, header=header))


@pytest.mark.parametrize("secret", ["", "another", SECRET.lower(), SECRET + "x", "\udcff"])
def test_a_callback_with_another_secret_is_not(adapter, secret):
    with pytest.raises(CallbackRejected):
        adapter.verify_callback(callback({}, secret=secret))


def test_no_callback_is_believed_where_there_is_no_secret_to_compare(bot):
    for given in ("", SECRET):
        with pytest.raises(CallbackRejected):
            adapter_for(bot, secret="").verify_callback(callback({}, secret=given))


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (
            said("/start abc-DEF_1"),
            signal(SignalKind.LINKED, token="abc-DEF_1"),
        ),
        (
            said("/start@peer_bot abc"),
            signal(SignalKind.LINKED, token="abc"),
        ),
        (said("/start"), signal(SignalKind.OPTED_IN)),
        (said("/start n!ot"), signal(SignalKind.OPTED_IN)),
        (said("/start " + "x" * 65), signal(SignalKind.OPTED_IN)),
        (said("/stop"), Signal(kind=SignalKind.OPTED_OUT, key="1", address="99")),
        (said("/STOP now"), Signal(kind=SignalKind.OPTED_OUT, key="1", address="99")),
        (standing("kicked"), Signal(kind=SignalKind.OPTED_OUT, key="2", address="99")),
        (standing("left", kind="group", chat=-5), Signal(kind=SignalKind.OPTED_OUT, key="2", address="-5")),
    ],
)
def test_what_people_tell_the_bot_becomes_a_signal(adapter, update, expected):
    assert adapter.parse_callback(callback(update)) == [expected]


@pytest.mark.parametrize(
    "update",
    [
        said("hello"),
        said("please /stop"),
        said("/stopwatch"),
        said("/stop", kind="group", chat=-5),
        said("/stop", chat="99"),
        said("/stop", chat=2**70),
        standing("member"),
        standing("administrator"),
        {"update_id": 3},
        {"update_id": 3, "message": []},
        {"update_id": 3, "message": {"text": 5, "chat": 6}},
        {"update_id": 3, "my_chat_member": {"new_chat_member": "kicked"}},
        {"update_id": 3, "edited_message": {"text": "/stop"}},
    ],
)
def test_anything_else_says_nothing(adapter, update):
    assert adapter.parse_callback(callback(update)) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"{}", b'{"update_id":"1"}', b"\xff", b"[" * 100_000])
def test_what_is_no_update_is_refused(adapter, body):
    with pytest.raises(CallbackRejected):
        adapter.parse_callback(callback(body))


# Settings


@pytest.mark.parametrize(
    "options",
    [
        {"token": ""},
        {"token": "4711"},
        {"token": "4711:short"},
        {"token": f"{TOKEN}/x"},
        {"secret": "not one"},
        {"secret": "x" * 257},
        {"base": "ftp://api.example"},
        {"base": "api.example"},
        {"base": "http://"},
        {"base": "http://[::1"},
        {"base": "http://api.example/?a=1"},
    ],
)
def test_wrong_settings_are_refused_and_not_repeated(options):
    with pytest.raises(ProviderMissing) as caught:
        TelegramAdapter.from_options(Channel.TELEGRAM, {"token": TOKEN, **options})
    assert TOKEN not in str(caught.value)


def test_telegram_is_one_channel():
    with pytest.raises(ProviderMissing, match="not sms"):
        TelegramAdapter.from_options(Channel.SMS, {"token": TOKEN})
