"""Templates of the campaignos surface."""

from __future__ import annotations

from typing import Any

import pytest

from channels_app.types import Channel
from messaging.models import Campaign, Template, TemplateVersion
from tests.contracts.campaignos import STRANGER, home, make_contact, refused
from tests.factories import make_template
from tests.messaging.api.callers import Caller, make_caller, nobody, read

OPERATIONS = {
    ("GET", "/api/workspaces/{workspace_id}/templates"),
    ("POST", "/api/workspaces/{workspace_id}/templates"),
    ("GET", "/api/workspaces/{workspace_id}/templates/{template_id}"),
    ("PATCH", "/api/workspaces/{workspace_id}/templates/{template_id}"),
    ("DELETE", "/api/workspaces/{workspace_id}/templates/{template_id}"),
    ("POST", "/api/workspaces/{workspace_id}/templates/{template_id}/preview"),
}
WELCOME = {
    "name": "Welcome to Acme!",
    "channel": "EMAIL",
    "subject": "Hi {{ firstName }}",
    "body": "<p>Hello {{ firstName }}, your plan is {{ plan }} {{ word }}</p>",
}


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def stranger(db: None) -> Caller:
    return make_caller()


def created(caller: Caller, **fields: Any) -> dict[str, Any]:
    return dict(read(caller.post(f"{home(caller)}/templates", {**WELCOME, **fields}), 201))


def path(caller: Caller, template: dict[str, Any], rest: str = "") -> str:
    return f"{home(caller)}/templates/{template['id']}{rest}"


def test_a_template_is_made_shown_and_listed(caller: Caller) -> None:
    made = created(caller)
    assert made == {
        **WELCOME,
        "id": f"tpl_{Template.objects.get().id.hex}",
        "variables": ["firstName", "plan", "word"],
        "language": "en",
        "createdAt": made["createdAt"],
        "updatedAt": made["updatedAt"],
    }
    assert Template.objects.get().key == "welcome-to-acme"
    assert read(caller.get(path(caller, made))) == made
    page = {"page": 1, "limit": 50, "total": 1, "totalPages": 1}
    assert read(caller.get(f"{home(caller)}/templates/")) == {"data": [made], "pagination": page}


def test_a_name_may_stand_for_several_templates(caller: Caller) -> None:
    first, second, german = created(caller), created(caller), created(caller, language="de")
    assert len({first["id"], second["id"], german["id"]}) == 3
    keys = Template.objects.order_by("id").values_list("key", "language")
    assert keys[0] == ("welcome-to-acme", "en")
    assert keys[1][0].startswith("welcome-to-acme-")
    assert keys[2] == ("welcome-to-acme", "de")
    assert created(caller, name="Добро")["name"] == "Добро"


def test_templates_are_narrowed_and_paged(caller: Caller) -> None:
    first = created(caller)
    second = created(caller, name="Digest", channel="PUSH")
    make_template(caller.workspace, key="by-sms", channel=Channel.SMS, subject="")

    def ids(query: str) -> list[str]:
        return [row["id"] for row in read(caller.get(f"{home(caller)}/templates?{query}"))["data"]]

    assert ids("") == [second["id"], first["id"]]
    assert ids("channel=PUSH") == [second["id"]]
    assert ids("search=welc") == [first["id"]]
    assert ids("search=WELC&channel=PUSH") == []
    body = read(caller.get(f"{home(caller)}/templates?page=2&limit=1"))
    assert [row["id"] for row in body["data"]] == [first["id"]]
    assert body["pagination"] == {"page": 2, "limit": 1, "total": 2, "totalPages": 2}


@pytest.mark.parametrize("query", ["channel=SMS", "channel=email", "limit=0", "q=x"])
def test_a_bad_parameter_is_refused_by_name(caller: Caller, query: str) -> None:
    body = read(caller.get(f"{home(caller)}/templates?{query}"), 400)
    assert list(body["error"]["details"]["fields"]) == [query.partition("=")[0]]


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"channel": "SMS"}, ["channel"]),
        ({"body": ""}, ["body"]),
        ({"body": "{{ open"}, ["body"]),
        ({"subject": "{% nothing %}"}, ["subject"]),
        ({"language": "!"}, ["language"]),
        ({"key": "x"}, ["key"]),
    ],
)
def test_a_bad_template_is_refused(caller: Caller, fields: dict[str, Any], places: list[str]) -> None:
    refused(caller.post(f"{home(caller)}/templates", {**WELCOME, **fields}), 400, "VALIDATION_ERROR", fields=places)
    assert not Template.objects.exists()


def test_a_change_leaves_the_rest_and_makes_a_version_where_the_words_change(caller: Caller) -> None:
    made = created(caller)
    named = read(caller.ask("PATCH", path(caller, made), {"name": "Hello"}))
    assert named == {**made, "name": "Hello", "updatedAt": named["updatedAt"]}
    assert TemplateVersion.objects.count() == 1
    changed = read(caller.ask("PATCH", path(caller, made), {"body": "<p>{{ other }}</p>"}))
    assert changed == {
        **named,
        "body": "<p>{{ other }}</p>",
        "variables": ["firstName", "other"],
        "updatedAt": changed["updatedAt"],
    }
    assert [each.body for each in TemplateVersion.objects.order_by("version")] == [made["body"], changed["body"]]


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_subject_is_taken_away(caller: Caller, nothing: str | None) -> None:
    made = created(caller)
    bare = read(caller.ask("PATCH", path(caller, made), {"subject": nothing}))
    assert bare == {**made, "subject": None, "variables": ["firstName", "plan", "word"], "updatedAt": bare["updatedAt"]}
    assert read(caller.get(path(caller, made))) == bare


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"body": "{{"}, ["body"]),
        ({"body": None}, ["body"]),
        ({"name": None}, ["name"]),
        ({"channel": "PUSH"}, ["channel"]),
        ({"language": "de"}, ["language"]),
    ],
)
def test_a_bad_change_is_refused(caller: Caller, fields: dict[str, Any], places: list[str]) -> None:
    made = created(caller)
    refused(caller.ask("PATCH", path(caller, made), fields), 400, "VALIDATION_ERROR", fields=places)
    assert read(caller.get(path(caller, made))) == made


