from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels_app.addresses import normalise, normalise_many
from channels_app.errors import InvalidAddress
from channels_app.types import Channel

LONG_LABEL = "b" * 63


@pytest.mark.parametrize(
    ("address", "normalised"),
    [
        ("someone@example.com", "someone@example.com"),
        ("Some.One+tag@Example.COM", "Some.One+tag@example.com"),
        ("x--y@example.com", "x--y@example.com"),
        ("o'hara!#$%&*/=?^_`{|}~-@example.com", "o'hara!#$%&*/=?^_`{|}~-@example.com"),
        ("a@1st.example", "a@1st.example"),
        ("a@b-c.example", "a@b-c.example"),
        ("root@localhost", "root@localhost"),
        ("root@mail.internal", "root@mail.internal"),
        ("root@mail.local", "root@mail.local"),
        ("someone@mail.test", "someone@mail.test"),
        ("someone@bücher.example", "someone@bücher.example"),
        ("someone@xn--bcher-kva.example", "someone@bücher.example"),
        ("søren@example.com", "søren@example.com"),
        ("søren@mail.internal", "søren@mail.internal"),
        ("用户@例子.example", "用户@例子.example"),
        (" someone@example.com ", "someone@example.com"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        (f"a@{LONG_LABEL}.example", f"a@{LONG_LABEL}.example"),
    ],
)
def test_an_email_address_is_spelled_in_one_way(address, normalised):
    assert normalise(Channel.EMAIL, address) == normalised
    assert normalise(Channel.EMAIL, normalised) == normalised


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "someone",
        "@example.com",
        "someone@",
        "some one@example.com",
        "some@one@example.com",
        ".someone@example.com",
        "someone.@example.com",
        "some..one@example.com",
        "someone@example",
        "someone@example..com",
        "someone@.example.com",
        "someone@example.com.",
        "someone@-example.com",
        "someone@example-.com",
        "someone@exa_mple.com",
        "someone@192.0.2.1",
        "someone@[192.0.2.1]",
        "someone@ab--cd.example",
        '"some one"@example.com',
        "Someone <someone@example.com>",
        "someone@example.com,other@example.com",
        "a" * 65 + "@example.com",
        "ü" * 33 + "@example.com",
        f"a@{LONG_LABEL}b.example",
        "a@" + ".".join([LONG_LABEL] * 4),
        "a" * 63 + "@" + ".".join([LONG_LABEL, LONG_LABEL, LONG_LABEL]),
        "someone@example.com\n",
        "someone@example.com\r\nBcc: other@example.com",
        "some\x00one@example.com",
        "someone@example.com\u2028",
        "some\ud800one@example.com",
    ],
)
def test_what_is_no_email_address_is_refused(address):
    with pytest.raises(InvalidAddress):
        normalise(Channel.EMAIL, address)


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.WHATSAPP])
@pytest.mark.parametrize(
    ("address", "normalised"),
    [
        ("+12025550100", "+12025550100"),
        ("+1 (202) 555-0100", "+12025550100"),
        ("+39 (06) 1234567", "+39061234567"),
        ("+1234567", "+1234567"),
        ("+123456789012345", "+123456789012345"),
        ("+1234567890", "+1234567890"),
    ],
)
def test_a_phone_number_is_spelled_in_e164(channel, address, normalised):
    assert normalise(channel, address) == normalised


@pytest.mark.parametrize(
    "address",
    [
        *("", "12025550100", "+123456", "+1234567890123456", "+0123456789", "++12025550100", "+1202555010x"),
        *("+١٢٣٤٥٦٧٨", "+49 (0) 30 1234567", "+49(0)301234567", "+44 ( 0 )20 1234567"),
    ],
)
def test_what_is_no_phone_number_is_refused(address):
    with pytest.raises(InvalidAddress):
        normalise(Channel.SMS, address)


@pytest.mark.parametrize("address", ["1", "-1001234567890", "@some_channel", " 42 "])
def test_a_telegram_chat_is_a_number_or_a_user_name(address):
    assert normalise(Channel.TELEGRAM, address) == address.strip()


@pytest.mark.parametrize("address", ["", "0", "--1", "4.2", "@abc", "@1abcd", "@" + "a" * 33, "name", "9" * 30])
def test_what_is_no_telegram_chat_is_refused(address):
    with pytest.raises(InvalidAddress):
        normalise(Channel.TELEGRAM, address)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8080/hook", "https://example.com", "https://[::1]/x?y=z", "https://bücher.example/"]
)
def test_a_webhook_is_an_http_url(address):
    assert normalise(Channel.WEBHOOK, address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "example.com/hook",
        "ftp://example.com/",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://@example.com/",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://[::1/",
        "https://example.com/a b",
        "https://example.com\\@evil.example/",
        "https://example.com/\r\nHost: evil.example",
        "https://example.com/" + "a" * 2_048,
    ],
)
def test_what_is_no_http_url_is_refused(address):
    with pytest.raises(InvalidAddress):
        normalise(Channel.WEBHOOK, address)


def test_a_push_address_is_a_subscriptions_id_or_an_https_endpoint():
    for address in ("0199c0de-0000-7000-8000-000000000000", "https://push.example/send/abc"):
        assert normalise(Channel.PUSH, address) == address
    for address in ("", "http://push.example/send/abc", "wss://push.example", "a" * 256):
        with pytest.raises(InvalidAddress):
            normalise(Channel.PUSH, address)


@pytest.mark.parametrize("channel", [Channel.ONSITE, Channel.DIRECT])
def test_an_id_is_any_short_text(channel):
    assert normalise(channel, " avatar-7 ") == "avatar-7"
    assert normalise(channel, "ä" * 255) == "ä" * 255
    for address in ("", "  ", "a" * 256, "a\tb"):
        with pytest.raises(InvalidAddress):
            normalise(channel, address)


def test_many_addresses_keep_their_places_and_the_wrong_ones_become_errors():
    first, second, third = normalise_many(Channel.EMAIL, ["a@EXAMPLE.com", "nobody", "b@example.com"])
    assert (first, third) == ("a@example.com", "b@example.com")
    assert isinstance(second, InvalidAddress)


@given(st.sampled_from(Channel), st.text(max_size=80), st.sampled_from("\r\n\x00\x7f\x85\u2028"), st.text(max_size=80))
def test_controls_are_refused_on_every_channel(channel, before, control, after):
    with pytest.raises(InvalidAddress):
        normalise(channel, before + control + after)


@given(st.sampled_from(Channel), st.text(max_size=300))
@example(Channel.EMAIL, "a@" + "a-" * 5_000)
@example(Channel.EMAIL, "a." * 20_000 + "@example.com")
@example(Channel.WEBHOOK, "http://[")
def test_any_text_is_either_normalised_for_good_or_refused(channel, address):
    try:
        normalised = normalise(channel, address)
    except InvalidAddress:
        return
    assert normalise(channel, normalised) == normalised
