"""The document of /messages: templates, made, listed, changed and taken out of use."""

from __future__ import annotations

from typing import Any

import pytest

from channels_app.types import Channel
from messaging.models import Message, Template
from messaging.models.keys import uuid7
from tests.contracts.blockv import refused, send
from tests.factories import make_template
from tests.messaging.api.callers import Caller, make_caller, read

PATH = "/messages/templates"
TEMPLATE = {"name": "One-time code", "system": "email", "action_type": "otp", "title": "Code", "content": "{{ code }}"}


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


def make(caller: Caller, **fields: Any) -> str:
    answer = read(caller.post(PATH, {**TEMPLATE, **fields}), 201)
    assert set(answer) == {"id"}
    return str(answer["id"])


def one(caller: Caller, key: object) -> dict[str, Any]:
    shown: dict[str, Any] = read(caller.get(f"{PATH}/{key}"))
    return shown


def ids(caller: Caller, query: str = "") -> list[str]:
    return [row["id"] for row in read(caller.get(f"{PATH}?{query}"))["templates"]]


def patch(caller: Caller, key: str, **fields: Any) -> dict[str, Any]:
    changed: dict[str, Any] = read(caller.ask("PATCH", f"{PATH}/{key}", fields))
    assert one(caller, key) == changed
    return changed


def test_the_list_without_templates_is_empty_and_has_no_next(caller: Caller) -> None:
    assert read(caller.get(PATH)) == {"templates": []}


def test_a_template_is_made_and_shown(caller: Caller) -> None:
    key = make(caller, language="de", project="accounts", org_id=str(caller.workspace.id))
    shown = one(caller, key)
    assert shown == {
        "id": key,
        "org_id": str(caller.workspace.id),
        "name": "One-time code",
        "language": "de",
        "system": "email",
        "action_type": "otp",
        "title": "Code",
        "content": "{{ code }}",
        "content_type": "text",
        "project": "accounts",
        "when_modified": shown["when_created"],
        "when_created": shown["when_created"],
    }
    assert read(caller.get(PATH)) == {"templates": [shown]}
    for spelled in (key.upper(), key.replace("-", ""), f"tpl_{key.replace('-', '')}"):
        assert one(caller, spelled) == shown


def test_what_is_left_out_has_its_default_or_is_left_out(caller: Caller) -> None:
    key = make(caller, system="sms", title=None, content_type="text")
    shown = one(caller, key)
    assert (shown["language"], shown["content_type"]) == ("en", "text")
    assert {"title", "project"}.isdisjoint(shown)


def test_html_is_for_email(caller: Caller) -> None:
    shown = one(caller, make(caller, content="<b>{{ code }}</b>", content_type="html"))
    assert (shown["content"], shown["content_type"]) == ("<b>{{ code }}</b>", "html")
    body = {**TEMPLATE, "title": None, "system": "push", "content_type": "html"}
    refused(caller.post(PATH, body), 400, "not_carried", ("content_type", "not_carried"))


def test_the_same_name_in_another_language_is_its_translation(caller: Caller) -> None:
    english, french = make(caller, content="Code"), make(caller, language="fr", content="Le code")
    key = "one-time-code"
    assert list(Template.objects.values_list("key", flat=True)) == [key, key]
    sent = send(caller, title="", content="", template_id=key, language="fr")
    assert str(Message.objects.get(pk=sent).template_id) == french
    sent = send(caller, title="", content="", template_id=key, language="it")
    assert str(Message.objects.get(pk=sent).template_id) == english


def test_the_same_name_in_the_same_language_is_taken(caller: Caller) -> None:
    make(caller)
    refused(caller.post(PATH, TEMPLATE), 409, "template_exists", ("name", "template_exists"))
    assert make(caller, project="accounts")
    assert make(caller, system="push")


