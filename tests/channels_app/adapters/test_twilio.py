"""The Twilio adapter against a Twilio of our own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

import pytest

from channels_app.adapters.twilio import TwilioAdapter
from channels_app.adapters.twilio_codes import DEAD, MEANINGS, Meaning
from channels_app.base import ChannelAdapter
from channels_app.errors import CallbackRejected, ProviderMissing
from channels_app.segments import Segments, measure
from channels_app.types import (
    Accepted,
    Ambiguous,
    Callback,
    Channel,
    Health,
    Media,
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
from tests.peers import http, twilio
from tests.peers.http import Manner, Peer, Reply
from tests.peers.twilio import ACCOUNT, TOKEN, Twilio

SENDER = "+15005550006"
SERVICE = "MG" + "5" * 32
CONTENT = "HX" + "c" * 32
CALLBACKS = "https://dispatch.example/api/v1/callbacks/twilio"
ANN = "+12025550123"


def adapter_for(peer: Peer, channel: Channel = Channel.SMS, **options: Any) -> TwilioAdapter:
    given = {"account": ACCOUNT, "token": TOKEN, "from": SENDER, "base": peer.url(""), "callback_url": CALLBACKS}
    return TwilioAdapter.from_options(channel, {**given, **options})


def outcome(adapter: ChannelAdapter, message: OutboundMessage) -> Outcome:
    (found,) = answers(adapter, [message])
    return found


def to(phone: str = ANN, channel: Channel = Channel.SMS, **fields: Any) -> OutboundMessage:
    fields.setdefault("shared", SharedContent(key=uuid4()))
    return make_message(channel, phone, subject="", **fields)


def posted(peer: Peer) -> list[tuple[str, str]]:
    (asked,) = peer.requests
    return parse_qsl(asked.body.decode())


@pytest.fixture
def both() -> Iterator[tuple[Peer, Twilio]]:
    with twilio.running() as running:
        yield running


@pytest.fixture
def peer(both) -> Peer:
    return both[0]


@pytest.fixture
def account(both) -> Twilio:
    return both[1]


@pytest.fixture
def adapter(peer) -> TwilioAdapter:
    return adapter_for(peer)


class TestContract(AdapterContract):
    name = "twilio"

    @pytest.fixture(params=[Channel.SMS, Channel.WHATSAPP])
    def channel(self, request) -> Channel:
        return request.param

    @pytest.fixture
    def adapter(self, peer, channel) -> ChannelAdapter:
        return adapter_for(peer, channel)

    @pytest.fixture
    def hasty(self, peer, channel) -> ChannelAdapter:
        return adapter_for(peer, channel, timeout=2.0)

    def message(self, adapter: ChannelAdapter, *behaviour: Any) -> OutboundMessage:
        shared = SharedContent(key=uuid4())
        return make_message(adapter.channel, self.address(*behaviour or ("accept",)), shared=shared)


# What is posted


def test_a_text_message_names_both_ends_and_where_to_report(adapter, peer):
    message = to(text="Good morning")
    found = outcome(adapter, message)
    assert found == Accepted(provider_message_id="SM" + "0" * 32, detail={"segments": 1, "encoding": "GSM-7"})
    assert sorted(posted(peer)) == [
        ("Body", "Good morning"),
        ("From", SENDER),
        ("StatusCallback", f"{CALLBACKS}?message_id={message.id}"),
        ("To", ANN),
    ]
    assert peer.requests[0].path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


def test_without_a_public_url_no_report_is_asked_for(peer):
    outcome(adapter_for(peer, callback_url=""), to())
    assert "StatusCallback" not in dict(posted(peer))


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.WHATSAPP])
def test_a_messaging_service_takes_the_place_of_a_sender(peer, channel):
    assert isinstance(outcome(adapter_for(peer, channel, **{"from": SERVICE}), to(channel=channel)), Accepted)
    form = dict(posted(peer))
    assert form["MessagingServiceSid"] == SERVICE
    assert "From" not in form


def test_the_message_may_name_its_own_sender(adapter, peer):
    outcome(adapter, to(shared=SharedContent(key=uuid4(), sender="Dispatch")))
    assert dict(posted(peer))["From"] == "Dispatch"


def test_both_ends_of_a_whatsapp_message_say_so(peer):
    found = outcome(adapter_for(peer, Channel.WHATSAPP), to(channel=Channel.WHATSAPP))
    assert found == Accepted(provider_message_id="SM" + "0" * 32)
    form = dict(posted(peer))
    assert (form["To"], form["From"]) == (f"whatsapp:{ANN}", f"whatsapp:{SENDER}")


@pytest.mark.parametrize(("caption", "body"), [("", "Good morning"), ("Our map", "Our map")])
def test_a_whatsapp_file_carries_its_caption_or_the_text(peer, caption, body):
    media = Media(url="https://example.com/map.png", caption=caption)
    message = to(channel=Channel.WHATSAPP, shared=SharedContent(key=uuid4(), media=media))
    found = outcome(adapter_for(peer, Channel.WHATSAPP), message)
    assert isinstance(found, Accepted)
    assert found.provider_message_id.startswith("MM")
    form = dict(posted(peer))
    assert (form["MediaUrl"], form["Body"]) == (media.url, body)


def test_a_template_goes_out_with_what_to_fill_in(peer):
    metadata = {"content_sid": CONTENT, "content_variables": {"1": "Änn", "2": "at three"}}
    message = to(channel=Channel.WHATSAPP, metadata=metadata)
    assert isinstance(outcome(adapter_for(peer, Channel.WHATSAPP), message), Accepted)
    form = dict(posted(peer))
    assert form["ContentSid"] == CONTENT
    assert json.loads(form["ContentVariables"]) == {"1": "Änn", "2": "at three"}
    assert "Body" not in form


@pytest.mark.parametrize(
    "metadata",
    [
        {"content_sid": "HX12"},
        {"content_sid": ""},
        {"content_sid": 7},
        {"content_sid": CONTENT, "content_variables": ["Ann"]},
        {"content_sid": CONTENT, "content_variables": {"1": {"x": 1}}},
    ],
)
def test_a_template_that_is_none_is_refused_rather_than_replaced_by_the_text(peer, metadata):
    found = outcome(adapter_for(peer, Channel.WHATSAPP), to(channel=Channel.WHATSAPP, metadata=metadata))
    assert isinstance(found, Permanent)
    assert found.code == "invalid_message"
    assert peer.requests == []


def test_metadata_of_a_text_message_means_nothing_to_twilio(adapter, peer):
    outcome(adapter, to(metadata={"content_sid": CONTENT}))
    assert "ContentSid" not in dict(posted(peer))


def test_connections_are_kept_from_session_to_session(adapter, peer):
    for _ in range(3):
        outcome(adapter, to())
    assert peer.connections == 1


# What the answer means


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_each_code_means_what_the_table_says(adapter, code):
    found = outcome(adapter, to(f"+19994{code}"))
    kinds = {
        Meaning.PERMANENT: Permanent,
        Meaning.TRANSIENT: Transient,
        Meaning.THROTTLED: Throttled,
        Meaning.OPTED_OUT: Permanent,
        Meaning.CONFIGURATION: NotConfigured,
    }
    assert type(found) is kinds[MEANINGS[code]], found


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        ("+1999421211", Permanent(code="twilio_21211", detail="as asked")),
        ("+1999499999", Permanent(code="twilio_99999", detail="as asked")),
        ("+1999599999", Transient(code="twilio_99999", detail="as asked")),
        ("+1999999999", Throttled(wait=7.0, code="twilio_99999", detail="as asked")),
        ("+1999414107", Throttled(wait=5.0, code="twilio_14107", detail="as asked")),
        ("+1999420003", NotConfigured(code="provider_refused_credentials", detail="twilio_20003 as asked")),
        ("+1999830005", Permanent(code="twilio_30005", detail="failed")),
        ("+1999830001", Transient(code="twilio_30001", detail="failed")),
        ("+19990", Ambiguous(detail="the answer makes no sense: JSONDecodeError")),
    ],
)
def test_what_twilio_says_decides(adapter, phone, expected):
    assert outcome(adapter, to(phone.ljust(11, "0"))) == expected


def test_whoever_told_twilio_to_stop_has_opted_out(adapter):
    message = to("+1999421610", attempt=2)
    found = outcome(adapter, message)
    key = f"{message.id}:2:twilio_21610"
    left = Receipt(kind=ReceiptKind.UNSUBSCRIBED, key=key, message_id=message.id, code="blocked")
    assert found == Permanent(code="recipient_opted_out", detail="as asked", receipts=(left,))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=302, headers={"location": "http://127.0.0.1:1/"}), NotConfigured),
        (Reply(status=401, body=b"<html>"), NotConfigured),
        (Reply(status=404, body=b"<html>no such page</html>"), NotConfigured),
        (Reply(status=429, headers={"retry-after": "-1"}), Throttled),
        (Reply(status=502, body=b"<html>"), Transient),
        (Reply(status=408), Transient),
        (Reply(status=400, body=b'{"code": true}'), Permanent),
        (Reply(status=400, body=b'{"code": ' + b"9" * 4_000 + b"}"), Permanent),
        (Reply(status=500, body=b"[" * 60_000), Transient),
        (Reply(status=201, body=b"{}"), Ambiguous),
        (Reply(status=201, body=b"[]"), Ambiguous),
        (Reply(status=201, body=b'{"sid": 7}'), Ambiguous),
        (Reply(status=201, body=b'{"sid": "SM1"}'), Ambiguous),
        (Reply(status=201, body=b'{"sid": "' + b"x" * 100_000 + b'"}'), Ambiguous),
        (Reply(status=201, body=b'{"sid": "SM' + b"0" * 32 + b'", "date_sent": [1]}'), Ambiguous),
        (Reply(status=201, body=b"[" * 60_000), Ambiguous),
        (Reply(status=201, manner=Manner.CUT_BODY), Ambiguous),
    ],
)
def test_something_that_is_not_twilio_is_seen_through(reply, kind):
    with http.running(lambda asked: reply) as peer:
        found = outcome(adapter_for(peer), to())
    assert type(found) is kind, found
    assert len(getattr(found, "code", "")) < 40


def test_a_server_that_is_not_there_is_tried_again():
    with http.running() as gone:
        pass
    found = outcome(adapter_for(gone), to())
    assert isinstance(found, Transient)
    assert found.code == "connection_failed"


@pytest.mark.parametrize("phone", [ANN, "+1999421211", "+19991000000", "+19993000000"])
def test_neither_token_nor_number_is_repeated_in_an_outcome_or_a_log(peer, caplog, phone):
    with caplog.at_level(logging.DEBUG):
        found = outcome(adapter_for(peer, timeout=1.0), to(phone))
    for secret in (TOKEN, phone, "Good morning"):
        assert secret not in f"{found!r}{caplog.text}"


# Parts of a text message


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", "GSM-7", 0, 0),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 158 + "{}", "GSM-7", 162, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),
        ("é@£Ω\n", "GSM-7", 5, 1),
        ("ë", "UCS-2", 1, 1),
        ("я" * 70, "UCS-2", 70, 1),
        ("я" * 71, "UCS-2", 71, 2),
        ("я" * 134, "UCS-2", 134, 2),
        ("я" * 135, "UCS-2", 135, 3),
        ("\U0001f600" * 35, "UCS-2", 70, 1),
        ("\U0001f600" * 36, "UCS-2", 72, 2),
        ("я" * 66 + "\U0001f600" + "я" * 66, "UCS-2", 134, 3),
        ("`", "UCS-2", 1, 1),
    ],
)
def test_a_text_is_measured_as_networks_do(text, encoding, units, count):
    assert measure(text) == Segments(encoding=encoding, units=units, count=count)


def test_the_parts_are_told_with_the_outcome(adapter):
    found = outcome(adapter, to(text="Привет " * 20))
    assert isinstance(found, Accepted)
    assert found.detail == {"segments": 3, "encoding": "UCS-2"}


# Asking what became of a message


def asked(adapter: TwilioAdapter, message: OutboundMessage, *, ago: float = 0.0) -> Outcome | None:
    return adapter.ask(message, datetime.now(UTC) - timedelta(seconds=ago))


def test_a_message_whose_answer_was_lost_is_found(adapter, account):
    message = to("+19992000000")
    assert isinstance(outcome(adapter, message), Ambiguous)
    detail = {"found": True, "status": "queued"}
    assert asked(adapter, message) == Accepted(provider_message_id=account.taken[0]["sid"], detail=detail)


def test_a_report_that_was_lost_comes_with_it(adapter, account):
    message = to()
    outcome(adapter, message)
    account.taken[0]["status"] = "delivered"
    found = asked(adapter, message)
    assert isinstance(found, Accepted)
    assert [(receipt.kind, receipt.key) for receipt in found.receipts] == [
        (ReceiptKind.DELIVERED, f"{account.taken[0]['sid']}:delivered")
    ]


def test_a_message_that_twilio_does_not_have_was_not_sent(adapter):
    assert asked(adapter, to()) == Transient(code="not_sent", detail="Twilio has no such message")


@pytest.mark.parametrize("fields", [{"text": "Good evening"}, {"shared": SharedContent(key=uuid4(), sender="+1500")}])
def test_another_message_to_the_same_recipient_is_not_taken_for_it(adapter, fields):
    outcome(adapter, to(**fields))
    assert isinstance(asked(adapter, to()), Transient)


def test_one_of_long_ago_is_not_taken_for_it(adapter, account):
    outcome(adapter, to())
    account.taken[0]["date_created"] = format_datetime(datetime.now(UTC) - timedelta(hours=1))
    assert isinstance(asked(adapter, to()), Transient)


def test_of_equal_messages_the_one_of_that_moment_is_taken(adapter, account):
    for _ in range(3):
        outcome(adapter, to())
    for row, seconds in zip(account.taken, (20, 10, 1), strict=True):
        row["date_created"] = format_datetime(datetime.now(UTC) - timedelta(seconds=seconds))
    found = asked(adapter, to(), ago=10)
    assert isinstance(found, Accepted)
    assert found.provider_message_id == account.taken[1]["sid"]


def test_it_is_found_by_its_messaging_service(peer, account):
    adapter = adapter_for(peer, **{"from": SERVICE})
    message = to()
    outcome(adapter, message)
    account.taken[0]["from"] = "+15005550009"
    assert isinstance(asked(adapter, message), Accepted)


def test_media_beside_a_content_template_is_refused(peer):
    shared = SharedContent(key=uuid4(), media=Media(url="https://files.example/a.jpg"))
    adapter = adapter_for(peer, Channel.WHATSAPP)
    found = outcome(adapter, make_message(Channel.WHATSAPP, ANN, shared=shared, metadata={"content_sid": CONTENT}))
    assert isinstance(found, Permanent)
    assert (found.code, peer.requests) == ("invalid_message", [])


def test_it_is_found_however_the_sender_is_spelled(peer, account):
    adapter = adapter_for(peer, **{"from": "+1 (500) 555-0006"})
    message = to()
    outcome(adapter, message)
    assert account.taken[0]["from"] == "+15005550006"
    assert isinstance(asked(adapter, message), Accepted)


def test_it_is_found_though_twilio_put_words_of_a_trial_account_before_it(adapter, account):
    message = to()
    outcome(adapter, message)
    account.taken[0]["body"] = f"Sent from your Twilio trial account - {message.text}"
    assert isinstance(asked(adapter, message), Accepted)


def test_it_is_found_on_a_later_page(adapter, account):
    outcome(adapter, to(text="The first"))
    for number in range(45):
        outcome(adapter, to(text=f"Number {number}"))
    assert isinstance(asked(adapter, to(text="The first")), Accepted)


def test_where_there_are_too_many_to_look_through_nothing_is_said(adapter):
    answers(adapter, [to(text="Another") for _ in range(101)])
    assert asked(adapter, to()) is None


def test_a_long_list_of_long_texts_is_read(adapter):
    answers(adapter, [to(text="я" * 1_600) for _ in range(20)])
    assert isinstance(asked(adapter, to()), Transient)


def test_a_file_is_found_by_its_caption(peer):
    adapter = adapter_for(peer, Channel.WHATSAPP)
    media = Media(url="https://example.com/map.png", caption="Our map")
    message = to(channel=Channel.WHATSAPP, shared=SharedContent(key=uuid4(), media=media))
    outcome(adapter, message)
    assert isinstance(asked(adapter, message), Accepted)


def test_of_templates_one_cannot_be_told_from_another(peer):
    adapter = adapter_for(peer, Channel.WHATSAPP)
    message = to(channel=Channel.WHATSAPP, metadata={"content_sid": CONTENT})
    assert isinstance(asked(adapter, message), Transient)
    outcome(adapter, message)
    assert asked(adapter, message) is None


def test_where_twilio_does_not_answer_nothing_is_said(peer):
    assert asked(adapter_for(peer, token="another"), to()) is None
    with http.running() as gone:
        pass
    assert asked(adapter_for(gone), to()) is None
    with http.running(lambda asked: Reply(body=b'{"messages": 7}')) as odd:
        assert asked(adapter_for(odd), to()) is None


# Callbacks


def status(word: str, *, url: str = CALLBACKS, **more: str) -> Callback:
    headers, body = twilio.callback(url, "SM1", word, **more)
    return Callback(method="POST", url=url, headers=headers, body=body)


def changed(callback: Callback, **fields: Any) -> Callback:
    told = {"method": "POST", "url": callback.url, "headers": callback.headers, "body": callback.body}
    return Callback(**{**told, **fields})


def test_a_callback_that_twilio_signed_is_believed(adapter):
    adapter.verify_callback(status("delivered", url=f"{CALLBACKS}?message_id={uuid4()}", ErrorMessage="", Body="ä+b c"))


def test_the_usual_port_may_be_said_or_not(adapter):
    signed = status("delivered", url=CALLBACKS.replace("example/", "example:443/"))
    adapter.verify_callback(changed(signed, url=CALLBACKS))


@pytest.mark.parametrize("name", ["X-Twilio-Signature", "x-twilio-signature"])
def test_however_the_header_is_spelled(adapter, name):
    callback = status("sent")
    adapter.verify_callback(changed(callback, headers={name: callback.headers["X-Twilio-Signature"]}))


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {}},
        {"headers": {"X-Twilio-Signature": ""}},
        {"headers": {"X-Twilio-Signature": "AAAA"}},
        {"headers": {"X-Twilio-Signature": "ü\udcff"}},
        {"url": f"{CALLBACKS}?message_id={uuid4()}"},
        {"url": CALLBACKS.replace("https", "http")},
        {"url": CALLBACKS.replace("dispatch.", "other.")},
        {"body": b"MessageSid=SM1&MessageStatus=delivered"},
        {"body": b""},
        {"body": b"\xff\xfe"},
        {"body": b"a=%ff"},
        {"body": b"a=1&" * 300},
    ],
)
def test_a_callback_that_was_changed_is_not(adapter, fields):
    with pytest.raises(CallbackRejected):
        adapter.verify_callback(changed(status("delivered"), **fields))


def test_another_accounts_token_does_not_sign(peer):
    with pytest.raises(CallbackRejected):
        adapter_for(peer, token="another").verify_callback(status("delivered"))


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("sent", ReceiptKind.SENT),
        ("delivered", ReceiptKind.DELIVERED),
        ("read", ReceiptKind.OPENED),
        ("undelivered", ReceiptKind.FAILED),
        ("failed", ReceiptKind.FAILED),
        ("canceled", ReceiptKind.FAILED),
    ],
)
def test_a_status_becomes_a_receipt(adapter, word, kind):
    ours = uuid4()
    found = adapter.parse_callback(status(word, url=f"{CALLBACKS}?message_id={ours}"))
    expected = Receipt(
        kind=kind, key=f"SM1:{word}", message_id=ours, provider_message_id="SM1", detail={"status": word}
    )
    assert found == [expected]


@pytest.mark.parametrize("word", ["queued", "sending", "accepted", "scheduled", "receiving", "partially_delivered", ""])
def test_a_status_that_tells_nothing_new_is_no_receipt(adapter, word):
    assert adapter.parse_callback(status(word)) == []


@pytest.mark.parametrize("query", ["", "?message_id=", "?message_id=x", "?message_id=7&message_id=8", "?other=1"])
def test_without_our_own_id_a_receipt_goes_by_twilios(adapter, query):
    (found,) = adapter.parse_callback(status("sent", url=CALLBACKS + query))
    assert isinstance(found, Receipt)
    assert (found.message_id, found.provider_message_id) == (None, "SM1")


@pytest.mark.parametrize("code", sorted(DEAD))
def test_a_number_that_nobody_has_bounces(adapter, code):
    (found,) = adapter.parse_callback(status("undelivered", ErrorCode=str(code)))
    assert isinstance(found, Receipt)
    assert (found.kind, found.code) == (ReceiptKind.BOUNCED, f"twilio_{code}")
    assert found.detail == {"status": "undelivered", "error_code": code}


def test_a_refusal_on_the_way_because_of_a_stop_is_an_opt_out_too(adapter):
    ours = UUID(int=7)
    found = adapter.parse_callback(status("undelivered", url=f"{CALLBACKS}?message_id={ours}", ErrorCode="21610"))
    assert [(each.kind, each.message_id) for each in found if isinstance(each, Receipt)] == [
        (ReceiptKind.FAILED, ours),
        (ReceiptKind.UNSUBSCRIBED, ours),
    ]
    assert len({each.key for each in found}) == 2
    assert [each.code for each in found if isinstance(each, Receipt)] == ["twilio_21610", "blocked"]


@pytest.mark.parametrize("code", ["", "abc", "-1", "٣", "9" * 5_000])
def test_an_error_that_is_no_number_is_left_out(adapter, code):
    (found,) = adapter.parse_callback(status("failed", ErrorCode=code))
    assert isinstance(found, Receipt)
    assert found.kind is ReceiptKind.FAILED


def answered(**form: str) -> Callback:
    headers, body = twilio.signed(CALLBACKS, {"MessageSid": "SM9", "From": ANN, "To": SENDER, **form})
    return Callback(method="POST", url=CALLBACKS, headers=headers, body=body)


@pytest.mark.parametrize(("sender", "channel"), [(ANN, Channel.SMS), (f"whatsapp:{ANN}", Channel.WHATSAPP)])
@pytest.mark.parametrize(("word", "kind"), [("STOP", SignalKind.OPTED_OUT), ("START", SignalKind.OPTED_IN)])
def test_a_recipient_who_answers_stop_or_start_is_heard(adapter, sender, channel, word, kind):
    callback = answered(OptOutType=word, From=sender, Body="arrêt")
    adapter.verify_callback(callback)
    assert adapter.parse_callback(callback) == [Signal(kind=kind, key="SM9", address=ANN, channel=channel)]


@pytest.mark.parametrize("form", [{"Body": "Thank you"}, {"OptOutType": "HELP"}, {"OptOutType": "STOP", "From": ""}])
def test_any_other_answer_says_nothing(adapter, form):
    assert adapter.parse_callback(answered(**form)) == []


def test_what_names_no_message_says_nothing(adapter):
    assert adapter.parse_callback(changed(status("sent"), body=b"MessageStatus=sent")) == []


# Health and settings


def test_an_account_that_is_suspended_is_not_healthy(adapter, account):
    account.account_status = "suspended"
    assert adapter.probe() == Health(ok=False, detail="suspended")


def test_a_token_that_twilio_does_not_know_is_a_matter_of_settings(peer):
    adapter = adapter_for(peer, token="another")
    assert isinstance(outcome(adapter, to()), NotConfigured)
    assert adapter.probe() == Health(ok=False, detail="401 Authenticate")


def test_a_probe_never_raises():
    with http.running() as gone:
        pass
    assert adapter_for(gone).probe() == Health(ok=False, detail="connection_failed")
    with http.running(lambda asked: Reply(body=b"[]")) as odd:
        assert not adapter_for(odd).probe().ok


@pytest.mark.parametrize("name", ["account", "token", "from"])
def test_what_is_missing_is_named(peer, name):
    with pytest.raises(ProviderMissing, match=f"needs {name}"):
        adapter_for(peer, **{name: ""})


@pytest.mark.parametrize(
    "base", ["api.example", "ftp://api.example", "http://", "http://[::1", "http://a.example/?b=1"]
)
def test_a_base_that_is_no_url_is_refused(peer, base):
    with pytest.raises(ProviderMissing, match="base"):
        adapter_for(peer, base=base)


def test_a_base_may_have_a_path(peer):
    outcome(adapter_for(peer, base=peer.url("/twilio/")), to())
    assert peer.requests[0].path == f"/twilio/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


def test_twilio_sends_text_messages_and_whatsapp_alone(peer):
    with pytest.raises(ProviderMissing, match="not by telegram"):
        adapter_for(peer, Channel.TELEGRAM)
