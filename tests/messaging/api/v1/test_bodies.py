"""What every operation that takes a body refuses before it looks at the fields."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory
from pytest_django import Settings

from messaging.api.common import bodies
from messaging.errors import TooLarge
from messaging.models import Message
from tests.messaging.api.callers import Caller, assert_problem, read

PATH = "/api/v1/messages"
SEND = {"channel": "email", "to": "ann@example.com", "subject": "Hi", "text": "Good day"}
GOOD = json.dumps(SEND).encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (GOOD + b"}", "malformed_json"),
        (GOOD.decode().encode("utf-16"), "malformed_json"),
        (b'{"to": "\xff"}', "malformed_json"),
        (b'{"to": "\xed\xa0\x80"}', "malformed_json"),
        (b'{"to": "a\x00b"}', "malformed_json"),
        (b'{"metadata": {"a": NaN}}', "malformed_json"),
        (b'{"metadata": {"a": -Infinity}}', "malformed_json"),
        (b"{'to': 'x'}", "malformed_json"),
        (b'{"to": "x", "to": "y"}', "duplicate_name"),
        (b'{"metadata": {"a": 1, "a": 1}}', "duplicate_name"),
    ],
)
def test_a_body_that_is_not_one_json_value_is_malformed(caller: Caller, body: bytes, code: str) -> None:
    assert_problem(caller.post(PATH, body), 400, code, ("", code))
    assert not Message.objects.exists()


def test_a_byte_order_mark_is_passed_over(caller: Caller) -> None:
    read(caller.post(PATH, b"\xef\xbb\xbf" + GOOD), 202)
    assert Message.objects.get().recipient == "ann@example.com"


@pytest.mark.parametrize("brackets", ["[]", "{}"])
@pytest.mark.parametrize("levels", [33, 1_000, 10_000, 100_000])
def test_deep_nesting_is_refused(caller: Caller, brackets: str, levels: int) -> None:
    opened = '{"a":' if brackets == "{}" else "["
    body = f'{{"metadata": {{"a": {opened * levels}1{brackets[1] * levels}}}}}'.encode()
    answer = caller.post(PATH, body)
    (place,) = json.loads(answer.content)["errors"]
    assert_problem(answer, 422, "too_deep", (place["pointer"], "too_deep"))
    assert not Message.objects.exists()


@pytest.mark.parametrize("number", ["1e400", "9" * 5_000, "1" * 25])
def test_a_number_that_nobody_can_read_is_refused(caller: Caller, number: str) -> None:
    answer = caller.post(PATH, f'{{"metadata": {{"a": {number}}}}}'.encode())
    found = json.loads(answer.content)
    assert found["code"] in {"out_of_range", "not_finite"}
    assert_problem(answer, 422, found["code"], (found["errors"][0]["pointer"], found["code"]))


@pytest.mark.parametrize("value", [b"[]", b'"text"', b"1", b"null"])
def test_a_body_that_is_no_object_is_refused(caller: Caller, value: bytes) -> None:
    assert_problem(caller.post(PATH, value), 422, "validation_error", ("", "wrong_type"))


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", ""]
)
def test_another_media_type_is_refused(caller: Caller, content_type: str) -> None:
    assert_problem(caller.ask("POST", PATH, GOOD, Content_Type=content_type), 415, "unsupported_media_type")


def test_a_compressed_body_is_refused(caller: Caller) -> None:
    assert_problem(caller.post(PATH, GOOD, Content_Encoding="gzip"), 415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json", 'Application/JSON; charset="UTF-8"'])
def test_json_in_utf_8_is_read(caller: Caller, content_type: str) -> None:
    read(caller.ask("POST", PATH, GOOD, Content_Type=content_type), 202)


def test_a_body_over_the_limit_is_refused(caller: Caller, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 200
    assert_problem(caller.post(PATH, {**SEND, "text": "x" * 200}), 413, "body_too_large", ("", "body_too_large"))
    assert not Message.objects.exists()


def chunked(body: bytes, **extra: Any) -> WSGIRequest:
    """A request as a server shows one that announced no length."""
    request = RequestFactory().post(PATH, content_type="application/json")
    environ = {**request.environ, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO(body), **extra}
    environ.pop("CONTENT_LENGTH")
    return WSGIRequest(environ)


def test_a_chunked_body_is_read_to_its_end() -> None:
    assert bodies.read(chunked(GOOD, **{"wsgi.input_terminated": True})) == GOOD


def test_a_chunked_body_over_the_limit_is_refused(settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 100
    with pytest.raises(TooLarge):
        bodies.read(chunked(b"x" * 101, **{"wsgi.input_terminated": True}))


def test_a_server_that_does_not_mark_the_end_is_not_read_past_it() -> None:
    assert bodies.read(chunked(GOOD)) == b""


def test_a_long_body_is_screened_too(caller: Caller) -> None:
    long = {**SEND, "text": "x" * bodies.STRICT_BYTES}
    answer = caller.post(PATH, {**long, "metadata": {"a": "\0"}})
    assert_problem(answer, 422, "nul_character", ("/metadata/a", "nul_character"))
    cut = caller.post(PATH, json.dumps(long).encode()[:-1])
    assert_problem(cut, 400, "malformed_json", ("", "malformed_json"))