@pytest.mark.parametrize("name", ["Код", "!!!", "ü" * 200, "a" * 200])
def test_any_name_makes_a_key(caller: Caller, name: str) -> None:
    assert one(caller, make(caller, name=name))["name"] == name


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"name": None}, "name", "wrong_type"),
        ({"name": ""}, "name", "too_short"),
        ({"name": "a\nb"}, "name", "control_character"),
        ({"system": "whatsapp"}, "system", "invalid_choice"),
        ({"language": "xx"}, "language", "invalid_choice"),
        ({"action_type": "party"}, "action_type", "invalid_choice"),
        ({"content": ""}, "content", "too_short"),
        ({"content": "{% if a %}"}, "content", "template_refused"),
        ({"content_type": "markdown"}, "content_type", "invalid_choice"),
        ({"title": "{% if a %}"}, "title", "template_refused"),
        ({"system": "sms"}, "title", "not_carried"),
        ({"project": "a b"}, "project", "invalid_value"),
        ({"body": "x"}, "body", "unknown_field"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(caller: Caller, fields: dict[str, Any], field: str, code: str) -> None:
    refused(caller.post(PATH, {**TEMPLATE, **fields}), 400, "validation_error", (field, code))


@pytest.mark.parametrize("field", ["name", "system", "action_type", "content"])
def test_a_field_that_is_missing_is_named(caller: Caller, field: str) -> None:
    body = {name: value for name, value in TEMPLATE.items() if name != field}
    refused(caller.post(PATH, body), 400, "validation_error", (field, "required"))


def test_another_organisation_is_refused(caller: Caller) -> None:
    other = str(make_caller().workspace.id)
    key = make(caller)
    refused(caller.post(PATH, {**TEMPLATE, "org_id": other}), 403, "another_organisation")
    refused(caller.ask("PATCH", f"{PATH}/{key}", {"org_id": other}), 403, "another_organisation")


# Changes


def test_names_change_without_another_version(caller: Caller) -> None:
    key = make(caller)
    before = one(caller, key)
    after = patch(caller, key, name="Passcode", action_type="verify")
    assert after == {
        **before,
        "name": "Passcode",
        "action_type": "verify",
        "when_modified": after["when_modified"],
    }
    assert after["when_modified"] > before["when_modified"]
    assert Template.objects.get().version == 1


def test_what_it_says_changes_with_another_version(caller: Caller) -> None:
    key = make(caller)
    before = one(caller, key)
    after = patch(caller, key, content="<i>{{ code }}</i>", content_type="html", title="Yours", name="Passcode")
    assert after == {
        **before,
        "name": "Passcode",
        "title": "Yours",
        "content": "<i>{{ code }}</i>",
        "content_type": "html",
        "when_modified": after["when_modified"],
    }
    assert Template.objects.get().version == 2


@pytest.mark.parametrize(
    ("fields", "title", "content", "kind"),
    [
        ({"title": "Yours"}, "Yours", "{{ code }}", "text"),
        ({"title": None}, None, "{{ code }}", "text"),
        ({"content": "New"}, "Code", "New", "text"),
        ({"content_type": "html"}, "Code", "{{ code }}", "html"),
    ],
)
def test_what_is_not_named_stays(
    caller: Caller, fields: dict[str, Any], title: str | None, content: str, kind: str
) -> None:
    after = patch(caller, make(caller), **fields)
    assert (after.get("title"), after["content"], after["content_type"]) == (title, content, kind)


def test_a_title_alone_leaves_both_forms_of_a_template(caller: Caller) -> None:
    edition = make_template(caller.workspace, body="<p>Hi</p>", text="Hi")
    assert patch(caller, str(edition.id), title="Yours")["content"] == "<p>Hi</p>"
    said = edition.template.versions.get(version=2)
    assert (said.subject, said.body, said.text) == ("Yours", "<p>Hi</p>", "Hi")


def test_nothing_and_what_it_is_already_may_be_said(caller: Caller) -> None:
    key = make(caller, project="accounts")
    before = one(caller, key)
    for fields in ({}, {"system": "email", "language": "en", "project": "accounts"}):
        after = patch(caller, key, **fields)
        assert {**after, "when_modified": before["when_modified"]} == before


@pytest.mark.parametrize(("field", "value"), [("system", "sms"), ("language", "fr"), ("project", "other")])
def test_what_tells_templates_apart_does_not_change(caller: Caller, field: str, value: str) -> None:
    key = make(caller)
    answer = caller.ask("PATCH", f"{PATH}/{key}", {field: value})
    refused(answer, 400, "not_changeable", (field, "not_changeable"))


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"name": ""}, "name", "too_short"),
        ({"content": "{% if a %}"}, "content", "template_refused"),
        ({"content": None}, "content", "wrong_type"),
        ({"id": "x"}, "id", "unknown_field"),
    ],
)
def test_a_change_that_cannot_be_made_is_named(caller: Caller, fields: dict[str, Any], field: str, code: str) -> None:
    key = make(caller)
    refused(caller.ask("PATCH", f"{PATH}/{key}", fields), 400, "validation_error", (field, code))


