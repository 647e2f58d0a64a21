"""Media of a message: what is taken, kept, shown and refused."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.models import Content
from tests.messaging.api.callers import Caller, assert_problem, read

PATH = "/api/v1/messages"
URL = "https://files.example.com/orders/7.pdf"
SEND: dict[str, Any] = {"channel": "whatsapp", "to": "+12025550100", "text": "Your order", "media": {"url": URL}}


def test_media_is_kept_and_shown_as_it_was_given(caller: Caller) -> None:
    given = {"url": URL, "type": "document", "caption": "Order 7\nThanks", "filename": "order.pdf"}
    body = read(caller.post(PATH, {**SEND, "media": given}), 202)
    assert body["media"] == given
    assert read(caller.get(f"{PATH}/{body['id']}")) == body
    assert Content.objects.get().media == given


@pytest.mark.parametrize("channel", ["whatsapp", "telegram"])
def test_what_is_not_said_of_media_is_null(caller: Caller, channel: str) -> None:
    to = "4711" if channel == "telegram" else "+12025550100"
    body = read(caller.post(PATH, {**SEND, "channel": channel, "to": to}), 202)
    assert body["media"] == {"url": URL, "type": None, "caption": None, "filename": None}
    assert Content.objects.get().media == {"url": URL}


def test_a_message_without_media_has_none(caller: Caller) -> None:
    plain = {name: value for name, value in SEND.items() if name != "media"}
    assert read(caller.post(PATH, plain), 202)["media"] is None
    assert read(caller.post(PATH, {**plain, "media": None}), 202)["media"] is None


def test_the_messages_of_a_batch_share_their_media(caller: Caller) -> None:
    body = {name: value for name, value in SEND.items() if name != "to"}
    recipients = [{"to": "+12025550100"}, {"to": "+12025550101"}]
    made = read(caller.post(f"{PATH}/batch", {**body, "recipients": recipients}), 202)
    shown = [read(caller.get(f"{PATH}/{key}"))["media"]["url"] for key in made["ids"]]
    assert shown == [URL, URL]
    assert Content.objects.count() == 1


@pytest.mark.parametrize(
    ("media", "pointer", "code"),
    [
        ({}, "/media/url", "required"),
        ({"url": ""}, "/media/url", "too_short"),
        ({"url": "https://a.example/" + "a" * 2048}, "/media/url", "too_long"),
        ({"url": "ftp://a.example/b.png"}, "/media/url", "invalid_url"),
        ({"url": "file:///etc/passwd"}, "/media/url", "invalid_url"),
        ({"url": "data:image/png;base64,AAAA"}, "/media/url", "invalid_url"),
        ({"url": "b.png"}, "/media/url", "invalid_url"),
        ({"url": "https://"}, "/media/url", "invalid_url"),
        ({"url": "https://ann:secret@a.example/b.png"}, "/media/url", "invalid_url"),
        ({"url": "https://a.example:0/b.png"}, "/media/url", "invalid_url"),
        ({"url": "https://a.example:99999/b.png"}, "/media/url", "invalid_url"),
        ({"url": "http://[/b.png"}, "/media/url", "invalid_url"),
        ({"url": "https://a.example/a b.png"}, "/media/url", "invalid_url"),
        ({"url": " https://a.example/b.png"}, "/media/url", "invalid_url"),
        ({"url": "https://a.example/\nb.png"}, "/media/url", "invalid_url"),
        ({"url": URL, "type": "gif"}, "/media/type", "invalid_choice"),
        ({"url": URL, "caption": "a" * 1025}, "/media/caption", "too_long"),
        ({"url": URL, "filename": "a\r\nb"}, "/media/filename", "control_character"),
        ({"url": URL, "mime": "image/png"}, "/media/mime", "unknown_field"),
        (URL, "/media", "wrong_type"),
    ],
)
def test_media_that_cannot_be_sent_is_refused(caller: Caller, media: Any, pointer: str, code: str) -> None:
    assert_problem(caller.post(PATH, {**SEND, "media": media}), 422, "validation_error", (pointer, code))
    assert not Content.objects.exists()


def test_a_channel_that_carries_no_media_refuses_it(caller: Caller) -> None:
    answer = caller.post(PATH, {**SEND, "channel": "sms"})
    assert_problem(answer, 422, "validation_error", ("/media", "not_carried"))
