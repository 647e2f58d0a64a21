"""What /messaging refuses, each refusal as a whole body: {error: {code, message, details}}."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.http import HttpResponse
from django.test import Client
from psycopg import errors
from pytest_django import Settings
from rest_framework_simplejwt.tokens import RefreshToken

from channels_app.types import Channel
from messaging.api.fluxkit.envelope import CODES, HTTP, Code
from messaging.api.fluxkit.sending import shown
from messaging.api.fluxkit.serializers import Sms
from messaging.dispatch import control, providers, wake
from messaging.dispatch.sending import Sent
from messaging.models import ApiKey, Message, Mode, Workspace
from messaging.state import Cause
from tests.contracts.test_fluxkit import EMAIL, SENDS, SMS, TEMPLATE, WHATSAPP, refused, welcome
from tests.factories import accept_message, make_template, make_workspace, message
from tests.messaging.api.callers import Caller, make_caller, nobody, read
from tests.messaging.api.v1.test_failures import failing
from tests.running import PATIENCE, eventually

PATHS = [path for path, _, _ in SENDS]
NO_FIELD = "There is no such field."


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def unconfigured(settings: Settings) -> Iterator[None]:
    """No channel has a provider."""
    settings.CHANNELS = {channel.value: [] for channel in Channel}
    providers.registry.cache_clear()
    yield
    providers.registry.cache_clear()


# VALIDATION_ERROR


def _without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


REQUIRED = "This field is required."
BAD_EMAIL = "not an e-mail address: An email address must have an @-sign."
BAD_PHONE = "not a phone number in E.164 form: + and 7 to 15 digits"
INVALID: list[tuple[str, dict[str, Any], dict[str, list[str]]]] = [
    ("/messaging/email", _without(EMAIL, "to"), {"to": [REQUIRED]}),
    ("/messaging/email", _without(EMAIL, "subject"), {"subject": [REQUIRED]}),
    ("/messaging/email", _without(EMAIL, "body"), {"body": [REQUIRED]}),
    ("/messaging/email/template", _without(TEMPLATE, "to"), {"to": [REQUIRED]}),
    ("/messaging/email/template", _without(TEMPLATE, "template"), {"template": [REQUIRED]}),
    ("/messaging/sms", _without(SMS, "to"), {"to": [REQUIRED]}),
    ("/messaging/sms", _without(SMS, "body"), {"body": [REQUIRED]}),
    ("/messaging/whatsapp", _without(WHATSAPP, "to"), {"to": [REQUIRED]}),
    ("/messaging/whatsapp", _without(WHATSAPP, "body"), {"body": [REQUIRED]}),
    ("/messaging/email", {**EMAIL, "to": "ann"}, {"to": [BAD_EMAIL]}),
    (
        "/messaging/email",
        {**EMAIL, "to": ["ann", "ann@example.com", "bob"]},
        {"to[0]": [BAD_EMAIL], "to[2]": [BAD_EMAIL]},
    ),
    ("/messaging/email", {**EMAIL, "to": []}, {"to": ["Expected array of length >= 1"]}),
    ("/messaging/email", {**EMAIL, "to": ["a@example.com"] * 51}, {"to": ["Expected array of length <= 50"]}),
    ("/messaging/email", {**EMAIL, "cc": ["a@example.com"] * 51}, {"cc": ["Expected array of length <= 50"]}),
    ("/messaging/email", {**EMAIL, "to": 7}, {"to": ["Expected str | array, got int"]}),
    ("/messaging/email", {**EMAIL, "to": ["ann@example.com", 7]}, {"to[1]": ["Expected str, got int"]}),
    ("/messaging/email", {**EMAIL, "subject": ""}, {"subject": ["Expected str of length >= 1"]}),
    ("/messaging/email", {**EMAIL, "body": None}, {"body": ["Expected str, got null"]}),
    ("/messaging/email", {**EMAIL, "attachments": []}, {"attachments": [NO_FIELD]}),
    ("/messaging/email/template", {**TEMPLATE, "data": []}, {"data": ["Expected object | null, got array"]}),
    ("/messaging/email/template", {**TEMPLATE, "body": "x"}, {"body": [NO_FIELD]}),
    ("/messaging/sms", {**SMS, "to": "1234567890"}, {"to": [BAD_PHONE]}),
    ("/messaging/sms", {**SMS, "to": ["+1234567890"]}, {"to": ["Expected str, got array"]}),
    ("/messaging/sms", {**SMS, "body": "a" * 1601}, {"body": ["Expected str of length <= 1600"]}),
    ("/messaging/sms", {**SMS, "media": {}}, {"media": [NO_FIELD]}),
    ("/messaging/whatsapp", {**WHATSAPP, "to": "ann@example.com"}, {"to": [BAD_PHONE]}),
    ("/messaging/whatsapp", {**WHATSAPP, "media": "x"}, {"media": ["Expected object | null, got str"]}),
    ("/messaging/whatsapp", {**WHATSAPP, "media": {}}, {"media.url": [REQUIRED]}),
    (
        "/messaging/whatsapp",
        {**WHATSAPP, "media": {"url": "ftp://files.example/a"}},
        {"media.url": ["not a URL of http or https with a host"]},
    ),
    (
        "/messaging/whatsapp",
        {**WHATSAPP, "media": {"url": "https://ann:secret@files.example/a"}},
        {"media.url": ["a URL carries no user name or password"]},
    ),
    (
        "/messaging/whatsapp",
        {**WHATSAPP, "media": {"url": "https://files.example/a", "mime": "image/png"}},
        {"media.mime": [NO_FIELD]},
    ),
    (
        "/messaging/whatsapp",
        {**WHATSAPP, "media": {"url": "https://files.example/a", "type": "gif"}},
        {"media.type": ["Invalid enum value 'gif'"]},
    ),
]


@pytest.mark.parametrize(("path", "body", "fields"), INVALID)
def test_a_bad_value_is_told_by_its_field(
    caller: Caller, path: str, body: dict[str, Any], fields: dict[str, list[str]]
) -> None:
    first = next(iter(fields.values()))[0]
    refused(caller.post(path, body), 400, "VALIDATION_ERROR", first, {"fields": fields})
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [("cc", ["a@example.com", "ann"], "cc"), ("bcc", "ann", "bcc"), ("replyTo", "ann", "replyTo")],
)
def test_a_bad_copy_is_told_by_its_field(caller: Caller, name: str, value: object, field: str) -> None:
    answer = caller.post("/messaging/email", {**EMAIL, name: value})
    refused(answer, 400, "VALIDATION_ERROR", BAD_EMAIL, {"fields": {field: [BAD_EMAIL]}})


def test_one_bad_recipient_keeps_all_from_being_sent(caller: Caller) -> None:
    answer = caller.post("/messaging/email", {**EMAIL, "to": ["ann@example.com", "bob"]})
    refused(answer, 400, "VALIDATION_ERROR", BAD_EMAIL, {"fields": {"to[1]": [BAD_EMAIL]}})
    assert not Message.objects.exists()


def test_what_cannot_be_rendered_for_a_later_recipient_keeps_all_from_being_sent(caller: Caller) -> None:
    make_template(caller.workspace, "odd", text="{% if to == 'bob@example.com' %}{{ 1 | divided_by: 0 }}{% endif %}Hi")
    answer = caller.post("/messaging/email/template", {"to": ["ann@example.com", "bob@example.com"], "template": "odd"})
    detail = json.loads(answer.content)["error"]["message"]
    refused(answer, 400, "VALIDATION_ERROR", detail, {"fields": {"data": [detail]}})
    assert not Message.objects.exists()


def test_data_that_a_template_needs_are_named(caller: Caller) -> None:
    welcome(caller)
    detail = "the template needs: appName, name"
    refused(
        caller.post("/messaging/email/template", _without(TEMPLATE, "data")),
        400,
        "VALIDATION_ERROR",
        detail,
        {"fields": {"data": [detail]}},
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [b"{", b"", b'{"to": NaN}', b'{"to": "a", "to": "b"}', b"\xff"])
def test_what_is_not_json_has_no_fields(caller: Caller, path: str, body: bytes) -> None:
    answer = caller.post(path, body)
    refused(answer, 400, "VALIDATION_ERROR", json.loads(answer.content)["error"]["message"], {})


def test_a_byte_order_mark_before_the_body_is_passed_over(caller: Caller) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(EMAIL).encode()
    assert read(caller.post("/messaging/email", body, Prefer="respond-async"))["status"] == "queued"


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_no_object_has_no_fields(caller: Caller, path: str) -> None:
    refused(caller.post(path, []), 400, "VALIDATION_ERROR", "Expected object, got array", {})


def test_a_key_that_was_used_for_another_request_is_refused(caller: Caller) -> None:
    read(caller.post("/messaging/sms", SMS, Idempotency_Key="k"))
    detail = "This Idempotency-Key was used for another request."
    refused(
        caller.post("/messaging/sms", {**SMS, "body": "x"}, Idempotency_Key="k"), 400, "VALIDATION_ERROR", detail, {}
    )


@pytest.mark.usefixtures("transactional_db")
def test_a_repeat_while_the_first_request_waits_is_a_conflict(settings: Settings) -> None:
    settings.SYNC_WAIT_SECONDS = PATIENCE
    caller = make_caller()

    def post() -> HttpResponse:
        try:
            return caller.post("/messaging/sms", SMS, Idempotency_Key="k")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post)
        row = eventually(Message.objects.first, "the first request has stored its message")
        detail = "A request with this Idempotency-Key is being worked on."
        refused(caller.post("/messaging/sms", SMS, Idempotency_Key="k"), 409, "CONFLICT", detail, {})
        wake.wake([row.id])
        answer = read(first.result())
    assert answer == {"messageId": str(row.id), "status": "queued", "channel": "sms", "to": "+1234567890"}
    assert read(caller.post("/messaging/sms", SMS, Idempotency_Key="k")) == answer
    assert Message.objects.count() == 1


# UNAUTHORIZED, FORBIDDEN


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), [*(("POST", path) for path in PATHS), ("GET", "/messaging/logs")])
def test_nobody_gets_in(method: str, path: str) -> None:
    anonymous = nobody()
    detail = "This needs an API key, an access token or a session."
    answer = anonymous.ask(method, path, SMS if method == "POST" else None)
    refused(answer, 401, "UNAUTHORIZED", detail, {})
    assert answer["WWW-Authenticate"] == 'Bearer realm="messaging"'
    for wrong in ("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Bearer dk_live_wrong", "Bearer "):
        answer = anonymous.ask(method, path, SMS if method == "POST" else None, Authorization=wrong)
        assert answer.status_code == 401
        assert json.loads(answer.content)["error"]["code"] == "UNAUTHORIZED"


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), [*(("POST", path) for path in PATHS), ("GET", "/messaging/logs")])
def test_a_scope_is_needed(method: str, path: str) -> None:
    scope = "messages:write" if method == "POST" else "messages:read"
    other = make_caller(scopes=["messages:read" if method == "POST" else "messages:write"])
    answer = other.ask(method, path, SMS if method == "POST" else None)
    detail = json.loads(answer.content)["error"]["message"]
    assert scope in detail
    refused(answer, 403, "FORBIDDEN", detail, {})


@pytest.mark.parametrize(("method", "path"), [*(("POST", path) for path in PATHS), ("GET", "/messaging/logs")])
def test_somebody_elses_workspace_is_out_of_reach(caller: Caller, method: str, path: str) -> None:
    assert caller.member
    access = RefreshToken.for_user(caller.member.user).access_token
    caller.headers = {"Authorization": f"Bearer {access}"}
    body = SMS if method == "POST" else None
    answer = caller.ask(method, path, body, X_Workspace=str(make_workspace("Other").id))
    refused(answer, 404, "NOT_FOUND", json.loads(answer.content)["error"]["message"], {})


def test_a_template_of_another_workspace_is_not_found(caller: Caller) -> None:
    make_template(make_workspace("Other"), "welcome")
    refused(
        caller.post("/messaging/email/template", TEMPLATE),
        404,
        "TEMPLATE_NOT_FOUND",
        "there is no template welcome for the channel email",
        {"template": "welcome"},
    )


# NOT_FOUND, METHOD_NOT_ALLOWED and the like


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["", "/", "/fax", "/email/x", "//sms"])
def test_any_other_path_is_not_found(path: str) -> None:
    refused(nobody().get(f"/messaging{path}"), 404, "NOT_FOUND", "There is nothing here.", {})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *(("GET", path, "POST") for path in PATHS),
        ("DELETE", "/messaging/sms", "POST"),
        ("POST", "/messaging/logs", "GET, HEAD"),
        ("POST", "/messaging/health", "GET, HEAD"),
    ],
)
def test_another_method_is_refused(caller: Caller, method: str, path: str, allowed: str) -> None:
    answer = caller.ask(method, path)
    refused(answer, 405, "METHOD_NOT_ALLOWED", f'Method "{method}" not allowed.', {})
    assert answer["Allow"] == allowed


def test_other_media_types_are_refused(caller: Caller) -> None:
    answer = caller.post("/messaging/sms", b"to=1", Content_Type="application/x-www-form-urlencoded")
    refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json in UTF-8.", {})
    refused(
        caller.post("/messaging/sms", SMS, Accept="text/html"),
        406,
        "NOT_ACCEPTABLE",
        "The answer is application/json.",
        {},
    )


def test_a_body_that_is_too_long_is_refused(caller: Caller, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 10
    refused(caller.post("/messaging/sms", SMS), 413, "PAYLOAD_TOO_LARGE", "A request body has at most 10 bytes.", {})


@pytest.mark.django_db
def test_a_request_that_is_broken_in_itself_is_refused_in_the_same_shape() -> None:
    answer = Client(raise_request_exception=False).get("/messaging/logs", headers={"Host": "a b"})
    refused(answer, 400, "VALIDATION_ERROR", "The request is malformed.", {})


# PROVIDER_NOT_CONFIGURED, RATE_LIMITED, INTERNAL_ERROR


@pytest.mark.usefixtures("unconfigured")
@pytest.mark.parametrize(("path", "body", "channel"), SENDS)
def test_a_channel_without_a_provider_says_so(caller: Caller, path: str, body: dict[str, Any], channel: str) -> None:
    welcome(caller)
    refused(
        caller.post(path, body),
        400,
        "PROVIDER_NOT_CONFIGURED",
        f"the channel {channel} has no provider",
        {"channel": channel},
    )
    assert not Message.objects.exists()


@pytest.mark.usefixtures("unconfigured")
def test_a_test_key_sends_without_a_provider(db: None) -> None:
    assert read(make_caller(mode=Mode.TEST).post("/messaging/sms", SMS))["status"] == "queued"


def test_too_many_requests_are_told_when_to_come_back(caller: Caller) -> None:
    ApiKey.objects.filter(workspace=caller.workspace).update(rate_limit=1)
    read(caller.get("/messaging/logs"))
    answer = caller.get("/messaging/logs")
    refused(answer, 429, "RATE_LIMITED", "There may be 1 requests in a minute.", {})
    assert int(answer["Retry-After"]) > 0
    assert answer["X-RateLimit-Limit"] == "1"


def test_the_messages_of_a_day_are_taken_all_or_none(caller: Caller) -> None:
    Workspace.objects.filter(id=caller.workspace.id).update(daily_quota=2)
    answer = caller.post("/messaging/email", {**EMAIL, "to": [f"p{n}@example.com" for n in range(3)]})
    refused(answer, 429, "RATE_LIMITED", json.loads(answer.content)["error"]["message"], {})
    assert int(answer["Retry-After"]) > 0
    assert not Message.objects.exists()
    read(caller.post("/messaging/email", {**EMAIL, "to": ["a@example.com", "b@example.com"]}))


@pytest.mark.parametrize(
    ("error", "cause", "status", "code"),
    [
        (OperationalError("x"), errors.AdminShutdown(), 503, "UNAVAILABLE"),
        (OperationalError("x"), errors.QueryCanceled(), 503, "UNAVAILABLE"),
        (RuntimeError("secret"), None, 500, "INTERNAL_ERROR"),
    ],
)
def test_a_failure_of_ours_tells_nothing_of_itself(
    caller: Caller, error: Exception, cause: Exception | None, status: int, code: str
) -> None:
    for ask in (lambda: caller.get("/messaging/logs"), lambda: caller.post("/messaging/sms", SMS)):
        with failing(error, cause):
            answer = ask()
        refused(answer, status, code, json.loads(answer.content)["error"]["message"], {})
        assert b"secret" not in answer.content
        assert ("Retry-After" in answer) is (status == 503)


# How messages that ended are told


def _ended(end: Callable[[Message], None]) -> tuple[int, Any]:
    workspace = make_workspace()
    key = accept_message(workspace, "+1234567890", channel=Channel.SMS, subject="", text="Hi")
    end(message(key))
    wish = Sms(to="+1234567890", body="Hi").wish()
    return shown(Sent(message=message(key), ids=(key,), waited=True), wish)


def _failed(code: str, detail: str = "", provider: str = "") -> Callable[[Message], None]:
    def end(row: Message) -> None:
        Message.objects.filter(id=row.id).update(
            status="FAILED", error_code=code, error_detail=detail, provider=provider
        )

    return end


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("end", "status", "code", "reason", "provider"),
    [
        (_failed("smtp_4xx", "connection refused", "smtp"), 500, "SEND_FAILED", "connection refused", "smtp"),
        (_failed("outcome_unknown"), 500, "SEND_FAILED", "outcome unknown", None),
        (_failed("expired"), 500, "SEND_FAILED", "expired", None),
        (_failed("render_failed", "too long"), 500, "SEND_FAILED", "too long", None),
        (_failed("provider_not_configured", "none"), 400, "PROVIDER_NOT_CONFIGURED", "none", None),
        (_failed("encryption_failed", "no key"), 500, "INTERNAL_ERROR", "no key", None),
        (
            lambda row: control.cancel(workspace_id=row.workspace_id, message_id=row.id, cause=Cause.OPERATOR),
            500,
            "SEND_FAILED",
            "it was cancelled",
            None,
        ),
    ],
)
def test_every_end_has_its_code(
    end: Callable[[Message], None], status: int, code: str, reason: str, provider: str | None
) -> None:
    given, body = _ended(end)
    details = body.error.details
    assert (given, body.error.code, body.error.message) == (status, code, f"Failed to send SMS: {reason}")
    assert (details.channel, details.provider or None) == ("sms", provider)


def test_every_code_has_one_status() -> None:
    assert set(HTTP) == set(Code)
    assert set(CODES.values()) <= set(Code)
    shown_in_the_document = {
        "VALIDATION_ERROR": 400,
        "UNAUTHORIZED": 401,
        "PROVIDER_NOT_CONFIGURED": 400,
        "SEND_FAILED": 500,
        "RATE_LIMITED": 429,
    }
    assert {code: HTTP[Code(code)] for code in shown_in_the_document} == shown_in_the_document