def test_a_template_is_taken_out_of_use_and_its_messages_stay(caller: Caller) -> None:
    key = make(caller, content="Code")
    sent = send(caller, title="", content="", template_id=key)
    answer = caller.ask("DELETE", f"{PATH}/{key}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert ids(caller) == []
    refused(caller.get(f"{PATH}/{key}"), 404, "template_not_found")
    assert read(caller.get(f"/messages?template_id={key}"))["messages"][0]["id"] == sent
    assert make(caller)


# What is shown


@pytest.mark.parametrize("channel", [channel for channel in Channel if channel not in {"email", "sms", "push"}])
def test_templates_of_channels_without_a_word_are_left_out(caller: Caller, channel: Channel) -> None:
    key = make_template(caller.workspace, channel=channel, subject="").id
    assert ids(caller) == ids(caller, f"id={key}") == []
    for method in ("GET", "PATCH", "DELETE"):
        refused(caller.ask(method, f"{PATH}/{key}", {}), 404, "template_not_found")
    assert Template.objects.get().deleted_at is None


def test_a_template_of_another_workspace_or_of_none_is_not_found(caller: Caller) -> None:
    foreign = make(make_caller())
    assert ids(caller) == ids(caller, f"id={foreign}") == []
    for key in (foreign, str(uuid7()), "507f1f77bcf86cd799439011", "welcome"):
        for method in ("GET", "PATCH", "DELETE"):
            refused(caller.ask(method, f"{PATH}/{key}", {}), 404, "template_not_found")


def test_a_template_without_a_name_is_called_by_its_key(caller: Caller) -> None:
    key = make_template(caller.workspace, key="billing:due", language="pt-BR", action_type="newsletter").id
    shown = one(caller, key)
    assert [shown[name] for name in ("name", "project", "language", "action_type")] == [
        "billing:due",
        "billing",
        "pt",
        "custom",
    ]


# Filters and orders


def test_the_filters_narrow(caller: Caller) -> None:
    mail = make(caller)
    text = make(caller, name="Login", system="sms", title=None, action_type="login", language="fr")
    brazil = str(make_template(caller.workspace, language="pt-BR", action_type="newsletter").id)
    japan = str(make_template(caller.workspace, language="ja", action_type="newsletter").id)
    assert ids(caller) == [japan, brazil, text, mail]
    found = {
        f"id={text}": [text],
        "id=nothing": [],
        "system=sms": [text],
        "system=push": [],
        "language=fr": [text],
        "language=pt": [brazil],
        "language=en": [japan, mail],
        "type=login": [text],
        "type=custom": [japan, brazil],
        "autocomplete=ONE": [mail],
        "autocomplete=wel": [japan, brazil],
        "autocomplete=elc": [],
        "when_created[$gt]=2999-01-01": [],
        "when_created[$lte]=2999-01-01&system=email&type=otp": [mail],
        "id=&limit=&autocomplete=&next=&order=&sortBy=&language=&system=&type=&when_created[$gt]=": [
            japan,
            brazil,
            text,
            mail,
        ],
    }
    assert {query: ids(caller, query) for query in found} == found


def test_moments_are_compared_as_they_are_shown(caller: Caller) -> None:
    key = make(caller)
    at = one(caller, key)["when_created"]
    assert [ids(caller, f"when_created[${name}]={at}") for name in ("gt", "lt", "gte", "lte")] == [[], [], [key], [key]]


@pytest.mark.parametrize("sort", ["when_created", "when_modified", "name", "system"])
@pytest.mark.parametrize("order", ["asc", "desc", "ascending", "descending"])
def test_a_walk_gives_each_template_once_in_every_order(caller: Caller, sort: str, order: str) -> None:
    for number in range(6):
        make(caller, name=f"{'aBÄ'[number % 3]} {number // 3}", system=("email", "push")[number % 2])
        make(caller, name="Same", language=("en", "es", "fr", "de", "it", "pt")[number])
    patch(caller, ids(caller)[7], name="Other")
    whole = read(caller.get(f"{PATH}?sortBy={sort}&order={order}&limit=100"))
    assert "next" not in whole
    values = [row[sort] for row in whole["templates"]]
    assert values == sorted(values, reverse=order.startswith("desc"))
    walked, token = [], ""
    while True:
        page = read(caller.get(f"{PATH}?sortBy={sort}&order={order}&limit=5&next={token}"))
        walked += page["templates"]
        if "next" not in page:
            break
        assert len(page["templates"]) == 5
        token = page["next"]
    assert walked == whole["templates"]
    assert len(walked) == 12


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("limit=101", "limit", "out_of_range"),
        ("limit=0", "limit", "out_of_range"),
        ("sortBy=to", "sortBy", "invalid_choice"),
        ("order=up", "order", "invalid_choice"),
        ("type=party", "type", "invalid_choice"),
        ("system=fax", "system", "invalid_choice"),
        ("status=failed", "status", "unknown_parameter"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(caller: Caller, query: str, field: str, code: str) -> None:
    refused(caller.get(f"{PATH}?{query}"), 400, "validation_error", (field, code))


def test_a_token_of_messages_is_none_of_templates(caller: Caller) -> None:
    for _ in range(2):
        send(caller)
        make(caller, name=str(uuid7())[-6:])
    messages = read(caller.get("/messages?limit=1"))["next"]
    templates = read(caller.get(f"{PATH}?limit=1"))["next"]
    refused(caller.get(f"{PATH}?next={messages}"), 400, "invalid_token", ("next", "invalid_token"))
    refused(caller.get(f"/messages?next={templates}"), 400, "invalid_token", ("next", "invalid_token"))
