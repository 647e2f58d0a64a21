"""The document of /messages: the list with each of its parameters, one message, and what may be done to it."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from channels_app.types import Channel
from messaging.api.blockv import envelope
from messaging.api.blockv.vocabulary import CHANNEL_OUT, STATUS_IN, STATUS_OUT
from messaging.errors import QueryTimeout, Unavailable
from messaging.models import ApiKey, Message, Role
from messaging.models.keys import uuid7
from messaging.state import Standing, Status
from tests.contracts.blockv import MESSAGE, listed, message, refused, send, shown
from tests.factories import accept_message, make_template
from tests.messaging.api.callers import Caller, make_caller, nobody, read
from tests.messaging.people.rows import make_contact

OPERATIONS = {
    ("GET", "/messages"),
    ("POST", "/messages/send"),
    ("GET", "/messages/{message_id}"),
    ("POST", "/messages/{message_id}/cancel"),
    ("POST", "/messages/{message_id}/retry"),
    ("GET", "/messages/templates"),
    ("POST", "/messages/templates"),
    ("GET", "/messages/templates/{template_id}"),
    ("PATCH", "/messages/templates/{template_id}"),
    ("DELETE", "/messages/templates/{template_id}"),
}
"""Every operation that has cases here, or in the files beside."""

WALLET = "SP318Q55DEKHRXJK696033DQN5C54D9K2EE6DHRWP"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PARAMETERS = (
    "id",
    "limit",
    "autocomplete",
    "next",
    "order",
    "sortBy",
    "template_id",
    "to",
    "language",
    "system",
    "action_type",
    "status",
    "when_created[$gt]",
    "when_created[$lt]",
    "when_created[$gte]",
    "when_created[$lte]",
)


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["messages"]]


def accept(caller: Caller, to: str = "ann@example.com", **fields: Any) -> str:
    return str(accept_message(caller.workspace, to, **fields))


def put(key: str, **columns: Any) -> None:
    """Write columns of a message as no API can."""
    assert Message.objects.filter(pk=key).update(**columns) == 1


def test_the_list_without_messages_is_empty_and_has_no_next(caller: Caller) -> None:
    assert read(caller.get("/messages")) == {"messages": []}


def test_a_message_is_shown_with_the_fields_of_the_document(caller: Caller) -> None:
    template = make_template(caller.workspace, action_type="register", language="de")
    at = timezone.now() + timedelta(hours=1)
    key = accept(caller, template="welcome", scheduled_at=at)
    (row,) = listed(caller)["messages"]
    assert row == {
        "id": key,
        "template_id": str(template.id),
        "action_type": "register",
        "to": "ann@example.com",
        "system": "email",
        "language": "de",
        "status": "scheduled",
        "scheduled_at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z",
        "when_modified": row["when_created"],
        "when_created": row["when_created"],
    }
    assert MOMENT.fullmatch(row["when_created"])
    assert shown(caller, key) == row


def test_what_a_message_has_not_is_left_out(caller: Caller) -> None:
    key = accept(caller)
    (row,) = listed(caller)["messages"]
    created = row["when_created"]
    assert row == {
        "id": key,
        "action_type": "custom",
        "to": "ann@example.com",
        "system": "email",
        "language": "en",
        "status": "pending",
        "when_modified": created,
        "when_created": created,
    }


# Statuses


@pytest.mark.parametrize(
    ("standing", "word"),
    [
        (Standing.SCHEDULED, "scheduled"),
        (Standing.QUEUED, "pending"),
        (Standing.RETRYING, "retrying"),
        (Standing.SENDING, "pending"),
        (Standing.SENT, "delivered"),
        (Standing.DELIVERED, "delivered"),
        (Standing.OPENED, "delivered"),
        (Standing.CLICKED, "delivered"),
        (Standing.BOUNCED, "failed"),
        (Standing.FAILED, "failed"),
        (Standing.UNSUBSCRIBED, "delivered"),
        (Standing.CANCELLED, "cancelled"),
    ],
)
def test_every_standing_has_a_word_and_is_found_by_it(caller: Caller, standing: Standing, word: str) -> None:
    key, other = accept(caller), accept(caller)
    retrying = standing is Standing.RETRYING
    put(key, status=Status.QUEUED if retrying else Status(standing.value), attempts=1 if retrying else 0)
    put(other, status=Status.FAILED if word != "failed" else Status.CANCELLED)
    assert shown(caller, key)["status"] == word
    assert ids(listed(caller, f"status={word}")) == [key]


def test_the_vocabulary_is_total() -> None:
    assert set(STATUS_OUT) == set(Standing)
    assert set(CHANNEL_OUT) == set(Channel)
    found = [standing for standings in STATUS_IN.values() for standing in standings]
    assert sorted(found) == sorted(Standing)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("smtp_550", 550),
        ("21211", 21211),
        ("suppressed", 403),
        ("recipient_opted_out", 403),
        ("expired", 408),
        ("outcome_unknown", 504),
        ("sandbox_permanent", 500),
        ("99999999999", 500),
    ],
)
def test_a_failed_message_says_why(caller: Caller, reason: str, code: int) -> None:
    key = accept(caller)
    put(key, status=Status.FAILED, error_code=reason, error_detail="It cannot be.", provider="smtp")
    assert shown(caller, key)["error"] == {
        "code": code,
        "message": "It cannot be.",
        "details": {"reason": reason, "provider": "smtp"},
    }


def test_a_bounce_without_a_reason_still_has_an_error(caller: Caller) -> None:
    key = accept(caller)
    put(key, status=Status.BOUNCED)
    assert shown(caller, key)["error"] == {
        "code": 500,
        "message": "The message was not delivered: bounced.",
        "details": {"reason": "bounced"},
    }


def test_a_message_that_is_tried_again_says_what_went_wrong_and_one_that_went_out_does_not(caller: Caller) -> None:
    retrying, delivered = accept(caller), accept(caller)
    put(retrying, attempts=1, error_code="smtp_451", error_detail="Later.")
    put(delivered, status=Status.SENT, error_code="smtp_451", error_detail="Later.")
    assert shown(caller, retrying)["error"] == {"code": 451, "message": "Later.", "details": {"reason": "smtp_451"}}
    assert "error" not in shown(caller, delivered)


# What is shown at all


@pytest.mark.parametrize(("channel", "to"), [("whatsapp", "+12025550100"), ("telegram", "42"), ("onsite", "someone")])
def test_channels_without_a_word_are_left_out(caller: Caller, channel: str, to: str) -> None:
    fields = {"subject": ""} if channel == "whatsapp" else {}
    key = accept(caller, to, channel=Channel(channel), **fields)
    assert listed(caller) == {"messages": []}
    refused(caller.get(f"/messages/{key}"), 404, "message_not_found")
    refused(caller.post(f"/messages/{key}/cancel"), 404, "message_not_found")
    refused(caller.post(f"/messages/{key}/retry"), 404, "message_not_found")
    assert Message.objects.get(pk=key).status == Status.QUEUED


def test_a_deleted_message_is_gone(caller: Caller) -> None:
    key = accept(caller)
    put(key, deleted_at=timezone.now())
    assert listed(caller) == {"messages": []}
    refused(caller.get(f"/messages/{key}"), 404, "message_not_found")


def test_another_workspace_is_not_seen(caller: Caller) -> None:
    key = accept(make_caller())
    assert listed(caller) == {"messages": []}
    assert listed(caller, f"id={key}") == {"messages": []}
    refused(caller.get(f"/messages/{key}"), 404, "message_not_found")
    refused(caller.post(f"/messages/{key}/cancel"), 404, "message_not_found")
    refused(caller.post(f"/messages/{key}/retry"), 404, "message_not_found")


# Filters


def test_an_id_is_taken_in_any_of_our_spellings(caller: Caller) -> None:
    key, _ = accept(caller), accept(caller)
    plain = UUID(key)
    for spelled in (key, key.upper(), plain.hex, f"msg_{plain.hex}"):
        assert ids(listed(caller, f"id={spelled}")) == [key]
        assert shown(caller, spelled)["id"] == key
    assert listed(caller, "id=507f1f77bcf86cd799439011") == {"messages": []}
    assert listed(caller, f"id={uuid7()}") == {"messages": []}


def test_the_template_is_taken_by_id_or_key(caller: Caller) -> None:
    template = make_template(caller.workspace)
    key, _ = accept(caller, template="welcome"), accept(caller)
    for spelled in (template.id, f"tpl_{template.id.hex}", "welcome"):
        assert ids(listed(caller, f"template_id={spelled}")) == [key]
    assert listed(caller, "template_id=nothing") == {"messages": []}


@pytest.mark.parametrize("to", ["ann@example.com", "ANN@example.com", WALLET, WALLET.lower()])
def test_a_recipient_is_an_address_or_an_id(caller: Caller, to: str) -> None:
    contact = make_contact(caller.workspace, external_id=WALLET, email="ann@example.com")
    key = send(caller, to=WALLET)
    accept(caller, "bob@example.com")
    found = listed(caller, f"to={to}")
    assert ids(found) == ([] if to == WALLET.lower() else [key])
    assert Message.objects.get(pk=key).contact_id == contact.id


def test_a_phone_number_is_found_in_any_spelling(caller: Caller) -> None:
    key = accept(caller, "+12025550100", channel=Channel.SMS, subject="")
    for to in ("+12025550100", "+1 (202) 555-0100"):
        assert ids(listed(caller, f"to={quote(to)}")) == [key]


def test_a_plus_that_was_not_encoded_is_a_plus(caller: Caller) -> None:
    tagged = accept(caller, "ann+news@example.com")
    key = accept(caller, "+12025550100", channel=Channel.SMS, subject="")
    assert ids(listed(caller, "to=+12025550100")) == ids(listed(caller, "autocomplete=+1202")) == [key]
    assert ids(listed(caller, "to=ann+news@example.com")) == ids(listed(caller, "autocomplete=ann+news@")) == [tagged]


def test_the_system_narrows(caller: Caller) -> None:
    mail = accept(caller)
    text = accept(caller, "+12025550100", channel=Channel.SMS, subject="")
    assert ids(listed(caller, "system=email")) == [mail]
    assert ids(listed(caller, "system=sms")) == [text]
    assert ids(listed(caller, "system=push")) == []
    assert ids(listed(caller)) == [text, mail]


@pytest.mark.parametrize(
    ("tag", "word"),
    [("en", "en"), ("en-GB", "en"), ("pt-BR", "pt"), ("PT_br", "pt"), ("ru", "ru"), ("ja", "en"), ("ptx", "en")],
)
def test_every_language_has_a_word_and_is_found_by_it(caller: Caller, tag: str, word: str) -> None:
    key = accept(caller, language=tag)
    assert shown(caller, key)["language"] == word
    for each in ("en", "es", "fr", "de", "it", "pt", "ru"):
        assert ids(listed(caller, f"language={each}")) == ([key] if each == word else [])


@pytest.mark.parametrize(("kind", "word"), [("otp", "otp"), ("org_invite", "org_invite"), ("newsletter", "custom")])
def test_every_kind_of_action_has_a_word_and_is_found_by_it(caller: Caller, kind: str, word: str) -> None:
    key = accept(caller, action_type=kind)
    assert shown(caller, key)["action_type"] == word
    for each in ("register", "login", "reset", "verify", "otp", "org_invite", "custom", "internal"):
        assert ids(listed(caller, f"action_type={each}")) == ([key] if each == word else [])


def test_autocomplete_is_the_beginning_of_a_recipient_or_of_a_template_in_either_case(caller: Caller) -> None:
    make_template(caller.workspace, key="anniversary", name="Jubilee")
    ann = accept(caller, "ann@example.com")
    bob = accept(caller, "bob@example.com", template="anniversary")
    assert ids(listed(caller, "autocomplete=AN")) == [bob, ann]
    assert ids(listed(caller, "autocomplete=jub")) == [bob]
    assert ids(listed(caller, "autocomplete=nn@")) == []
    assert ids(listed(caller, "autocomplete=%25")) == []


def test_filters_narrow_together(caller: Caller) -> None:
    key = accept(caller, action_type="otp", language="fr")
    accept(caller, action_type="otp")
    accept(caller, "bob@example.com", action_type="otp", language="fr")
    query = "to=ann@example.com&language=fr&system=email&action_type=otp&status=pending&autocomplete=a"
    assert ids(listed(caller, query)) == [key]


# Times, at the precision shown


def test_moments_are_compared_as_they_are_shown(caller: Caller) -> None:
    base = datetime.now(UTC).replace(microsecond=0)
    keys = []
    for microseconds in (1_000, 2_000, 2_999, 3_000):
        keys.append(accept(caller))
        put(keys[-1], created_at=base.replace(microsecond=microseconds))
    first, second, third, fourth = keys
    shown_at = f"{base:%Y-%m-%dT%H:%M:%S}.002Z"
    assert [row["when_created"] for row in listed(caller, f"id={third}")["messages"]] == [shown_at]

    def found(comparison: str, at: str = shown_at) -> list[str]:
        return ids(listed(caller, f"order=asc&when_created[${comparison}]={at}"))

    assert found("gt") == [fourth]
    assert found("gte") == [second, third, fourth]
    assert found("lt") == [first]
    assert found("lte") == [first, second, third]
    between = shown_at.replace(".002Z", ".0021Z")
    assert found("gt", between) == found("gte", between) == [fourth]
    assert found("lt", between) == found("lte", between) == [first, second, third]
    both = f"when_created[$gte]={shown_at}&when_created[$lte]={shown_at}&when_created[$gt]=2020-01-01"
    assert ids(listed(caller, f"order=asc&{both}")) == [second, third]


@pytest.mark.parametrize("name", ["when_created[$gt]", "when_created%5B%24gt%5D", "when_created%5b$gt%5d"])
def test_brackets_may_be_encoded(caller: Caller, name: str) -> None:
    key = accept(caller)
    assert ids(listed(caller, f"{name}=2024-01-01T00:00:00Z")) == [key]
    assert ids(listed(caller, f"{name}=2999-01-01T00:00:00Z")) == []


@pytest.mark.parametrize(
    "at", ["2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00", "2024-01-01T00:00:00.123456Z"]
)
def test_a_moment_is_rfc_3339_or_a_day(caller: Caller, at: str) -> None:
    key = accept(caller)
    assert ids(listed(caller, f"when_created[$gt]={at}")) == [key]
    assert ids(listed(caller, f"when_created[$gte]={quote(at)}")) == [key]
    assert ids(listed(caller, f"when_created[$lt]={at}")) == []
    assert ids(listed(caller, f"when_created[$lte]={quote(at)}")) == []


@pytest.mark.parametrize("at", ["yesterday", "1704067200", "2024-02-30", "2024-01-01T00:00:00", "2024-13-01T00:00:00Z"])
def test_what_is_no_moment_is_refused(caller: Caller, at: str) -> None:
    refused(
        caller.get(f"/messages?when_created[$gte]={at}"),
        400,
        "invalid_moment",
        ("when_created[$gte]", "invalid_moment"),
    )


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-02:00"])
def test_a_moment_beyond_the_calendar_is_refused(caller: Caller, at: str) -> None:
    answer = caller.get(f"/messages?when_created[$lt]={quote(at)}")
    refused(answer, 400, "validation_error", ("when_created[$lt]", "out_of_range"))


def test_the_ends_of_the_calendar_can_be_asked_for(caller: Caller) -> None:
    key = accept(caller)
    last, first = "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z"
    assert ids(listed(caller, f"when_created[$lte]={last}&when_created[$gte]={first}")) == [key]
    assert ids(listed(caller, f"when_created[$gt]={last}")) == []
    assert ids(listed(caller, f"when_created[$lt]={first}")) == []


# Parameters that cannot be used


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("limit=0", "limit", "out_of_range"),
        ("limit=101", "limit", "out_of_range"),
        ("limit=-1", "limit", "out_of_range"),
        ("limit=ten", "limit", "wrong_type"),
        ("order=up", "order", "invalid_choice"),
        ("sortBy=name", "sortBy", "invalid_choice"),
        ("language=xx", "language", "invalid_choice"),
        ("system=whatsapp", "system", "invalid_choice"),
        ("action_type=party", "action_type", "invalid_choice"),
        ("status=sent", "status", "invalid_choice"),
        ("status=Failed", "status", "invalid_choice"),
        ("status=failed,pending", "status", "invalid_choice"),
        ("type=otp", "type", "unknown_parameter"),
        ("When_created[$gt]=2024-01-01", "When_created[$gt]", "unknown_parameter"),
        ("when_created[gt]=2024-01-01", "when_created[gt]", "unknown_parameter"),
        ("when_created[]=2024-01-01", "when_created[]", "unknown_parameter"),
        ("when_created=2024-01-01", "when_created", "unknown_parameter"),
        ("limit=1&limit=2", "limit", "repeated_parameter"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(caller: Caller, query: str, field: str, code: str) -> None:
    refused(caller.get(f"/messages?{query}"), 400, "validation_error", (field, code))


def test_a_parameter_that_no_store_can_hold_is_refused(caller: Caller) -> None:
    refused(caller.get("/messages?to=%00"), 400, "nul_character", ("to", "nul_character"))


@pytest.mark.parametrize("query", ["when_created[]=2024-01-01", "when_created[]=2024-01-01&when_created[]=2025-01-01"])
def test_a_dollar_that_a_shell_ate_is_told_of(caller: Caller, query: str) -> None:
    body = refused(
        caller.get(f"/messages?{query}"),
        400,
        "validation_error",
        ("when_created[]", "unknown_parameter"),
    )
    assert "single quotes" in body["message"]


@pytest.mark.parametrize("names", [PARAMETERS, [name.partition("$")[0] for name in PARAMETERS]])
def test_the_request_of_the_document_with_empty_parameters_lists_everything(caller: Caller, names: list[str]) -> None:
    """The second spelling is what is left of the names where a shell took each $gt for a variable."""
    key = accept(caller)
    query = "&".join(f"{name}=" for name in names)
    assert ids(listed(caller, query)) == [key]


def test_the_request_of_the_document_with_every_parameter_narrows_by_all_of_them(caller: Caller) -> None:
    template = make_template(caller.workspace, action_type="otp")
    keys = [accept(caller, template="welcome") for _ in range(3)]
    values = {
        "id": keys[1],
        "limit": "10",
        "autocomplete": "ann",
        "next": "",
        "order": "asc",
        "sortBy": "status",
        "template_id": str(template.id),
        "to": "ann@example.com",
        "language": "en",
        "system": "email",
        "action_type": "otp",
        "status": "pending",
        "when_created[$gt]": "2024-01-01T00:00:00Z",
        "when_created[$lt]": "2999-01-01T00:00:00Z",
        "when_created[$gte]": "2024-01-01T00:00:00Z",
        "when_created[$lte]": "2999-01-01T00:00:00Z",
    }
    assert tuple(values) == PARAMETERS
    assert ids(listed(caller, "&".join(f"{name}={value}" for name, value in values.items()))) == [keys[1]]


# Cancel and retry


def test_a_message_that_waits_is_cancelled(caller: Caller) -> None:
    key = send(caller, scheduled_at="2999-01-01T00:00:00Z")
    before = shown(caller, key)
    after = message(caller.post(f"/messages/{key}/cancel"))
    assert after == {**before, "status": "cancelled", "when_modified": after["when_modified"]}
    assert after["when_modified"] > before["when_modified"]
    assert shown(caller, key) == after


def test_a_message_that_failed_is_tried_again(caller: Caller) -> None:
    key = accept(caller)
    put(key, status=Status.FAILED, attempts=3, error_code="smtp_550", error_detail="No.", failed_at=timezone.now())
    before = shown(caller, key)
    after = message(caller.post(f"/messages/{key}/retry/"))
    assert after == {
        **{name: value for name, value in before.items() if name != "error"},
        "status": "retrying",
        "when_modified": after["when_modified"],
    }
    assert Message.objects.get(pk=key).status == Status.QUEUED


def test_what_the_state_does_not_allow_is_a_conflict(caller: Caller) -> None:
    key = accept(caller)
    body = refused(caller.post(f"/messages/{key}/retry"), 409, "transition_refused")
    assert body["message"] == "A message that is pending cannot be tried again."
    put(key, status=Status.SENT)
    body = refused(caller.post(f"/messages/{key}/cancel"), 409, "transition_refused")
    assert body["message"] == "A message that is delivered cannot be cancelled."


@pytest.mark.parametrize("key", ["nothing", "507f1f77bcf86cd799439011", "00000000-0000-7000-8000-000000000000"])
def test_a_message_that_is_not_there_is_not_found(caller: Caller, key: str) -> None:
    for answer in (
        caller.get(f"/messages/{key}"),
        caller.post(f"/messages/{key}/cancel"),
        caller.post(f"/messages/{key}/retry"),
    ):
        refused(answer, 404, "message_not_found")


# Who asks, and other refusals


REQUESTS = [(method, path.format(message_id="x", template_id="x")) for method, path in sorted(OPERATIONS)]


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_nobody_may_do_anything(db: None, method: str, path: str) -> None:
    answer = nobody().ask(method, path)
    refused(answer, 401, "unauthenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_each_operation_needs_its_scope(db: None, method: str, path: str) -> None:
    caller = make_caller(scopes=["contacts:read"])
    refused(caller.ask(method, path, {}), 403, "missing_scope")


def test_a_viewer_reads_and_does_not_send(db: None) -> None:
    caller = make_caller(Role.VIEWER)
    assert listed(caller) == {"messages": []}
    refused(caller.post("/messages/send", {}), 403, "missing_scope")


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_a_path_answers_with_a_slash_at_its_end_too(caller: Caller, method: str, path: str) -> None:
    plain, slashed = caller.ask(method, path, {}), caller.ask(method, f"{path}/", {})
    assert plain.status_code == slashed.status_code != 405
    assert slashed.status_code < 300 or slashed.status_code in {400, 404}


def test_other_methods_and_paths_are_refused_in_the_same_shape(caller: Caller) -> None:
    answer = caller.ask("DELETE", "/messages")
    refused(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET, HEAD"
    refused(caller.get("/messages/send"), 405, "method_not_allowed")
    refused(caller.get("/messages/a/b/c"), 404, "not_found")
    refused(caller.get("/messages", Accept="text/html"), 406, "not_acceptable")
    refused(caller.post("/messages/send", b"{", Content_Type="text/plain"), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [(QueryTimeout("Too slow."), 503, "5"), (Unavailable("Busy.", retry_after=7), 503, "7")],
)
def test_who_has_to_come_back_is_told_when(error: Any, status: int, wait: str, rf: Any) -> None:
    answer = envelope.refused(rf.get("/messages"), error)
    assert (answer.status_code, answer["Retry-After"]) == (status, wait)


def test_a_request_that_is_broken_in_itself_is_refused_in_the_same_shape(db: None) -> None:
    answer = Client().get("/messages", headers={"Host": "in valid"})
    assert answer.status_code == 400
    assert answer.json()["code"] == 400


def test_too_many_requests_are_told_when_to_come_back(caller: Caller) -> None:
    ApiKey.objects.update(rate_limit=1)
    first, second = caller.get("/messages"), caller.get("/messages")
    assert (first.status_code, first["X-RateLimit-Limit"], first["X-RateLimit-Remaining"]) == (200, "1", "0")
    refused(second, 429, "rate_limited")
    assert int(second["Retry-After"]) >= 1
    assert int(second["X-RateLimit-Reset"]) > time.time() - 60


# The description


def test_the_schema_describes_every_operation_and_the_parameters_of_the_document(db: None) -> None:
    document = Client().get("/api/schema/blockv/").json()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == OPERATIONS
    named = {each["name"] for each in document["paths"]["/messages"]["get"]["parameters"] if each["in"] == "query"}
    assert named == set(PARAMETERS)
    shown = document["components"]["schemas"]["Message"]
    assert set(shown["properties"]) == set(MESSAGE["properties"])
    assert set(shown["required"]) == set(MESSAGE["required"])
    for name, wanted in MESSAGE["properties"].items():
        assert sorted(shown["properties"][name].get("enum", [])) == sorted(wanted.get("enum", []))