def test_a_text_of_its_own_does_not_outlive_a_change_of_the_body(caller: Caller) -> None:
    edition = make_template(caller.workspace, body="<p>Old</p>", text="Old")
    key = f"tpl_{edition.id.hex}"
    read(caller.ask("PATCH", f"{home(caller)}/templates/{key}", {"body": "<p>New</p>"}))
    newest = TemplateVersion.objects.get(version=2)
    assert (newest.body, newest.text) == ("<p>New</p>", "")


def test_a_template_is_deleted_unless_a_campaign_needs_it(caller: Caller) -> None:
    made = created(caller)
    campaign = Campaign.objects.create(
        workspace=caller.workspace, name="x", channel="email", template=Template.objects.get()
    )
    refused(caller.ask("DELETE", path(caller, made)), 409, "CONFLICT", reason="template_in_use")
    campaign.delete()
    assert read(caller.ask("DELETE", path(caller, made))) == {"success": True}
    refused(caller.get(path(caller, made)), 404, "NOT_FOUND", reason="template_not_found")


def test_a_preview_is_for_a_contact_with_the_rest_from_variables(caller: Caller) -> None:
    made = created(caller)
    contact = make_contact(caller, first_name="Ann", attributes={"plan": "gold", "firstName": "no"})
    wanted = {"contactId": f"ct_{contact.id.hex}", "variables": {"firstName": "nobody", "word": "<now>"}}
    assert read(caller.post(path(caller, made, "/preview"), wanted)) == {
        "subject": "Hi Ann",
        "body": "<p>Hello Ann, your plan is gold &lt;now&gt;</p>",
        "missing": [],
    }
    assert read(caller.post(path(caller, made, "/preview"), {"variables": {"plan": "x"}})) == {
        "subject": "Hi",
        "body": "<p>Hello , your plan is x </p>",
        "missing": ["firstName", "word"],
    }


def test_a_preview_is_for_nobody_where_nothing_is_said(caller: Caller) -> None:
    made = created(caller)
    blank = {"subject": "Hi", "body": "<p>Hello , your plan is  </p>", "missing": ["firstName", "plan", "word"]}
    for body in (None, {}, {"contactId": None, "variables": None}):
        assert read(caller.post(path(caller, made, "/preview"), body)) == blank


def test_a_preview_for_a_contact_needs_that_scope_and_one_of_the_workspace(caller: Caller, stranger: Caller) -> None:
    made, contact = created(caller), make_contact(caller)
    wanted = {"contactId": f"ct_{contact.id.hex}"}
    reader = make_caller(workspace=caller.workspace, scopes=["templates:read"])
    refused(reader.post(path(caller, made, "/preview"), wanted), 403, "FORBIDDEN", reason="missing_scope")
    for key in ("x", f"ct_{STRANGER.hex}", f"ct_{make_contact(stranger).id.hex}"):
        answer = caller.post(path(caller, made, "/preview"), {"contactId": key})
        refused(answer, 404, "NOT_FOUND", reason="contact_not_found")


def test_a_template_of_a_channel_that_is_not_shown_is_not_found(caller: Caller) -> None:
    edition = make_template(caller.workspace, channel=Channel.SMS, subject="")
    for method, rest in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/preview")):
        answer = caller.ask(method, f"{home(caller)}/templates/tpl_{edition.id.hex}{rest}", {})
        refused(answer, 404, "NOT_FOUND", reason="template_not_found")
    assert Template.objects.get().deleted_at is None


@pytest.mark.parametrize(
    ("method", "rest", "scope"),
    [
        ("GET", "", "templates:read"),
        ("POST", "", "templates:write"),
        ("GET", "/{key}", "templates:read"),
        ("PATCH", "/{key}", "templates:write"),
        ("DELETE", "/{key}", "templates:write"),
        ("POST", "/{key}/preview", "templates:read"),
    ],
)
def test_a_stranger_a_foreign_workspace_and_a_lacking_scope_are_refused(
    caller: Caller, stranger: Caller, method: str, rest: str, scope: str
) -> None:
    below = f"/templates{rest}".format(key=created(caller)["id"])
    refused(nobody().ask(method, home(caller) + below, {}), 401, "UNAUTHORIZED")
    refused(stranger.ask(method, home(caller) + below, {}), 404, "NOT_FOUND", reason="workspace_not_found")
    other = "templates:write" if scope == "templates:read" else "templates:read"
    lacking = make_caller(workspace=caller.workspace, scopes=[other])
    refused(lacking.ask(method, home(caller) + below, {}), 403, "FORBIDDEN", reason="missing_scope")
    if "{key}" in rest:
        refused(stranger.ask(method, home(stranger) + below, {}), 404, "NOT_FOUND", reason="template_not_found")
